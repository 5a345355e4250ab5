//! Calls are made in their order, beside everything else.

use crate::error_chain;
use crate::ids::{AgentId, TaskId};
use crate::scheduler::shared::Shared;
use mesos_v1::proto;
use mesos_v1::proto::scheduler::call;
use mesos_v1::scheduler::{CallError, SchedulerCall, SchedulerHandle, StreamId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A call on its way, and which task it launches.
pub(super) struct Outgoing {
    pub(super) call: SchedulerCall,
    pub(super) stream: StreamId,
    pub(super) launches: Option<(TaskId, AgentId)>,
    pub(super) updates: Option<Purpose>,
}

/// What an update of the framework is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Its executors may outlive an absent scheduler for longer.
    Raise,
    /// Other offers are wanted.
    Narrow,
}

/// What became of a call that matters.
pub(super) enum Outcome {
    /// Nobody else would make this call up.
    Again(SchedulerCall),
    NotLaunched {
        task_id: TaskId,
        refused: Option<String>,
    },
    Unknown {
        agent_id: AgentId,
    },
    NotRaised,
    NotNarrowed {
        error: String,
    },
}

/// Makes the calls in their order, and reports what became of launches.
pub(super) async fn send_calls(
    handle: SchedulerHandle,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    report: mpsc::UnboundedSender<Outcome>,
    shared: Arc<Shared>,
) {
    let stop = shared.lead_ends();
    while let Some(Some(outgoing)) = stop.run_until_cancelled(queue.recv()).await {
        let Outgoing { call, stream, launches, updates } = outgoing;
        let name = call.name();
        let substitute = substitute(&call);
        let Some(called) = stop.run_until_cancelled(handle.call_on(&stream, call)).await else { return };
        let Err(error) = called else { continue };
        shared.count_failed_call();
        tracing::warn!(call = name, error = error_chain(&error), "Call failed");
        if let Some(call) = substitute {
            // Whoever asked may have another client by now, and offers end with their subscription.
            let _ = report.send(Outcome::Again(call));
        }
        let outcome = match launches {
            Some((_, agent_id)) if error.outcome_unknown() => Outcome::Unknown { agent_id },
            Some((task_id, _)) => {
                let refused = matches!(error, CallError::Refused { .. }).then(|| error_chain(&error));
                Outcome::NotLaunched { task_id, refused }
            }
            None => match updates {
                Some(Purpose::Raise) => Outcome::NotRaised,
                Some(Purpose::Narrow) if !error.outcome_unknown() => {
                    Outcome::NotNarrowed { error: error_chain(&error) }
                }
                Some(Purpose::Narrow) | None => continue,
            },
        };
        // Whoever asked has another client by now.
        let _ = report.send(outcome);
    }
}

/// The call to make when this one failed, and may or may not have reached the master.
///
/// An offer is ours until we answer it: a master without `--offer_timeout`, which is the default, never takes it back,
/// and makes no other for these resources. It ignores the decline of an offer that it no longer has
/// (`Master::decline`). The state machine repeats KILL, RECONCILE and REVIVE by itself, and an agent its update until
/// it is acknowledged.
fn substitute(call: &SchedulerCall) -> Option<SchedulerCall> {
    match call {
        SchedulerCall::Accept(accept) => Some(SchedulerCall::Decline(call::Decline {
            offer_ids: accept.offer_ids.clone(),
            filters: Some(filters(Duration::ZERO)),
        })),
        SchedulerCall::Decline(_)
        | SchedulerCall::AcceptInverseOffers(_)
        | SchedulerCall::Suppress { .. }
        | SchedulerCall::Teardown => Some(call.clone()),
        _ => None,
    }
}

pub(super) fn filters(refuse_for: Duration) -> proto::Filters {
    proto::Filters { refuse_seconds: Some(refuse_for.as_secs_f64()) }
}
