//! The one task that sends calls, strictly in order, over a connection of its own (SCH-1).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{
    CallError, PATH, QueuedCall, Resubscribe, SchedulerCall, Session, Shared, StreamId, Subscription,
};
use crate::transport::{self, Connection, TransportError};

pub(super) const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// How long to wait for the answer to a call after its subscription has ended.
const LAST_ANSWER: Duration = Duration::from_secs(1);

pub(super) async fn run(
    mut calls: mpsc::Receiver<QueuedCall>,
    mut session: watch::Receiver<Option<Session>>,
    shared: Arc<Shared>,
    resubscribe: mpsc::UnboundedSender<Resubscribe>,
) {
    let mut connection: Option<(StreamId, Connection)> = None;
    loop {
        let queued = tokio::select! {
            queued = calls.recv() => match queued {
                Some(queued) => queued,
                None => return,
            },
            changed = session.changed() => {
                // Both connections go together.
                connection = None;
                if changed.is_err() {
                    // The driver has ended for good.
                    calls.close();
                    while let Some(QueuedCall { call, answer, .. }) = calls.recv().await {
                        let _ = answer.send(Err(CallError::NotSubscribed { call: call.name() }));
                    }
                    return;
                }
                continue;
            }
        };
        let name = queued.call.name();
        let current = session.borrow_and_update().clone();
        let result = match (current, &queued.only_on) {
            (_, Some(wanted)) if session.borrow().as_ref().is_some_and(|now| now.stream_id != *wanted) => {
                Err(CallError::StaleStream { call: name })
            }
            (None, _) => Err(CallError::NotSubscribed { call: name }),
            (Some(current), _) => {
                if connection.as_ref().is_some_and(|(stream_id, _)| *stream_id != current.stream_id) {
                    connection = None;
                }
                let result = {
                    let mut sending = pin!(send(&mut connection, &current, &queued.call, &shared));
                    tokio::select! {
                        result = &mut sending => result,
                        // The answer may be on its way: the one to TEARDOWN races with the end of the stream.
                        _ = session.changed() => timeout(LAST_ANSWER, sending)
                            .await
                            .unwrap_or(Err(CallError::Interrupted { call: name })),
                    }
                };
                match &result {
                    Ok(()) => shared.with_subscription(|subscription| remember(subscription, &queued.call)),
                    Err(CallError::SubscriptionLost { text, .. }) => {
                        let lost = Resubscribe::Lost { stream_id: current.stream_id, text: text.clone() };
                        // The driver is gone only together with this task.
                        let _ = resubscribe.send(lost);
                    }
                    Err(CallError::Interrupted { .. } | CallError::Transport { .. }) => connection = None,
                    Err(_) => {}
                }
                result
            }
        };
        if let Err(error) = &result {
            tracing::debug!(call = name, error = %super::chain(error), "Call failed");
        }
        // Whoever asked may have gone.
        let _ = queued.answer.send(result);
    }
}

/// Keeps the next SUBSCRIBE in step with what was asked for since the last: the master takes the list of
/// suppressed roles as it comes (facts 6.1).
fn remember(subscription: &mut Subscription, call: &SchedulerCall) {
    match call {
        SchedulerCall::Suppress { roles } if roles.is_empty() => {
            subscription.suppressed_roles = subscription.framework.roles.clone();
        }
        SchedulerCall::Suppress { roles } => {
            let new = roles.iter().filter(|role| !subscription.suppressed_roles.contains(role)).cloned();
            let new: Vec<_> = new.collect();
            subscription.suppressed_roles.extend(new);
        }
        SchedulerCall::Revive { roles } if roles.is_empty() => subscription.suppressed_roles.clear(),
        SchedulerCall::Revive { roles } => subscription.suppressed_roles.retain(|role| !roles.contains(role)),
        SchedulerCall::UpdateFramework(new) => {
            let id = subscription.framework.id.take();
            *subscription = Subscription::clone(new);
            subscription.framework.id = id;
        }
        _ => {}
    }
}

async fn send(
    connection: &mut Option<(StreamId, Connection)>,
    session: &Session,
    call: &SchedulerCall,
    shared: &Shared,
) -> Result<(), CallError> {
    let name = call.name();
    let transport = |source: TransportError| CallError::Transport { call: name, source };
    let body = Bytes::from(call.to_wire(&session.framework_id).encode_to_vec());
    let unauthorized = |error: Box<dyn std::error::Error + Send + Sync>| CallError::Refused {
        call: name,
        status: StatusCode::UNAUTHORIZED.as_u16(),
        text: super::chain(&*error),
    };
    let mut header = shared.authorization.current().await.map_err(unauthorized)?;
    let (mut reopened, mut renewed) = (false, false);
    let response = loop {
        let (_, open) = match connection {
            Some(open) => open,
            None => {
                let open =
                    Connection::open(&session.endpoint, &shared.connecting).await.map_err(transport)?;
                connection.insert((session.stream_id.clone(), open))
            }
        };
        let request = HeaderValue::from_str(session.stream_id.as_str())
            .map_err(http::Error::from)
            .and_then(|stream_id| {
                let mut request = transport::post(&session.endpoint, PATH, header.clone(), body.clone())?;
                request.headers_mut().insert(STREAM_ID, stream_id);
                Ok(request)
            })
            .map_err(|error| {
                transport(TransportError::Broken {
                    endpoint: session.endpoint.to_string(),
                    source: error.into(),
                })
            })?;
        match open.send(request, shared.request_timeout).await {
            // A master closes a connection that was idle for long; what it has not seen can go again.
            Err(unanswered) if unanswered.unsent.is_some() && !reopened => {
                *connection = None;
                reopened = true;
            }
            Err(unanswered) => return Err(transport(unanswered.error)),
            // The secret may have changed, or a token run out, since it was read.
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !renewed => {
                match shared.authorization.other_than(header.as_ref()).await.map_err(unauthorized)? {
                    Some(other) => (header, renewed, *connection) = (Some(other), true, None),
                    None => break response,
                }
            }
            Ok(response) => break response,
        }
    };
    let status = response.status();
    let text = transport::text(response, shared.request_timeout).await;
    judge(name, status, text)
}

/// Sorts the answer to a call (facts 1.1).
fn judge(call: &'static str, status: StatusCode, text: String) -> Result<(), CallError> {
    if status.is_success() {
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    let lost = match status {
        StatusCode::TEMPORARY_REDIRECT => true,
        StatusCode::BAD_REQUEST => {
            lower.contains("stream id")
                || lower.contains("stream-id")
                || lower.contains("framework cannot be found")
        }
        StatusCode::FORBIDDEN => lower.contains("not subscribed"),
        _ => false,
    };
    let code = status.as_u16();
    Err(if lost {
        CallError::SubscriptionLost { call, text }
    } else if status == StatusCode::NOT_IMPLEMENTED {
        CallError::Unsupported { call }
    } else if status.is_server_error() || status == StatusCode::NOT_FOUND {
        CallError::Unavailable { call, status: code, text }
    } else {
        CallError::Refused { call, status: code, text }
    })
}
