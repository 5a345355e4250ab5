//! An executor of the tests' own: runs the data of each task as a shell script, whose output is the executor's.

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use mesos_v1::executor::{ExecutorClient, ExecutorConfig, ExecutorEnvironment, ExecutorEvent};
use mesos_v1::proto::{TaskId, TaskState, TaskStatus};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let environment = ExecutorEnvironment::from_process()?;
    let (handle, mut events) = ExecutorClient::connect(ExecutorConfig::new(environment));
    let update = |task_id: &TaskId, state: TaskState| {
        handle.update(TaskStatus { task_id: task_id.clone(), state: state.into(), ..TaskStatus::default() })
    };
    let mut running: Vec<(TaskId, Child)> = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
        for (task_id, mut child) in std::mem::take(&mut running) {
            match child.try_wait()? {
                None => running.push((task_id, child)),
                Some(status) if status.success() => update(&task_id, TaskState::TaskFinished)?,
                Some(_) => update(&task_id, TaskState::TaskFailed)?,
            }
        }
        match event {
            Ok(Some(ExecutorEvent::Launch(task))) => {
                let script = String::from_utf8(task.data.clone().unwrap_or_default())?;
                running.push((task.task_id.clone(), Command::new("sh").arg("-c").arg(script).spawn()?));
                update(&task.task_id, TaskState::TaskRunning)?;
            }
            Ok(Some(ExecutorEvent::Shutdown { .. }) | None) => break,
            Ok(Some(_)) | Err(_) => {}
        }
    }
    for (task_id, mut child) in running {
        child.kill()?;
        child.wait()?;
        update(&task_id, TaskState::TaskKilled)?;
    }
    let _the_agent_may_be_gone = tokio::time::timeout(Duration::from_secs(1), handle.flushed()).await;
    Ok(())
}
