//! What the money ledger says of questions.

use super::*;

#[tokio::test]
async fn a_questions_tiers_are_in_the_ledger() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    let moved = QuestionRow { tier: "comprehensive".to_owned(), ..question(run, then(), Usd::from_pico(1)) };
    journal.record_question(moved).await.unwrap();
    journal.record_question(QuestionRow { answered_tier: None, ..question(run, then(), Usd::ZERO) }).await.unwrap();
    journal.flush().await.unwrap();
    let connection = Connection::open(&path).unwrap();
    let mut select = connection.prepare("SELECT tier, answered_tier FROM questions ORDER BY seq").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(String, Option<String>)> = rows.map(Result::unwrap).collect();
    let speed = || "speed".to_owned();
    assert_eq!(rows, [("comprehensive".to_owned(), Some(speed())), (speed(), None)]);
}

#[tokio::test]
async fn what_several_models_took_of_a_question_is_that_of_each() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    let taken = |requests, usd| Usage { requests, output_tokens: 10, usd: Usd::from_pico(usd), ..Usage::default() };
    let share = |model: &str, usage, uncertain| {
        let (model, backend) = (model.to_owned(), "anthropic".to_owned());
        ModelRow { model, backend, notional: Some(false), usage, uncertain: Usd::from_pico(uncertain) }
    };
    let moved = QuestionRow {
        attempts: 4,
        retries: 2,
        usage: Usage { output_tokens: 20, ..taken(4, 500) },
        uncertain: Usd::from_pico(7),
        shares: vec![share("a-model", taken(3, 400), 7), share("model", taken(1, 100), 0)],
        ..question(run, then(), Usd::ZERO)
    };
    let alone = question(run, then(), Usd::from_pico(30));
    let subscribed = QuestionRow { notional: Some(true), ..question(run, then(), Usd::from_pico(4)) };
    journal.record_question(moved.clone()).await.unwrap();
    journal.record_question(alone.clone()).await.unwrap();
    journal.record_question(subscribed.clone()).await.unwrap();
    journal.flush().await.unwrap();

    assert_eq!(journal.questions(&run, 0, 9).await.unwrap().rows, [moved, alone.clone(), subscribed.clone()]);
    let mut own = alone.usage;
    own += taken(1, 100);
    let other = share("a-model", taken(3, 400), 7);
    let notional = ModelRow { notional: Some(true), ..share("model", subscribed.usage, 0) };
    assert_eq!(journal.by_model(&run).await.unwrap(), [other.clone(), share("model", own, 0), notional]);
    let stats = journal.stats(StatsFilter::default()).await.unwrap().questions;
    let seen: Vec<_> = stats.iter().map(|one| share(&one.model, one.usage, one.uncertain.pico())).collect();
    own += subscribed.usage;
    assert_eq!(seen, [other, share("model", own, 0)]);
    let counts: Vec<_> = stats.iter().map(|one| (one.questions, one.by_model, one.retries)).collect();
    assert_eq!(counts, [(0, 0, 0), (3, 3, 2)], "of a question there is one, and it ended at its last model");

    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON; UPDATE questions SET retries = NULL").unwrap();
    let written_before = journal.questions(&run, 0, 9).await.unwrap().rows;
    assert_eq!(
        written_before.iter().map(|row| row.retries).collect::<Vec<_>>(),
        [3, 0, 0],
        "as often as it was sent again"
    );
    connection.execute("DELETE FROM questions", []).unwrap();
    let left: i64 = connection.query_row("SELECT count(*) FROM shares", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
