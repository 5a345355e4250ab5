//! Records as keys of etcd.

use super::{Expect, Result, StateKey, StateStore, StoreError, Version, Versioned, check_size};
use crate::etcd::{Etcd, is_refusal, was_never_sent};
use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, Error, GetOptions, Txn, TxnOp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Status;

/// Keeps each record at `PREFIX/records/KEY`. A version is the revision of the whole store that wrote it
/// (`mod_revision`), which etcd never gives twice. Reads are linearizable, as etcd's are unless asked otherwise.
///
/// Every call takes at most ten seconds. Within them a read is repeated, and a write that no server has got.
#[derive(Debug)]
pub struct EtcdStore {
    etcd: Arc<Etcd>,
    records: String,
}

impl EtcdStore {
    pub(crate) fn new(etcd: Arc<Etcd>) -> Self {
        let records = format!("{}/records/", etcd.url().prefix());
        Self { etcd, records }
    }

    fn place(&self, key: &StateKey) -> String {
        format!("{}{key}", self.records)
    }

    /// Does it within the limit, and again when that can do no harm.
    async fn call<T, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        key: &str,
        kind: Kind,
        work: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T> {
        let deadline = Instant::now() + LIMIT;
        let error = loop {
            let whole = async { work(self.etcd.client().await?).await };
            match timeout_at(deadline, whole).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => {
                    let again = !is_refusal(&error) && (kind == Kind::Read || was_never_sent(&error));
                    if !again || Instant::now() + PAUSE >= deadline {
                        break error;
                    }
                }
                Err(_) => break Error::from(Status::deadline_exceeded("no answer in ten seconds")),
            }
            sleep(PAUSE).await;
        };
        let (backend, key) = (self.name(), key.to_owned());
        if is_refusal(&error) {
            let remedy = "give --state the user and the password that etcd wants, etcd://USER:PASSWORD@…, and that user \
                          read and write access to the prefix";
            return Err(StoreError::Refused {
                backend,
                key,
                remedy: remedy.to_owned(),
                source: error.into(),
            });
        }
        Err(StoreError::Unavailable { backend, key, source: error.into() })
    }

    /// Does `change` if `expect` holds; the revision at which it was done, or `None`.
    async fn change(&self, key: &StateKey, expect: &Expect, change: TxnOp) -> Result<Option<i64>> {
        let place = self.place(key);
        let compare = match expect {
            Expect::Any => vec![],
            Expect::Absent => vec![Compare::create_revision(place, CompareOp::Equal, 0)],
            Expect::Version(version) => match version.as_str().parse() {
                Ok(revision) => vec![Compare::mod_revision(place, CompareOp::Equal, revision)],
                Err(_) => return Ok(None),
            },
        };
        let transaction = Txn::new().when(compare).and_then(vec![change]);
        self.call(key.as_str(), Kind::Write, |mut client| {
            let transaction = transaction.clone();
            async move {
                let done = client.txn(transaction).await?;
                Ok(done.succeeded().then(|| done.header().map_or(0, |header| header.revision())))
            }
        })
        .await
    }

    fn conflict(&self, key: &StateKey) -> StoreError {
        StoreError::Conflict { backend: self.name(), key: key.clone() }
    }
}

/// What a call does to the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

#[async_trait]
impl StateStore for EtcdStore {
    fn name(&self) -> String {
        self.etcd.url().to_string()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        let place = self.place(key);
        self.call(key.as_str(), Kind::Read, |mut client| {
            let place = place.clone();
            async move {
                let mut found = client.get(place, None).await?;
                Ok(found.take_kvs().pop().map(|record| Versioned {
                    version: version(record.mod_revision()),
                    value: record.into_key_value().1,
                }))
            }
        })
        .await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        check_size(key, &value)?;
        let done = self.change(key, &expect, TxnOp::put(self.place(key), value, None)).await?;
        done.map(version).ok_or_else(|| self.conflict(key))
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        let done = self.change(key, &expect, TxnOp::delete(self.place(key), None)).await?;
        done.map(drop).ok_or_else(|| self.conflict(key))
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let from = prefix.map_or_else(|| self.records.clone(), |prefix| format!("{}/", self.place(prefix)));
        let found = self
            .call("(all)", Kind::Read, |mut client| {
                let (from, options) = (from.clone(), GetOptions::new().with_prefix().with_keys_only());
                async move { client.get(from, Some(options)).await }
            })
            .await?;
        let name = |key: &[u8]| Some(std::str::from_utf8(key).ok()?.strip_prefix(&self.records)?.to_owned());
        let mut keys: Vec<_> =
            found.kvs().iter().filter_map(|record| StateKey::new(name(record.key())?)).collect();
        // By segments here, by bytes there.
        keys.sort();
        Ok(keys)
    }
}

fn version(revision: i64) -> Version {
    Version::new(revision.to_string())
}

/// For a whole call.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
