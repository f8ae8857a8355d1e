//! `contract-outside`: uses all of the contract 0.1.0 that needs a grant. Built once, and never again.

use convoke_sdk::prelude::*;

#[derive(Deserialize)]
struct Arguments {
    url: String,
}

struct Outside;

/// A program with all that a command can have, and all that comes back of it.
fn sorted() -> Process {
    Process::new("sort").args(["-r", "b.txt"]).arg("-").folder("docs").input("one\n").lifetime(60)
}

fn ran(output: &convoke_sdk::Output) -> String {
    format!("{} {:?} {}", output.status, String::from_utf8_lossy(&output.stdout), output.stderr.len())
}

/// An answer with a status, headers and a body.
fn got(answer: &convoke_sdk::Response) -> String {
    format!(
        "{} {} {}",
        answer.status,
        answer.header("x-said").unwrap_or("nothing"),
        String::from_utf8_lossy(&answer.body)
    )
}

impl Command for Outside {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { url } = call.arguments()?;
        let planned = [
            ran(&call.run(&sorted()).await?),
            got(&call.fetch(&Fetch::get(url.as_str())).await?),
            format!("{:?}", call.store_get("kept").await?),
        ];
        call.store_put("planned", "in the plan", 60).await?;
        let item = |id: &str| Item::new(id).input(&url);
        Ok(Work::new([item("run"), item("fetch"), item("keep")]).note(planned.join("; ")))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let url: String = task.input()?;
        Ok(Partial::done().notes(match task.id() {
            "run" => ran(&task.run(&sorted()).await?),
            "fetch" => {
                let post = Fetch::post(url).header("x-asks", "so").body("a question").lifetime(60);
                got(&task.fetch(&post).await?.checked()?)
            }
            _ => {
                task.store_put("kept", "in the item", 60).await?;
                let text = |found: Option<Vec<u8>>| String::from_utf8(found.unwrap_or_default()).unwrap_or_default();
                format!("{}, {}", text(task.store_get("planned").await?), text(task.store_get("kept").await?))
            }
        }))
    }
}

convoke_sdk::export!(Outside);
