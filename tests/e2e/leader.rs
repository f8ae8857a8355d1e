//! A context that many questions share is paid for once.

use convoke_standin::{Config, Fault, FaultRule, Latency, Received, Standin, When};

use crate::support::{Report, World, flood, standin};

/// Eight workers, each with a question about the same 20,000 tokens.
async fn eight(standin: &Standin) -> Report {
    let arguments = ["--items", "8", "--groups", "8", "--context", "20000", "--instances", "8", "--format", "json"];
    World::new().convoke([flood()].into_iter().chain(arguments)).asking(standin).run().await.report()
}

/// A stand-in whose answers take so long that all eight would be under way at once.
async fn slow(faults: Vec<FaultRule>) -> Standin {
    standin(Config { latency: Latency::of(300, 0.0), faults, ..Config::default() }).await
}

fn writers(requests: &[Received]) -> Vec<u64> {
    requests.iter().map(|request| request.tokens.cache_write).filter(|tokens| *tokens > 0).collect()
}

#[tokio::test]
async fn eight_workers_write_the_context_once() {
    let standin = slow(Vec::new()).await;
    let report = eight(&standin).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 8"));
    assert_eq!(report.list("workers").len(), 8);
    let (requests, stats) = (standin.requests(), standin.stats());
    let written = writers(&requests);
    assert_eq!((requests.len(), written.len()), (8, 1), "{stats:?}");
    assert!((20_000..20_100).contains(&written[0]), "{written:?}");
    assert_eq!((stats.tokens.cache_write, stats.tokens.cache_read), (written[0], 7 * written[0]));
    assert!(stats.max_in_flight >= 7, "the others did not wait for each other: {stats:?}");
    let usage = &report.json["usage"];
    assert_eq!(
        (&usage["cache_write_tokens"], &usage["cache_read_tokens"]),
        (&written[0].into(), &(7 * written[0]).into())
    );
}

#[tokio::test]
async fn with_a_leader_that_fails_they_write_it_twice() {
    let fault = Fault::CutStream { after_events: 1 };
    let standin = slow(vec![FaultRule { when: When::nth(1), fault }]).await;
    let report = eight(&standin).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 8"));
    let (requests, stats) = (standin.requests(), standin.stats());
    let written = writers(&requests);
    assert_eq!((requests.len(), written.len()), (9, 2), "{stats:?}");
    assert_eq!((written[0], stats.tokens.cache_write), (written[1], 2 * written[0]));
    assert_eq!(report.json["usage"]["cache_write_tokens"], stats.tokens.cache_write);
}
