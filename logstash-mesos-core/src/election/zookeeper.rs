//! Candidates as nodes of ZooKeeper.

use super::candidate::{Entry, Service, Setback, campaign};
use super::{Election, Leader, Leadership};
use crate::store::error;
use crate::zookeeper::{ZooKeeper, is_refusal};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use zookeeper_client::{Client, CreateMode, Error};

/// Lets the candidate lead whose node `PATH/election/ID-NNNNNNNNNN` has the lowest number.
///
/// The nodes hold the [`Leader`] as JSON and go with the session that made them. Each candidate watches the one
/// before it. The leader asks for its node several times within the session's time, through the leading server
/// (`sync`), and gives up at two thirds of it without an answer: a third before the servers can end the session.
#[derive(Debug)]
pub struct ZooKeeperElection {
    directory: Arc<Directory>,
    leader: watch::Sender<Option<Leader>>,
    following: AbortHandle,
}

impl ZooKeeperElection {
    pub(crate) fn new(zookeeper: Arc<ZooKeeper>) -> Self {
        let path = format!("{}/election", zookeeper.url().path());
        let directory = Arc::new(Directory { zookeeper, path });
        let leader = watch::Sender::new(None);
        let following = tokio::spawn(follow(directory.clone(), leader.clone())).abort_handle();
        Self { directory, leader, following }
    }
}

impl Drop for ZooKeeperElection {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl Election for ZooKeeperElection {
    async fn campaign(&self, candidate: &Leader) -> error::Result<Leadership> {
        campaign(self.directory.clone(), candidate.clone()).await
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }
}

/// Where the nodes of the candidates are.
#[derive(Debug)]
struct Directory {
    zookeeper: Arc<ZooKeeper>,
    path: String,
}

/// A node, in the session that made it.
struct Node {
    client: Client,
    directory: String,
    path: String,
}

impl Service for Directory {
    type Entry = Node;

    fn name(&self) -> String {
        self.zookeeper.url().to_string()
    }

    async fn enter(&self, leader: &Leader) -> Result<Node, Setback> {
        let client = self.zookeeper.client().await?;
        // Where the answer to an earlier request was lost, the node may be there.
        if let Some(path) = self.find(&client, leader).await? {
            return Ok(self.node(client, path));
        }
        let data = serde_json::to_vec(leader).map_err(|error| Setback::Refused(error.into()))?;
        let prefix = format!("{}/{}-", self.path, leader.id);
        let options = CreateMode::EphemeralSequential.with_acls(self.zookeeper.acls());
        let created = match within(&client, client.create(&prefix, &data, &options)).await {
            Err(Error::NoNode) => {
                let persistent = CreateMode::Persistent.with_acls(self.zookeeper.acls());
                within(&client, client.mkdir(&self.path, &persistent)).await?;
                within(&client, client.create(&prefix, &data, &options)).await
            }
            created => created,
        };
        let path = format!("{prefix}{}", created?.1);
        Ok(self.node(client, path))
    }

    async fn withdraw(&self, leader: &Leader) {
        let whole = async {
            let client = self.zookeeper.client().await?;
            while let Some(path) = self.find(&client, leader).await? {
                self.node(client.clone(), path).remove().await;
            }
            Ok::<_, Error>(())
        };
        // What this leaves goes with the session.
        let _at_best = timeout(Duration::from_secs(15), whole).await;
    }
}

impl Directory {
    fn node(&self, client: Client, path: String) -> Node {
        Node { client, directory: self.path.clone(), path }
    }

