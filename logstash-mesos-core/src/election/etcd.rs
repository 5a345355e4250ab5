//! Candidates as keys of etcd.

use super::candidate::{Entry, Service, Setback, campaign};
use super::{Election, Leader, Leadership};
use crate::etcd::{Etcd, is_refusal};
use crate::store::error;
use async_trait::async_trait;
use etcd_client::{
    Client, Compare, CompareOp, Error, GetOptions, GetResponse, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp, WatchOptions,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

/// Lets the candidate lead whose key `PREFIX/election/LEASE` was made first, as etcd's own elections do.
///
/// The keys hold the [`Leader`] as JSON and go with their lease, which the candidate renews. Each candidate watches
/// the one before it. The leader gives up when two thirds of the lease's time went by without a renewal: a third
/// before etcd can end it.
#[derive(Debug)]
pub struct EtcdElection {
    prefix: Arc<Prefix>,
    leader: watch::Sender<Option<Leader>>,
    following: AbortHandle,
}

impl EtcdElection {
    pub(crate) fn new(etcd: Arc<Etcd>) -> Self {
        let keys = format!("{}/election/", etcd.url().prefix());
        let prefix = Arc::new(Prefix { etcd, keys });
        let leader = watch::Sender::new(None);
        let following = tokio::spawn(follow(prefix.clone(), leader.clone())).abort_handle();
        Self { prefix, leader, following }
    }
}

impl Drop for EtcdElection {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl Election for EtcdElection {
    async fn campaign(&self, candidate: &Leader) -> error::Result<Leadership> {
        campaign(self.prefix.clone(), candidate.clone()).await
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }
}

/// Where the keys of the candidates are.
#[derive(Debug)]
struct Prefix {
    etcd: Arc<Etcd>,
    keys: String,
}

/// A key, and the lease that it lives by.
struct Key {
    client: Client,
    prefix: String,
    lease: i64,
    silence: Duration,
    created: i64,
    /// When the last renewal that etcd confirmed was asked for.
    renewed: Mutex<Instant>,
}

impl Service for Prefix {
    type Entry = Key;

    fn name(&self) -> String {
        self.etcd.url().to_string()
    }

    async fn enter(&self, leader: &Leader) -> Result<Key, Setback> {
        let mut client = self.etcd.client().await?;
        let asked = Instant::now();
        // etcd counts seconds.
        let ttl = self.etcd.lease().as_millis().div_ceil(1000).try_into().unwrap_or(i64::MAX);
        let granted = within(client.lease_grant(ttl, None)).await?;
        let (lease, silence) = (granted.id(), Duration::from_secs(granted.ttl().try_into().unwrap_or(1)));
        let data = serde_json::to_vec(leader).map_err(|error| Setback::Refused(error.into()))?;
        let key = format!("{}{lease:016x}", self.keys);
        let transaction = Txn::new()
            .when(vec![Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then(vec![TxnOp::put(key, data, Some(PutOptions::new().with_lease(lease)))]);
        let done = within(client.txn(transaction)).await?;
        let created = done.header().map_or(0, |header| header.revision());
        Ok(Key { client, prefix: self.keys.clone(), lease, silence, created, renewed: Mutex::new(asked) })
    }

    /// A lease that nobody renews ends by itself.
    async fn withdraw(&self, _leader: &Leader) {}
}

impl Key {
    fn renewed(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the lease has ended, or when that is not certain any more.
    async fn keep(&self) {
        while self.renewed().elapsed() < self.silence {
            // A failure is tried again in a moment.
            if matches!(self.confirm().await, Ok(false)) {
                return;
            }
            sleep(self.silence / 8).await;
        }
    }

    /// Returns when nobody is before us.
    async fn first(&self) -> Result<(), Error> {
        let mut client = self.client.clone();
        loop {
            // The youngest of those that are older.
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_max_create_revision(self.created - 1)
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_limit(1);
            let found = within(client.get(self.prefix.clone(), Some(options))).await?;
            let Some(before) = found.kvs().first() else { return Ok(()) };
            change_of(&mut client, before.key().to_vec(), WatchOptions::new(), &found).await?;
        }
    }
}

impl Entry for Key {
    fn silence(&self) -> Duration {
        self.silence
    }

    async fn wait(&self) -> Result<Instant, Setback> {
        tokio::select! {
            first = self.first() => first?,
            () = self.keep() => return Err(Setback::Transient("the lease has ended".into())),
        }
        Ok(*self.renewed())
    }

    async fn confirm(&self) -> Result<bool, Setback> {
        let asked = Instant::now();
        // One stream for each renewal, to whichever server answers now.
        match within(self.client.clone().lease_keep_alive(self.lease)).await {
            Ok(_) => {
                *self.renewed() = asked;
                Ok(true)
            }
            Err(Error::LeaseKeepAliveError(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(self) {
        let mut client = self.client.clone();
        while self.renewed().elapsed() < self.silence {
            match within(client.lease_revoke(self.lease)).await {
                Ok(_) => return,
                Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::NotFound => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        if is_refusal(&error) { Self::Refused(error.into()) } else { Self::Transient(error.into()) }
    }
}

/// Tells who leads, also to whoever is no candidate. While etcd is away, what was known last stays.
async fn follow(prefix: Arc<Prefix>, leader: watch::Sender<Option<Leader>>) {
    loop {
        let followed = async { follow_with(prefix.etcd.client().await?, &prefix.keys, &leader).await };
        if let Err(error) = followed.await {
            tracing::debug!(%error, "Looking again who leads");
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn follow_with(
    mut client: Client,
    prefix: &str,
    leader: &watch::Sender<Option<Leader>>,
) -> Result<(), Error> {
    loop {
        let options =
            GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
        let first = within(client.get(prefix, Some(options))).await?;
        let found = first.kvs().first().and_then(|key| serde_json::from_slice(key.value()).ok());
        leader.send_if_modified(|known| {
            let changed = *known != found;
            *known = found;
            changed
        });
        change_of(&mut client, prefix.into(), WatchOptions::new().with_prefix(), &first).await?;
    }
}

/// Waits until something under `key` changed since `seen`, or for a few seconds: a watch that broke unnoticed delays
/// by no more than that.
async fn change_of(
    client: &mut Client,
    key: Vec<u8>,
    options: WatchOptions,
    seen: &GetResponse,
) -> Result<(), Error> {
    let next = seen.header().map_or(0, |header| header.revision()) + 1;
    let mut changes = within(client.watch(key, Some(options.with_start_revision(next)))).await?;
    let changed = async {
        while let Some(change) = changes.message().await? {
            if change.canceled() || !change.events().is_empty() {
                break;
            }
        }
        Ok(())
    };
    timeout(WATCH, changed).await.unwrap_or(Ok(()))
}

/// The client library sets no limit for an answer.
async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(LIMIT, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in two seconds").into()))
}

const LIMIT: Duration = Duration::from_secs(2);
const WATCH: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
