use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use mesos_v1::executor::{ExecutorClient, ExecutorConfig, ExecutorEnvironment, ExecutorEvent};
use mesos_v1::proto::scheduler::call;
use mesos_v1::proto::{
    AgentId, CommandInfo, Environment, ExecutorId, ExecutorInfo, Filters, FrameworkId, FrameworkInfo, Offer,
    Resource, TaskId, TaskInfo, TaskState, TaskStatus, command_info, environment, executor_info,
    framework_info, offer, task_status, value,
};
use mesos_v1::scheduler::{
    DisconnectReason, ErrorKind, SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent,
    SchedulerEvents, SchedulerHandle, StreamId,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::testing::FakeMaster;

const PATIENCE: Duration = Duration::from_secs(20);

/// Not a test: the executor that the tests start, as this same program.
#[tokio::test]
async fn executor_process() {
    let Ok(environment) = ExecutorEnvironment::from_process() else { return };
    let (handle, mut events) = ExecutorClient::connect(ExecutorConfig::new(environment));
    let mut tasks = Vec::new();
    let status = |task_id: &TaskId, state: TaskState| TaskStatus {
        task_id: task_id.clone(),
        state: state.into(),
        ..TaskStatus::default()
    };
    while let Some(event) = events.next().await {
        match event {
            ExecutorEvent::Launch(task) => {
                handle.update(status(&task.task_id, TaskState::TaskRunning)).unwrap();
                tasks.push(task.task_id);
            }
            ExecutorEvent::Kill { task_id, .. } => {
                tasks.retain(|task| *task != task_id);
                handle.update(status(&task_id, TaskState::TaskKilled)).unwrap();
            }
            #[expect(clippy::disallowed_methods, reason = "this executor is a program of its own")]
            ExecutorEvent::Message(data) if data == b"exit" => std::process::exit(3),
            ExecutorEvent::Message(data) => handle.message(data).await.unwrap(),
            ExecutorEvent::Shutdown { .. } => {
                for task in &tasks {
                    handle.update(status(task, TaskState::TaskKilled)).unwrap();
                }
                let _ = timeout(Duration::from_secs(1), handle.flushed()).await;
                return;
            }
            _ => {}
        }
    }
}

fn this_program() -> CommandInfo {
    let program = std::env::current_exe().unwrap().display().to_string();
    CommandInfo {
        shell: Some(false),
        arguments: [&program, "local::tests::executor_process", "--exact", "--nocapture"]
            .map(String::from)
            .to_vec(),
        value: Some(program),
        ..CommandInfo::default()
    }
}

fn scalar(name: &str, amount: f64) -> Resource {
    Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: amount }),
        ..Resource::default()
    }
}

fn task(id: &str, agent_id: &AgentId, executor_id: &str, command: CommandInfo) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: agent_id.clone(),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        executor: Some(ExecutorInfo {
            executor_id: ExecutorId { value: executor_id.into() },
            r#type: Some(executor_info::Type::Custom.into()),
            command: Some(command),
            resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
            ..ExecutorInfo::default()
        }),
        ..TaskInfo::default()
    }
}