    /// The node of a candidate in this session.
    async fn find(&self, client: &Client, leader: &Leader) -> Result<Option<String>, Error> {
        let names = match within(client, client.list_children(&self.path)).await {
            Err(Error::NoNode) => return Ok(None),
            names => names?,
        };
        for name in names.iter().filter(|name| name.rsplit_once('-').is_some_and(|(id, _)| id == leader.id)) {
            let path = format!("{}/{name}", self.path);
            // One of an earlier session is about to go, whatever we do.
            let stat = within(client, client.check_stat(&path)).await?;
            if stat.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

impl Entry for Node {
    fn silence(&self) -> Duration {
        self.client.session_timeout()
    }

    async fn wait(&self) -> Result<Instant, Setback> {
        let ours = number(&self.path);
        loop {
            let asked = Instant::now();
            let (sync, names) =
                (self.client.sync(&self.directory), self.client.list_children(&self.directory));
            within(&self.client, sync).await?;
            let names = within(&self.client, names).await?;
            let mut others: Vec<_> = names.iter().map(|name| (number(name), name)).collect();
            others.retain(|(number, _)| number.is_some());
            others.sort();
            if others.iter().all(|(number, _)| *number != ours) {
                return Err(Error::NoNode.into());
            }
            let Some((_, before)) = others.iter().rev().find(|(number, _)| *number < ours) else {
                return Ok(asked);
            };
            let before = format!("{}/{before}", self.directory);
            let (there, watcher) = within(&self.client, self.client.check_and_watch_stat(&before)).await?;
            if there.is_some() {
                // The end of the session is told as well.
                watcher.changed().await;
            }
        }
    }

    async fn confirm(&self) -> Result<bool, Setback> {
        let (sync, stat) = (self.client.sync(&self.path), self.client.check_stat(&self.path));
        if self.client.state().is_terminated() {
            return Ok(false);
        }
        within(&self.client, sync).await?;
        Ok(within(&self.client, stat).await?.is_some())
    }

    async fn remove(self) {
        while !self.client.state().is_terminated() {
            match within(&self.client, self.client.delete(&self.path, None)).await {
                Ok(()) | Err(Error::NoNode) => return,
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

/// Tells who leads, also to whoever is no candidate. While ZooKeeper is away, what was known last stays.
async fn follow(directory: Arc<Directory>, leader: watch::Sender<Option<Leader>>) {
    loop {
        let followed = async {
            let client = directory.zookeeper.client().await?;
            follow_with(&client, &directory.path, &leader).await
        };
        if let Err(error) = followed.await {
            tracing::debug!(%error, "Looking again who leads");
        }
        sleep(PAUSE).await;
    }
}

/// Returns when the session has ended.
async fn follow_with(
    client: &Client,
    directory: &str,
    leader: &watch::Sender<Option<Leader>>,
) -> Result<(), Error> {
    while !client.state().is_terminated() {
        let (names, watcher) = match within(client, client.list_and_watch_children(directory)).await {
            Err(Error::NoNode) => {
                let (there, watcher) = within(client, client.check_and_watch_stat(directory)).await?;
                if there.is_some() {
                    continue;
                }
                (vec![], watcher)
            }
            names => names?,
        };
        let first = names.iter().filter_map(|name| Some((number(name)?, name))).min();
        let found = match first {
            Some((_, name)) => {
                let path = format!("{directory}/{name}");
                match within(client, client.get_data(&path)).await {
                    // It went in between.
                    Err(Error::NoNode) => continue,
                    data => serde_json::from_slice(&data?.0).ok(),
                }
            }
            None => None,
        };
        leader.send_if_modified(|known| {
            let changed = *known != found;
            *known = found;
            changed
        });
        watcher.changed().await;
    }
    Ok(())
}

/// The client library sets no limit for an answer.
async fn within<T>(client: &Client, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(client.session_timeout(), answer).await.unwrap_or(Err(Error::Timeout))
}

/// What ZooKeeper put after the last dash.
fn number(name: &str) -> Option<i64> {
    name.rsplit_once('-')?.1.parse().ok()
}

const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_and_not_names() {
        assert_eq!(number("a-b-0000000012"), Some(12));
        assert!(number("x-9999999999") < number("a-10000000000"));
        assert_eq!(number("lock"), None);
    }
}
