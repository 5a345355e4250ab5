//! A framework with one task, and its executor, in one program.
//!
//! `one_task HOST:PORT [PRINCIPAL SECRET]` subscribes at a Mesos master, launches itself as an executor with
//! one task, exchanges a message with it, kills it, and tears the framework down. It ends with 0 when all
//! of that happened. With `--stay` it leaves out kill and teardown, and tells what it sees.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

use std::error::Error;
use std::time::Duration;

use mesos_v1::executor::{ExecutorClient, ExecutorConfig, ExecutorEnvironment, ExecutorEvent};
use mesos_v1::proto::scheduler::call;
use mesos_v1::proto::{
    CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkInfo, Offer, Resource, TaskId, TaskInfo,
    TaskState, TaskStatus, executor_info, framework_info, offer, value,
};
use mesos_v1::scheduler::{SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent};
use mesos_v1::transport::Authorization;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    if std::env::var_os("MESOS_EXECUTOR_ID").is_some() {
        return executor().await;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stay = arguments.iter().any(|argument| argument == "--stay");
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| *argument != "--stay").collect();
    let (masters, authorization) = match arguments.as_slice() {
        [masters] => (masters, Authorization::none()),
        [masters, principal, secret] => (masters, Authorization::basic(principal, secret)),
        _ => return Err("usage: one_task HOST:PORT[,HOST:PORT…] [PRINCIPAL SECRET] [--stay]".into()),
    };
    let principal = arguments.get(1).map(|principal| (*principal).to_owned());
    let masters = masters.split(',').map(str::parse).collect::<std::result::Result<Vec<_>, _>>()?;
    let framework = FrameworkInfo {
        user: std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
        name: "one-task".to_owned(),
        roles: vec!["*".to_owned()],
        checkpoint: Some(true),
        failover_timeout: Some(60.0),
        principal,
        capabilities: [
            framework_info::capability::Type::MultiRole,
            framework_info::capability::Type::PartitionAware,
            framework_info::capability::Type::ReservationRefinement,
            framework_info::capability::Type::TaskKillingState,
        ]
        .map(|kind| framework_info::Capability { r#type: Some(kind.into()) })
        .to_vec(),
        ..FrameworkInfo::default()
    };
    let config = SchedulerConfig::new(masters, framework).with(|config| config.authorization = authorization);
    if stay {
        return scheduler(config, true).await;
    }
    tokio::time::timeout(Duration::from_secs(60), scheduler(config, false)).await?
}

async fn scheduler(config: SchedulerConfig, stay: bool) -> Result {
    let (handle, mut events) = SchedulerClient::connect(config)?;
    let (mut stream, mut launched) = (None, false);
    while let Some(event) = events.next().await {
        match event {
            SchedulerEvent::Subscribed { framework_id, stream_id, master, endpoint, .. } => {
                let version = master.and_then(|master| master.version);
                println!("subscribed as {} at {endpoint}, version {version:?}", framework_id.value);
                stream = Some(stream_id);
                if launched {
                    handle.call(SchedulerCall::Reconcile(vec![])).await?;
                }
            }
            SchedulerEvent::Offers(offers) => {
                let Some(stream_id) = &stream else { continue };
                for offer in offers {
                    let offer_ids = vec![offer.id.clone()];
                    let call = if launched {
                        let filters = Some(Filters { refuse_seconds: Some(3600.0) });
                        SchedulerCall::Decline(call::Decline { offer_ids, filters })
                    } else {
                        launched = true;
                        println!("launching on {}", offer.hostname);
                        SchedulerCall::Accept(call::Accept {
                            offer_ids,
                            operations: vec![launch(&offer)?],
                            filters: Some(Filters { refuse_seconds: Some(0.0) }),
                        })
                    };
                    handle.call_on(stream_id, call).await?;
                }
            }
            SchedulerEvent::Update(status) => {
                println!(
                    "{} is {}: {:?}",
                    status.task_id.value,
                    status.state().as_str_name(),
                    status.message()
                );
                let agent_id = status.agent_id.clone().unwrap_or_default();
                if let Some(uuid) = status.uuid.clone() {
                    let (agent_id, task_id) = (agent_id.clone(), status.task_id.clone());
                    handle
                        .call(SchedulerCall::Acknowledge(call::Acknowledge { agent_id, task_id, uuid }))
                        .await?;
                }
                match status.state() {
                    TaskState::TaskRunning if !stay => {
                        let executor_id = status.executor_id.clone().unwrap_or_default();
                        let data = b"ping".to_vec();
                        handle.call(SchedulerCall::Message { agent_id, executor_id, data }).await?;
                    }
                    TaskState::TaskKilled => {
                        handle.call(SchedulerCall::Teardown).await?;
                        println!("done");
                        return Ok(());
                    }
                    TaskState::TaskFailed | TaskState::TaskError | TaskState::TaskDropped if !stay => {
                        return Err("the task did not run".into());
                    }
                    _ => {}
                }
            }
            SchedulerEvent::Message { data, .. } => {
                println!("executor says {}", String::from_utf8_lossy(&data));
                let task_id = TaskId { value: "task-1".to_owned() };
                handle.call(SchedulerCall::Kill(call::Kill { task_id, ..call::Kill::default() })).await?;
            }
            SchedulerEvent::Heartbeat => {}
            other => println!("{other:?}"),
        }
    }
    Err("the subscription ended for good".into())
}

fn launch(offer: &Offer) -> Result<offer::Operation> {
    let program = std::env::current_exe()?.display().to_string();
    let take = |name: &str, amount: f64| {
        // Everything but the amount goes back as it came.
        let resource = offer.resources.iter().find(|resource| resource.name == name);
        let scalar = Some(value::Scalar { value: amount });
        resource.map(|resource| Resource { scalar, ..resource.clone() }).ok_or(format!("no {name} offered"))
    };
    let executor = ExecutorInfo {
        executor_id: ExecutorId { value: "executor-1".to_owned() },
        framework_id: Some(offer.framework_id.clone()),
        r#type: Some(executor_info::Type::Custom.into()),
        command: Some(CommandInfo {
            shell: Some(false),
            value: Some(program.clone()),
            arguments: vec![program],
            ..CommandInfo::default()
        }),
        resources: vec![take("cpus", 0.1)?, take("mem", 32.0)?],
        ..ExecutorInfo::default()
    };
    let task = TaskInfo {
        name: "task".to_owned(),
        task_id: TaskId { value: "task-1".to_owned() },
        agent_id: offer.agent_id.clone(),
        resources: vec![take("cpus", 0.1)?, take("mem", 32.0)?],
        executor: Some(executor),
        ..TaskInfo::default()
    };
    Ok(offer::Operation {
        r#type: Some(offer::operation::Type::Launch.into()),
        launch: Some(offer::operation::Launch { task_infos: vec![task] }),
        ..offer::Operation::default()
    })
}

async fn executor() -> Result {
    let environment = ExecutorEnvironment::from_process()?;
    println!("{environment:?}");
    let (handle, mut events) = ExecutorClient::connect(ExecutorConfig::new(environment));
    let mut tasks: Vec<TaskId> = Vec::new();
    let status = |task_id: TaskId, state: TaskState| TaskStatus {
        task_id,
        state: state.into(),
        ..TaskStatus::default()
    };
    while let Some(event) = events.next().await {
        println!("{event:?}");
        match event {
            ExecutorEvent::Launch(task) => {
                tasks.push(task.task_id.clone());
                handle.update(status(task.task_id.clone(), TaskState::TaskStarting))?;
                handle.update(status(task.task_id, TaskState::TaskRunning))?;
            }
            ExecutorEvent::Message(_) => handle.message(b"pong".to_vec()).await?,
            ExecutorEvent::Kill { task_id, .. } => {
                handle.update(status(task_id.clone(), TaskState::TaskKilling))?;
                handle.update(status(task_id.clone(), TaskState::TaskKilled))?;
                tasks.retain(|task| *task != task_id);
            }
            ExecutorEvent::Shutdown { grace, .. } => {
                for task in tasks.drain(..) {
                    handle.update(status(task, TaskState::TaskKilled))?;
                }
                let _ = tokio::time::timeout(grace / 2, handle.flushed()).await;
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}
