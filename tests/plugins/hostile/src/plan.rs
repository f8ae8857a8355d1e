//! Plans, good and bad.

use convoke_sdk::bindings::convoke::plugin::{project, worker};
use convoke_sdk::{Distribution, Error, Item, Work};

use crate::{Arguments, misdeed};

/// An item of each behaviour, and what `planning` makes of that.
pub(crate) async fn plan(arguments: Arguments) -> Result<Work, Error> {
    let typed = (1..).zip(&arguments.behaviour).map(|(number, behaviour): (u32, _)| item(number, behaviour));
    let mut items: Vec<Item> = typed.collect();
    items.extend((1..=arguments.many).map(|number| Item::new(format!("many-{number}")).input(&"fine")));
    let (planning, parameter) = split(&arguments.planning);
    match planning {
        "duplicate" => items.extend([Item::new("twin").input(&"fine"), Item::new("twin").input(&"fine")]),
        "cycle" => items.extend([Item::new("hen").after(["egg"]), Item::new("egg").after(["hen"])]),
        "after-itself" => items.push(Item::new("ego").after(["ego"])),
        "unknown-after" => items.push(Item::new("orphan").after(["nobody"])),
        "chain" => chain(&mut items),
        "no-id" => items.push(Item::new("")),
        "input" => items.push(Item { input: "{not json".to_owned(), ..Item::new("garbled") }),
        "escapes" => items.push(
            Item::new("\u{1b}]0;id\u{7}evil")
                .label("\u{1b}[2J\u{1b}[31mlabel\u{202e}")
                .group("\u{1b}[5mgroup\nforged")
                .input(&"escapes"),
        ),
        "long" => items.push(Item::new("l".repeat(1 << 20)).label("m".repeat(1 << 20)).input(&"fine")),
        "refuse" => return Err(Error::new("\u{1b}[31mnot today").hint("try tomorrow")),
        "rant" => return Err(Error::new("on and on ".repeat(200_000))),
        "read" => drop(project::read(None, parameter.to_owned()).await?),
        // There are no items in a plan.
        "take" => {
            if worker::next().await.is_some() {
                return Err(Error::new("the plan was given an item"));
            }
        }
        "distribution" => {
            return Ok(Work::new(items).distribute(Distribution::Other("by-the-moon".to_owned())));
        }
        other => misdeed::commit(other),
    }
    let work = Work::new(items);
    Ok(match arguments.concluding.as_str() {
        "none" => work,
        _ => work.conclusion(Item::new("conclusion").input(&"whole")),
    })
}

/// Each item after the one before it.
fn chain(items: &mut [Item]) {
    let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
    for (item, before) in items.iter_mut().skip(1).zip(ids) {
        item.after = vec![before];
    }
}

fn item(number: u32, behaviour: &str) -> Item {
    let id = format!("{number}-{}", split(behaviour).0);
    let item = Item::new(id).input(&behaviour);
    if behaviour.starts_with("once-") { item.once() } else { item }
}

/// `read:a.txt` is `read` of `a.txt`.
pub(crate) fn split(behaviour: &str) -> (&str, &str) {
    behaviour.split_once(':').unwrap_or((behaviour, ""))
}
