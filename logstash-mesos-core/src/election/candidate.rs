//! The life of a candidate, whichever service counts it.

use super::{Leader, Leadership};
use crate::store::error::{Result, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// A service that counts candidates.
pub(super) trait Service: Send + Sync + 'static {
    type Entry: Entry;

    /// Where it is, without secrets.
    fn name(&self) -> String;

    /// Becomes a candidate. May be dropped at any await; [`withdraw`](Self::withdraw) follows then.
    fn enter(&self, leader: &Leader) -> impl Future<Output = Result<Self::Entry, Setback>> + Send;

    /// Takes back what a dropped `enter` may have left.
    fn withdraw(&self, leader: &Leader) -> impl Future<Output = ()> + Send;
}

/// What the service keeps of a candidate, until it hears nothing of it for [`silence`](Self::silence).
pub(super) trait Entry: Send + Sync + 'static {
    /// After which silence the service forgets it.
    fn silence(&self) -> Duration;

    /// Waits until nobody is before it. Returns when that was asked of the service, or earlier.
    fn wait(&self) -> impl Future<Output = Result<Instant, Setback>> + Send;

    /// Asks whether the service still has it, which also breaks the silence.
    fn confirm(&self) -> impl Future<Output = Result<bool, Setback>> + Send;

    /// Removes it, unless the service has forgotten it by then.
    fn remove(self) -> impl Future<Output = ()> + Send;
}

/// Why something did not come about.
#[derive(Debug)]
pub(super) enum Setback {
    /// A person has to act first.
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// It may succeed later.
    Transient(Box<dyn std::error::Error + Send + Sync>),
}

/// Waits until `leader` leads; see [`Election::campaign`](super::Election::campaign).
pub(super) async fn campaign<S: Service>(service: Arc<S>, leader: Leader) -> Result<Leadership> {
    let (backend, key) = (service.name(), "election".to_owned());
    let withdrawn = CancellationToken::new();
    let withdraw = withdrawn.clone().drop_guard();
    let (won, winner) = oneshot::channel();
    // A task of its own, as what was asked for has to be taken back also when nobody waits any more.
    tokio::spawn(run(service, leader, withdrawn, won));
    let outcome = winner.await;
    // A leadership that was sent takes care of itself.
    drop(withdraw.disarm());
    match outcome {
        Ok(Ok(leadership)) => Ok(leadership),
        Ok(Err(source)) => {
            let remedy = "give --state credentials that may write there, or another place".to_owned();
            Err(StoreError::Refused { backend, key, remedy, source })
        }
        Err(gone) => Err(StoreError::Unavailable { backend, key, source: gone.into() }),
    }
}

type Outcome = Result<Leadership, Box<dyn std::error::Error + Send + Sync>>;

async fn run<S: Service>(
    service: Arc<S>,
    leader: Leader,
    withdrawn: CancellationToken,
    won: oneshot::Sender<Outcome>,
) {
    let mut said = Instant::now();
    loop {
        let entered = tokio::select! {
            entered = service.enter(&leader) => entered,
            () = withdrawn.cancelled() => return service.withdraw(&leader).await,
            () = sleep(SAY) => Err(Setback::Transient("no answer in 15 seconds".into())),
        };
        let setback = match entered {
            Ok(entry) => {
                let waited = tokio::select! {
                    waited = entry.wait() => waited,
                    () = withdrawn.cancelled() => return entry.remove().await,
                };
                match waited {
                    Ok(since) => {
                        // Whoever does not take it any more drops it, which removes the entry.
                        let _taken = won.send(Ok(lead(entry, since)));
                        return;
                    }
                    Err(setback) => {
                        entry.remove().await;
                        setback
                    }
                }
            }
            Err(setback) => setback,
        };
        match setback {
            Setback::Refused(error) => {
                // Where nobody waits any more, nobody needs to know.
                let _known = won.send(Err(error));
                return;
            }
            Setback::Transient(error) if said.elapsed() >= SAY => {
                said = Instant::now();
                tracing::warn!(service = service.name(), %error, "Waiting to be a candidate");
            }
            Setback::Transient(error) => tracing::debug!(%error, "Not a candidate, trying again"),
        }
        sleep(PAUSE).await;
    }
}

/// Leads with an entry that was seen to be the first by a question asked at `since`.
fn lead<E: Entry>(entry: E, since: Instant) -> Leadership {
    let (lost, resigned) = (CancellationToken::new(), CancellationToken::new());
    let keeping = tokio::spawn({
        let (lost, resigned) = (lost.clone(), resigned.clone());
        async move {
            tokio::select! {
                () = doubt(&entry, since) => {
                    lost.cancel();
                    tracing::warn!("The lead is lost: it was not confirmed in time");
                }
                () = resigned.cancelled() => {}
            }
            entry.remove().await;
        }
    });
    Leadership::new(lost, move || async move {
        resigned.cancel();
        // It goes on without us, until the service has forgotten the entry.
        let _in_time = timeout(RESIGN, keeping).await;
    })
}

/// Returns when it is no longer certain that the service has the entry: a third of the silence before it may forget.
async fn doubt<E: Entry>(entry: &E, mut certain: Instant) {
    loop {
        let (asked, until) = (Instant::now(), certain + entry.silence() * 2 / 3);
        match timeout_at(until, entry.confirm()).await {
            Ok(Ok(true)) => {
                certain = asked;
                sleep(entry.silence() / 8).await;
            }
            Ok(Err(_)) if asked < until => sleep(PAUSE).await,
            Ok(Ok(false) | Err(_)) | Err(_) => return,
        }
    }
}

/// After so long without success there is a word about it.
const SAY: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);
/// How long whoever resigns waits for it.
const RESIGN: Duration = Duration::from_secs(2);
