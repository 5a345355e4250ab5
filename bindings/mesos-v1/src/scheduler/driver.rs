//! The task that keeps a framework subscribed.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::calls::STREAM_ID;
use super::{
    DisconnectReason, ErrorKind, PATH, Resubscribe, SchedulerConfig, SchedulerEvent, Session, Shared,
    StreamId, chain,
};
use crate::backoff::Backoff;
use crate::endpoint::Endpoint;
use crate::operator::version_of;
use crate::proto::FrameworkInfo;
use crate::proto::scheduler::{Call, Event, call, event};
use crate::stream::EventStream;
use crate::transport::{self, Authorization, Connection, TransportError};

/// No header of a stream id is longer (facts 1.1).
const MAX_STREAM_ID_BYTES: usize = 128;

/// How often credentials that were refused are compared with those there are.
const LOOK_AT_CREDENTIALS: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) config: SchedulerConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) backoff: Backoff,
    pub(super) refused: Backoff,
    pub(super) events: mpsc::Sender<SchedulerEvent>,
    pub(super) session: watch::Sender<Option<Session>>,
    pub(super) masters: watch::Receiver<Vec<Endpoint>>,
    pub(super) resubscribe: mpsc::UnboundedReceiver<Resubscribe>,
}

/// How an attempt or a subscription ended.
enum End {
    /// Tell why, and try again after the usual wait.
    Retry(DisconnectReason),
    /// Tell why, and try again slowly.
    RetrySlowly(DisconnectReason),
    /// Tell why, and try again at once.
    RetryNow(DisconnectReason),
    /// Nothing more to do: a final error was told, or nobody listens.
    Stop,
}

/// An accepted SUBSCRIBE.
struct Accepted {
    endpoint: Endpoint,
    stream_id: StreamId,
    stream: EventStream,
}

impl Driver {
    pub(super) async fn run(mut self) {
        let mut refused_for = None;
        loop {
            let started = Instant::now();
            let end = match self.find_leader().await {
                Ok(accepted) => self.read(accepted).await,
                Err(end) => end,
            };
            self.session.send_replace(None);
            if started.elapsed() > self.backoff.longest() {
                // It held for a while, so this is a new trouble and not the old one again.
                self.backoff.reset();
                self.refused.reset();
            }
            let (reason, wait) = match end {
                End::Stop => return,
                End::RetryNow(reason) => (reason, Duration::ZERO),
                End::Retry(reason) => (reason, self.backoff.next_wait()),
                End::RetrySlowly(reason) => {
                    if refused_for.replace(discriminant(&reason)) != Some(discriminant(&reason)) {
                        // Somebody has mended something, and is likely to go on.
                        self.refused.reset();
                    }
                    (reason, self.refused.next_wait())
                }
            };
            let others = other_credentials(self.shared.authorization.clone());
            let reason_is_refusal = reason.needs_person();
            if !self.tell(SchedulerEvent::Disconnected { reason, retry_in: wait }).await {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Those that were refused are no measure for others.
                () = others, if reason_is_refusal => {}
                changed = self.masters.changed() => if changed.is_err() {
                    // No handle is left; the events may still be read.
                    tokio::time::sleep(wait).await;
                },
            }
        }
    }

    /// Returns false when nobody listens.
    async fn tell(&self, event: SchedulerEvent) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// Asks every master once, in order.
    async fn find_leader(&mut self) -> Result<Accepted, End> {
        let masters = self.masters.borrow_and_update().clone();
        let mut end = End::Retry(DisconnectReason::NoLeader { text: "no master is known yet".to_owned() });
        for master in masters {
            match self.subscribe(master).await {
                Ok(accepted) => return Ok(accepted),
                Err(failed) => {
                    // A refusal says more than a master that is away.
                    let told_more = matches!(end, End::RetrySlowly(_));
                    if !told_more || matches!(failed, End::RetrySlowly(_)) {
                        end = failed;
                    }
                }
            }
        }
        Err(end)
    }

