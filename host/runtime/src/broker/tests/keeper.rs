//! Instances that end by themselves.

use super::*;

/// A bench whose instances can end by themselves, and answer at once unless they are asked to be slow.
fn mortal(count: usize) -> Bench {
    let backend = Scripted::new(|_, request| match request.prompt.as_str() {
        "slow" => Act::answer("yes").after(seconds(60)),
        _ => Act::answer("yes"),
    });
    let backend = backend.mortal();
    Bench::over(instances(count), backend.clone(), Arc::new(backend))
}

/// Lets what is under way go on.
async fn soon() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn idle(bench: &Bench) -> usize {
    bench.broker.standing()[0].1.idle
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_that_ends_is_replaced_before_somebody_asks() {
    let bench = mortal(2);
    bench.ask(question("a")).await.unwrap();
    bench.backend.kill(0);
    soon().await;
    assert_eq!((bench.backend.started(), bench.backend.living(), idle(&bench)), (2, 1, 1));
    assert_eq!(bench.ask(question("b")).await.unwrap().usage.requests, 1);
    assert_eq!(bench.backend.started(), 2, "the question found it warm");
}

#[tokio::test(start_paused = true)]
async fn what_ends_as_soon_as_it_is_left_alone_is_not_started_for_ever() {
    let bench = mortal(2);
    bench.ask(question("a")).await.unwrap();
    bench.backend.kill(0);
    soon().await;
    bench.backend.kill(1);
    soon().await;
    assert_eq!((bench.backend.started(), bench.backend.living(), idle(&bench)), (2, 0, 0));
    bench.ask(question("b")).await.unwrap();
    assert_eq!(bench.backend.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_question_gets_one_that_has_ended_also_not_in_the_same_moment() {
    let bench = mortal(1);
    bench.ask(question("a")).await.unwrap();
    bench.backend.kill(0);
    bench.ask(question("b")).await.unwrap();
    assert_eq!((bench.ledger.records()[1].attempts, &*bench.ledger.records()[1].failures), (1, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn the_question_of_one_that_ends_goes_to_a_spare_one_at_once_and_the_place_of_that_is_filled() {
    let bench = mortal(2);
    // Two at once start two instances, and of these the last that came back is used first.
    tokio::join!(async { bench.ask(question("a")).await.unwrap() }, async { bench.ask(question("b")).await.unwrap() });
    assert_eq!((bench.backend.started(), idle(&bench)), (2, 2));
    let began = Instant::now();
    let killed = async {
        soon().await;
        bench.backend.kill_last_asked();
        soon().await;
        (bench.backend.sent().len(), began.elapsed(), bench.backend.started())
    };
    let (reply, (sent, after, started)) = tokio::join!(bench.ask(question("slow")), killed);
    reply.unwrap();
    assert_eq!((sent, after.as_millis()), (4, 2), "it was sent again at once");
    assert_eq!(started, 3, "and another one was started in that moment");
    assert_eq!((bench.backend.started(), idle(&bench)), (3, 2));
    assert_eq!(bench.ledger.records()[2].failures, [("died", 1)]);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_spare_one_the_question_starts_another_and_nobody_else_does() {
    let bench = mortal(2);
    bench.ask(question("a")).await.unwrap();
    let killed = async {
        soon().await;
        bench.backend.kill(0);
    };
    let (reply, ()) = tokio::join!(bench.ask(question("slow")), killed);
    reply.unwrap();
    assert_eq!((bench.backend.started(), idle(&bench)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_replaced_once_all_is_over() {
    let bench = mortal(2);
    bench.ask(question("a")).await.unwrap();
    bench.backend.kill(0);
    bench.broker.close().await;
    soon().await;
    assert_eq!((bench.backend.living(), idle(&bench)), (0, 0));
    let stopped = mortal(2);
    stopped.ask(question("a")).await.unwrap();
    stopped.broker.halt(Failure::new(FailureKind::Cancelled, "enough")).await;
    stopped.backend.kill(0);
    soon().await;
    assert_eq!((stopped.backend.started(), stopped.backend.living()), (1, 0));
}
