mod calls;
mod framework;
mod launches;
mod losses;

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

use self::framework::{Subscribed, subscribe};
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
