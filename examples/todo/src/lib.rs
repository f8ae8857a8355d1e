//! `todo`: lists what is left to do, and asks whether others could do it. A whole convoke command.

use std::collections::BTreeMap;

use convoke_sdk::prelude::*;

/// The options, as `plugin.toml` declares them.
#[derive(Deserialize)]
struct Arguments {
    only: Option<String>,
}

/// The reviewer's answer. Its JSON Schema, with the comments, goes with the question.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Verdict {
    /// The numbers of the lines that say too little.
    unclear: Vec<u32>,
}

struct Todo;

impl Command for Todo {
    async fn plan(call: &Call) -> Result<Work> {
        let words = call.arguments::<Arguments>()?.only.unwrap_or("TODO|FIXME".to_owned());
        let whole_project = [String::new()];
        let folders = if call.paths().is_empty() { &whole_project } else { call.paths() };
        let mut files: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
        for folder in folders {
            let files_in_it = Query::files(&[]).under(folder);
            let pattern = Pattern::new(format!(r"\b({words})\b"), files_in_it).limit(10_000);
            for found in call.search(&pattern).await? {
                files.entry(found.path).or_default().push((found.line, found.text.trim().to_owned()));
            }
        }
        Ok(Work::new(files.iter().map(|(path, todos)| Item::new(path).input(todos).estimate(1, 500, 50))))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let todos: Vec<(u32, String)> = task.input()?;
        let lines: String = todos.iter().map(|(line, text)| format!("{line}: {text}\n")).collect();
        let prompt = format!("Which of these comments say too little for somebody else to act on?\n\n{lines}");
        let question = Question::new("code-reviewer", prompt).fallback(&Verdict::default());
        let answer = task.ask::<Verdict>(question).await?;
        let mut partial = Partial::done().metric(Metric::sum("left to do", todos.len() as f64, "comments"));
        for (line, text) in &todos {
            partial.findings.push(Finding::new("todo", Severity::Info, text).at(task.id(), *line));
            if answer.value.unclear.contains(line) {
                let finding = Finding::new("todo-unclear", Severity::Medium, format!("says too little: {text}"));
                partial.findings.push(finding.at(task.id(), *line).by(answer.source()));
            }
        }
        Ok(partial)
    }
}

convoke_sdk::export!(Todo);
