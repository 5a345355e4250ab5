//! Records as nodes of ZooKeeper.

use super::{Expect, Result, StateKey, StateStore, StoreError, Version, Versioned, check_size};
use crate::zookeeper::{OUR_ROOT, ZooKeeper, is_refusal};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zookeeper_client::{Client, CreateMode, Error, MultiWriteError, MultiWriteResult, MultiWriter, Stat};

/// Keeps each record in a node `PATH/records/KEY`, with `:` in place of the slashes of the key.
///
/// Nodes beside each other, and not one below the other, let a key be a record and the beginning of others, and make
/// a list of one answer. A version is the node's creation (`czxid`) with the number of its writes. ZooKeeper compares
/// the number alone, which begins again when a node is removed and made anew. So every removal also writes to the
/// node `records`, and a write that expects a version expects `records` to be as it was when the creation was
/// looked at, in one transaction.
///
/// Reads ask the server to catch up with the leader first (`sync`): else another server might not know yet what
/// was acknowledged.
///
/// Every call takes at most ten seconds, reconnecting included.
#[derive(Debug)]
pub struct ZooKeeperStore {
    zookeeper: Arc<ZooKeeper>,
    records: String,
    seen: Mutex<HashMap<StateKey, Seen>>,
}

/// A node of this creation was there when `records` had this version.
#[derive(Clone, Copy, Debug)]
struct Seen {
    czxid: i64,
    records: i32,
}

impl ZooKeeperStore {
    pub(crate) fn new(zookeeper: Arc<ZooKeeper>) -> Self {
        let records = format!("{}/records", zookeeper.url().path());
        Self { zookeeper, records, seen: Mutex::default() }
    }

    fn node(&self, key: &StateKey) -> String {
        format!("{}/{}", self.records, key.as_str().replace('/', ":"))
    }

