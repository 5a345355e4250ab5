//! The usual arrangement: a master, two agents, a Docker daemon for each agent, a search engine.

use std::sync::Arc;

use crate::docker::Docker;
use crate::mesos::{Agent, AgentOptions, Master};
use crate::opensearch::OpenSearch;
use crate::place::Place;
use crate::scheduler::{Scheduler, SchedulerOptions};

/// Everything that a scheduler needs around it.
///
/// The fields are dropped from the first to the last, so the directory goes when nothing uses it any more.
#[derive(Debug)]
pub struct Cluster {
    /// The agents, on 127.0.0.1 and 127.0.0.2, so that each has a host name of its own.
    pub agents: Vec<Agent>,
    /// The master of the cluster, a process of its own.
    pub master: Master,
    /// The daemon of each agent.
    pub dockers: Vec<Docker>,
    /// The search engine, shared with other tests.
    pub opensearch: Arc<OpenSearch>,
    /// Where the files are.
    pub place: Place,
    name: String,
}

impl Cluster {
    /// Starts everything but the scheduler.
    #[must_use]
    pub fn start(name: &str) -> Self {
        Self::with_agents(name, 2)
    }

    /// Starts everything but the scheduler, with any number of agents.
    #[must_use]
    pub fn with_agents(name: &str, count: usize) -> Self {
        let place = Place::new(name);
        let opensearch = OpenSearch::shared();
        let dockers: Vec<_> =
            (1..=count).map(|number| Docker::start(&place.directory(&format!("docker{number}")))).collect();
        let master = Master::start(&place.directory("mesos"));
        let agents = (1..=count)
            .zip(&dockers)
            .map(|(number, docker)| {
                let options = AgentOptions {
                    host: format!("127.0.0.{number}"),
                    docker_host: docker.host().to_owned(),
                    data_dir: place.directory(&format!("positions{number}")),
                    flags: Vec::new(),
                };
                Agent::start(&place.directory(&format!("agent{number}")), &master, options)
            })
            .collect();
        Self { agents, master, dockers, opensearch, place, name: name.to_owned() }
    }

    /// Returns what a scheduler of this cluster is started with.
    #[must_use]
    pub fn options(&self) -> SchedulerOptions {
        SchedulerOptions {
            master: self.master.address(),
            framework: self.framework(),
            state: format!("file:{}", self.place.join("state").display()),
            config_dir: None,
            elasticsearch: Some(self.opensearch.url().to_owned()),
            flags: Vec::new(),
        }
    }

    /// Starts a scheduler in the usual way.
    #[must_use]
    pub fn scheduler(&self) -> Scheduler {
        Scheduler::start(&self.place.directory("scheduler"), self.options())
    }

    /// Returns the name that the framework has.
    #[must_use]
    pub fn framework(&self) -> String {
        format!("logstash-{}", self.name)
    }

    /// Returns an index that belongs to this test alone.
    #[must_use]
    pub fn index(&self) -> String {
        format!("test-{}-{}", self.name, std::process::id())
    }

    /// Returns the output section that writes to that index.
    #[must_use]
    pub fn output(&self) -> String {
        format!(
            "output {{ elasticsearch {{ hosts => [\"{}\"] index => \"{}\" }} }}",
            self.opensearch.url(),
            self.index()
        )
    }
}
