//! Who looks at events of an executor, by way of its session.

use super::{BUSY, Key, NOT_CONNECTED, Sessions, rand64};
use crate::ids::AgentId;
use crate::protocol::{Look, Sight, scheduler_message};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Those who look at one executor.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<u64, Viewer>);

#[derive(Debug)]
struct Viewer {
    sender: mpsc::Sender<Sight>,
    /// Events that came while there was no room for them.
    left_out: u64,
}

impl Looks {
    /// Passes on what was seen; `false` if nobody looks any more. Who does not keep up gets its number.
    pub(super) fn show(&mut self, mut sight: Sight) -> bool {
        let look_id = sight.look_id;
        let Some(viewer) = self.0.get_mut(&look_id) else { return false };
        sight.left_out += std::mem::take(&mut viewer.left_out);
        match viewer.sender.try_send(sight) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(sight)) => {
                viewer.left_out = sight.left_out + sight.events.len() as u64;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.0.remove(&look_id);
                false
            }
        }
    }
}

pub(super) fn end(look_id: u64) -> scheduler_message::Message {
    scheduler_message::Message::Look(Look { look_id, end: true, ..Look::default() })
}

/// What an executor shows. Dropping it tells the executor that it is enough.
#[derive(Debug)]
pub(in super::super) struct Watched {
    sights: mpsc::Receiver<Sight>,
    sessions: Arc<Sessions>,
    key: Key,
    look_id: u64,
}

impl Watched {
    /// What was seen next, or none when the session has ended.
    ///
    /// # Cancellation safety
    ///
    /// Loses nothing when it is dropped.
    pub(in super::super) async fn next(&mut self) -> Option<Sight> {
        self.sights.recv().await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(executor) = self.sessions.lock().get_mut(&self.key)
            && executor.looks.0.remove(&self.look_id).is_some()
        {
            // If it does not hear this, its next sight is answered with it.
            executor.tell(end(self.look_id));
        }
    }
}

impl Sessions {
    /// Asks the executor of an agent for events as they pass, or says why that cannot be.
    pub(in super::super) fn look(
        self: &Arc<Self>,
        agent_id: &AgentId,
        asked: Look,
    ) -> Result<Watched, &'static str> {
        let look_id = rand64();
        let (sender, sights) = mpsc::channel(WAITING);
        let mut executors = self.lock();
        let connected = executors.iter_mut().find(|((id, _), e)| id == agent_id && e.is_connected());
        let (key, executor) = connected.ok_or(NOT_CONNECTED)?;
        if !executor.tell(scheduler_message::Message::Look(Look { look_id, ..asked })) {
            return Err(BUSY);
        }
        executor.looks.0.insert(look_id, Viewer { sender, left_out: 0 });
        Ok(Watched { sights, sessions: Arc::clone(self), key: key.clone(), look_id })
    }
}

/// Sights that wait for who looks.
const WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::LiveEvent;

    #[test]
    fn who_does_not_keep_up_gets_a_number_and_who_has_gone_is_told_of() {
        let (sender, mut sights) = mpsc::channel(1);
        let mut looks = Looks(BTreeMap::from([(7, Viewer { sender, left_out: 0 })]));
        let sight = |look_id| Sight {
            look_id,
            events: vec![LiveEvent::default(); 3],
            left_out: 10,
            error: String::new(),
        };
        assert!(!looks.show(sight(8)));
        (0..3).for_each(|_| assert!(looks.show(sight(7))));
        assert_eq!(sights.try_recv().expect("came").left_out, 10);
        assert!(looks.show(sight(7)));
        let seen = sights.try_recv().expect("came");
        assert_eq!((seen.events.len(), seen.left_out), (3, 36));
        drop(sights);
        assert!(!looks.show(sight(7)) && looks.0.is_empty());
    }
}
