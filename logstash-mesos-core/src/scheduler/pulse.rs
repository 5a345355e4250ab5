//! What is done again and again while this scheduler leads: counters are looked at, and whoever watches is told.

use super::clock::now_ms;
use super::history::FINE_MS;
use super::overview;
use super::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Looks at the executors for as long as this scheduler leads, and tells those who watch how things stand.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut tick = interval(Duration::from_millis(TELL_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0_u64.. {
        tick.tick().await;
        let watched = shared.is_watched();
        if watched && n.is_multiple_of(WATCH_MS / TELL_MS) {
            shared.sessions().watch();
        }
        if n.is_multiple_of(FINE_MS / TELL_MS) {
            shared.history().look(&shared.sessions().lock(), now_ms());
        }
        if watched {
            shared.show(overview::json(&shared).into());
        }
    }
}

/// Overviews come so often: an executor that ends is launched again after a second or two, and to be seen meanwhile.
const TELL_MS: u64 = 1_000;
/// Executors send details for a minute after they were asked to.
const WATCH_MS: u64 = 20_000;
