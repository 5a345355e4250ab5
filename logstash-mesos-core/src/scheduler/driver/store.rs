//! What is decided is stored before anybody is told.

use super::{Driver, End, TELL_EVERY};
use crate::error_chain;
use crate::ids::FrameworkId;
use crate::scheduler::records::Shards;
use crate::scheduler::state::Rollout;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to store.
pub(super) enum Write {
    Framework(Option<FrameworkId>),
    Rollout(Rollout),
    Tasks(Shards),
}

impl Driver {
    /// Writes until it is written. What no answer came to may have been written: the versions are read
    /// again before the next attempt.
    pub(super) async fn store(&mut self, write: Write, shutdown: &CancellationToken) -> Result<(), End> {
        let mut told = Instant::now() - TELL_EVERY;
        let mut repeated = false;
        loop {
            let attempt = async {
                if repeated {
                    self.records.refresh().await?;
                }
                self.write(&write).await
            };
            // A write that is given up may have taken effect: whoever leads next finds it.
            let Some(result) = shutdown.run_until_cancelled(attempt).await else { return Err(End::Shutdown) };
            repeated = true;
            let error = match result {
                Ok(()) => {
                    self.shared.link().stored();
                    return Ok(());
                }
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(End::Store(error)),
            };
            self.shared.link().not_stored(error_chain(&error));
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::warn!(error = error_chain(&error), "State store did not take a write, trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_RETRY) => {}
                () = shutdown.cancelled() => return Err(End::Shutdown),
            }
        }
    }

    async fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Framework(framework_id) => self.records.store_framework(framework_id.as_ref()).await,
            Write::Rollout(rollout) => self.records.store_rollout(rollout).await,
            Write::Tasks(shards) => self.records.store_tasks(shards).await,
        }
    }
}

const STORE_RETRY: Duration = Duration::from_secs(1);
