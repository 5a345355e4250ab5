//! Events of a subscription, with a look at those that have come but have not been handled yet.

use crate::ids::OfferId;
use futures_util::FutureExt;
use mesos_v1::scheduler::{SchedulerEvent, SchedulerEvents};
use std::collections::{BTreeSet, VecDeque};

/// What the client of a subscription says.
pub(super) struct Feed {
    events: SchedulerEvents,
    /// Came, and were not handled yet.
    ahead: VecDeque<SchedulerEvent>,
}

impl Feed {
    pub(super) fn new(events: SchedulerEvents) -> Self {
        Self { events, ahead: VecDeque::new() }
    }

    /// The next event, or none after the last. Loses no event when it is dropped.
    pub(super) async fn next(&mut self) -> Option<SchedulerEvent> {
        match self.ahead.pop_front() {
            Some(event) => Some(event),
            None => self.events.next().await,
        }
    }

    /// The next event, if it has come and leaves the subscription as it is.
    pub(super) fn next_ordinary(&mut self) -> Option<SchedulerEvent> {
        self.look_ahead();
        let of_subscription = matches!(
            self.ahead.front()?,
            SchedulerEvent::Subscribed { .. }
                | SchedulerEvent::Disconnected { .. }
                | SchedulerEvent::Error { .. }
        );
        if of_subscription { None } else { self.ahead.pop_front() }
    }

    /// Offers that the master has taken back, as events say that were not handled yet.
    pub(super) fn rescinded_ahead(&mut self) -> BTreeSet<OfferId> {
        self.look_ahead();
        let rescinded = |event: &SchedulerEvent| match event {
            SchedulerEvent::Rescind(offer_id) => Some(offer_id.into()),
            _ => None,
        };
        self.ahead.iter().filter_map(rescinded).collect()
    }

    fn look_ahead(&mut self) {
        while self.ahead.len() < BATCH
            && let Some(Some(event)) = self.events.next().now_or_never()
        {
            self.ahead.push_back(event);
        }
    }
}

/// Events that are handled together, at most.
pub(super) const BATCH: usize = 1_000;
