//! A local cluster with faults.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::local::{Answer, Cluster, LocalError, LocalSettings};

/// A [`Cluster`] that goes wrong when it is told to. What it does otherwise is what the local cluster
/// does: real HTTP, real processes.
#[derive(Debug)]
pub struct FakeMaster {
    cluster: Cluster,
}

impl FakeMaster {
    /// Starts a cluster without any fault.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn start(settings: LocalSettings) -> Result<Self, LocalError> {
        Ok(Self { cluster: Cluster::start(settings).await? })
    }

    /// Returns the master as `http://host:port`.
    pub fn master_url(&self) -> String {
        self.cluster.master_url()
    }

    /// Returns the master as `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.cluster.address()
    }

    /// Returns the agent's identifier.
    pub fn agent_id(&self) -> String {
        self.cluster.agent_id()
    }

    /// Ends it in the polite way.
    pub async fn shutdown(self) {
        self.cluster.shutdown().await;
    }

    /// Closes every scheduler's stream without a word, as a master does that dies.
    pub fn drop_scheduler_streams(&self) {
        self.cluster.inner().with_state(|state| state.drop_scheduler_streams());
    }

    /// Sends an ERROR event to every scheduler and ends its stream.
    pub fn send_error(&self, message: &str) {
        self.cluster.inner().with_state(|state| state.send_error(message));
    }

    /// Answers the next `count` scheduler requests with `status` in place of the real answer.
    ///
    /// # Panics
    ///
    /// When `status` is none.
    pub fn answer_with(&self, count: usize, status: u16, text: &str) {
        let status = StatusCode::from_u16(status).expect("a valid HTTP status");
        self.push(count, &Answer::Status { status, location: None, text: text.to_owned() });
    }

    /// Redirects the next `count` scheduler requests to `location`.
    ///
    /// # Panics
    ///
    /// When `location` cannot be in a header.
    pub fn redirect(&self, count: usize, location: &str) {
        let location = Some(HeaderValue::from_str(location).expect("a valid header value"));
        let status = StatusCode::TEMPORARY_REDIRECT;
        self.push(count, &Answer::Status { status, location, text: String::new() });
    }

    /// Carries the next `count` scheduler requests out, and hangs up without an answer.
    pub fn hang_up(&self, count: usize) {
        self.push(count, &Answer::HangUp);
    }

    /// Makes every request wait first.
    pub fn delay(&self, delay: Duration) {
        self.cluster.inner().with_faults(|faults| faults.delay = delay);
    }

    /// Stops, or starts again, the master's signs of life.
    pub fn heartbeats(&self, on: bool) {
        self.cluster.inner().with_faults(|faults| faults.no_heartbeats = !on);
    }

    /// Sends every update twice, or once again.
    pub fn duplicate_updates(&self, on: bool) {
        self.cluster.inner().with_state(|state| state.duplicate_updates = on);
    }

    /// Takes the agent away, as `kill -9` does: its offers are rescinded, executors live on and find
    /// nobody.
    pub fn kill_agent(&self) {
        self.cluster.inner().with_state(|state| state.agent_down());
    }

    /// Has the master give the agent up, as it does some time after [`kill_agent`](Self::kill_agent):
    /// its tasks become unreachable, until [`restart_agent`](Self::restart_agent).
    pub fn lose_agent(&self) {
        self.cluster.inner().with_state(|state| {
            state.agent_down();
            state.set_agent_unreachable(true);
        });
    }

    /// Puts another master in the lead: streams end, and the new one hears of the agent, its executors
    /// and tasks only `agent_after` later. Until then it makes no offers and answers no question about
    /// tasks.
    pub fn fail_over(&self, agent_after: Duration) {
        self.cluster.inner().with_state(|state| state.fail_over(agent_after));
    }

    /// Brings the agent back under its old id. Executors that do not subscribe again in time are killed.
    pub fn restart_agent(&self) {
        let inner = self.cluster.inner();
        inner.with_state(|state| state.agent_back(&inner.settings));
    }

    /// Kills every executor whose id begins so, and returns how many there were.
    pub fn kill_executors(&self, prefix: &str) -> usize {
        self.cluster.inner().with_state(|state| state.kill_executors(prefix))
    }

    /// Returns the ids of the executors that are there.
    pub fn executor_ids(&self) -> Vec<String> {
        self.cluster.inner().with_state(|state| state.executor_ids())
    }

    /// Returns the ids of the frameworks that the master knows.
    pub fn framework_ids(&self) -> Vec<String> {
        self.cluster.inner().with_state(|state| state.framework_ids())
    }

    /// Returns the ids of a framework's tasks that have not ended.
    pub fn live_tasks(&self, framework_id: &str) -> Vec<String> {
        self.cluster.inner().with_state(|state| state.live_tasks(framework_id))
    }

    fn push(&self, count: usize, answer: &Answer) {
        self.cluster.inner().with_faults(|faults| {
            faults.answers.extend(std::iter::repeat_n(answer, count).cloned());
        });
    }
}
