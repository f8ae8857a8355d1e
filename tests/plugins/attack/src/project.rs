//! The project's own calls, with paths that lead out.

use convoke_sdk::{Error, Kind, Pattern, Query, Task};

use crate::Tried;

fn told<T>(result: Result<T, Error>, told: impl Fn(T) -> Option<String>) -> Tried {
    match result {
        Ok(got) => told(got).ok_or_else(|| "nothing was there".to_owned()),
        Err(error) => Err(error.message),
    }
}

/// Each operation on a path.
pub(crate) async fn path(task: &Task, path: &str) -> Vec<(String, Tried)> {
    let some = |list: Vec<String>| (!list.is_empty()).then(|| list.join(" "));
    let query = || Query::files(&[]).under(path).hidden().ignored();
    let listed = task.list(&query()).await;
    let found = task.search(&Pattern::new(".", query())).await;
    vec![
        ("read".to_owned(), told(task.read(path).await, |bytes| Some(format!("{} bytes", bytes.len())))),
        (
            "stat".to_owned(),
            told(task.stat(path).await, |entry| entry.filter(|one| one.kind != Kind::Link).map(|one| one.path)),
        ),
        (
            "exists".to_owned(),
            told(task.exists(path).await, |kind| {
                // That a link is there is seen in the project; where it leads is not.
                kind.filter(|kind| *kind != Kind::Link).map(|kind| format!("{kind:?}"))
            }),
        ),
        ("list".to_owned(), told(listed, |list| some(list.into_iter().map(|one| one.path).collect()))),
        ("search".to_owned(), told(found, |list| some(list.into_iter().map(|one| one.text).collect()))),
    ]
}

/// Reads `FOLDER/1` to `FOLDER/400`, each once: what was read once is the file's content for the whole run.
pub(crate) async fn swapped(task: &Task, folder: &str) -> Vec<(String, Tried)> {
    let (mut got, mut inside, mut refused) = (Vec::new(), 0, 0);
    for number in 1..=400 {
        match task.read(&format!("{folder}/{number}")).await {
            Ok(bytes) if bytes == b"inside" => inside += 1,
            Ok(bytes) => got.push(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => refused += 1,
        }
    }
    let tried = match got.first() {
        Some(first) => Ok(format!("{} times: {first}", got.len())),
        None => Err(format!("{inside} inside, {refused} refused")),
    };
    vec![("a folder that is swapped".to_owned(), tried)]
}