    /// Subscribes at `endpoint` or where it redirects to.
    async fn subscribe(&self, mut endpoint: Endpoint) -> Result<Accepted, End> {
        let mut visited = vec![endpoint.authority()];
        loop {
            let (connection, response) = self.ask(&endpoint).await?;
            let status = response.status();
            if status == StatusCode::OK {
                let stream_id = response
                    .headers()
                    .get(STREAM_ID)
                    .and_then(|value| value.to_str().ok())
                    .filter(|value| !value.is_empty() && value.len() <= MAX_STREAM_ID_BYTES)
                    .map(|value| StreamId(value.to_owned()));
                let Some(stream_id) = stream_id else {
                    let text = format!("{endpoint} sent no usable Mesos-Stream-Id");
                    return Err(End::Retry(DisconnectReason::StreamEnded { text }));
                };
                let stream = EventStream::new(connection, response, self.config.max_record_bytes);
                return Ok(Accepted { endpoint, stream_id, stream });
            }
            if status == StatusCode::TEMPORARY_REDIRECT {
                endpoint = transport::redirect(&endpoint, &response, &visited, self.config.max_redirects)
                    .map_err(|source| End::Retry(DisconnectReason::Redirect { source }))?;
                visited.push(endpoint.authority());
                continue;
            }
            let text = transport::text(response, self.config.request_timeout).await;
            let text = format!("{endpoint}: {status}: {text}");
            drop(connection);
            if status.is_client_error()
                && status != StatusCode::UNAUTHORIZED
                && let Some(version) = self.old_version(&endpoint).await
            {
                let master = endpoint.to_string();
                return Err(End::RetrySlowly(DisconnectReason::TooOld { master, version }));
            }
            return Err(match status {
                StatusCode::UNAUTHORIZED => End::RetrySlowly(DisconnectReason::Unauthorized { text }),
                StatusCode::NOT_FOUND => End::Retry(DisconnectReason::NoLeader { text }),
                status if status.is_server_error() => End::Retry(DisconnectReason::NoLeader { text }),
                status => End::RetrySlowly(DisconnectReason::Refused { status: status.as_u16(), text }),
            });
        }
    }

    /// The version of a master that refuses what it does not know, if it is from before the v1 API, and not one that
    /// has not installed its routes yet.
    async fn old_version(&self, endpoint: &Endpoint) -> Option<String> {
        let version =
            version_of(endpoint, &self.shared.connecting, self.config.request_timeout).await.ok()?;
        version.starts_with("0.").then_some(version)
    }

    /// Sends one SUBSCRIBE, twice if there are other credentials than those refused.
    async fn ask(&self, endpoint: &Endpoint) -> Result<(Connection, Response<Incoming>), End> {
        let unreachable =
            |error: TransportError| End::Retry(DisconnectReason::Unreachable { text: chain(&error) });
        let unauthorized = |error: Box<dyn std::error::Error + Send + Sync>| {
            let text = format!("{endpoint}: {}", chain(&*error));
            End::RetrySlowly(DisconnectReason::Unauthorized { text })
        };
        let mut header = self.shared.authorization.current().await.map_err(unauthorized)?;
        let mut renewed = false;
        loop {
            let body = Bytes::from(self.subscribe_call().encode_to_vec());
            let request = transport::post(endpoint, PATH, header.clone(), body).map_err(|error| {
                unreachable(TransportError::Broken { endpoint: endpoint.to_string(), source: error.into() })
            })?;
            let mut connection =
                Connection::open(endpoint, &self.shared.connecting).await.map_err(unreachable)?;
            let response = connection
                .send(request, self.config.request_timeout)
                .await
                .map_err(|unanswered| unreachable(unanswered.error))?;
            if response.status() != StatusCode::UNAUTHORIZED || renewed {
                return Ok((connection, response));
            }
            let other = self.shared.authorization.other_than(header.as_ref()).await;
            match other.map_err(unauthorized)? {
                None => return Ok((connection, response)),
                other => (header, renewed) = (other, true),
            }
        }
    }

