use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::proto::executor::{Call, Event, call, event};
use crate::scripted::{PATIENCE, Received, Server, Stream};

fn environment(server: &Server, change: &[(&str, &str)]) -> ExecutorEnvironment {
    let agent = server.endpoint.to_string();
    ExecutorEnvironment::from_lookup(|name| {
        let changed = change.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
        let value = changed.or(match name {
            "MESOS_FRAMEWORK_ID" => Some("F"),
            "MESOS_EXECUTOR_ID" => Some("E"),
            "MESOS_AGENT_ENDPOINT" => Some(agent.as_str()),
            "MESOS_SLAVE_PID" => Some("slave(1)@127.0.0.1:5051"),
            "MESOS_CHECKPOINT" => Some("1"),
            "MESOS_RECOVERY_TIMEOUT" => Some("5secs"),
            "MESOS_SUBSCRIPTION_BACKOFF_MAX" => Some("50ms"),
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD" => Some("3secs"),
            _ => None,
        });
        value.map(str::to_owned)
    })
    .unwrap()
}

fn config(environment: ExecutorEnvironment) -> ExecutorConfig {
    ExecutorConfig {
        request_timeout: Duration::from_secs(2),
        random: Random::new(|| 1.0),
        ..ExecutorConfig::new(environment)
    }
}

fn connect(server: &Server, change: &[(&str, &str)]) -> (ExecutorHandle, ExecutorEvents) {
    ExecutorClient::connect(config(environment(server, change)))
}

async fn next(events: &mut ExecutorEvents) -> ExecutorEvent {
    timeout(PATIENCE, events.next()).await.expect("an event comes").expect("client lives")
}

fn event(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

async fn subscribe(server: &mut Server, events: &mut ExecutorEvents) -> (call::Subscribe, Stream) {
    let request = server.next().await;
    check(&request);
    let call: Call = request.decode();
    assert_eq!(call.r#type(), call::Type::Subscribe);
    let stream = request.stream(None);
    let subscribed = event::Subscribed::default();
    stream.send(&Event { subscribed: Some(subscribed), ..event(event::Type::Subscribed) });
    assert!(matches!(next(events).await, ExecutorEvent::Subscribed { .. }));
    (call.subscribe.expect("present even if empty"), stream)
}

fn check(request: &Received) {
    assert_eq!(request.path, "/slave(1)/api/v1/executor");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("accept"), Some("application/x-protobuf"));
    let call: Call = request.decode();
    assert_eq!((call.executor_id.value.as_str(), call.framework_id.value.as_str()), ("E", "F"));
}

fn launch(task: &str) -> Event {
    let task = TaskInfo { task_id: id(task), ..TaskInfo::default() };
    Event { launch: Some(event::Launch { task }), ..event(event::Type::Launch) }
}

fn acknowledged(status: &TaskStatus) -> Event {
    let acknowledged = event::Acknowledged { task_id: status.task_id.clone(), uuid: status.uuid().to_vec() };
    Event { acknowledged: Some(acknowledged), ..event(event::Type::Acknowledged) }
}

fn id(task: &str) -> TaskId {
    TaskId { value: task.into() }
}

fn status(task: &str, state: TaskState) -> TaskStatus {
    TaskStatus { task_id: id(task), state: state.into(), ..TaskStatus::default() }
}

async fn update(server: &mut Server) -> (TaskStatus, Received) {
    let request = server.next().await;
    check(&request);
    let status = request.decode::<Call>().update.expect("an UPDATE").status;
    (status, request)
}

#[tokio::test]
async fn an_update_has_all_the_agent_asks_for() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "jwt")]);
    let (subscribe, stream) = subscribe(&mut server, &mut events).await;
    assert_eq!(subscribe, call::Subscribe::default());
    stream.send(&launch("t"));
    assert!(matches!(next(&mut events).await, ExecutorEvent::Launch(task) if task.task_id == id("t")));
    handle.update(status("t", TaskState::TaskRunning)).unwrap();
    let (sent, request) = update(&mut server).await;
    assert_eq!(request.header("authorization"), Some("Bearer jwt"), "EXE-8");
    assert_eq!(sent.uuid().len(), 16);
    assert_eq!(sent.source(), task_status::Source::Executor);
    assert_eq!(sent.executor_id.as_ref().unwrap().value, "E");
    assert!(sent.timestamp() > 1.6e9);
    request.status(202, "");
    let flushed = tokio::spawn({
        let handle = handle.clone();
        async move { handle.flushed().await }
    });
    stream.send(&acknowledged(&sent));
    assert!(matches!(next(&mut events).await, ExecutorEvent::Acknowledged { .. }));
    timeout(PATIENCE, flushed).await.unwrap().unwrap();
    assert!(matches!(
        handle.update(status("t", TaskState::TaskStaging)),
        Err(UpdateError::State { state: "TASK_STAGING", .. })
    ));
}

