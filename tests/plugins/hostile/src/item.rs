//! What an item does.
//!
//! | behaviour | what it does |
//! |---|---|
//! | `fine` | a finding and a metric |
//! | `skip`, `fail` | ends so, with a reason |
//! | `panic`, `loop`, `sleep`, `memory`, `recursion`, `exit`, `exit-well`, `flood` | see [`misdeed`] |
//! | `once-panic` | as `panic`, of an item that is not repeatable |
//! | `finish-twice` | the second time with another result |
//! | `finish-unknown` | finishes an item that nobody gave it |
//! | `leave` | the worker returns with the item in its hands |
//! | `drop` | lets go of the item and goes on |
//! | `greedy` | asks for the next item before this one is finished |
//! | `refuse` | the worker returns an error with the item in its hands |
//! | `ask…` | asks, see [`question`]; `ask-after` when the item has ended; `ask-many:20` as many at once; `ask-forget` and does not wait; `open` reads along |
//! | `read:PATH`, `list:PATH`, `stat:PATH`, `search:REGEX` | looks at the project, and tells what came |
//! | `escapes` | terminal escapes wherever there is text |
//! | `nan-drop` | as `nan`, and lets go of the item when that is refused |
//! | `nan`, `bad-rule`, `bad-outcome`, `bad-action` | a result that can't be |
//! | `long` | a finding of 4 MB |
//! | `edit-good:PATH`, `edit-overlap:PATH`, `edit-unread:PATH`, `edit-outside`, `edit-clash:PATH` | edits |
//! | `add:N` | adds N items and waits for them |
//! | `add-deep` | adds an item that adds an item, and so on, until that is refused |
//! | `await:ID` | waits for another item |
//! | `add-twin`, `add-cycle` | adds two of one name, or a circle |

use convoke_sdk::bindings::convoke::plugin::types::Failure;
use convoke_sdk::bindings::convoke::plugin::{project, worker};
use convoke_sdk::glue::RawTask;
use convoke_sdk::{
    Action, Change, Edit, Error, Finding, Item, Level, Metric, Outcome, Partial, Pattern, Query, Replacement, Severity,
    log,
};

use crate::plan::split;
use crate::{misdeed, question};

/// What the worker does after an item.
#[derive(PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Return,
}

/// Does the item, and finishes it if it is the kind that is finished.
pub(crate) async fn run(task: RawTask) -> Result<Then, Error> {
    let item = task.item();
    let behaviour: String = serde_json::from_str(&item.input)?;
    let (name, parameter) = split(&behaviour);
    log(Level::Info, &format!("doing {}", item.id));
    match name {
        "leave" => {
            std::mem::forget(task);
            return Ok(Then::Return);
        }
        "drop" => return Ok(Then::GoOn),
        "refuse" => {
            std::mem::forget(task);
            return Err(Error::new("the worker gave up"));
        }
        "greedy" => {
            let another = worker::next().await;
            log(Level::Warn, &format!("got another: {}", another.is_some()));
            std::mem::forget(another);
        }
        "finish-unknown" => forged().finish(Partial::done()).await?,
        "ask-forget" => forget(task.ask(question::plain("Does anybody wait?"))).await,
        "once-panic" => misdeed::commit("panic"),
        other => misdeed::commit(other),
    }
    let partial = result(&task, &item, name, parameter).await.unwrap_or_else(Partial::failed);
    match task.finish(partial).await {
        Ok(()) => after(&task, name).await,
        Err(_) if name == "nan-drop" => {}
        // A result that the host refuses; the item ends all the same.
        Err(error) => task.finish(Partial::failed(format!("refused: {}", error.message))).await?,
    }
    Ok(Then::GoOn)
}

/// A handle that nobody gave out.
fn forged() -> RawTask {
    // SAFETY: the number is no pointer; the host looks it up in its table, and it is the host that is tested.
    #[expect(unsafe_code, reason = "only a forged handle is no task of this worker")]
    unsafe {
        RawTask::from_handle(9_999)
    }
}

/// What is done with an item that has ended.
async fn after(task: &RawTask, name: &str) {
    match name {
        "finish-twice" => {
            let again = Partial::done().finding(Finding::new("second", Severity::High, "the second result"));
            let told = match task.finish(again).await {
                Ok(()) => "the second end was taken".to_owned(),
                Err(error) => format!("the second end was refused: {}", error.message),
            };
            log(Level::Warn, &told);
        }
        "ask-after" => {
            let told = match task.ask(question::plain("Is it over?")).await {
                Ok(reply) => question::told(&reply),
                Err(failure) => format!("asking on was refused: {}", failure.message),
            };
            log(Level::Warn, &told);
        }
        _ => {}
    }
}

/// Begins something, and does not wait for its end.
async fn forget<T>(begun: impl Future<Output = T>) {
    let mut begun = Some(Box::pin(begun));
    std::future::poll_fn(|context| {
        if let Some(begun) = &mut begun {
            drop(begun.as_mut().poll(context));
        }
        begun = None;
        std::task::Poll::Ready(())
    })
    .await;
}

/// A done item that says something.
fn said(text: impl Into<String>) -> Partial {
    Partial::done().finding(Finding::new("seen", Severity::Info, text)).metric(Metric::sum("seen", 1.0, "items"))
}

