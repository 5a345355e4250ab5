//! A session with ZooKeeper that is made anew whenever it ended.

use super::ZooKeeperUrl;
use crate::backoff::Backoff;
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, Error, SessionState};

/// Keeps a session with ZooKeeper for as long as it lives.
///
/// The client library goes from server to server, sends the credentials and the watches again, and notices silence
/// after two fifths of the session's time. What it does not do is begin again after the session has ended: a task
/// here does, with growing pauses, and says every 15 seconds that it still tries.
pub(crate) struct ZooKeeper {
    url: ZooKeeperUrl,
    clients: watch::Receiver<Option<Result<Client, Error>>>,
    keeper: AbortHandle,
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ZooKeeper {
    /// Begins to connect, and returns at once. Needs a Tokio runtime. `timeout` is what the session asks for; the
    /// server may want another one, see `Client::session_timeout`.
    pub(crate) fn new(url: ZooKeeperUrl, timeout: Duration) -> Self {
        let (sender, clients) = watch::channel(None);
        let keeper = tokio::spawn(keep(url.clone(), timeout, sender)).abort_handle();
        Self { url, clients, keeper }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &ZooKeeperUrl {
        &self.url
    }

    /// With credentials, what we create is for their holder alone.
    pub(crate) fn acls(&self) -> Acls<'static> {
        if self.url.credentials().is_some() { Acls::creator_all() } else { Acls::anyone_all() }
    }

    /// Waits for a client that is connected.
    ///
    /// # Errors
    ///
    /// [`Error::AuthFailed`] when the servers do not take the credentials.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let mut clients = self.clients.clone();
        loop {
            let known = clients.borrow_and_update().clone();
            let client = match known {
                Some(Ok(client)) => client,
                Some(Err(refused)) => return Err(refused),
                None => {
                    clients.changed().await.map_err(|_| Error::ClientClosed)?;
                    continue;
                }
            };
            let mut state = client.state_watcher();
            let mut now = state.state();
            while now != SessionState::SyncConnected && !now.is_terminated() {
                now = state.changed().await;
            }
            if now == SessionState::SyncConnected {
                return Ok(client);
            }
            // Its end is about to be noticed by the keeper.
            clients.changed().await.map_err(|_| Error::ClientClosed)?;
        }
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Whether a person has to act before the same can succeed.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::NoAuth | Error::InvalidAcl | Error::AuthFailed | Error::QuotaExceeded)
}

/// Waits until the session of `client` has ended.
pub(crate) async fn ended(client: &Client) -> SessionState {
    let mut watcher = client.state_watcher();
    let mut state = watcher.state();
    while !state.is_terminated() {
        state = watcher.changed().await;
    }
    state
}

async fn keep(url: ZooKeeperUrl, timeout: Duration, clients: watch::Sender<Option<Result<Client, Error>>>) {
    let servers = url.servers().join(",");
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
    let mut said: Option<Instant> = None;
    loop {
        let mut connector = Client::connector().with_session_timeout(timeout);
        if let Some(credentials) = url.credentials() {
            connector = connector.with_auth("digest", credentials.as_bytes());
        }
        // It gives up by itself after the time of a session; this is for what it may have overlooked.
        let attempt = tokio::time::timeout(timeout + Duration::from_secs(5), connector.connect(&servers));
        let reason = match attempt.await.unwrap_or(Err(Error::Timeout)) {
            Ok(client) => {
                tracing::info!(
                    servers,
                    timeout_ms = client.session_timeout().as_millis(),
                    "Session with ZooKeeper begins"
                );
                backoff.reset();
                said = None;
                clients.send_replace(Some(Ok(client.clone())));
                let state = ended(&client).await;
                clients.send_replace(None);
                tracing::warn!(servers, %state, "Session with ZooKeeper ended, beginning another");
                if state == SessionState::AuthFailed { Error::AuthFailed } else { Error::SessionExpired }
            }
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= Duration::from_secs(15)) {
                    said = Some(Instant::now());
                    tracing::warn!(servers, %error, "Waiting for ZooKeeper");
                }
                error
            }
        };
        if is_refusal(&reason) {
            clients.send_replace(Some(Err(reason)));
        }
        sleep(backoff.next_wait()).await;
    }
}
