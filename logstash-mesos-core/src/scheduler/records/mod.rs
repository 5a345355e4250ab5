//! What of the state is stored, and where.

use super::clock::now_ms;
use super::shard::{SHARDS, shard_of};
use super::state::{Rollout, State};
use super::task::Task;
use crate::election::Leader;
use crate::ids::{AgentId, FrameworkId};
use crate::store::{Expect, JsonStore, Result, StateKey, StateStore, StoreError, Version};
use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The records of the scheduler that leads: its framework, and its tasks in a fixed set of shards, so that a new
/// leader can take all of them over without knowing the agents.
///
/// # Fencing
///
/// Each leadership has an epoch, larger than any before, which every record carries. A new leader first raises it in
/// the record `leader`, then rewrites every record, and only then acts. Every write compares the version that was read
/// or written last, so from then on each write of the leader before fails, also one that was on its way all the time.
/// For that no record is ever missing: an absent one could be created by anybody.
#[derive(Debug)]
pub(super) struct Records {
    store: Arc<dyn StateStore>,
    epoch: u64,
    framework: Version,
    framework_id: Option<FrameworkId>,
    rollout: Option<Rollout>,
    shards: BTreeMap<u8, Version>,
}

/// What is to be stored of tasks: whole shards.
pub(super) type Shards = BTreeMap<u8, Vec<Task>>;

/// The tasks of the shards that hold these agents.
pub(super) fn shards_with(state: &State, agents: &BTreeSet<AgentId>) -> Shards {
    let shards: BTreeSet<_> = agents.iter().map(shard_of).collect();
    shards.into_iter().map(|shard| (shard, state.tasks_in_shard(shard).cloned().collect())).collect()
}

/// What was stored.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) framework_id: Option<FrameworkId>,
    pub(super) rollout: Option<Rollout>,
    pub(super) tasks: Vec<Task>,
}

/// Who leads, for whoever finds the state in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    #[serde(flatten)]
    pub(super) leader: Leader,
    /// Name of the framework that the state is kept for.
    pub(super) framework: String,
    /// The framework is about to be ended: whoever waits for the lead must not begin it anew.
    #[serde(default)]
    pub(super) uninstalling: bool,
}

/// A record and the leadership in which it was written.
#[derive(Serialize, Deserialize)]
struct Fenced<T> {
    /// Zero in records from before there was more than one scheduler.
    #[serde(default)]
    epoch: u64,
    #[serde(flatten)]
    record: T,
}

#[derive(Default, Serialize, Deserialize)]
struct FrameworkRecord {
    #[serde(default)]
    framework_id: Option<FrameworkId>,
    /// Of the definition that the last leader had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollout: Option<Rollout>,
}

#[derive(Default, Serialize, Deserialize)]
struct ShardRecord {
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct ShardRef<'a> {
    tasks: &'a [Task],
}

/// Of a record, only whose it is.
#[derive(Deserialize)]
struct Nothing {}

