//! What of the state is stored, and where.

use super::state::State;
use super::task::Task;
use crate::ids::{AgentId, FrameworkId};
use crate::store::{Expect, JsonStore, Result, StateKey, StateStore, StoreError, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The records of a scheduler: its framework, and its tasks in a fixed set of shards, so that a new
/// leader can take all of them over without knowing the agents.
///
/// Every write compares the version that was read or written last: another scheduler at work makes it
/// fail instead of being overwritten.
#[derive(Debug)]
pub(super) struct Records {
    store: Arc<dyn StateStore>,
    framework: Option<Version>,
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
    pub(super) tasks: Vec<Task>,
}

#[derive(Serialize, Deserialize)]
struct FrameworkRecord {
    framework_id: FrameworkId,
}

#[derive(Serialize, Deserialize)]
struct ShardRecord {
    tasks: Vec<Task>,
}

impl Records {
    pub(super) async fn load(store: Arc<dyn StateStore>) -> Result<(Self, Stored)> {
        let mut records = Self { store, framework: None, shards: BTreeMap::new() };
        let mut stored = Stored::default();
        if let Some((record, version)) = records.store.get_json::<FrameworkRecord>(&framework_key()).await? {
            records.framework = Some(version);
            stored.framework_id = Some(record.framework_id);
        }
        for shard in 0..SHARDS {
            if let Some((record, version)) = records.store.get_json::<ShardRecord>(&shard_key(shard)).await? {
                records.shards.insert(shard, version);
                stored.tasks.extend(record.tasks);
            }
        }
        Ok((records, stored))
    }

    /// Stores the framework's id, or that there is none.
    pub(super) async fn store_framework(&mut self, framework_id: Option<&FrameworkId>) -> Result<()> {
        let expect = expect(self.framework.as_ref());
        let Some(framework_id) = framework_id.cloned() else {
            self.store.delete(&framework_key(), expect).await?;
            self.framework = None;
            return Ok(());
        };
        let record = FrameworkRecord { framework_id };
        self.framework = Some(self.store.put_json(&framework_key(), &record, expect).await?);
        Ok(())
    }

    /// Stores the tasks of shards.
    pub(super) async fn store_tasks(&mut self, shards: &Shards) -> Result<()> {
        for (&shard, tasks) in shards {
            let expect = expect(self.shards.get(&shard));
            if tasks.is_empty() {
                self.store.delete(&shard_key(shard), expect).await?;
                self.shards.remove(&shard);
            } else {
                let record = ShardRecord { tasks: tasks.clone() };
                let version = self.store.put_json(&shard_key(shard), &record, expect).await?;
                self.shards.insert(shard, version);
            }
        }
        Ok(())
    }

    /// Reads again what a write that got no answer may have changed, so that it can be repeated.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        let (fresh, _) = Self::load(self.store.clone()).await?;
        (self.framework, self.shards) = (fresh.framework, fresh.shards);
        Ok(())
    }

    /// Removes every record there is, configurations included.
    pub(super) async fn clear(store: &dyn StateStore) -> Result<(), StoreError> {
        for key in store.list(None).await? {
            store.delete(&key, Expect::Any).await?;
        }
        Ok(())
    }
}

fn expect(version: Option<&Version>) -> Expect {
    version.map_or(Expect::Absent, |v| Expect::Version(v.clone()))
}

fn framework_key() -> StateKey {
    StateKey::new("framework").expect("a plain name")
}

fn shard_key(shard: u8) -> StateKey {
    StateKey::new(format!("agents/{shard:02x}")).expect("a plain name")
}

/// Must never change: records would be looked for in the wrong place.
pub(super) fn shard_of(agent_id: &AgentId) -> u8 {
    use sha2::{Digest, Sha256};
    Sha256::digest(agent_id.as_str())[0] % SHARDS
}

const SHARDS: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn shards_are_where_they_always_were() {
        assert_eq!(["a", "b", "S0"].map(|id| shard_of(&id.into())), [10, 62, 56]);
    }

    #[tokio::test]
    async fn a_second_writer_is_noticed() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let (mut first, _) = Records::load(store.clone()).await.expect("loads");
        let (mut second, _) = Records::load(store.clone()).await.expect("loads");
        first.store_framework(Some(&"f".into())).await.expect("stores");
        let error = second.store_framework(Some(&"g".into())).await.expect_err("was changed");
        assert!(error.is_conflict(), "{error}");
        let (_, stored) = Records::load(store).await.expect("loads");
        assert_eq!(stored.framework_id, Some("f".into()));
    }
}
