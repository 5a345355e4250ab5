//! The scheduler inside one's own program, with a state store and an offer strategy of one's own.
//!
//! `cargo run -p logstash-mesos-core --features scheduler --example own_scheduler -- MASTER:5050`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use logstash_mesos_core::configs::{ConfigKey, Configuration, Precondition};
use logstash_mesos_core::election::MemoryElection;
use logstash_mesos_core::mesos_v1::proto::{Offer, Resource};
use logstash_mesos_core::offer::{
    AgentView, Capacity, Decision, OfferStrategy, OnePerAgent, Reason, Situation, Standing, Unwanted,
};
use logstash_mesos_core::scheduler::{Scheduler, Settings};
use logstash_mesos_core::store::{
    Expect, MAX_VALUE_BYTES, Result, StateKey, StateStore, StoreError, Version, Versioned,
};

/// Runs a scheduler for a moment: `pairs` are settings, as in a settings file.
pub(crate) async fn schedule(
    pairs: &[(&str, &str)],
) -> std::result::Result<usize, Box<dyn std::error::Error>> {
    let scheduler = Scheduler::builder(Settings::of(pairs.iter().copied())?)
        .state(Arc::new(MapStore::default()), Arc::new(MemoryElection::default()))
        .strategy(|standard| NotOn { domain: ".test.example", standard })
        .start()
        .await?;
    let configurations = scheduler.configurations();
    let nginx = Configuration::docker(
        "nginx*",
        "input { docker { } } filter { grok { match => { message => \"%{HTTPD_COMBINEDLOG}\" } } }",
    );
    configurations.put(nginx, Precondition::default()).await?;
    configurations
        .put(Configuration::host("syslog", "input { syslog { port => 5514 } }"), Precondition::default())
        .await?;
    configurations.remove(&ConfigKey::host("syslog")).await?;
    let left = configurations.list().await?.len();
    scheduler.stop().await?;
    Ok(left)
}

/// Keeps agents of a domain free.
#[derive(Debug)]
struct NotOn {
    domain: &'static str,
    standard: OnePerAgent,
}

impl OfferStrategy for NotOn {
    fn excludes(&self, agent: &AgentView<'_>) -> Option<Reason> {
        if agent.hostname.ends_with(self.domain) {
            let rule = format!("nothing on *{}", self.domain);
            return Some(Reason::Constraint { rule, value: Some(agent.hostname.to_owned()) });
        }
        self.standard.excludes(agent)
    }

    fn decide(&self, offers: &[Offer], situation: &Situation<'_>) -> Decision {
        let excluded = offers.first().and_then(|offer| self.excludes(&AgentView::of(offer)));
        match excluded {
            Some(reason) => self.standard.decide(offers, &Situation::Barred(reason)),
            None => self.standard.decide(offers, situation),
        }
    }

    fn standing(&self, agent: &AgentView<'_>, total: &[Resource], allocated: &[Resource]) -> Standing {
        Standing { excluded: self.excludes(agent), ..self.standard.standing(agent, total, allocated) }
    }

    fn counts(&self, agent: &AgentView<'_>) -> Vec<String> {
        self.standard.counts(agent)
    }

    fn lacks(&self, capacity: &Capacity) -> Option<Reason> {
        self.standard.lacks(capacity)
    }

    fn lacks_ports(&self, capacity: &Capacity, ports: &[u16]) -> Option<Reason> {
        self.standard.lacks_ports(capacity, ports)
    }

    fn unwanted(&self) -> Unwanted {
        self.standard.unwanted()
    }
}

/// Keeps the state in a map; put your database here. `testing::state_store::conformance` tries a store.
#[derive(Debug, Default)]
pub(crate) struct MapStore(Mutex<(u64, BTreeMap<StateKey, Versioned>)>);

impl MapStore {
    fn lock(
        &self,
        key: Option<&StateKey>,
        expect: &Expect,
    ) -> Result<MutexGuard<'_, (u64, BTreeMap<StateKey, Versioned>)>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match key {
            Some(key) if !expect.holds(records.1.get(key).map(|record| &record.version)) => {
                Err(StoreError::Conflict { backend: self.name(), key: key.clone() })
            }
            _ => Ok(records),
        }
    }
}

#[async_trait]
impl StateStore for MapStore {
    fn name(&self) -> String {
        "map".to_owned()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        Ok(self.lock(None, &Expect::Any)?.1.get(key).cloned())
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge {
                key: key.clone(),
                bytes: value.len(),
                limit: MAX_VALUE_BYTES,
            });
        }
        let mut records = self.lock(Some(key), &expect)?;
        records.0 += 1;
        let version = Version::new(records.0.to_string());
        records.1.insert(key.clone(), Versioned { value, version: version.clone() });
        Ok(version)
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        self.lock(Some(key), &expect)?.1.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let records = self.lock(None, &Expect::Any)?;
        Ok(records.1.keys().filter(|key| prefix.is_none_or(|prefix| key.is_below(prefix))).cloned().collect())
    }
}

#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "an example speaks to its reader; the tests include this file"
)]
#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let master = std::env::args().nth(1).ok_or("which master? own_scheduler HOST:PORT")?;
    let settings =
        [("mesos.master", master.as_str()), ("executor.command", "/usr/local/bin/logstash-mesos-executor")];
    println!("{} configuration is left", schedule(&settings).await?);
    Ok(())
}