// EXE-2, EXE-3: the agent restarts; what it may not have stored is in the next SUBSCRIBE, in order.
#[tokio::test]
async fn unacknowledged_updates_and_tasks_survive_a_restart_of_the_agent() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[]);
    let (_, stream) = subscribe(&mut server, &mut events).await;
    stream.send(&launch("stored"));
    stream.send(&launch("new"));
    next(&mut events).await;
    next(&mut events).await;
    handle.update(status("stored", TaskState::TaskRunning)).unwrap();
    let (stored, request) = update(&mut server).await;
    request.status(202, "");
    stream.send(&acknowledged(&stored));
    next(&mut events).await;
    // Sent, but never acknowledged:
    handle.update(status("stored", TaskState::TaskFinished)).unwrap();
    let (finished, request) = update(&mut server).await;
    request.status(202, "");
    drop(stream);
    assert!(matches!(next(&mut events).await, ExecutorEvent::Disconnected { .. }));
    // Taken while there is no agent:
    handle.update(status("new", TaskState::TaskRunning)).unwrap();
    let refused = server.next().await;
    refused.status(503, "Agent has not finished recovery");
    assert!(
        matches!(next(&mut events).await, ExecutorEvent::Disconnected { reason, .. } if reason.contains("recovery"))
    );
    let (subscribe, stream) = subscribe(&mut server, &mut events).await;
    let tasks: Vec<_> =
        subscribe.unacknowledged_tasks.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(tasks, ["new"]);
    let updates: Vec<_> = subscribe.unacknowledged_updates.iter().map(|update| &update.status).collect();
    assert_eq!((updates.len(), updates[0]), (2, &finished));
    assert_eq!(updates[1].task_id, id("new"));
    // The next update follows them, and they are not sent again.
    handle.update(status("new", TaskState::TaskFinished)).unwrap();
    let (sent, request) = update(&mut server).await;
    assert_eq!((sent.task_id.clone(), sent.state()), (id("new"), TaskState::TaskFinished));
    request.status(202, "");
    for status in [updates[0], updates[1], &sent] {
        stream.send(&acknowledged(status));
    }
    timeout(PATIENCE, handle.flushed()).await.unwrap();
}

#[tokio::test]
async fn an_update_that_meets_a_recovering_agent_goes_with_the_next_subscribe() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[]);
    let (_, stream) = subscribe(&mut server, &mut events).await;
    handle.update(status("t", TaskState::TaskRunning)).unwrap();
    let (sent, request) = update(&mut server).await;
    request.status(503, "Agent has not finished recovery");
    assert!(matches!(next(&mut events).await, ExecutorEvent::Disconnected { .. }));
    stream.closed().await;
    let (subscribe, _stream) = subscribe(&mut server, &mut events).await;
    assert_eq!(subscribe.unacknowledged_updates[0].status, sent);
}

#[tokio::test]
async fn an_update_the_agent_will_never_take_does_not_block_the_others() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[]);
    let (_, _stream) = subscribe(&mut server, &mut events).await;
    handle.update(status("bad", TaskState::TaskRunning)).unwrap();
    handle.update(status("good", TaskState::TaskRunning)).unwrap();
    update(&mut server).await.1.status(400, "Failed to validate");
    let (sent, request) = update(&mut server).await;
    assert_eq!(sent.task_id, id("good"));
    request.status(202, "");
}

