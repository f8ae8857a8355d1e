//! `--dry-run`: the plan, its price, whether a budget will do, and at will every prompt.

use serde_json::{Value, json};

use super::most::Most;
use super::options::{Format, Options};
use crate::report::clean;
use crate::report::cost::BudgetInfo;
use crate::run::answers::Prompt;
use crate::run::{Planned, Session, census};

/// The plan as text or JSON. `rehearsed`: what would be asked; shown only if the user wants to see it.
pub(super) fn render(session: &Session, planned: &Planned, rehearsed: Option<&[Prompt]>, options: &Options) -> String {
    let most = rehearsed.map(|prompts| Most::of(session, prompts));
    let prompts = rehearsed.filter(|_| options.show_prompts);
    match options.format {
        Format::Json => clean::json(format!("{:#}\n", as_json(session, planned, prompts, most.as_ref()))),
        _ => as_text(session, planned, prompts, most.as_ref()),
    }
}

/// The plan as a value; see [`render`].
pub(super) fn value(session: &Session, planned: &Planned, rehearsed: Option<&[Prompt]>, options: &Options) -> Value {
    let most = rehearsed.map(|prompts| Most::of(session, prompts));
    as_json(session, planned, rehearsed.filter(|_| options.show_prompts), most.as_ref())
}

/// How much there is to do, in a line.
pub(super) fn headline(session: &Session, planned: &Planned) -> String {
    let census = census(planned);
    format!(
        "{}: {} items, {} of them cached, {} to do by {} workers ({})",
        session.command,
        census.items,
        census.cached,
        census.pending,
        planned.allocated.segments.len(),
        session.settings.mode.name(),
    )
}

fn as_json(session: &Session, planned: &Planned, prompts: Option<&[Prompt]>, most: Option<&Most>) -> Value {
    let (work, estimate) = (&planned.assessed.work, &planned.allocated.estimate);
    let items: Vec<_> = work
        .items
        .iter()
        .enumerate()
        .map(|(number, item)| {
            json!({
                "id": item.id,
                "group": item.group,
                "weight": item.weight,
                "cached": planned.assessed.reusable.contains_key(&number),
            })
        })
        .collect();
    let workers: Vec<_> = planned
        .allocated
        .segments
        .iter()
        .map(|segment| {
            let ids: Vec<&str> =
                segment.items.iter().filter_map(|number| Some(work.items.get(*number)?.id.as_str())).collect();
            json!({ "segment": segment.label, "items": ids })
        })
        .collect();
    let prompts = prompts.map(|prompts| {
        prompts
            .iter()
            .map(|prompt| {
                json!({
                    "item": &*prompt.item,
                    "role": prompt.role,
                    "tier": prompt.tier.0,
                    "tier_reason": prompt.tier.1,
                    "denied": prompt.denied,
                    "model": prompt.request.model,
                    "tools": prompt.request.tools,
                    "system": prompt.request.system,
                    "context": prompt.request.context,
                    "prompt": prompt.request.prompt,
                    "schema": prompt.request.schema,
                    "input_tokens": prompt.estimate.input_tokens,
                    "max_output_tokens": prompt.estimate.output_tokens,
                    "max_usd": prompt.estimate.usd,
                })
            })
            .collect::<Vec<_>>()
    });
    let explain = session.sums(planned.assessed.explained.clone());
    json!({
        "schema_version": 1,
        "explain": explain,
        "command": session.command,
        "backend": session.backend_names(),
        "mode": session.settings.mode.name(),
        "census": census(planned),
        "items": items,
        "workers": workers,
        "estimate": {
            "questions": estimate.questions,
            "input_tokens": estimate.input_tokens,
            "output_tokens": estimate.output_tokens,
            "usd": estimate.usd,
            "items_without_estimate": estimate.unknown,
            "max_usd": most.and_then(|most| most.usd()),
        },
        "forecast": planned.forecast(session.has_model()).map(|forecast| forecast.json()),
        "budgets": session.broker.budget.standing().into_iter().map(BudgetInfo::from).collect::<Vec<_>>(),
        "budget_will_do": most.and_then(|most| most.will_do()),
        "notes": work.notes.iter().chain(&planned.allocated.notes).collect::<Vec<_>>(),
        "prompts": prompts,
    })
}

