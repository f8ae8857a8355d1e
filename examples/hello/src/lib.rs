//! `hello`: says what each document of a project is about. A whole convoke command.

use std::collections::BTreeMap;

use convoke_sdk::prelude::*;

/// The options, as `plugin.toml` declares them.
#[derive(Deserialize)]
struct Arguments {
    only: String,
}

/// The writer's answer. Its JSON Schema, with the comments, goes with the question.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Summary {
    /// What the document is about, in one short sentence.
    about: String,
}

struct Hello;

impl Command for Hello {
    /// Runs once, and asks nothing: one item for each document.
    async fn plan(call: &Call) -> Result<Work> {
        let arguments = call.arguments::<Arguments>()?;
        let whole_project = [String::new()];
        let folders = if call.paths().is_empty() { &whole_project } else { call.paths() };
        let mut documents = BTreeMap::new();
        for folder in folders {
            let found = call.list(&Query::files(&[&arguments.only]).under(folder)).await?;
            documents.extend(found.into_iter().map(|file| (file.path, file.size)));
        }
        Ok(Work::new(documents.into_iter().map(|(path, size)| Item::new(path).weight(size).estimate(1, size / 3, 50))))
    }

    /// Runs for each item, several at the same time.
    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let text = task.read_text(task.id()).await?;
        let title = text.lines().find_map(|line| line.strip_prefix("# "));
        // The answer that can be had without a model.
        let fallback = Summary { about: title.unwrap_or("It has no title.").to_owned() };
        let prompt = format!("What is this document about?\n\n{text}");
        let answer = task.ask::<Summary>(Question::new("tech-writer", prompt).fallback(&fallback)).await?;
        let mut partial = Partial::done().notes(answer.value.about).metric(Metric::sum("documents", 1.0, ""));
        if title.is_none() {
            let finding = Finding::new("no-title", Severity::Low, "it has no line that begins with `# `");
            partial = partial.finding(finding.in_file(task.id()).help("begin it with its title"));
        }
        Ok(partial)
    }
}

convoke_sdk::export!(Hello);
