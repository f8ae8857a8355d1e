//! `contract`: uses all of the contract 0.1.0 that needs no grant. Built once, and never again.

use convoke_sdk::prelude::*;
use convoke_sdk::{Change, Level, Replacement, log};
use futures::StreamExt;

#[derive(Deserialize)]
struct Arguments {
    word: String,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Verdict {
    /// What the answer says.
    says: String,
}

struct Contract;

impl Command for Contract {
    async fn plan(call: &Call) -> Result<Work> {
        let word = call.arguments::<Arguments>()?.word;
        let listed = call.list(&Query::files(&["*.txt"]).except(&["skip*"]).hidden().ignored()).await?;
        let text = call.read_text("a.txt").await?;
        let there = call.stat("a.txt").await?.is_some_and(|entry| entry.is_file() && entry.size > 0);
        let gone = call.exists("none.txt").await?.is_none();
        let found = call.search(&Pattern::new(word, Query::files(&["*.txt"])).ignore_case().limit(10)).await?;
        if !there || !gone || call.subcommand().is_some() || call.today().len() != 10 {
            return Err(Error::new("the project is not as it should be").hint("see tests/contract"));
        }
        let said = format!("{} files, {} bytes, {} lines", listed.len(), text.len(), found.len());
        let item = |id: &str| Item::new(id).input(&said).estimate(1, 100, 10);
        Ok(Work::new([
            item("ask").label("asks").group("asking").weight(3),
            item("open").group("asking").once(),
            item("add").group("rest"),
            item("report").group("rest").writes(["a.txt", "b.txt", "new.txt"]),
            item("after").group("rest").after(["report"]),
            item("skip").group("rest"),
            item("fail").group("rest"),
        ])
        .distribute(Distribution::ByGroup)
        .aggregate(Aggregation::Merge)
        .conclusion(Item::new("whole"))
        .note(said.clone()))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
            log(level, task.id());
        }
        task.progress(0.5, "half");
        let said: String = task.input()?;
        match task.id() {
            "ask" => ask(task).await,
            "open" => open(task).await,
            "add" => {
                task.add(vec![Item::new("added").input(&said)]).await?;
                let partial = task.result_of("added").await?.ok_or("the added item has no partial")?;
                Ok(Partial::done().notes(partial.notes.unwrap_or_default()))
            }
            "added" => Ok(Partial::done().notes("it was added")),
            "report" => report(task).await,
            "after" => {
                let partial = task.result_of("report").await?.ok_or("the report has no partial")?;
                Ok(Partial::done().notes(format!(
                    "{} findings, {} metrics, {} edits, {} actions",
                    partial.findings.len(),
                    partial.metrics.len(),
                    partial.edits.len(),
                    partial.actions.len()
                )))
            }
            "skip" => Ok(Partial::skipped("there is nothing to do")),
            _ => Err(Error::new("it is meant to fail").hint("leave it")),
        }
    }
}

async fn ask(task: &Task) -> Result<Partial> {
    let fallback = Verdict { says: "nobody".to_owned() };
    let question = |prompt: &str| {
        Question::new("code-reviewer", prompt)
            .system("You answer in one word.")
            .context("What all of them have in common.")
            .tier(Tier::Speed)
            .max_output_tokens(100)
            .priority(5)
            .fallback(&fallback)
    };
    let (first, second) =
        futures::join!(task.ask::<Verdict>(question("first")), task.ask::<Verdict>(question("second").once()));
    let (first, second) = (first?, second?);
    let requests = f64::from(first.usage.requests + second.usage.requests);
    let partial = Partial::done().notes(format!("{}, {}", first.value.says, second.value.says));
    Ok(partial.metric(Metric::sum("requests", requests, "requests")))
}

async fn open(task: &Task) -> Result<Partial> {
    let question = Question::new("code-reviewer", "third").fallback_text("nobody");
    let (mut events, answer) = task.open(question).await;
    let mut pieces = 0;
    while events.next().await.is_some() {
        pieces += 1;
    }
    let answer = answer.await?;
    Ok(Partial::done().notes(answer.value.clone()).metric(Metric::max("pieces", f64::from(pieces), "")))
}

async fn report(task: &Task) -> Result<Partial> {
    let (a, b) = (task.read_text("a.txt").await?, task.read("b.txt").await?);
    let whole = Query::files(&[]).under("");
    let listed = task.list(&whole).await?.len();
    let found = task.search(&Pattern::new("todo", Query::files(&[]).under("")).ignore_case()).await?.len();
    let is_there = task.stat("b.txt").await?.is_some() && task.exists("a.txt").await?.is_some();
    let finding = Finding::new("contract-rule", Severity::Medium, "all of a finding").at("a.txt", 1).by(Source::Model);
    let finding = Finding { column: Some(2), ..finding.fingerprint("the-same").help("nothing") };
    let replaced = Edit {
        change: Change::Replace(vec![Replacement { start: 0, end: 1, text: "A".to_owned() }]),
        ..Edit::rewrite("a.txt", &a, &a, "a capital")
    };
    let mut partial = Partial::done()
        .finding(finding)
        .finding(Finding::new("contract-rule", Severity::Info, "in a file").in_file("b.txt"))
        .metric(Metric::sum("listed", listed as f64, "files"))
        .metric(Metric::min("found", found as f64, "lines"))
        .metric(Metric::max("bytes", b.len() as f64, "bytes"))
        .metric(Metric::mean("there", f64::from(u8::from(is_there)), ""))
        .edit(replaced)
        .edit(Edit::delete("b.txt", "it is in the way"))
        .edit(Edit::create("new.txt", "new\n", "it was missing"))
        .action(Action::program("contract-1", "Say so", "git", ["status"]).kind("look").timeout_s(10))
        .notes("all of a report");
    partial.lifetime_s = Some(60);
    Ok(partial)
}

impl Conclude for Contract {
    async fn conclude(_call: &Call, task: &Task, whole: &Aggregate) -> Result<Partial> {
        let answer = task.ask_text(Question::new("architect", "fourth").fallback_text("nobody")).await?;
        let census: Vec<String> = whole.census.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let (findings, metrics, edits) = (whole.findings.len(), whole.metrics.len(), whole.edits.len());
        let notes = whole.notes.len();
        Ok(Partial::done().notes(format!(
            "{}; {findings} findings, {metrics} metrics, {edits} edits, {notes} notes; {}",
            census.join(", "),
            answer.value
        )))
    }
}

convoke_sdk::export!(Contract, with conclusion);