    /// Both ids set and equal, or none at all (facts 1.4).
    fn subscribe_call(&self) -> Call {
        let subscription = self.shared.with_subscription(|subscription| subscription.clone());
        Call {
            framework_id: subscription.framework.id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe {
                framework_info: subscription.framework,
                suppressed_roles: subscription.suppressed_roles,
                offer_constraints: subscription.offer_constraints,
            }),
            ..Call::default()
        }
    }

    /// Reads one stream to its end.
    async fn read(&mut self, accepted: Accepted) -> End {
        let Accepted { endpoint, stream_id, mut stream } = accepted;
        let mut silence = self.config.first_heartbeat_interval * self.config.silent_heartbeats;
        let mut deadline = Instant::now() + silence;
        loop {
            let event: Event = tokio::select! {
                event = stream.next() => match event {
                    Ok(event) => event,
                    Err(error) => return End::Retry(DisconnectReason::StreamEnded { text: chain(&error) }),
                },
                () = sleep_until(deadline) => return End::Retry(DisconnectReason::Silence { silence }),
                Some(Resubscribe::Lost { stream_id: lost, text }) = self.resubscribe.recv() => {
                    if lost == stream_id {
                        return End::Retry(DisconnectReason::CallRefused { text });
                    }
                    continue;
                }
                Ok(()) = self.masters.changed() => {
                    if !self.masters.borrow_and_update().contains(&endpoint) {
                        return End::RetryNow(DisconnectReason::MasterChanged);
                    }
                    continue;
                }
            };
            let told = match (event.r#type(), event) {
                (event::Type::Subscribed, Event { subscribed: Some(subscribed), .. }) => {
                    let interval = heartbeat_interval(&subscribed, self.config.first_heartbeat_interval);
                    silence = interval * self.config.silent_heartbeats;
                    let framework_id = subscribed.framework_id.clone();
                    self.shared.with_subscription(|subscription| {
                        subscription.framework = FrameworkInfo {
                            id: Some(framework_id.clone()),
                            ..std::mem::take(&mut subscription.framework)
                        };
                    });
                    let session = Session {
                        endpoint: endpoint.clone(),
                        stream_id: stream_id.clone(),
                        framework_id: framework_id.clone(),
                    };
                    self.session.send_replace(Some(session));
                    SchedulerEvent::Subscribed {
                        framework_id,
                        stream_id: stream_id.clone(),
                        heartbeat_interval: interval,
                        master: subscribed.master_info.map(Box::new),
                        endpoint: endpoint.clone(),
                    }
                }
                (event::Type::Error, Event { error: Some(error), .. }) => {
                    return self.refused(error.message).await;
                }
                (_, event) => SchedulerEvent::from_wire(event),
            };
            if !self.tell(told).await {
                return End::Stop;
            }
            // Only now: while the caller was slow, the master may have been well.
            deadline = Instant::now() + silence;
        }
    }

    /// Handles an ERROR event (facts 5.1).
    async fn refused(&mut self, text: String) -> End {
        // Before the caller hears of it, so that it finds no subscription to call on.
        self.session.send_replace(None);
        let kind = ErrorKind::of(&text);
        let told = self.tell(SchedulerEvent::Error { kind, message: text.clone() }).await;
        match kind {
            _ if !told || kind.is_final() => End::Stop,
            ErrorKind::NotAuthorized | ErrorKind::Refused => {
                End::RetrySlowly(DisconnectReason::Error { text })
            }
            _ => End::Retry(DisconnectReason::Error { text }),
        }
    }
}

/// Waits until there are other credentials than now.
async fn other_credentials(authorization: Authorization) {
    let refused = authorization.header();
    while authorization.header() == refused {
        tokio::time::sleep(LOOK_AT_CREDENTIALS).await;
    }
}

fn heartbeat_interval(subscribed: &event::Subscribed, otherwise: Duration) -> Duration {
    subscribed
        .heartbeat_interval_seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|interval| !interval.is_zero() && *interval < Duration::from_secs(24 * 3600))
        .unwrap_or(otherwise)
}
