//! `flood`: items that each ask one question of free text and report nothing else.
//!
//! Used by the overhead benchmark: what such a run takes is what the host takes.

use convoke_sdk::prelude::*;

/// The command.
pub struct Flood;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Arguments {
    items: usize,
    groups: usize,
    context: usize,
}

impl Command for Flood {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { items, groups, .. } = call.arguments()?;
        let group = |number: usize| format!("group-{:02}", number % groups.max(1));
        Ok(Work::new((0..items).map(|number| Item::new(format!("item-{number}")).input(&number).group(group(number)))))
    }

    async fn run(call: &Call, task: &Task) -> Result<Partial> {
        let Arguments { context, .. } = call.arguments()?;
        let number: usize = task.input()?;
        let each = "It reads files and says what is wrong with them. ".repeat(20);
        let question = Question::new("code-reviewer", format!("Review agent {number}. {each}"))
            .system("You review agent definitions. Be brief.")
            .max_output_tokens(1_000);
        let question = match context {
            0 => question,
            // A token is about four bytes.
            tokens => question.context("all ".repeat(tokens)),
        };
        let answer = task.ask_text(question).await?;
        Ok(Partial::done().notes(answer.value))
    }
}

convoke_sdk::export!(Flood);
