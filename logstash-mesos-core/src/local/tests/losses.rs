//! Agents, masters and frameworks that end and come back.

use super::*;

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
