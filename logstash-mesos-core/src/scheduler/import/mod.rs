//! The state of mesos/logstash, taken over at the first start: the framework's id and the configurations.
//!
//! Its nodes in ZooKeeper are read and never changed.

mod java;
mod nodes;
#[cfg(test)]
mod tests;

use self::nodes::{Content, Node, nodes, tasks_node};
use super::records::Records;
use super::settings::{Master, Settings};
use crate::configs::{Author, Configuration, Precondition, Registry};
use crate::error_chain;
use crate::ids::FrameworkId;
use crate::store::{Expect, JsonStore, StateKey, StateStore, StateUrl, StoreError};
use crate::zookeeper::{ZooKeeper, ZooKeeperUrl, is_refusal};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zookeeper_client::Error;

/// What is taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Taken {
    framework_id: Option<String>,
    configurations: Vec<Configuration>,
    /// What the log says of it.
    notes: Vec<String>,
    /// What it warns of: what is not taken over.
    left: Vec<String>,
}

/// A node that was there: what it holds, and when it was written last.
#[derive(Clone, Debug)]
struct Read {
    node: Node,
    written_ms: i64,
    content: Result<Option<Content>, String>,
}

/// That it was done, so that what somebody removes afterwards stays removed.
#[derive(Serialize, Deserialize)]
struct Done {
    framework_id: Option<FrameworkId>,
    configurations: usize,
}

/// Takes over what there is, unless that was done before. Returns the id that the framework had.
///
/// While ZooKeeper gives no answer it is asked again, each time after `pause`.
///
/// # Errors
///
/// Those of the store. What was done before is done again by the next call, and gives the same.
pub(super) async fn predecessor<F: Future<Output = ()>>(
    settings: &Settings,
    store: &dyn StateStore,
    registry: &Registry,
    records: &mut Records,
    pause: impl Fn(StoreError) -> F,
) -> Result<Option<FrameworkId>, StoreError> {
    if settings.state == StateUrl::Memory || store.get_json::<Done>(&key()).await?.is_some() {
        return Ok(None);
    }
    let name = &settings.framework_name;
    let mut read = Vec::new();
    for url in places(settings) {
        let zookeeper = ZooKeeper::new(url, settings.session_timeout);
        for node in nodes(name) {
            read.extend(look(&zookeeper, node, &pause).await);
        }
        let ids: Vec<_> = read.iter().filter_map(|read: &Read| read.framework_id()).collect();
        for id in ids {
            read.extend(look(&zookeeper, tasks_node(name, &id), &pause).await);
        }
    }
    let taken = decide(read);
    for note in &taken.notes {
        tracing::info!("From mesos/logstash: {note}");
    }
    for left in &taken.left {
        tracing::warn!("From mesos/logstash: {left}");
    }
    let mut stored = 0;
    for configuration in taken.configurations {
        let (name, kind) = (configuration.name.clone(), configuration.kind.name());
        // One that is there was taken over before an end in the middle, or written since.
        let expect = Precondition { only_create: true, version: None };
        match registry.put(configuration, expect, &Author::part("import from mesos/logstash")).await {
            Ok(_) => {
                stored += 1;
                tracing::info!(name, kind, "From mesos/logstash: configuration taken over");
            }
            Err(crate::configs::PutError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(
                    name,
                    kind,
                    error = error_chain(&error),
                    "From mesos/logstash: configuration not taken over, it stays where it was"
                );
            }
        }
    }
    let framework_id = taken.framework_id.map(FrameworkId::from);
    if framework_id.is_some() {
        records.store_framework(framework_id.as_ref()).await?;
    }
    let done = Done { framework_id: framework_id.clone(), configurations: stored };
    store.put_json(&key(), &done, Expect::Any).await?;
    Ok(framework_id)
}

/// The services that may hold its state: where ours is, and where the masters are found.
fn places(settings: &Settings) -> Vec<ZooKeeperUrl> {
    let mut places = Vec::new();
    if let StateUrl::ZooKeeper(url) = &settings.state {
        places.push(url.clone());
    }
    if let Master::ZooKeeper(url) = &settings.master
        && places.iter().all(|place| place.servers() != url.servers())
    {
        places.push(url.clone());
    }
    places
}

/// Reads a node, if it is there.
async fn look<F: Future<Output = ()>>(
    zookeeper: &ZooKeeper,
    node: Node,
    pause: &impl Fn(StoreError) -> F,
) -> Option<Read> {
    loop {
        let whole = async { zookeeper.client().await?.get_data(&node.path).await };
        let error = match tokio::time::timeout(LIMIT, whole).await.unwrap_or(Err(Error::Timeout)) {
            Ok((bytes, stat)) => {
                let content = node.read(&bytes).map_err(|error| error_chain(&error));
                return Some(Read { node, written_ms: stat.mtime, content });
            }
            // A name that is no path there was none of the predecessor's either.
            Err(Error::NoNode | Error::BadArguments(_)) => return None,
            Err(error) if is_refusal(&error) => {
                let content = Err(format!("{error}: give --state the credentials that may read it"));
                return Some(Read { node, written_ms: 0, content });
            }
            Err(error) => error,
        };
        let key = node.path.clone();
        pause(StoreError::Unavailable { backend: "zookeeper".to_owned(), key, source: error.into() }).await;
    }
}

impl Read {
    fn framework_id(&self) -> Option<String> {
        match &self.content {
            Ok(Some(Content::FrameworkId(id))) => Some(id.clone()),
            _ => None,
        }
    }
}

/// Of several versions that ran here, what was written last counts.
fn decide(mut read: Vec<Read>) -> Taken {
    read.sort_by_key(|read| std::cmp::Reverse(read.written_ms));
    let mut taken = Taken::default();
    let mut has_configurations = false;
    for Read { node, content, .. } in read {
        let Node { path, versions, .. } = &node;
        match content {
            Ok(None) => {}
            Ok(Some(Content::FrameworkId(id))) if taken.framework_id.is_none() => {
                taken.notes.push(format!("framework id {id} of version {versions}, from {path}"));
                taken.framework_id = Some(id);
            }
            Ok(Some(Content::FrameworkId(id))) => {
                taken.left.push(format!("framework id {id} in {path} is not taken over, as it is older"));
            }
            Ok(Some(Content::Configurations(found))) if !has_configurations => {
                has_configurations = true;
                taken.notes.push(format!("{} configurations of version {versions}, from {path}", found.len()));
                taken.configurations = found;
            }
            Ok(Some(Content::Configurations(found))) => {
                let count = found.len();
                taken.left.push(format!("{count} configurations in {path} are not taken over, as they are older"));
            }
            Ok(Some(Content::Tasks(count))) => taken.notes.push(format!(
                "{count} tasks in {path} are not taken over: with the framework's id their executors are found and \
                 ended, and ours take their places"
            )),
            Err(problem) => taken.left.push(format!("{path} is not taken over: {problem}")),
        }
    }
    taken
}

fn key() -> StateKey {
    StateKey::new("imported").expect("a plain name")
}

const LIMIT: Duration = Duration::from_secs(10);