    /// Does it with a client that is connected, within the limit.
    async fn call<T, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        key: &str,
        work: impl FnOnce(Client) -> F + Send,
    ) -> Result<T> {
        let whole = async { work(self.zookeeper.client().await?).await };
        let error = match tokio::time::timeout(LIMIT, whole).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => Error::Timeout,
        };
        let (backend, key) = (self.name(), key.to_owned());
        if is_refusal(&error) {
            let remedy = match self.zookeeper.url().credentials() {
                Some(_) => "give --state the credentials that own the nodes, or a path of its own",
                None => {
                    "give --state the credentials of their owner, zk://USER:PASSWORD@…, or a path of its own"
                }
            };
            return Err(StoreError::Refused {
                backend,
                key,
                remedy: remedy.to_owned(),
                source: error.into(),
            });
        }
        Err(StoreError::Unavailable { backend, key, source: error.into() })
    }

    async fn create(&self, client: &Client, node: &str, value: &[u8]) -> Result<Version, Error> {
        let options = CreateMode::Persistent.with_acls(self.zookeeper.acls());
        let (stat, _) = match client.create(node, value, &options).await {
            Err(Error::NoNode) => {
                client.mkdir(&self.records, &options).await?;
                client.create(node, value, &options).await?
            }
            done => done?,
        };
        Ok(version(&stat))
    }

    async fn write(
        &self,
        client: Client,
        key: &StateKey,
        value: &[u8],
        expect: Expect,
    ) -> Result<Option<Version>, Error> {
        let node = self.node(key);
        match expect {
            Expect::Any => loop {
                match client.set_data(&node, value, None).await {
                    Err(Error::NoNode) => {}
                    done => return done.map(|stat| Some(version(&stat))),
                }
                match self.create(&client, &node, value).await {
                    // Somebody else was between the two.
                    Err(Error::NodeExists) => {}
                    done => return done.map(Some),
                }
            },
            Expect::Absent => match self.create(&client, &node, value).await {
                Err(Error::NodeExists) => Ok(None),
                done => done.map(Some),
            },
            Expect::Version(expected) => {
                let change =
                    |multi: &mut MultiWriter<'_>, writes| multi.add_set_data(&node, value, Some(writes));
                let done = self.change(&client, key, &expected, change).await?;
                Ok(done.and_then(|results| match results.last() {
                    Some(MultiWriteResult::SetData { stat }) => Some(version(stat)),
                    _ => None,
                }))
            }
        }
    }

    async fn remove(&self, client: Client, key: &StateKey, expect: Expect) -> Result<Option<()>, Error> {
        let node = self.node(key);
        match expect {
            Expect::Any => {
                let mut multi = client.new_multi_writer();
                multi.add_set_data(&self.records, &[], None)?;
                multi.add_delete(&node, None)?;
                match multi.commit().await.map_err(Error::from) {
                    Err(Error::NoNode) => Ok(Some(())),
                    done => done.map(|_| Some(())),
                }
            }
            Expect::Absent => {
                let (sync, stat) = (client.sync(&self.records), client.check_stat(&node));
                sync.await?;
                Ok(stat.await?.is_none().then_some(()))
            }
            Expect::Version(expected) => {
                let change = |multi: &mut MultiWriter<'_>, writes| {
                    multi.add_set_data(&self.records, &[], None)?;
                    multi.add_delete(&node, Some(writes))
                };
                Ok(self.change(&client, key, &expected, change).await?.map(|_| ()))
            }
        }
    }

    /// Changes a node that is still at `expected`; `None` when it is not.
    async fn change(
        &self,
        client: &Client,
        key: &StateKey,
        expected: &Version,
        change: impl Fn(&mut MultiWriter<'_>, i32) -> Result<(), Error> + Send,
    ) -> Result<Option<Vec<MultiWriteResult>>, Error> {
        let Some((czxid, writes)) = parse(expected) else { return Ok(None) };
        let mut seen = self.seen().get(key).copied().filter(|seen| seen.czxid == czxid);
        loop {
            let records = match seen.take() {
                Some(seen) => seen.records,
                None => {
                    let node = self.node(key);
                    // One after the other: whoever removes the node afterwards writes to `records` afterwards.
                    let sync = client.sync(&self.records);
                    let (records, node) = (client.check_stat(&self.records), client.check_stat(&node));
                    sync.await?;
                    let (Some(records), Some(node)) = (records.await?, node.await?) else { return Ok(None) };
                    if (node.czxid, node.version) != (czxid, writes) {
                        return Ok(None);
                    }
                    self.seen().insert(key.clone(), Seen { czxid, records: records.version });
                    records.version
                }
            };
            let mut multi = client.new_multi_writer();
            multi.add_check_version(&self.records, records)?;
            change(&mut multi, writes)?;
            match multi.commit().await {
                Ok(results) => return Ok(Some(results)),
                // Some record was removed since: look again whether it was this one.
                Err(MultiWriteError::OperationFailed { index: 0, source: Error::BadVersion }) => {}
                Err(MultiWriteError::OperationFailed {
                    source: Error::BadVersion | Error::NoNode, ..
                }) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<StateKey, Seen>> {
        // Every change is one insert or remove: a panic elsewhere leaves nothing half done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conflict(&self, key: &StateKey) -> StoreError {
        StoreError::Conflict { backend: self.name(), key: key.clone() }
    }
}

#[async_trait]
impl StateStore for ZooKeeperStore {
    fn name(&self) -> String {
        self.zookeeper.url().to_string()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        let node = self.node(key);
        self.call(key.as_str(), |client| async move {
            let (sync, data) = (client.sync(&self.records), client.get_data(&node));
            sync.await?;
            match data.await {
                Ok((value, stat)) => Ok(Some(Versioned { value, version: version(&stat) })),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        check_size(key, &value)?;
        let done = self.call(key.as_str(), |client| self.write(client, key, &value, expect)).await?;
        done.ok_or_else(|| self.conflict(key))
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        let done = self.call(key.as_str(), |client| self.remove(client, key, expect)).await?;
        self.seen().remove(key);
        done.ok_or_else(|| self.conflict(key))
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let names = self
            .call("(all)", |client| async move {
                let (sync, names) = (client.sync(&self.records), client.list_children(&self.records));
                sync.await?;
                match names.await {
                    Err(Error::NoNode) => Ok(vec![]),
                    done => done,
                }
            })
            .await?;
        let keys = names.into_iter().filter_map(|name| StateKey::new(name.replace(':', "/")));
        let mut keys: Vec<_> = keys.filter(|key| prefix.is_none_or(|prefix| key.is_below(prefix))).collect();
        keys.sort();
        Ok(keys)
    }

    async fn tidy(&self) -> Result<()> {
        let path = self.zookeeper.url().path();
        // The candidates of the election are beside the records. What is above is ours only by its name.
        let mut nodes = vec![self.records.clone(), format!("{path}/election"), path.to_owned()];
        nodes.extend(
            path.rsplit_once('/').filter(|(above, _)| *above == OUR_ROOT).map(|(above, _)| above.to_owned()),
        );
        nodes.retain(|node| !node.is_empty());
        self.call("(all)", |client| async move {
            for node in &nodes {
                match client.delete(node, None).await {
                    Ok(()) | Err(Error::NoNode | Error::NotEmpty) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }
}

fn version(stat: &Stat) -> Version {
    Version::new(format!("{}.{}", stat.czxid, stat.version))
}

fn parse(version: &Version) -> Option<(i64, i32)> {
    let (czxid, writes) = version.as_str().split_once('.')?;
    Some((czxid.parse().ok()?, writes.parse().ok()?))
}

/// For a whole call. The client library sets none for an answer.
const LIMIT: Duration = Duration::from_secs(10);
