//! Candidates of one process.

use super::{Election, Leader, Leadership};
use crate::store::Result;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

/// Lets candidates of one process lead one after the other: with the state in memory there are no others.
#[derive(Clone, Debug)]
pub struct MemoryElection {
    /// Fair: whoever waits longest is next.
    lead: Arc<Mutex<()>>,
    leader: watch::Sender<Option<Leader>>,
}

impl Default for MemoryElection {
    fn default() -> Self {
        Self { lead: Arc::default(), leader: watch::Sender::new(None) }
    }
}

#[async_trait]
impl Election for MemoryElection {
    async fn campaign(&self, candidate: &Leader) -> Result<Leadership> {
        let held = self.lead.clone().lock_owned().await;
        self.leader.send_replace(Some(candidate.clone()));
        let leader = self.leader.clone();
        Ok(Leadership::new(CancellationToken::new(), move || async move {
            leader.send_replace(None);
            drop(held);
        }))
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn candidate(id: &str) -> Leader {
        Leader { id: id.to_owned(), url: "http://h:1".to_owned(), holder: id.to_owned() }
    }

    #[tokio::test]
    async fn the_second_candidate_leads_when_the_first_gives_up() {
        let election = MemoryElection::default();
        let first = election.campaign(&candidate("a")).await.expect("leads");
        assert_eq!(*election.leader().borrow(), Some(candidate("a")));
        let (waiting, b) = (election.clone(), candidate("b"));
        let second = tokio::spawn(async move { waiting.campaign(&b).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        first.resign().await;
        let second =
            timeout(Duration::from_secs(5), second).await.expect("in time").expect("ends").expect("leads");
        assert_eq!(*election.leader().borrow(), Some(candidate("b")));
        drop(second);
        timeout(Duration::from_secs(5), election.campaign(&candidate("c")))
            .await
            .expect("in time")
            .expect("leads");
    }
}
