use std::sync::Mutex;

use super::*;

type Said = Arc<Mutex<Vec<(&'static str, Option<u64>)>>>;

/// One that applies, and what it is told of its waiting.
fn asking(admission: &Arc<Admission>, applicant: Applicant) -> (Asking, Said) {
    let (admission, said) = (admission.clone(), Said::default());
    let heard = said.clone();
    let asks = async move {
        let say = |why: Why| heard.lock().unwrap().push((why.reason, why.lasts().map(|lasts| lasts.as_secs())));
        admission.admit_saying(applicant, say).await
    };
    (Asking(asks.boxed()), said)
}

fn said(said: &Said) -> Vec<(&'static str, Option<u64>)> {
    said.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn who_is_let_in_at_once_is_told_nothing() {
    let admission = admission(1, None);
    let (mut one, told) = asking(&admission, applicant(1));
    assert!(one.admitted().is_some());
    assert_eq!(said(&told), []);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_the_limit_are_told_so_once() {
    let admission = admission(1, None);
    let inside = admission.admit(applicant(1)).await.unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| asking(&admission, applicant(1))).collect();
    for _ in 0..3 {
        assert!(waiting.iter_mut().all(|(asking, _)| asking.admitted().is_none()));
        advance(SECOND).await;
    }
    assert!(waiting.iter().all(|(_, told)| said(told) == [("limit", None)]));
    drop(inside);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_quota_is_told_for_how_long() {
    let admission = admission(8, Some(600));
    admission.admit(applicant(600)).await.unwrap().settle(End { spent: Spent::Unknown, ..end() });
    let (mut asking, told) = asking(&admission, applicant(60));
    assert!(asking.admitted().is_none());
    assert_eq!(said(&told), [("quota", Some(6))]);
    advance(SECOND).await;
    assert!(asking.admitted().is_none());
    assert_eq!(said(&told).len(), 1, "the end of it has not moved");
}

#[tokio::test(start_paused = true)]
async fn what_a_429_holds_back_waits_for_the_quota_and_then_for_the_limit() {
    let admission = admission(1, None);
    let inside = admission.admit(applicant(1)).await.unwrap();
    inside.settle(End { seen: Seen::RateLimited, pause: Some(7 * SECOND), ..end() });
    let (mut first, first_told) = asking(&admission, applicant(1));
    let (mut second, second_told) = asking(&admission, applicant(1));
    assert!(first.admitted().is_none() && second.admitted().is_none());
    assert_eq!(said(&first_told), [("quota", Some(7))]);
    tokio::time::sleep(8 * SECOND).await;
    let inside = first.admitted();
    assert!(inside.is_some() && second.admitted().is_none());
    assert_eq!(said(&second_told), [("quota", Some(7)), ("limit", None)]);
}

#[tokio::test(start_paused = true)]
async fn behind_an_open_breaker_all_wait_for_it() {
    let admission = admission(8, None);
    for _ in 0..BreakerConfig::default().trips {
        let failed = End { signal: Signal::Trip, words: "busy".to_owned(), ..end() };
        admission.admit(applicant(1)).await.unwrap().settle(failed);
    }
    let (mut asking, told) = asking(&admission, applicant(1));
    assert!(asking.admitted().is_none());
    assert_eq!(said(&told), [("breaker", Some(BreakerConfig::default().reset.as_secs()))]);
}
