//! Candidates of one process.

use super::{Election, Leader, Leadership};
use crate::store::error::Result;
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

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::election;

    async fn fresh() -> impl AsyncFn() -> Arc<dyn Election> {
        let election = MemoryElection::default();
        async move || Arc::new(election.clone()) as Arc<dyn Election>
    }

    #[tokio::test]
    async fn conforms() {
        election::conformance(fresh).await;
    }

    #[tokio::test]
    async fn the_first_that_came_is_the_next() {
        election::candidates_lead_in_the_order_in_which_they_came(&fresh().await).await;
    }
}
