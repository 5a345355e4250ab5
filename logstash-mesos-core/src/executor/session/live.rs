//! Shows events to whoever looks by way of the scheduler, for as long as the session lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::executor::run::ShipperHandle;
use crate::pipeline::live::{self, Fate, Seen, Selection};
use crate::protocol::{ExecutorMessage, LiveEvent, LiveFate, Look, Sight, executor_message};

/// Those who look. Dropping it ends all of it.
pub(super) struct Looks {
    shipper: ShipperHandle,
    outgoing: mpsc::Sender<ExecutorMessage>,
    open: BTreeMap<u64, AbortOnDropHandle<()>>,
}

impl Looks {
    pub(super) fn new(shipper: ShipperHandle, outgoing: mpsc::Sender<ExecutorMessage>) -> Self {
        Self { shipper, outgoing, open: BTreeMap::new() }
    }

    /// Begins, or ends.
    pub(super) fn take(&mut self, asked: Look) {
        self.open.retain(|_, look| !look.is_finished());
        let Look { look_id, configuration, streams, end } = asked;
        if end {
            self.open.remove(&look_id);
            return;
        }
        let look = self.shipper.look(Selection { configuration, streams });
        let outgoing = self.outgoing.clone();
        let showing = tokio::spawn(async move {
            match look {
                Ok(look) => show(look_id, look, &outgoing).await,
                Err(error) => {
                    let error = error.to_string();
                    say(&outgoing, Sight { look_id, error, ..Sight::default() }).await;
                }
            }
        });
        self.open.insert(look_id, AbortOnDropHandle::new(showing));
    }
}

/// Sends what is seen until the session ends. While that does not take it, what passes is only counted.
async fn show(look_id: u64, mut look: live::Look, outgoing: &mpsc::Sender<ExecutorMessage>) {
    let mut tick = tokio::time::interval(TOGETHER);
    let mut open = true;
    while open {
        tick.tick().await;
        let mut events = Vec::new();
        while let Some(seen) = look.next_now() {
            events.push(to_wire(seen));
        }
        let left_out = look.take_left_out();
        if !events.is_empty() || left_out > 0 {
            open = say(outgoing, Sight { look_id, events, left_out, error: String::new() }).await;
        }
    }
}

async fn say(outgoing: &mpsc::Sender<ExecutorMessage>, sight: Sight) -> bool {
    let message = Some(executor_message::Message::Sight(sight));
    outgoing.send(ExecutorMessage { message }).await.is_ok()
}

fn to_wire(seen: Seen) -> LiveEvent {
    let (fate, reason) = match seen.fate {
        Fate::Passed => (LiveFate::Passed, String::new()),
        Fate::Dropped => (LiveFate::Dropped, String::new()),
        Fate::Kept => (LiveFate::Kept, String::new()),
        Fate::Dead(reason) => (LiveFate::DeadLetter, reason),
    };
    LiveEvent {
        at_ms: seen.at_ms,
        configuration: seen.pipeline_id.to_string(),
        before: seen.before,
        after: seen.after,
        fate: fate.into(),
        reason,
        size_bytes: seen.byte_size as u64,
    }
}

/// What passes within this time is sent together.
const TOGETHER: Duration = Duration::from_millis(250);
