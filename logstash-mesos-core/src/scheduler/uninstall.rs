//! The end of a framework, on purpose (HA-5).

use super::driver::End;
use super::error::RunError;
use super::http;
use super::lead::Lead;
use super::node::{Node, refuse_if_led};
use super::parts::Judge;
use super::port_tls::PortTls;
use super::records::Records;
use super::settings::Settings;
use super::task::Phase;
use crate::error_chain;
use crate::ids::AgentId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How to uninstall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uninstall {
    /// Leave what is on the agents' disks.
    pub keep_positions: bool,
    /// How long to wait for executors to connect and to clear their data.
    pub wait: Duration,
}

/// What an uninstall did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uninstalled {
    /// There was a framework.
    pub was_there: bool,
    /// Agents whose data is cleared.
    pub cleared: usize,
    /// Agents on which something is still reserved by the framework: host, agent.
    pub reserved: Vec<(String, AgentId)>,
    /// Agents that could not be reached or did not clear their data: host, agent, reason.
    pub left: Vec<(String, AgentId, String)>,
}

/// Has the executors clear their data, ends the framework with everything in it, and removes the state.
///
/// It leads meanwhile, so that a scheduler at work makes it fail, and is named. One that waits for the lead ends when it
/// sees what it would take over, and so does one that starts.
///
/// # Errors
///
/// [`RunError`]; the state is removed only after the framework is gone.
pub async fn uninstall(
    settings: Settings,
    how: Uninstall,
    shutdown: CancellationToken,
) -> Result<Uninstalled, RunError> {
    let state = settings.state.open_with(settings.session_timeout).await?;
    // Before the port is waited for, which is mostly that scheduler's.
    refuse_if_led(&state, &PortTls::new(&settings.http_tls)).await?;
    let (node, listener) = Node::open(&settings, state, Judge::default(), &shutdown).await?;
    let stop = CancellationToken::new();
    let serving = http::serve(&node, listener, stop.clone());
    let result = uninstall_alone(&settings, &node, how, &shutdown).await;
    stop.cancel();
    // A panic in there was said.
    let _ = serving.await;
    result
}

async fn uninstall_alone(
    settings: &Settings,
    node: &Arc<Node>,
    how: Uninstall,
    shutdown: &CancellationToken,
) -> Result<Uninstalled, RunError> {
    let leadership = tokio::select! {
        leadership = node.lead_alone() => leadership?,
        () = shutdown.cancelled() => return Err(RunError::Interrupted),
    };
    let closed = Some("the framework is being uninstalled");
    let scheduler = Lead::start(settings, node, leadership, closed).await?;
    let shared = scheduler.shared.clone();
    let mut done = Uninstalled::default();
    if shared.framework_id().is_none() {
        let leadership = scheduler.abandon().await;
        Records::clear(shared.store()).await?;
        leadership.resign().await;
        tidy(node).await;
        return Ok(done);
    }
    done.was_there = true;
    let began = Instant::now();
    let mut deadline = began + how.wait;
    let mut asked = false;
    let mut ended = false;
    while !shutdown.is_cancelled() && !scheduler.has_ended() {
        sleep(Duration::from_millis(250)).await;
        let (connected, reconciled) = {
            let state = shared.state();
            (shared.link().connected, state.reconciliation().pending() == 0)
        };
        if ended {
            continue;
        }
        let (waiting, left, cleared) = progress(&scheduler);
        let over = Instant::now() >= deadline;
        // Whoever connects later is asked as well.
        if connected && !asked {
            tracing::info!(
                executors = waiting.len(),
                keep_positions = how.keep_positions,
                "Executors clear their data"
            );
            asked = true;
        }
        if connected {
            shared.sessions().clear_data(how.keep_positions);
        }
        // What is reserved is known from the master's list of agents; it may not let us see that.
        let listed = shared.state().is_listed() || began.elapsed() >= LISTING;
        let through = connected && ((reconciled && listed && waiting.is_empty()) || over);
        if through && !scheduler.emptying.is_cancelled() {
            done.cleared = cleared;
            done.left = left;
            done.left.extend(waiting);
            if !shared.state().reserves().is_empty() {
                tracing::info!("Executors end, and what is reserved for them is given up");
                scheduler.emptying.cancel();
                deadline = Instant::now() + how.wait;
                continue;
            }
        }
        let emptied = || shared.state().task_count() == 0 && shared.state().reserves().is_empty();
        if through && (!scheduler.emptying.is_cancelled() || emptied() || over) {
            done.reserved = shared.state().reserves();
            ended = true;
            scheduler.ending.cancel();
        }
    }
    let (end, leadership) = scheduler.finish(shutdown).await;
    match end {
        End::TornDown => {}
        End::Shutdown => return Err(RunError::Interrupted),
        End::FailedOver | End::Deposed => {
            return Err(RunError::FailedOver { name: settings.framework_name.clone() });
        }
        End::Store(error) => return Err(error.into()),
    }
    Records::clear(shared.store()).await?;
    leadership.resign().await;
    tidy(node).await;
    Ok(done)
}

/// Leaves nothing of ours in the place of the state. A candidate that is about to go may still be there.
async fn tidy(node: &Node) {
    if let Err(error) = node.state.store.tidy().await {
        tracing::warn!(
            error = error_chain(&error),
            state = node.state.store.name(),
            "Empty nodes are left where the state was"
        );
    }
}

/// How long to wait for the master's list of agents.
const LISTING: Duration = Duration::from_secs(10);

type Left = Vec<(String, AgentId, String)>;

/// Executors that may still clear their data, those that will not, and how many have.
fn progress(scheduler: &Lead) -> (Left, Left, usize) {
    let state = scheduler.shared.state();
    let executors = scheduler.shared.sessions().lock();
    let (mut waiting, mut left, mut cleared) = (vec![], vec![], 0);
    for task in state.tasks() {
        let entry = |reason: &str| (task.hostname.clone(), task.agent_id.clone(), reason.to_owned());
        let session = executors.get(&(task.agent_id.clone(), task.executor_id.clone()));
        match session.and_then(|s| s.cleared.clone()) {
            Some(Ok(())) => cleared += 1,
            Some(Err(error)) => left.push(entry(&error)),
            None if task.phase == Phase::Unreachable => left.push(entry("the agent is unreachable")),
            None => waiting.push(entry("its executor did not answer in time")),
        }
    }
    (waiting, left, cleared)
}