fn framework(failover_secs: f64) -> FrameworkInfo {
    let capabilities =
        [framework_info::capability::Type::MultiRole, framework_info::capability::Type::PartitionAware];
    FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        roles: vec!["logs".into()],
        checkpoint: Some(true),
        failover_timeout: Some(failover_secs),
        capabilities: capabilities
            .map(|kind| framework_info::Capability { r#type: Some(kind.into()) })
            .to_vec(),
        ..FrameworkInfo::default()
    }
}

/// A framework under test.
struct Subscribed {
    handle: SchedulerHandle,
    events: SchedulerEvents,
    framework_id: FrameworkId,
    stream_id: StreamId,
    /// Offers that came while something else was waited for, and are good still.
    offers: VecDeque<Offer>,
}

async fn subscribe(master: &FakeMaster, framework: FrameworkInfo) -> Subscribed {
    let masters = vec![master.master_url().parse().unwrap()];
    let config = SchedulerConfig::new(masters, framework).with(|config| {
        config.backoff_first = Duration::from_millis(50);
        config.backoff_longest = Duration::from_millis(200);
        config.first_heartbeat_interval = Duration::from_secs(1);
    });
    let (handle, mut events) = SchedulerClient::connect(config).unwrap();
    loop {
        if let SchedulerEvent::Subscribed { framework_id, stream_id, .. } = events.next().await.unwrap() {
            return Subscribed { handle, events, framework_id, stream_id, offers: VecDeque::new() };
        }
    }
}

impl Subscribed {
    async fn until<T>(&mut self, mut wanted: impl FnMut(SchedulerEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.next().await.expect("client lives");
                match &event {
                    SchedulerEvent::Subscribed { stream_id, .. } => {
                        self.stream_id = stream_id.clone();
                        self.offers.clear();
                    }
                    SchedulerEvent::Offers(offers) => self.offers.extend(offers.iter().cloned()),
                    SchedulerEvent::Rescind(id) => self.offers.retain(|offer| offer.id != *id),
                    _ => {}
                }
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event comes")
    }

    async fn offer(&mut self) -> Offer {
        loop {
            if let Some(offer) = self.offers.pop_front() {
                return offer;
            }
            self.until(|event| matches!(event, SchedulerEvent::Offers(_)).then_some(())).await;
        }
    }

    /// The next update of a task, acknowledged.
    async fn update(&mut self, task: &str) -> TaskStatus {
        let status = self
            .until(|event| match event {
                SchedulerEvent::Update(status) if status.task_id.value == task => Some(*status),
                _ => None,
            })
            .await;
        self.acknowledge(&status).await;
        status
    }

    async fn acknowledge(&self, status: &TaskStatus) {
        if let Some(uuid) = status.uuid.clone() {
            let agent_id = status.agent_id.clone().unwrap();
            let task_id = status.task_id.clone();
            let acknowledge = call::Acknowledge { agent_id, task_id, uuid };
            self.handle.call(SchedulerCall::Acknowledge(acknowledge)).await.unwrap();
        }
    }

    async fn state(&mut self, task: &str) -> TaskState {
        self.update(task).await.state()
    }

    async fn launch(&self, offer: &Offer, tasks: Vec<TaskInfo>) {
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![offer::Operation {
                r#type: Some(offer::operation::Type::Launch.into()),
                launch: Some(offer::operation::Launch { task_infos: tasks }),
                ..offer::Operation::default()
            }],
            filters: Some(Filters { refuse_seconds: Some(0.0) }),
        };
        self.handle.call_on(&self.stream_id, SchedulerCall::Accept(accept)).await.unwrap();
    }

    /// Launches one task and waits until it runs.
    async fn run(&mut self, id: &str) -> Offer {
        let offer = self.offer().await;
        self.launch(&offer, vec![task(id, &offer.agent_id, "e", this_program())]).await;
        let status = self.update(id).await;
        assert_eq!(status.state(), TaskState::TaskRunning, "{status:?}");
        offer
    }

    async fn call(&self, call: SchedulerCall) {
        self.handle.call(call).await.unwrap();
    }
}

struct Bed {
    master: FakeMaster,
    directory: tempfile::TempDir,
}

async fn bed() -> Bed {
    bed_with(|_| {}).await
}

async fn bed_with(change: impl FnOnce(&mut LocalSettings)) -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = LocalSettings::new(directory.path());
    settings.heartbeat_interval = Duration::from_millis(200);
    change(&mut settings);
    Bed { master: FakeMaster::start(settings).await.unwrap(), directory }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_task_lives_from_offer_to_teardown() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let offer = scheduler.run("t").await;
    assert_eq!(offer.allocation_info.unwrap().role(), "logs");
    assert_eq!(offer.agent_id.value, bed.master.agent_id());
    // What is left is offered again, and names the executor that is there.
    let rest = scheduler.offer().await;
    assert_eq!(rest.executor_ids[0].value, "e");
    let cpus = rest.resources.iter().find(|resource| resource.name == "cpus").unwrap();
    assert_eq!(cpus.scalar.as_ref().unwrap().value, 1.8);
    let executor_id = ExecutorId { value: "e".into() };
    let agent_id = offer.agent_id.clone();
    scheduler.call(SchedulerCall::Message { agent_id, executor_id, data: b"hello".to_vec() }).await;
    let echo = scheduler
        .until(|event| match event {
            SchedulerEvent::Message { data, .. } => Some(data),
            _ => None,
        })
        .await;
    assert_eq!(echo, b"hello");
    // A second task goes to the same executor.
    scheduler.launch(&rest, vec![task("u", &offer.agent_id, "e", this_program())]).await;
    assert_eq!(scheduler.state("u").await, TaskState::TaskRunning);
    assert_eq!(bed.master.executor_ids(), ["e"]);
    let kill = call::Kill { task_id: TaskId { value: "t".into() }, ..call::Kill::default() };
    scheduler.call(SchedulerCall::Kill(kill)).await;
    assert_eq!(scheduler.state("t").await, TaskState::TaskKilled);
    assert_eq!(bed.master.live_tasks(&scheduler.framework_id.value), ["u"]);
    let runs = bed.directory.path().join(format!(
        "slaves/{}/frameworks/{}/executors/e/runs/latest",
        offer.agent_id.value, scheduler.framework_id.value
    ));
    assert!(runs.join("stdout").exists() && runs.join("stderr").exists());

    scheduler.call(SchedulerCall::Teardown).await;
    eventually("the executor ends", || bed.master.executor_ids().is_empty()).await;
    assert!(bed.master.framework_ids().is_empty());
    let kind = scheduler
        .until(|event| match event {
            SchedulerEvent::Error { kind, .. } => Some(kind),
            _ => None,
        })
        .await;
    assert_eq!(kind, ErrorKind::Removed, "the id is spent");
    bed.master.shutdown().await;
}

