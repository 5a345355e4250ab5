//! Executors are fetched and started, and tasks live in them.

use super::*;

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