impl Records {
    /// Makes all records this leader's. While the store gives no answer it is asked again, each time after `pause`.
    ///
    /// # Errors
    ///
    /// Those of the store that are not transient. One that [is deposed](StoreError::is_deposed) says that another
    /// leader has begun.
    pub(super) async fn take_over<F: Future<Output = ()>>(
        store: Arc<dyn StateStore>,
        claim: &Claim,
        pause: impl Fn(StoreError) -> F,
    ) -> Result<(Self, Stored)> {
        let epoch = raise_epoch(&*store, claim, &pause).await?;
        let (record, framework) = seize(&*store, &framework_key(), epoch, &pause).await?;
        let FrameworkRecord { framework_id, rollout } = record;
        let mut stored =
            Stored { framework_id: framework_id.clone(), rollout: rollout.clone(), tasks: vec![] };
        let mut records = Self { store, epoch, framework, framework_id, rollout, shards: BTreeMap::new() };
        let (store, pause) = (&*records.store, &pause);
        let seized: Vec<_> = stream::iter(0..SHARDS)
            .map(|shard| async move {
                (shard, seize::<ShardRecord, _>(store, &shard_key(shard), epoch, pause).await)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (shard, result) in seized {
            let (record, version) = result?;
            records.shards.insert(shard, version);
            stored.tasks.extend(record.tasks);
        }
        Ok((records, stored))
    }

    /// Who leads or led last, and in which epoch.
    pub(super) async fn last_claim(store: &dyn StateStore) -> Result<Option<(Claim, u64)>> {
        let found = store.get_json::<Fenced<Claim>>(&leader_key()).await?;
        Ok(found.map(|(fenced, _)| (fenced.record, fenced.epoch)))
    }

    /// Of this leadership.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Stores the framework's id, or that there is none.
    pub(super) async fn store_framework(&mut self, framework_id: Option<&FrameworkId>) -> Result<()> {
        self.framework_id = framework_id.cloned();
        self.write_framework().await
    }

    async fn write_framework(&mut self) -> Result<()> {
        let (framework_id, rollout) = (self.framework_id.clone(), self.rollout.clone());
        let record = Fenced { epoch: self.epoch, record: FrameworkRecord { framework_id, rollout } };
        let expect = Expect::Version(self.framework.clone());
        self.framework = self.store.put_json(&framework_key(), &record, expect).await?;
        Ok(())
    }

    /// Stores the tasks of shards, several at the same time.
    pub(super) async fn store_tasks(&mut self, shards: &Shards) -> Result<()> {
        let (store, epoch) = (&*self.store, self.epoch);
        let mut writes = Vec::new();
        for (&shard, tasks) in shards {
            let record = Fenced { epoch, record: ShardRef { tasks } };
            let expect = Expect::Version(self.shards[&shard].clone());
            writes.push(async move { (shard, store.put_json(&shard_key(shard), &record, expect).await) });
        }
        let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        let mut result = Ok(());
        for (shard, outcome) in written {
            match outcome {
                Ok(version) => drop(self.shards.insert(shard, version)),
                // What cannot be mended by another attempt is what to report.
                Err(error) if result.as_ref().is_err_and(|e: &StoreError| !e.is_transient()) => drop(error),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Stores how far a roll-out is.
    pub(super) async fn store_rollout(&mut self, rollout: &Rollout) -> Result<()> {
        self.rollout = Some(rollout.clone()).filter(|r| !r.is_idle());
        self.write_framework().await
    }

    /// Reads again what a write that got no answer may have changed, so that it can be repeated. A record of
    /// another leadership is a conflict.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        self.framework = self.own_version(&framework_key()).await?;
        for (shard, version) in self.shards.clone() {
            let now = self.own_version(&shard_key(shard)).await?;
            if now != version {
                self.shards.insert(shard, now);
            }
        }
        Ok(())
    }

    async fn own_version(&self, key: &StateKey) -> Result<Version> {
        match self.store.get_json::<Fenced<Nothing>>(key).await? {
            Some((found, version)) if found.epoch == self.epoch => Ok(version),
            Some(_) | None => Err(conflict(&*self.store, key)),
        }
    }

    /// Removes every record there is, configurations included.
    pub(super) async fn clear(store: &dyn StateStore) -> Result<(), StoreError> {
        for key in store.list(None).await? {
            store.delete(&key, Expect::Any).await?;
        }
        Ok(())
    }
}

/// Writes down who leads now. The epoch is at least the time in seconds: should the state be restored from a copy,
/// executors must not take the next leader for one that was deposed.
async fn raise_epoch<F: Future<Output = ()>>(
    store: &dyn StateStore,
    claim: &Claim,
    pause: &impl Fn(StoreError) -> F,
) -> Result<u64> {
    let key = leader_key();
    let before = read::<Nothing, _>(store, &key, pause).await?;
    let (last, expect) = match before {
        Some((found, version)) => (found.epoch, Expect::Version(version)),
        None => (0, Expect::Absent),
    };
    let epoch = (last + 1).max(now_ms() / 1000);
    loop {
        let error = match store.put_json(&key, &Fenced { epoch, record: claim }, expect.clone()).await {
            Ok(_) => return Ok(epoch),
            Err(error) => error,
        };
        if error.is_transient() {
            pause(error).await;
            continue;
        }
        if error.is_conflict() {
            // An attempt that got no answer may have got through.
            let now = read::<Claim, _>(store, &key, pause).await?;
            if now.is_some_and(|(found, _)| found.epoch == epoch && found.record == *claim) {
                return Ok(epoch);
            }
        }
        // Somebody else raised it, and may have come later: only a new election entitles to raise it further.
        return Err(error);
    }
}

/// Rewrites a record as it is, so that nobody else knows its version.
async fn seize<T, F>(
    store: &dyn StateStore,
    key: &StateKey,
    epoch: u64,
    pause: &impl Fn(StoreError) -> F,
) -> Result<(T, Version)>
where
    T: Serialize + DeserializeOwned + Default,
    F: Future<Output = ()>,
{
    loop {
        let found = read::<T, _>(store, key, pause).await?;
        let (record, expect) = match found {
            Some((found, _)) if found.epoch > epoch => return Err(conflict(store, key)),
            Some((found, version)) => (found.record, Expect::Version(version)),
            None => (T::default(), Expect::Absent),
        };
        match store.put_json(key, &Fenced { epoch, record: &record }, expect).await {
            Ok(version) => return Ok((record, version)),
            // The leader before was faster: what it wrote is to be taken over, too.
            Err(error) if error.is_conflict() => {}
            Err(error) if error.is_transient() => pause(error).await,
            Err(error) => return Err(error),
        }
    }
}

/// Reads a record, again and again while the store gives no answer.
async fn read<T: DeserializeOwned, F: Future<Output = ()>>(
    store: &dyn StateStore,
    key: &StateKey,
    pause: &impl Fn(StoreError) -> F,
) -> Result<Option<(Fenced<T>, Version)>> {
    loop {
        match store.get_json(key).await {
            Err(error) if error.is_transient() => pause(error).await,
            other => return other,
        }
    }
}

fn conflict(store: &dyn StateStore, key: &StateKey) -> StoreError {
    StoreError::Conflict { backend: store.name(), key: key.clone() }
}

fn leader_key() -> StateKey {
    StateKey::new("leader").expect("a plain name")
}

fn framework_key() -> StateKey {
    StateKey::new("framework").expect("a plain name")
}

fn shard_key(shard: u8) -> StateKey {
    StateKey::new(format!("agents/{shard:02x}")).expect("a plain name")
}

/// Records that are read or written at the same time.
const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests;