/// Serves one file to one client.
async fn file_server(content: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /run-1.2.3?x=1 HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&content).await.unwrap();
    });
    address
}

#[tokio::test]
async fn an_executor_is_fetched_and_gets_its_environment() {
    let bed = bed_with(|settings| {
        settings.executor_environment.insert("FROM_AGENT".into(), "agent".into());
    })
    .await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let program = this_program();
    let script = format!(
        "#!/bin/sh\nenv > seen\necho \"$0 $1 $2\" > arguments\nexec {} {}\n",
        program.value(),
        program.arguments[1..].join(" ")
    );
    let server = file_server(script.into_bytes()).await;
    let offer = scheduler.offer().await;
    let variable = |name: &str, value: &str| environment::Variable {
        name: name.into(),
        value: Some(value.into()),
        ..environment::Variable::default()
    };
    let command = CommandInfo {
        uris: vec![command_info::Uri {
            value: format!("http://{server}/run-1.2.3?x=1"),
            executable: Some(true),
            output_file: Some("run".into()),
            ..command_info::Uri::default()
        }],
        shell: Some(false),
        value: Some("./run".into()),
        arguments: ["run", "a b", "c"].map(String::from).to_vec(),
        environment: Some(Environment { variables: vec![variable("MINE", "yes")] }),
        ..CommandInfo::default()
    };
    scheduler.launch(&offer, vec![task("t", &offer.agent_id, "e", command)]).await;
    assert_eq!(scheduler.state("t").await, TaskState::TaskRunning);
    let sandbox = bed.directory.path().join(format!(
        "slaves/{}/frameworks/{}/executors/e/runs/latest",
        offer.agent_id.value, scheduler.framework_id.value
    ));
    let read = |name: &str| std::fs::read_to_string(Path::new(&sandbox).join(name)).unwrap();
    assert!(read("arguments").ends_with("run a b c\n"));
    let seen = read("seen");
    for expected in [
        "MINE=yes".to_owned(),
        "FROM_AGENT=agent".to_owned(),
        "MESOS_CHECKPOINT=1".to_owned(),
        "MESOS_EXECUTOR_ID=e".to_owned(),
        format!("MESOS_FRAMEWORK_ID={}", scheduler.framework_id.value),
        format!("MESOS_SLAVE_ID={}", offer.agent_id.value),
        format!("MESOS_AGENT_ENDPOINT={}", bed.master.address()),
    ] {
        assert!(seen.lines().any(|line| line == expected), "{expected} not in:\n{seen}");
    }
    assert!(!seen.contains("CARGO"), "our own environment is not the executor's");
    bed.master.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_launched_is_answered() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let offer = scheduler.offer().await;
    let agent = offer.agent_id.clone();
    let mut big = task("big", &agent, "e", this_program());
    big.resources = vec![scalar("cpus", 99.0)];
    let mut bare = task("bare", &agent, "e", this_program());
    bare.executor = None;
    let mut other = task("other", &agent, "good", this_program());
    other.executor.as_mut().unwrap().name = Some("changed".into());
    let good = task("good", &agent, "good", this_program());
    let missing = CommandInfo { value: Some("/does/not/exist".into()), ..this_program() };
    let absent = task("absent", &agent, "absent", missing);
    let away = CommandInfo {
        uris: vec![command_info::Uri {
            value: "http://127.0.0.1:1/x".into(),
            ..command_info::Uri::default()
        }],
        ..this_program()
    };
    let away = task("away", &agent, "away", away);
    let slash = task("a/b", &agent, "e", this_program());
    scheduler.launch(&offer, vec![good.clone(), good, big, bare, other, absent, away, slash]).await;
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 8 {
        let status = scheduler
            .until(|event| match event {
                SchedulerEvent::Update(status) => Some(*status),
                _ => None,
            })
            .await;
        scheduler.acknowledge(&status).await;
        let key = format!("{} {}", status.task_id.value, status.state().as_str_name());
        seen.insert(key, (status.reason(), status.uuid.is_some(), status.message().to_owned()));
    }
    let failed = task_status::Reason::ContainerLaunchFailed;
    for (key, reason, uuid) in [
        ("good TASK_RUNNING", task_status::Reason::CommandExecutorFailed, true),
        ("good TASK_ERROR", task_status::Reason::TaskInvalid, false),
        ("big TASK_ERROR", task_status::Reason::TaskInvalid, false),
        ("bare TASK_ERROR", task_status::Reason::TaskInvalid, false),
        ("other TASK_ERROR", task_status::Reason::TaskInvalid, false),
        ("a/b TASK_ERROR", task_status::Reason::TaskInvalid, false),
        ("absent TASK_FAILED", failed, true),
        ("away TASK_FAILED", failed, true),
    ] {
        let (said, has_uuid, text) = seen.get(key).unwrap_or_else(|| panic!("{key} not in {seen:?}"));
        assert_eq!((*said, *has_uuid), (reason, uuid), "{key}: {text}");
    }
    // The offer is spent.
    scheduler.launch(&offer, vec![task("late", &agent, "e", this_program())]).await;
    let late = scheduler.update("late").await;
    assert_eq!((late.state(), late.reason()), (TaskState::TaskDropped, task_status::Reason::InvalidOffers));
    assert_eq!(late.uuid, None);
    bed.master.shutdown().await;
}