// EXE-4: attempts come within the agent's own limit, and end with its recovery timeout.
#[tokio::test]
async fn an_agent_that_stays_away_ends_the_executor() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[("MESOS_RECOVERY_TIMEOUT", "300ms")]);
    let (_, stream) = subscribe(&mut server, &mut events).await;
    drop(stream);
    drop(server);
    let mut attempts = 0;
    loop {
        match next(&mut events).await {
            ExecutorEvent::Disconnected { retry_in, .. } => {
                assert_eq!(retry_in, Duration::from_millis(50));
                attempts += 1;
            }
            ExecutorEvent::Shutdown { grace, reason } => {
                assert_eq!((grace, reason), (Duration::from_secs(3), ShutdownReason::RecoveryTimeout));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((3..=7).contains(&attempts), "{attempts}");
    assert_eq!(events.next().await, None);
    assert_eq!(handle.update(status("t", TaskState::TaskFailed)), Err(UpdateError::Ended));
    timeout(PATIENCE, handle.flushed()).await.unwrap();
}

#[tokio::test]
async fn without_checkpointing_the_end_of_the_stream_is_the_end() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server, &[("MESOS_CHECKPOINT", "0")]);
    let (_, stream) = subscribe(&mut server, &mut events).await;
    drop(stream);
    assert!(matches!(next(&mut events).await, ExecutorEvent::Disconnected { .. }));
    assert!(matches!(
        next(&mut events).await,
        ExecutorEvent::Shutdown { reason: ShutdownReason::NotCheckpointing, .. }
    ));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn every_event_arrives() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server, &[]);
    let (_, stream) = subscribe(&mut server, &mut events).await;
    let kill = event::Kill { task_id: id("t"), kill_policy: Some(KillPolicy::default()) };
    stream.send(&Event { kill: Some(kill), ..event(event::Type::Kill) });
    assert!(matches!(next(&mut events).await, ExecutorEvent::Kill { kill_policy: Some(_), .. }));
    let message = event::Message { data: b"hi".to_vec() };
    stream.send(&Event { message: Some(message), ..event(event::Type::Message) });
    assert_eq!(next(&mut events).await, ExecutorEvent::Message(b"hi".to_vec()));
    stream.send(&event(event::Type::Heartbeat));
    stream.send(&Event { r#type: Some(99), ..Event::default() });
    assert_eq!(next(&mut events).await, ExecutorEvent::Unknown { number: 99 });
    stream.send(&event(event::Type::Shutdown));
    assert_eq!(
        next(&mut events).await,
        ExecutorEvent::Shutdown { grace: Duration::from_secs(3), reason: ShutdownReason::Agent }
    );
    // The last updates still go out.
    handle.message(b"bye".to_vec()).await.unwrap();
    let request = server.next().await;
    assert_eq!(request.decode::<Call>().message.unwrap().data, b"bye");
    request.status(202, "");
    handle.update(status("t", TaskState::TaskKilled)).unwrap();
    let (sent, request) = update(&mut server).await;
    request.status(202, "");
    stream.send(&acknowledged(&sent));
    timeout(PATIENCE, handle.flushed()).await.unwrap();
    let error = event::Error { message: "no".into() };
    stream.send(&Event { error: Some(error), ..event(event::Type::Error) });
    while !matches!(next(&mut events).await, ExecutorEvent::Error(message) if message == "no") {}
    assert!(matches!(next(&mut events).await, ExecutorEvent::Disconnected { .. }));
}

#[tokio::test]
async fn heartbeats_keep_the_connection_open() {
    let mut server = Server::start().await;
    let environment = environment(&server, &[]);
    let config = ExecutorConfig { heartbeat_interval: Duration::from_millis(50), ..config(environment) };
    let (_handle, mut events) = ExecutorClient::connect(config);
    let (_, _stream) = subscribe(&mut server, &mut events).await;
    for status in [202, 400, 202] {
        let request = server.next().await;
        assert_eq!(request.decode::<Call>().r#type(), call::Type::Heartbeat);
        request.status(status, "");
    }
}
