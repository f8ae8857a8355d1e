//! `attack`: tries to get out of the sandbox, so that tests can see that it does not.
//!
//! | attack | what it tries |
//! |---|---|
//! | `environment` | environment, arguments, working folder, standard input of WASI |
//! | `files` | files, folders and `/proc` by WASI; writing |
//! | `sockets:PORT` | TCP, UDP, listening and names by WASI, to a port of this machine |
//! | `programs` | to start a program |
//! | `path:PATH` | each operation of the project on a path |
//! | `swapped:FOLDER` | reads many files of a folder that is swapped meanwhile; what is outside holds `SECRET` |
//! | `escapes` | terminal escapes wherever a result has text |

mod escapes;
mod project;
mod wasi;

use convoke_sdk::prelude::*;

/// The command.
pub struct Attack;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Arguments {
    attack: Vec<String>,
}

/// What came of a try: `Err` is what held, in words.
type Tried = std::result::Result<String, String>;

impl Command for Attack {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { attack } = call.arguments()?;
        let item = |(number, attack): (usize, &String)| {
            let name = attack.split(':').next().unwrap_or_default();
            let item = Item::new(format!("{}-{name}", number + 1)).input(attack);
            if name == "escapes" { escapes::named(item) } else { item }
        };
        let work = Work::new(attack.iter().enumerate().map(item));
        Ok(if attack.iter().any(|attack| attack == "escapes") { work.note(escapes::text("plan note")) } else { work })
    }

    async fn run(_: &Call, task: &Task) -> Result<Partial> {
        let attack: String = task.input()?;
        let (name, parameter) = attack.split_once(':').unwrap_or((&attack, ""));
        let tried = match name {
            "environment" => wasi::environment(),
            "files" => wasi::files(),
            "sockets" => wasi::sockets(parameter),
            "programs" => wasi::programs(),
            "path" => project::path(task, parameter).await,
            "swapped" => project::swapped(task, parameter).await,
            "escapes" => return escapes::everywhere(task),
            other => return Err(Error::new(format!("there is no attack {other}"))),
        };
        Ok(tried.into_iter().fold(Partial::done(), |partial, (what, tried)| {
            partial.finding(match tried {
                Err(held) => Finding::new("held", Severity::Info, format!("held: {what}: {held}")),
                Ok(got) => Finding::new("escaped", Severity::Critical, format!("ESCAPED: {what}: {got}")),
            })
        }))
    }
}

/// What is got where there should be nothing.
fn nothing(got: Vec<String>) -> Tried {
    if got.is_empty() { Err("there is none".to_owned()) } else { Ok(got.join(" ")) }
}

convoke_sdk::export!(Attack);