#[tokio::test]
async fn an_executor_that_dies_takes_its_tasks_along() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let offer = scheduler.run("t").await;
    assert_eq!(bed.master.kill_executors("e"), 1);
    let status = scheduler.update("t").await;
    assert_eq!(
        (status.state(), status.reason()),
        (TaskState::TaskFailed, task_status::Reason::ExecutorTerminated)
    );
    let wait_status = |event| match event {
        SchedulerEvent::Failure { executor_id: Some(id), status, .. } if id.value == "e" => status,
        _ => None,
    };
    assert_eq!(scheduler.until(wait_status).await, 9, "SIGKILL as waitpid has it");
    scheduler.run("u").await;
    let executor_id = ExecutorId { value: "e".into() };
    let agent_id = offer.agent_id.clone();
    scheduler.call(SchedulerCall::Message { agent_id, executor_id, data: b"exit".to_vec() }).await;
    assert_eq!(scheduler.state("u").await, TaskState::TaskFailed);
    assert_eq!(scheduler.until(wait_status).await, 3 << 8);
    bed.master.shutdown().await;
}

#[tokio::test]
async fn executors_survive_a_restart_of_the_agent() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    scheduler.run("t").await;
    scheduler.offer().await;
    bed.master.kill_agent();
    scheduler.until(|event| matches!(event, SchedulerEvent::Rescind(_)).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bed.master.restart_agent();
    // Longer than the agent waits for its executors.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(bed.master.executor_ids(), ["e"]);
    scheduler.call(SchedulerCall::Reconcile(vec![])).await;
    let status = scheduler.update("t").await;
    assert_eq!(
        (status.state(), status.reason()),
        (TaskState::TaskRunning, task_status::Reason::Reconciliation)
    );
    // Its updates arrive.
    let kill = call::Kill { task_id: TaskId { value: "t".into() }, ..call::Kill::default() };
    scheduler.call(SchedulerCall::Kill(kill)).await;
    assert_eq!(scheduler.state("t").await, TaskState::TaskKilled);
    bed.master.shutdown().await;
}

#[tokio::test]
async fn an_agent_that_is_lost_makes_its_tasks_unreachable() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    scheduler.run("t").await;
    bed.master.lose_agent();
    let status = scheduler.update("t").await;
    assert_eq!((status.state(), status.uuid.clone()), (TaskState::TaskUnreachable, None));
    scheduler
        .until(|event| matches!(event, SchedulerEvent::Failure { executor_id: None, .. }).then_some(()))
        .await;
    scheduler.call(SchedulerCall::Reconcile(vec![])).await;
    assert_eq!(scheduler.state("t").await, TaskState::TaskUnreachable);
    bed.master.restart_agent();
    let status = scheduler.update("t").await;
    assert_eq!(
        (status.state(), status.reason()),
        (TaskState::TaskRunning, task_status::Reason::AgentReregistered)
    );
    scheduler.offer().await;
    bed.master.shutdown().await;
}

