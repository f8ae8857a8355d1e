//! `outside-http`: sends requests that were granted and such that were not, and keeps what it is told to.
//!
//! What came of each is the item's note: `200 hello`, or `refused: …`.

use convoke_sdk::prelude::*;

/// The command.
pub struct OutsideHttp;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Arguments {
    act: Vec<String>,
    planning: String,
}

impl Command for OutsideHttp {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { act, planning } = call.arguments()?;
        let items = (1..).zip(act).map(|(number, act)| {
            let (name, what) = act.split_once(':').unwrap_or((&act, ""));
            Item::new(format!("{number}-{name}")).input(&(name, what))
        });
        let work = Work::new(items);
        if planning == "none" {
            return Ok(work);
        }
        let planned = told(call.fetch(&Fetch::get(planning)).await);
        Ok(work.note(format!("planned: {planned}")))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let (act, what): (String, String) = task.input()?;
        let get = Fetch::get(what.as_str());
        let said = match act.as_str() {
            "get" => told(task.fetch(&get).await),
            "hour" => told(task.fetch(&get.lifetime(3_600)).await),
            "head" => told(task.fetch(&Fetch::new("HEAD", what)).await),
            "post" => told(task.fetch(&Fetch::post(what).body("posted")).await),
            "auth" => {
                let get = get.header("Authorization", "Bearer mine").header("Cookie", "a=mine");
                told(task.fetch(&get).await)
            }
            "smuggle" => told(task.fetch(&get.header("X-A", "b\r\nHost: evil.example")).await),
            "disguise" => told(task.fetch(&get.header("Host", "evil.example")).await),
            "put" => {
                let (key, value) = what.split_once('=').unwrap_or((&what, ""));
                let kept = task.store_put(key, value, 3_600).await;
                kept.map_or_else(|error| format!("refused: {}", error.message), |()| "kept".to_owned())
            }
            "find" => match task.store_get(&what).await {
                Ok(Some(value)) => format!("found {}", String::from_utf8_lossy(&value)),
                Ok(None) => "found nothing".to_owned(),
                Err(error) => format!("refused: {}", error.message),
            },
            // What a command does with its store: gets something once, and then from there.
            "get-once" => match task.store_get(&what).await? {
                Some(value) => format!("kept {}", String::from_utf8_lossy(&value)),
                None => {
                    let answer = task.fetch(&get.lifetime(3_600)).await?.checked()?;
                    task.store_put(&what, answer.body.clone(), 3_600).await?;
                    format!("got {}", String::from_utf8_lossy(&answer.body))
                }
            },
            other => return Err(Error::new(format!("it can't {other}"))),
        };
        Ok(Partial::done().notes(said))
    }
}

fn told(answer: Result<convoke_sdk::Response>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(error) => format!("refused: {}", error.message),
    }
}

convoke_sdk::export!(OutsideHttp);
