//! `asking`: asks for every capability and uses it, so that tests can see what is granted and what is refused.

use convoke_sdk::bindings::convoke::plugin::{http, process, store};
use convoke_sdk::prelude::*;

/// The command.
pub struct Asking;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Arguments {
    call: Vec<String>,
}

impl Command for Asking {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { call } = call.arguments()?;
        Ok(Work::new(call.iter().enumerate().map(|(number, call)| Item::new(format!("{}", number + 1)).input(call))))
    }

    async fn run(_: &Call, task: &Task) -> Result<Partial> {
        let call: String = task.input()?;
        let (name, parameter) = call.split_once(':').unwrap_or((&call, ""));
        let came = match name {
            "run" => run(parameter).await,
            "fetch" => fetch(parameter).await,
            "note" => note().await,
            "tool" => ask(task, Some(parameter)).await,
            _ => ask(task, None).await,
        };
        let finding = match came {
            Ok(came) => Finding::new("done", Severity::Info, format!("done: {came}")),
            Err(error) => {
                let hint = error.hint.map_or_else(String::new, |hint| format!(" | {hint}"));
                Finding::new("refused", Severity::Low, format!("refused: {}{hint}", error.message))
            }
        };
        Ok(Partial::done().finding(finding))
    }
}

async fn run(line: &str) -> Result<String> {
    let mut words = line.split(' ').map(str::to_owned);
    let command = process::Command {
        program: words.next().unwrap_or_default(),
        arguments: words.collect(),
        folder: String::new(),
        input: Vec::new(),
        extra: Vec::new(),
    };
    let output = process::run(None, command).await?;
    Ok(format!("{} with {} bytes", output.status, output.stdout.len()))
}

async fn fetch(line: &str) -> Result<String> {
    let (method, url) = line.split_once(' ').unwrap_or(("GET", line));
    let request = http::Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        extra: Vec::new(),
    };
    Ok(http::fetch(None, request).await?.status.to_string())
}

async fn note() -> Result<String> {
    store::put(None, "seen".to_owned(), b"yes".to_vec(), 60).await?;
    Ok(format!("{:?}", store::get(None, "seen".to_owned()).await?))
}

async fn ask(task: &Task, tool: Option<&str>) -> Result<String> {
    let question = Question::new("code-reviewer", "Is it well?").max_output_tokens(1_000);
    let question = tool.into_iter().fold(question, |question, tool| question.tools([tool]));
    Ok(task.ask_text(question).await?.value)
}

convoke_sdk::export!(Asking);