#[tokio::test]
async fn a_new_master_is_silent_until_the_agent_is_back() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    scheduler.run("t").await;
    bed.master.fail_over(Duration::from_secs(3));
    scheduler.until(|event| matches!(event, SchedulerEvent::Subscribed { .. }).then_some(())).await;
    scheduler.call(SchedulerCall::Reconcile(vec![])).await;
    let told = timeout(Duration::from_millis(300), scheduler.update("t")).await;
    assert!(told.is_err(), "{told:?}");
    scheduler.offer().await;
    scheduler.call(SchedulerCall::Reconcile(vec![])).await;
    assert_eq!(scheduler.state("t").await, TaskState::TaskRunning);
    bed.master.shutdown().await;
}

#[tokio::test]
async fn an_agent_does_not_wait_for_ever() {
    let bed = bed_with(|settings| {
        settings.executor_reregistration_timeout = Duration::from_millis(300);
        settings.executor_registration_timeout = Duration::from_secs(1);
    })
    .await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let offer = scheduler.offer().await;
    let sleeps = CommandInfo { value: Some("sleep 60 & sleep 60".into()), ..CommandInfo::default() };
    scheduler.launch(&offer, vec![task("mute", &offer.agent_id, "mute", sleeps)]).await;
    let status = scheduler.update("mute").await;
    assert_eq!(
        (status.state(), status.reason()),
        (TaskState::TaskFailed, task_status::Reason::ExecutorRegistrationTimeout)
    );
    bed.master.shutdown().await;
}

#[tokio::test]
async fn offers_come_as_they_are_wanted() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let no_offer = async |scheduler: &mut Subscribed| {
        let offer = timeout(Duration::from_millis(400), scheduler.offer()).await;
        assert!(offer.is_err(), "an offer came");
    };
    let decline = |offer: Offer, secs: f64| {
        let filters = Some(Filters { refuse_seconds: Some(secs) });
        SchedulerCall::Decline(call::Decline { offer_ids: vec![offer.id], filters })
    };
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 0.0)).await;
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 1.0)).await;
    no_offer(&mut scheduler).await;
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 3600.0)).await;
    no_offer(&mut scheduler).await;
    scheduler.call(SchedulerCall::Revive { roles: vec![] }).await;
    let offer = scheduler.offer().await;
    scheduler.call(SchedulerCall::Suppress { roles: vec!["logs".into()] }).await;
    scheduler.call(decline(offer, 0.0)).await;
    no_offer(&mut scheduler).await;
    // A new subscription says the same.
    bed.master.drop_scheduler_streams();
    scheduler.until(|event| matches!(event, SchedulerEvent::Subscribed { .. }).then_some(())).await;
    no_offer(&mut scheduler).await;
    scheduler.call(SchedulerCall::Revive { roles: vec!["logs".into()] }).await;
    scheduler.offer().await;
    bed.master.shutdown().await;
}

#[tokio::test]
async fn a_framework_fails_over_with_its_tasks() {
    let bed = bed().await;
    let mut first = subscribe(&bed.master, framework(60.0)).await;
    first.run("t").await;
    let info = FrameworkInfo { id: Some(first.framework_id.clone()), ..framework(60.0) };
    let mut second = subscribe(&bed.master, info.clone()).await;
    assert_eq!(second.framework_id, first.framework_id);
    let kind = first
        .until(|event| match event {
            SchedulerEvent::Error { kind, .. } => Some(kind),
            _ => None,
        })
        .await;
    assert_eq!(kind, ErrorKind::FailedOver);
    assert_eq!(first.events.next().await, None);
    let ask = |task: &str, agent: Option<String>| call::reconcile::Task {
        task_id: TaskId { value: task.into() },
        agent_id: agent.map(|value| AgentId { value }),
    };
    let agent = bed.master.agent_id();
    let asked = vec![ask("t", None), ask("gone", Some(agent)), ask("unknown", Some("elsewhere".into()))];
    second.call(SchedulerCall::Reconcile(asked)).await;
    for (task, state) in
        [("t", TaskState::TaskRunning), ("gone", TaskState::TaskGone), ("unknown", TaskState::TaskUnknown)]
    {
        let status = second.update(task).await;
        assert_eq!((status.state(), status.uuid.clone()), (state, None), "{task}");
    }
    // Gone for good: executor and id too.
    drop(second);
    let third = subscribe(&bed.master, FrameworkInfo { failover_timeout: Some(0.1), ..info }).await;
    drop(third);
    eventually("the framework is removed", || bed.master.framework_ids().is_empty()).await;
    eventually("the executor ends", || bed.master.executor_ids().is_empty()).await;
    bed.master.shutdown().await;
}