fn as_text(session: &Session, planned: &Planned, prompts: Option<&[Prompt]>, most: Option<&Most>) -> String {
    let (work, estimate) = (&planned.assessed.work, &planned.allocated.estimate);
    let mut text = format!("{}\n", headline(session, planned));
    let explain = session.sums(planned.assessed.explained.clone());
    if explain.says_something() {
        text += &format!("{}\n", explain.sums());
    }
    text += "\n";
    for line in explain.lines() {
        text += &format!("  {line}\n");
    }
    if explain.items.is_some() {
        text += "\n";
    }
    for (number, segment) in planned.allocated.segments.iter().enumerate() {
        text +=
            &format!("  worker {:<3} {:>4} items  {}\n", number + 1, segment.items.len(), clean::line(&segment.label));
    }
    if work.conclusion.is_some() {
        text += "  then a conclusion over all of them\n";
    }
    text += &format!("\n{}\n", price(session, estimate, most));
    if let Some(forecast) = planned.forecast(session.has_model()) {
        text += &format!("{}\n", forecast.text());
    }
    if let Some(verdict) = most.and_then(Most::verdict) {
        text += &format!("{verdict}\n");
    }
    for note in work.notes.iter().chain(&planned.allocated.notes) {
        text += &format!("note: {}\n", clean::line(note));
    }
    for prompt in prompts.unwrap_or_default() {
        text += &shown(prompt);
    }
    text
}

fn price(session: &Session, estimate: &crate::run::allocate::Estimate, most: Option<&Most>) -> String {
    if !session.has_model() {
        return "Nothing would be asked: no model, each question gets its plugin's own fallback.".to_owned();
    }
    let usd = match (most.and_then(Most::usd), estimate.usd) {
        (Some(most), _) => format!("at most {most}"),
        (None, Some(usd)) => format!("about {usd}"),
        (None, None) => "at a price that is not known".to_owned(),
    };
    let mut text = format!(
        "About {} questions with {} input and {} output tokens, {usd}, to {} ({}).",
        estimate.questions,
        estimate.input_tokens,
        estimate.output_tokens,
        session.broker.route.models().join(" or "),
        session.backend_names(),
    );
    if estimate.unknown > 0 {
        text += &format!(" For {} items the plugin gives no estimate; --show-prompts finds out.", estimate.unknown);
    }
    text
}

fn shown(prompt: &Prompt) -> String {
    let request = &prompt.request;
    let usd = prompt.estimate.usd.map_or_else(String::new, |usd| format!(", at most {usd}"));
    let mut text = format!(
        "\n── {} asks {} ({}, about {} tokens{usd}) ──\n[tier] {}: {}\n",
        clean::line(&prompt.item),
        clean::line(&prompt.role),
        request.model,
        prompt.estimate.input_tokens,
        prompt.tier.0,
        prompt.tier.1,
    );
    if let Some(denied) = &prompt.denied {
        text += &format!("[denied] {}\n", clean::line(denied));
    }
    if !request.tools.is_empty() {
        text += &format!("[tools] {}\n", clean::line(&request.tools.join(", ")));
    }
    text += &format!("[system]\n{}\n", clean::block(&request.system));
    if let Some(context) = &request.context {
        text += &format!("[context]\n{}\n", clean::block(context));
    }
    text += &format!("[prompt]\n{}\n", clean::block(&request.prompt));
    if let Some(schema) = &request.schema {
        text += &format!("[schema]\n{}\n", clean::block(&schema.to_string()));
    }
    text
}
