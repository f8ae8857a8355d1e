//! `outside-process`: runs the programs that a JSON file of the project tells it to, granted or not.
//!
//! So that tests can say what a hostile plugin would try, and see what came of it.

use convoke_sdk::prelude::*;
use futures::future::join_all;
use serde_json::json;

/// So much of what a program printed is reported, in characters.
const SHOWN: usize = 3_000;

/// The command.
pub struct OutsideProcess;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
struct File {
    #[serde(default)]
    plan: Vec<Spec>,
    items: Vec<ItemSpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
struct ItemSpec {
    id: String,
    #[serde(default)]
    calls: Vec<Spec>,
    /// What came of the programs of the plan.
    #[serde(default)]
    planned: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
struct Spec {
    program: String,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    input: String,
    lifetime_s: Option<u64>,
}

impl Spec {
    fn process(self) -> Process {
        let process = Process::new(self.program).args(self.arguments).folder(self.folder).input(self.input);
        match self.lifetime_s {
            Some(seconds) => process.lifetime(seconds),
            None => process,
        }
    }
}

/// The rule, and what came of it.
fn told(number: usize, result: Result<convoke_sdk::Output>) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(SHOWN).collect::<String>();
    // Findings that differ in a number only are the same one.
    let name = "x".repeat(number + 1);
    let (rule, told) = match result {
        Ok(output) => (
            "ran",
            json!({
                "call": name,
                "status": output.status,
                "stdout": text(&output.stdout),
                "stderr": text(&output.stderr),
                "bytes": output.stdout.len(),
            }),
        ),
        Err(error) => ("refused", json!({ "call": name, "message": error.message, "hint": error.hint })),
    };
    (rule.to_owned(), told.to_string())
}

impl Command for OutsideProcess {
    async fn plan(call: &Call) -> Result<Work> {
        let file: File = serde_json::from_str(&call.read_text("calls.json").await?)?;
        let mut planned = Vec::new();
        for (number, spec) in file.plan.into_iter().enumerate() {
            planned.push(told(number, call.run(&spec.process()).await));
        }
        let items = file.items.into_iter().map(|mut item| {
            item.planned.clone_from(&planned);
            Item::new(item.id.clone()).input(&item)
        });
        Ok(Work::new(items))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let item: ItemSpec = task.input()?;
        let calls = item.calls.into_iter().enumerate();
        let results = join_all(calls.map(async |(number, spec)| told(number, task.run(&spec.process()).await))).await;
        let mut partial = Partial::done();
        for (rule, told) in item.planned.into_iter().chain(results) {
            partial.findings.push(Finding::new(rule, Severity::Info, told));
        }
        Ok(partial)
    }
}

convoke_sdk::export!(OutsideProcess);
