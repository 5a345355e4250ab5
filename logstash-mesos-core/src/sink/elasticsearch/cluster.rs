//! The nodes of a cluster as they are now: those that were given, and those that SRV records name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tracing::{info, warn};

use super::hosts::{Hosts, Node};
use crate::dns::{RecordType, Servers};

/// For how long the nodes that a name had are taken for those that it has.
const FRESH: Duration = Duration::from_secs(30);
/// The same after a node did not answer.
const FRESH_IN_DOUBT: Duration = Duration::from_secs(1);
/// How long each name server may take.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Cluster {
    given: Vec<Node>,
    resurrect_after: Duration,
    /// Other name servers than those of the system.
    servers: Option<Servers>,
    hosts: RwLock<Arc<Hosts>>,
    looked_up: Mutex<Option<Instant>>,
    in_doubt: AtomicBool,
}

impl Cluster {
    pub(super) fn new(given: Vec<Node>, resurrect_after: Duration) -> Self {
        let known = given.iter().filter(|node| !node.srv).cloned().collect();
        Self {
            hosts: RwLock::new(Arc::new(Hosts::new(known, resurrect_after))),
            given,
            resurrect_after,
            servers: None,
            looked_up: Mutex::default(),
            in_doubt: AtomicBool::new(false),
        }
    }

    pub(super) fn shown(&self) -> String {
        self.given.iter().map(Node::shown).collect::<Vec<_>>().join(", ")
    }

    /// A node did not answer: it may be another one by now.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// The nodes to ask, at least one. The error says why none is known. A call that is dropped changes nothing.
    pub(super) async fn hosts(&self) -> Result<Arc<Hosts>, String> {
        if self.given.iter().any(|node| node.srv) {
            let known = self.now();
            // Whoever has nodes does not wait for another's look.
            let mut looked_up = match self.looked_up.try_lock() {
                Ok(looked_up) => looked_up,
                Err(_) if known.len() > 0 => return Ok(known),
                Err(_) => self.looked_up.lock().await,
            };
            let fresh = if self.in_doubt.load(Ordering::Relaxed) { FRESH_IN_DOUBT } else { FRESH };
            if looked_up.is_none_or(|at| at.elapsed() >= fresh) {
                let looked = self.look_up().await;
                *looked_up = Some(Instant::now());
                self.in_doubt.store(looked.is_err(), Ordering::Relaxed);
                match looked {
                    Ok(nodes) => self.replace(nodes),
                    Err(reason) if self.now().len() == 0 => return Err(reason),
                    Err(reason) => warn!(reason, "Nodes of the cluster stay those that were known"),
                }
            }
        }
        match self.now() {
            hosts if hosts.len() > 0 => Ok(hosts),
            _ => Err("no node is known".to_owned()),
        }
    }

    async fn look_up(&self) -> Result<Vec<Node>, String> {
        let (given, servers) = (self.given.clone(), self.servers.clone());
        let look = move || {
            // Read each time, as it changes with the network.
            let servers = servers.unwrap_or_else(|| Servers::of_system(TIMEOUT));
            let mut nodes = Vec::new();
            for node in given {
                if !node.srv {
                    nodes.push(node);
                    continue;
                }
                let name = &node.authority;
                let found = servers.look_up(name, RecordType::SRV);
                let found = found.map_err(|error| format!("SRV records of `{name}`: {error}"))?;
                if found.is_empty() {
                    return Err(format!("there are no SRV records of `{name}`"));
                }
                let mut found: Vec<_> = found.into_iter().map(|authority| node.found_at(authority)).collect();
                // Servers turn them, which is no change.
                found.sort_by(|a, b| a.authority.cmp(&b.authority));
                nodes.extend(found);
            }
            Ok(nodes)
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn replace(&self, nodes: Vec<Node>) {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        if hosts.nodes() != nodes {
            *hosts = Arc::new(Hosts::new(nodes, self.resurrect_after));
            info!(nodes = hosts.shown(), cluster = self.shown(), "Nodes of the cluster are found");
        }
    }

    fn now(&self) -> Arc<Hosts> {
        Arc::clone(&self.hosts.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::Server;

    fn cluster(server: &Server) -> Cluster {
        let node = Node::parse("srv+https://u:p@_es._tcp.mesos/x", false).unwrap();
        let servers = Servers {
            addresses: vec![server.address],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(10),
        };
        Cluster { servers: Some(servers), ..Cluster::new(vec![node], Duration::from_secs(5)) }
    }

    /// As time goes by.
    async fn after(cluster: &Cluster, time: Duration) {
        let mut looked_up = cluster.looked_up.lock().await;
        *looked_up = looked_up.map(|at| at.checked_sub(time).expect("the machine runs for longer"));
    }

    #[tokio::test]
    async fn nodes_are_those_that_the_name_server_knows_now() {
        let first = Server::start(&[("_es._tcp.mesos", 33, "b.mesos:31001 a.mesos:31000")]);
        let mut cluster = cluster(&first);
        let shown = "https://a.mesos:31000/x, https://b.mesos:31001/x";
        let hosts = cluster.hosts().await.unwrap();
        assert_eq!(hosts.shown(), shown);
        assert!(hosts.node(0).authorization().is_some());
        assert_eq!(cluster.shown(), "srv+https://_es._tcp.mesos/x");

        let second = Server::start(&[("_es._tcp.mesos", 33, "c.mesos:31002")]);
        cluster.servers.as_mut().unwrap().addresses = vec![second.address];
        assert_eq!(cluster.hosts().await.unwrap().shown(), shown);
        after(&cluster, FRESH_IN_DOUBT).await;
        assert_eq!(cluster.hosts().await.unwrap().shown(), shown);
        cluster.doubt();
        assert_eq!(cluster.hosts().await.unwrap().shown(), "https://c.mesos:31002/x");

        // A name that is gone, as while the framework is restarted, leaves the nodes that were known.
        let third = Server::start(&[]);
        cluster.servers.as_mut().unwrap().addresses = vec![third.address];
        after(&cluster, FRESH).await;
        assert_eq!(cluster.hosts().await.unwrap().shown(), "https://c.mesos:31002/x");
        assert_eq!(third.asked(), ["_es._tcp.mesos"]);
    }

    #[tokio::test]
    async fn a_name_without_nodes_is_an_error_until_it_has_some() {
        let none = Server::start(&[]);
        let cluster = cluster(&none);
        let error = cluster.hosts().await.unwrap_err();
        assert_eq!(error, "there are no SRV records of `_es._tcp.mesos`");
    }
}