#[tokio::test]
async fn faults_of_the_master_are_survived() {
    let bed = bed().await;
    bed.master.answer_with(1, 503, "No leader elected");
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    scheduler.run("t").await;
    let disconnected = |event| match event {
        SchedulerEvent::Disconnected { reason, .. } => Some(reason),
        _ => None,
    };
    let subscribed = |event| matches!(event, SchedulerEvent::Subscribed { .. }).then_some(());

    bed.master.drop_scheduler_streams();
    assert!(matches!(scheduler.until(disconnected).await, DisconnectReason::StreamEnded { .. }));
    scheduler.until(subscribed).await;

    bed.master.redirect(1, &format!("//{}/master/api/v1/scheduler", bed.master.address()));
    bed.master.send_error("Framework disconnected");
    assert!(matches!(scheduler.until(disconnected).await, DisconnectReason::Error { .. }));
    assert!(matches!(scheduler.until(disconnected).await, DisconnectReason::Redirect { .. }));
    scheduler.until(subscribed).await;

    bed.master.heartbeats(false);
    scheduler.call(SchedulerCall::Suppress { roles: vec![] }).await;
    assert!(matches!(scheduler.until(disconnected).await, DisconnectReason::Silence { .. }));
    bed.master.heartbeats(true);
    scheduler.until(subscribed).await;

    bed.master.answer_with(1, 403, "Framework is not subscribed");
    assert!(scheduler.handle.call(SchedulerCall::Revive { roles: vec![] }).await.is_err());
    assert!(matches!(scheduler.until(disconnected).await, DisconnectReason::CallRefused { .. }));
    scheduler.until(subscribed).await;

    bed.master.duplicate_updates(true);
    bed.master.hang_up(1);
    let kill = call::Kill { task_id: TaskId { value: "t".into() }, ..call::Kill::default() };
    let error = scheduler.handle.call(SchedulerCall::Kill(kill)).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    let uuids = [scheduler.update("t").await.uuid, scheduler.update("t").await.uuid];
    assert!(uuids[0].is_some() && uuids[0] == uuids[1], "carried out all the same, and told twice");
    bed.master.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_what_runs() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let offer = scheduler.run("t").await;
    let rest = scheduler.offer().await;
    let stubborn = CommandInfo { value: Some("trap '' TERM INT; sleep 60".into()), ..CommandInfo::default() };
    scheduler.launch(&rest, vec![task("s", &offer.agent_id, "stubborn", stubborn)]).await;
    eventually("both are there", || bed.master.executor_ids().len() == 2).await;
    timeout(Duration::from_secs(10), bed.master.shutdown()).await.expect("in time");
    let killed = scheduler
        .until(|event| match event {
            SchedulerEvent::Update(status) if status.task_id.value == "t" => Some(*status),
            _ => None,
        })
        .await;
    assert_eq!((killed.state(), killed.source()), (TaskState::TaskKilled, task_status::Source::Executor));
}

#[tokio::test]
async fn requests_are_checked_as_by_a_master() {
    let bed = bed().await;
    let ask = async |head: &str| {
        let mut stream = tokio::net::TcpStream::connect(bed.master.address()).await.unwrap();
        let request = format!("{head}Host: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap_or_default().parse::<u16>().unwrap_or_default()
    };
    let post = "POST /api/v1/scheduler HTTP/1.1\r\n";
    let protobuf = "Content-Type: application/x-protobuf\r\n";
    assert_eq!(ask("GET /api/v1/scheduler HTTP/1.1\r\n").await, 405);
    assert_eq!(ask("GET /nothing HTTP/1.1\r\n").await, 404);
    assert_eq!(ask(post).await, 415);
    assert_eq!(ask(&format!("{post}Content-Type: application/x-protobuf; charset=utf-8\r\n")).await, 415);
    assert_eq!(ask(&format!("{post}{protobuf}")).await, 406);
    assert_eq!(ask(&format!("{post}{protobuf}Accept: application/x-protobuf\r\n")).await, 400);
    bed.master.shutdown().await;
}
