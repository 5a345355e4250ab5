//! The task that keeps an executor subscribed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{ExecutorConfig, ExecutorEvent, Shared, ShutdownReason};
use crate::proto::TaskStatus;
use crate::proto::executor::{Call, Event, call, event};
use crate::scheduler::chain;
use crate::stream::EventStream;
use crate::transport::{self, Connecting, Connection};

/// Nobody listens any more.
struct Stopped;

pub(super) async fn run(
    config: ExecutorConfig,
    shared: Arc<Shared>,
    events: mpsc::Sender<ExecutorEvent>,
    messages: mpsc::Receiver<Vec<u8>>,
) {
    // Whoever listens has gone: nothing is left to do.
    let _ = Driver { config, shared, events, messages }.keep_subscribed().await;
}

struct Driver {
    config: ExecutorConfig,
    shared: Arc<Shared>,
    events: mpsc::Sender<ExecutorEvent>,
    messages: mpsc::Receiver<Vec<u8>>,
}

impl Driver {
    async fn keep_subscribed(mut self) -> Result<(), Stopped> {
        let checkpoint = self.config.environment.checkpoint;
        let mut was_subscribed = false;
        let mut lost_at = Instant::now();
        loop {
            let reason = match self.subscribe().await {
                Ok(stream) => {
                    let (held, reason) = self.serve(stream).await?;
                    if held {
                        was_subscribed = true;
                        lost_at = Instant::now();
                    }
                    reason
                }
                Err(reason) => reason,
            };
            let patience = match (checkpoint, was_subscribed) {
                (true, _) => self.config.environment.recovery_timeout,
                (false, false) => self.config.first_subscribe_timeout,
                (false, true) => Duration::ZERO,
            };
            // The reference rule: random between nothing and the agent's own limit (EXE-4).
            let wait = self.config.random.up_to(self.config.environment.subscription_backoff_max);
            let give_up = lost_at.elapsed() + wait >= patience;
            self.tell(ExecutorEvent::Disconnected { reason, retry_in: wait }).await?;
            if give_up {
                let reason = if checkpoint || !was_subscribed {
                    ShutdownReason::RecoveryTimeout
                } else {
                    ShutdownReason::NotCheckpointing
                };
                let grace = self.config.environment.shutdown_grace;
                return self.tell(ExecutorEvent::Shutdown { grace, reason }).await;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn tell(&self, event: ExecutorEvent) -> Result<(), Stopped> {
        self.events.send(event).await.map_err(|_| Stopped)
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.config.environment.executor_id.clone(),
            framework_id: self.config.environment.framework_id.clone(),
            r#type: Some(kind.into()),
            ..Call::default()
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let how = Connecting { limit: self.config.connect_timeout, tls: self.config.tls.clone() };
        Connection::open(&self.config.environment.agent, &how).await.map_err(|error| chain(&error))
    }

    async fn send(&self, connection: &mut Connection, call: Call) -> Result<Response<Incoming>, String> {
        let environment = &self.config.environment;
        let header = environment.authorization().header();
        let body = Bytes::from(call.encode_to_vec());
        let request = transport::post(&environment.agent, &environment.path, header, body)
            .map_err(|error| error.to_string())?;
        connection
            .send(request, self.config.request_timeout)
            .await
            .map_err(|unanswered| chain(&unanswered.error))
    }

    /// Sends SUBSCRIBE with everything the agent may not know.
    async fn subscribe(&mut self) -> Result<EventStream, String> {
        let mut connection = self.connect().await?;
        let mut call = self.call(call::Type::Subscribe);
        call.subscribe = Some(self.shared.with_pending(|pending| pending.subscribe()));
        let response = self.send(&mut connection, call).await?;
        if response.status() == StatusCode::OK {
            return Ok(EventStream::new(connection, response, self.config.max_record_bytes));
        }
        let status = response.status();
        let text = transport::text(response, self.config.request_timeout).await;
        Err(format!("the agent refused the subscription with status {status}: {text}"))
    }

    /// Reads one stream to its end and sends what there is to send meanwhile. Returns whether the
    /// subscription held, and why it ended.
    async fn serve(&mut self, mut stream: EventStream) -> Result<(bool, String), Stopped> {
        let mut held = false;
        let mut calls: Option<Connection> = None;
        let mut heartbeat =
            tokio::time::interval(self.config.heartbeat_interval.max(Duration::from_millis(1)));
        heartbeat.reset();
        // A SUBSCRIBE that is answered by nothing at all is as good as none.
        let first_event_by = Instant::now() + self.config.request_timeout;
        loop {
            let next = tokio::select! {
                biased;
                event = stream.next::<Event>() => Next::Event(event.map(Box::new).map_err(|error| chain(&error))),
                () = tokio::time::sleep_until(first_event_by), if !held => Next::Silence,
                () = something_to_send(&self.shared), if held => Next::Update,
                Some(data) = self.messages.recv(), if held => Next::Message(data),
                _ = heartbeat.tick(), if held => Next::Heartbeat,
            };
            // Each branch below sends at most one request and is not interrupted, so that calls keep
            // their order. The stream waits meanwhile, for at most the request timeout.
            let sent = match next {
                Next::Event(Err(reason)) => return Ok((held, reason)),
                Next::Silence => return Ok((held, "the agent sent no SUBSCRIBED".to_owned())),
                Next::Event(Ok(event)) => {
                    if let Some(event) = self.receive(*event, &mut held) {
                        let error = matches!(event, ExecutorEvent::Error(_));
                        self.tell(event).await?;
                        if error {
                            return Ok((held, "the agent ended the subscription".to_owned()));
                        }
                    }
                    Ok(())
                }
                Next::Update => self.send_update(&mut calls).await,
                Next::Message(data) => {
                    let mut call = self.call(call::Type::Message);
                    call.message = Some(call::Message { data });
                    self.send_call(&mut calls, call).await.map(drop)
                }
                Next::Heartbeat => {
                    // Agents before 1.5 answer 400, which does no harm.
                    let call = self.call(call::Type::Heartbeat);
                    self.send_call(&mut calls, call).await.map(drop)
                }
            };
            if let Err(reason) = sent {
                return Ok((held, reason));
            }
        }
    }

    /// Sends the next update. The reason of an error ends the subscription: SUBSCRIBE then carries the
    /// update again (EXE-2).
    async fn send_update(&mut self, calls: &mut Option<Connection>) -> Result<(), String> {
        let Some(status) = self.shared.with_pending(|pending| pending.unsent().cloned()) else {
            return Ok(());
        };
        let uuid = status.uuid().to_vec();
        let mut call = self.call(call::Type::Update);
        call.update = Some(call::Update { status: status.clone() });
        match self.send_call(calls, call).await? {
            (status, _) if status.is_success() => {
                self.shared.with_pending(|pending| pending.sent(&uuid));
                Ok(())
            }
            (StatusCode::BAD_REQUEST, text) if !not_known(&text) => {
                self.give_up(&status, &text);
                self.shared.with_pending(|pending| pending.refused(&uuid));
                Ok(())
            }
            (status, text) => Err(format!("the agent answered an update with status {status}: {text}")),
        }
    }

    fn give_up(&self, status: &TaskStatus, error: &str) {
        tracing::error!(
            task_id = %status.task_id.value,
            state = status.state().as_str_name(),
            %error,
            "Agent refused a task update for good, dropping it"
        );
    }

    async fn send_call(
        &self,
        calls: &mut Option<Connection>,
        call: Call,
    ) -> Result<(StatusCode, String), String> {
        let kept = calls.is_some();
        let connection = match calls {
            Some(connection) => connection,
            None => calls.insert(self.connect().await?),
        };
        let response = match self.send(connection, call.clone()).await {
            Ok(response) => response,
            // An agent may close a connection that was idle. Updates have a uuid and may go twice, and
            // a message may get lost or repeated anyway.
            Err(_) if kept => {
                let connection = calls.insert(self.connect().await?);
                self.send(connection, call).await?
            }
            Err(reason) => return Err(reason),
        };
        let status = response.status();
        Ok((status, transport::text(response, self.config.request_timeout).await))
    }

    fn receive(&self, event: Event, held: &mut bool) -> Option<ExecutorEvent> {
        let number = event.r#type.unwrap_or_default();
        Some(match (event.r#type(), event) {
            (event::Type::Subscribed, Event { subscribed: Some(subscribed), .. }) => {
                *held = true;
                ExecutorEvent::Subscribed {
                    executor: Box::new(subscribed.executor_info),
                    framework: Box::new(subscribed.framework_info),
                    agent: Box::new(subscribed.agent_info),
                    mesos_container_id: subscribed.container_id,
                }
            }
            (event::Type::Launch, Event { launch: Some(launch), .. }) => {
                self.shared.with_pending(|pending| pending.launched(launch.task.clone()));
                ExecutorEvent::Launch(Box::new(launch.task))
            }
            (event::Type::LaunchGroup, Event { launch_group: Some(group), .. }) => {
                let tasks = group.task_group.tasks;
                self.shared
                    .with_pending(|pending| tasks.iter().cloned().for_each(|task| pending.launched(task)));
                ExecutorEvent::LaunchGroup(tasks)
            }
            (event::Type::Kill, Event { kill: Some(kill), .. }) => {
                ExecutorEvent::Kill { task_id: kill.task_id, kill_policy: kill.kill_policy }
            }
            (event::Type::Acknowledged, Event { acknowledged: Some(acknowledged), .. }) => {
                let event::Acknowledged { task_id, uuid } = acknowledged;
                self.shared.with_pending(|pending| pending.acknowledged(&task_id, &uuid));
                ExecutorEvent::Acknowledged { task_id, uuid }
            }
            (event::Type::Message, Event { message: Some(message), .. }) => {
                ExecutorEvent::Message(message.data)
            }
            (event::Type::Error, Event { error: Some(error), .. }) => ExecutorEvent::Error(error.message),
            (event::Type::Shutdown, _) => ExecutorEvent::Shutdown {
                grace: self.config.environment.shutdown_grace,
                reason: ShutdownReason::Agent,
            },
            (event::Type::Heartbeat, _) => return None,
            _ => ExecutorEvent::Unknown { number },
        })
    }
}

enum Next {
    Event(Result<Box<Event>, String>),
    Silence,
    Update,
    Message(Vec<u8>),
    Heartbeat,
}

async fn something_to_send(shared: &Shared) {
    loop {
        let changed = shared.changed.notified();
        if shared.with_pending(|pending| pending.unsent().is_some()) {
            return;
        }
        changed.await;
    }
}

/// The agent has forgotten us, rather than disliking the update.
fn not_known(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("cannot be found") || text.contains("not subscribed") || text.contains("unknown")
}
