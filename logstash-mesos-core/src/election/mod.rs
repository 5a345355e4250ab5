//! Which of several schedulers leads.

#[cfg(any(feature = "etcd", feature = "zookeeper"))]
mod candidate;
#[cfg(feature = "etcd")]
mod etcd;
mod file;
mod memory;
#[cfg(feature = "zookeeper")]
mod zookeeper;

#[cfg(feature = "etcd")]
pub use etcd::EtcdElection;
pub use file::FileElection;
pub use memory::MemoryElection;
#[cfg(feature = "zookeeper")]
pub use zookeeper::ZooKeeperElection;

use crate::store::error::Result;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A candidate, as the others and their clients see it once it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Names the process: no two candidates, and no two starts of one program, have the same.
    pub id: String,
    /// Where it serves REST and gRPC, such as `http://10.0.0.1:9092`.
    pub url: String,
    /// The process in words, for whoever finds it leading: host, process id, framework.
    pub holder: String,
}

/// Lets one of several candidates lead at a time.
///
/// # Contract
///
/// - At most one candidate holds a [`Leadership`] whose [`lost`](Leadership::lost) is not cancelled, as far
///   as clocks and the service allow. What must never happen twice is therefore fenced by the state
///   store as well: a new leader rewrites its records, and the old one's writes fail.
/// - `lost` is cancelled *before* another candidate can lead: as soon as it is no longer certain that the
///   service still counts this one as the leader (session in doubt, lease not renewed in time), not when
///   the service says so.
/// - A leader that ends, however it ends, is followed by a candidate that waits.
/// - Candidates lead in the order in which they came, where the backend can tell.
///
/// # Cancellation safety
///
/// `campaign` may be dropped at any await: the candidate is withdrawn, at the latest when its session ends.
///
/// # Errors
///
/// A service that gives no answer is waited for, and said by a log line every 15 seconds. An error is final:
/// credentials that are refused, a place that cannot be used.
///
/// # Implementing
///
/// Run `testing::election::conformance` against your election from one test.
#[async_trait]
pub trait Election: fmt::Debug + Send + Sync + 'static {
    /// Waits until `candidate` leads.
    async fn campaign(&self, candidate: &Leader) -> Result<Leadership>;

    /// Who leads, as far as is known here, whether or not this process is a candidate; follows every change.
    fn leader(&self) -> watch::Receiver<Option<Leader>>;
}

/// Holds the lead, until it is lost, resigned or dropped.
///
/// Dropping it gives the lead up as well, without waiting for the service to hear of it.
pub struct Leadership {
    lost: CancellationToken,
    resign: Option<Resign>,
}

type Resign = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Leadership {
    /// `lost` is cancelled by the backend when the lead is in doubt; `resign` gives it up, and may be called
    /// within a runtime only.
    pub fn new<F>(lost: CancellationToken, resign: impl FnOnce() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { lost, resign: Some(Box::new(|| Box::pin(resign()))) }
    }

    /// Cancelled when the lead is lost or in doubt. Whoever leads stops writing and calling at once.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Gives the lead up, so that the next candidate need not wait for a time-out.
    pub async fn resign(mut self) {
        self.lost.cancel();
        if let Some(resign) = self.resign.take() {
            resign().await;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.lost.cancel();
        if let (Some(resign), Ok(runtime)) = (self.resign.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(resign());
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("lost", &self.lost.is_cancelled()).finish_non_exhaustive()
    }
}