async fn result(task: &RawTask, item: &Item, name: &str, parameter: &str) -> Result<Partial, Error> {
    Ok(match name {
        "skip" => Partial::skipped("nothing to do"),
        "fail" => Partial::failed("it can't be done"),
        "open" => said(question::read_along(task, parameter).await?),
        "ask-many" => {
            let prompts: Vec<String> =
                (0..parameter.parse().unwrap_or(2)).map(|one| format!("{one} of many")).collect();
            let asked = prompts.iter().map(|prompt| task.ask(question::plain(prompt)));
            let replies = join_all(asked.collect()).await;
            said(format!("{} of {} answered", replies.iter().flatten().count(), replies.len()))
        }
        name if name.starts_with("ask") => {
            let prompt = if parameter.is_empty() { &item.id } else { parameter };
            said(question::told(&task.ask(question::of(name, prompt)).await?))
        }
        "read" => {
            let bytes = project::read(Some(task), parameter.to_owned()).await?;
            said(format!("{} bytes", bytes.len()))
        }
        "list" => {
            let entries = project::list(Some(task), Query::files(&[]).under(parameter).hidden().ignored()).await?;
            let paths: Vec<String> = entries.into_iter().map(|entry| entry.path).collect();
            said(format!("listed {}", paths.join(" ")))
        }
        "stat" => said(match project::stat(Some(task), parameter.to_owned()).await? {
            Some(entry) => format!("{:?} of {} bytes", entry.kind, entry.size),
            None => "nothing there".to_owned(),
        }),
        "search" => {
            let pattern = Pattern::new(parameter, Query::files(&[])).limit(10);
            said(format!("{} matches", project::search(Some(task), pattern).await?.len()))
        }
        "escapes" => escapes(),
        "nan" | "nan-drop" => said("not a number").metric(Metric::sum("nan", f64::NAN, "")),
        "bad-rule" => Partial::done().finding(Finding::new("No Rule\n", Severity::High, "of no rule")),
        "bad-outcome" => Partial { outcome: Outcome::Other("perhaps".to_owned()), ..Partial::done() },
        "bad-action" => Partial { actions: vec![action("{")], ..Partial::done() },
        "long" => said("long ".repeat(800_000)),
        "edit-good" | "edit-overlap" | "edit-unread" | "edit-clash" | "edit-outside" => {
            edit(task, item, name, parameter).await?
        }
        "add" | "add-deep" | "add-twin" | "add-cycle" => add(task, item, name, parameter).await?,
        "await" => match task.result_of(parameter.to_owned()).await? {
            Some(partial) => said(format!("{} has {} findings", parameter, partial.findings.len())),
            None => said(format!("{parameter} has no result")),
        },
        _ => said(format!("{} is done", item.id)),
    })
}

fn escapes() -> Partial {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[31mred\u{202e}\r\nforged line @everyone [a](http://b) <b>";
    let finding = Finding::new("seen", Severity::High, EVIL).at(format!("{EVIL}.md"), 1).help(EVIL);
    let edit = Edit::create(format!("{EVIL}.txt"), EVIL, EVIL);
    let partial = Partial::done().finding(finding).edit(edit).notes(EVIL).metric(Metric::sum(EVIL, 1.0, EVIL));
    log(Level::Error, EVIL);
    Partial { actions: vec![Action { title: EVIL.to_owned(), ..action("{}") }], ..partial }
}

fn action(body: &str) -> Action {
    Action {
        kind: "comment".to_owned(),
        title: "says something".to_owned(),
        body: body.to_owned(),
        key: String::new(),
        extra: Vec::new(),
    }
}

async fn edit(task: &RawTask, item: &Item, name: &str, path: &str) -> Result<Partial, Error> {
    let part = |start, end, text: &str| Replacement { start, end, text: text.to_owned() };
    let proposed = |change| Edit { change, ..Edit::create(path, "", "a better one") };
    if name != "edit-unread" && name != "edit-outside" {
        project::read(Some(task), path.to_owned()).await?;
    }
    let change = match name {
        "edit-overlap" => Change::Replace(vec![part(0, 4, "a"), part(2, 6, "b")]),
        "edit-outside" => return Ok(Partial::done().edit(Edit::create("../outside.txt", "gotcha", "a better one"))),
        "edit-clash" => Change::Replace(vec![part(0, 1, &item.id)]),
        _ => Change::Replace(vec![part(0, 1, "A")]),
    };
    Ok(Partial::done().edit(proposed(change)))
}

async fn add(task: &RawTask, item: &Item, name: &str, parameter: &str) -> Result<Partial, Error> {
    let child = |number: usize| Item::new(format!("{}/{number}", item.id)).input(&"fine");
    let items = match name {
        "add" => (1..=parameter.parse().unwrap_or(1)).map(child).collect(),
        "add-deep" => vec![child(1).input(&"add-deep")],
        "add-twin" => vec![child(1), child(1)],
        _ => vec![child(1).after([child(2).id]), child(2).after([child(1).id])],
    };
    let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
    task.add(items).await?;
    let mut findings = 0;
    for id in &ids {
        findings += task.result_of(id.clone()).await?.map_or(0, |partial| partial.findings.len());
    }
    Ok(said(format!("{} children with {findings} findings", ids.len())))
}

/// All of them at once.
async fn join_all<T>(asked: Vec<impl Future<Output = Result<T, Failure>>>) -> Vec<Result<T, Failure>> {
    let mut asked: Vec<_> = asked.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, reply) in asked.iter_mut().filter(|(_, reply)| reply.is_none()) {
            if let std::task::Poll::Ready(ready) = one.as_mut().poll(context) {
                *reply = Some(ready);
            }
        }
        if asked.iter().all(|(_, reply)| reply.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    asked.into_iter().filter_map(|(_, reply)| reply).collect()
}
