//! Looks at containers, several at a time.
//!
//! The daemon answers about a container only when it has done with it: starting one takes half a second, and one that
//! hangs is not answered about at all. So nobody waits for the answer about another one.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;

use bollard::errors::Error;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::answers::Inspected;
use super::daemon::Daemon;

/// What the daemon says of the container with this id.
pub(super) type Answer = (String, Result<Inspected, Error>);

/// The looks that are under way, and those that wait for one of them to end.
pub(super) struct Looks {
    daemon: Daemon,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    waiting: VecDeque<String>,
    // Each that is under way, and whether something has happened to the container since it began.
    begun: BTreeMap<String, bool>,
}

/// More would be answered no sooner.
const AT_ONCE: usize = 16;

impl Looks {
    pub(super) fn new(daemon: Daemon) -> Self {
        Self { daemon, running: FuturesUnordered::new(), waiting: VecDeque::new(), begun: BTreeMap::new() }
    }

    /// Looks at a container, once more if that has been begun.
    pub(super) fn at(&mut self, id: String) {
        if let Some(changed) = self.begun.get_mut(&id) {
            *changed = true;
        } else if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
            self.go_on();
        }
    }

    /// The container is gone: what is still said of it was true before.
    pub(super) fn forget(&mut self, id: &str) {
        self.begun.remove(id);
        self.waiting.retain(|waiting| waiting != id);
    }

    /// The next answer; `None` when nothing has been asked.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped: no answer is lost.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        loop {
            let (id, answer) = self.running.next().await?;
            let begun = self.begun.remove(&id);
            if begun == Some(true) {
                self.waiting.push_back(id.clone());
            }
            self.go_on();
            if begun.is_some() {
                return Some((id, answer));
            }
        }
    }

    fn go_on(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some(id) = self.waiting.pop_front()
        {
            self.begun.insert(id.clone(), false);
            let daemon = self.daemon.clone();
            self.running.push(Box::pin(async move {
                let answer = daemon.ask(&format!("/containers/{id}/json")).await;
                (id, answer)
            }));
        }
    }
}
