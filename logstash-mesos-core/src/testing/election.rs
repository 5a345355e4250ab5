//! The clauses of the contract of [`Election`], one function each.

use crate::election::{Election, Leader, Leadership};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long anything that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long something that must not happen is watched for.
const WATCHED: Duration = Duration::from_millis(500);

/// Checks every clause at places that `fresh` makes, each without a leader. A place returns an election of
/// its own each time it is called, as another process would have it.
///
/// # Panics
///
/// At the first clause that does not hold.
pub async fn conformance<P: AsyncFn() -> Arc<dyn Election>>(fresh: impl AsyncFn() -> P) {
    the_second_candidate_waits(&fresh().await).await;
    a_leader_that_resigns_is_followed(&fresh().await).await;
    a_leader_that_is_dropped_is_followed(&fresh().await).await;
    a_dropped_campaign_is_withdrawn(&fresh().await).await;
    everybody_sees_who_leads(&fresh().await).await;
    a_process_may_lead_again(&fresh().await).await;
    two_never_lead_at_a_time(&fresh().await).await;
}

/// While one leads, others do not.
pub async fn the_second_candidate_waits(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let first = lead(&place().await, "a").await;
    let second = campaign(&place().await, "b");
    sleep(WATCHED).await;
    assert!(!second.is_finished(), "two lead");
    assert!(!first.lost().is_cancelled(), "the first lost the lead");
    second.abort();
}

/// Giving up the lead cancels `lost`, and lets the next one lead.
pub async fn a_leader_that_resigns_is_followed(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let first = lead(&place().await, "a").await;
    let lost = first.lost().clone();
    let second = campaign(&place().await, "b");
    sleep(WATCHED).await;
    timeout(PATIENCE, first.resign()).await.expect("resigns in time");
    assert!(lost.is_cancelled());
    assert!(!won(second).await.lost().is_cancelled());
}

/// Dropping the lead gives it up as well.
pub async fn a_leader_that_is_dropped_is_followed(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let first = lead(&place().await, "a").await;
    let lost = first.lost().clone();
    let second = campaign(&place().await, "b");
    sleep(WATCHED).await;
    drop(first);
    assert!(lost.is_cancelled());
    assert!(!won(second).await.lost().is_cancelled());
}

/// A candidate that does not wait any more keeps nobody from leading.
pub async fn a_dropped_campaign_is_withdrawn(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let first = lead(&place().await, "a").await;
    let election = place().await;
    let withdrawn = timeout(WATCHED, election.campaign(&candidate("b"))).await;
    assert!(withdrawn.is_err(), "two lead");
    let third = campaign(&place().await, "c");
    sleep(WATCHED).await;
    first.resign().await;
    won(third).await;
}

/// `leader` tells candidates and others, those that come later too, and follows every change.
pub async fn everybody_sees_who_leads(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let early = place().await;
    sees(&early, None).await;
    let first = lead(&place().await, "a").await;
    let late = place().await;
    for election in [&early, &late] {
        sees(election, Some("a")).await;
    }
    let election = place().await;
    let second = campaign(&election, "b");
    sees(&election, Some("a")).await;
    first.resign().await;
    let second = won(second).await;
    for election in [&early, &late, &election] {
        sees(election, Some("b")).await;
    }
    second.resign().await;
    for election in [&early, &late, &election] {
        sees(election, None).await;
    }
}

/// Nothing is left of a lead that was given up.
pub async fn a_process_may_lead_again(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let election = place().await;
    for name in ["a", "b", "a"] {
        let leadership = lead(&election, name).await;
        sees(&election, Some(name)).await;
        leadership.resign().await;
    }
}

/// However many come: one leads at a time, and each gets its turn.
pub async fn two_never_lead_at_a_time(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let leaders = Arc::new(AtomicUsize::new(0));
    let mut turns = Vec::new();
    for n in 0..5 {
        let (election, leaders) = (place().await, leaders.clone());
        turns.push(tokio::spawn(async move {
            let leadership = lead(&election, &n.to_string()).await;
            assert_eq!(leaders.fetch_add(1, Ordering::SeqCst), 0, "two lead");
            sleep(Duration::from_millis(50)).await;
            assert!(!leadership.lost().is_cancelled(), "the lead was lost");
            leaders.fetch_sub(1, Ordering::SeqCst);
            leadership.resign().await;
        }));
    }
    for turn in turns {
        timeout(PATIENCE, turn).await.expect("has its turn").expect("leads alone");
    }
}

/// For backends that can tell who came first; not part of [`conformance`].
pub async fn candidates_lead_in_the_order_in_which_they_came(place: &impl AsyncFn() -> Arc<dyn Election>) {
    let mut leader = lead(&place().await, "0").await;
    let mut waiting = Vec::new();
    for n in 1..5 {
        waiting.push(campaign(&place().await, &n.to_string()));
        sleep(WATCHED).await;
    }
    for next in waiting {
        leader.resign().await;
        leader = won(next).await;
    }
}

/// A candidate of this name.
pub fn candidate(name: &str) -> Leader {
    Leader { id: name.to_owned(), url: format!("http://{name}:9092"), holder: format!("scheduler {name}") }
}

/// Leads, as nobody else does.
///
/// # Panics
///
/// When it does not come to lead in time.
pub async fn lead(election: &Arc<dyn Election>, name: &str) -> Leadership {
    won(campaign(election, name)).await
}

/// Starts to wait for the lead.
pub fn campaign(election: &Arc<dyn Election>, name: &str) -> JoinHandle<Leadership> {
    let (election, candidate) = (election.clone(), candidate(name));
    tokio::spawn(async move { election.campaign(&candidate).await.expect("may be a candidate") })
}

/// Waits for the lead.
///
/// # Panics
///
/// When it does not come in time.
pub async fn won(campaign: JoinHandle<Leadership>) -> Leadership {
    timeout(PATIENCE, campaign).await.expect("leads in time").expect("does not panic")
}

/// Waits until this one leads, or nobody.
///
/// # Panics
///
/// When that is not seen in time.
pub async fn sees(election: &Arc<dyn Election>, leader: Option<&str>) {
    let wanted = leader.map(candidate);
    let mut seen = election.leader();
    let found = timeout(PATIENCE, seen.wait_for(|leader| *leader == wanted)).await;
    assert!(found.is_ok_and(|found| found.is_ok()), "saw {:?} instead of {wanted:?}", seen.borrow());
}
