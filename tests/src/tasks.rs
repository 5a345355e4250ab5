//! A framework of the tests' own, whose tasks are shell scripts.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mesos_v1::proto::scheduler::call;
use mesos_v1::proto::{
    CommandInfo, ContainerInfo, ExecutorId, ExecutorInfo, Filters, FrameworkInfo, Label, Labels, Offer,
    Resource, TaskId, TaskInfo, TaskState, container_info, executor_info, framework_info, offer, value,
};
use mesos_v1::scheduler::{
    SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent, SchedulerEvents, SchedulerHandle,
};
use tokio::sync::oneshot;

use crate::process::built_beside;
use crate::wait::{PATIENCE, until};

/// What is to run, in an executor of its own.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Id of the task, and of its executor with `-executor` behind it.
    pub task: String,
    /// For `sh -c`.
    pub script: String,
    /// Labels of the task.
    pub labels: Vec<(String, String)>,
    /// For the Docker containerizer: the image. The script is the executor then, which never subscribes, so the agent
    /// ends it after `--executor_registration_timeout` and its task is never running.
    pub image: Option<String>,
}

/// The framework, subscribed until it is dropped.
#[derive(Debug)]
pub struct Framework {
    shared: Arc<Shared>,
    /// Told whether the framework is to be torn down.
    stop: Option<oneshot::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    id: Mutex<String>,
    waiting: Mutex<Vec<Script>>,
    states: Mutex<BTreeMap<String, TaskState>>,
}

impl Framework {
    /// Subscribes at a master, `host:port`, by this name, with checkpoints.
    #[must_use]
    pub fn start(master: &str, name: &str) -> Self {
        let capabilities = [framework_info::capability::Type::MultiRole];
        let framework = FrameworkInfo {
            user: "root".to_owned(),
            name: name.to_owned(),
            roles: vec!["*".to_owned()],
            checkpoint: Some(true),
            failover_timeout: Some(60.0),
            capabilities: capabilities
                .map(|kind| framework_info::Capability { r#type: Some(kind.into()) })
                .to_vec(),
            ..FrameworkInfo::default()
        };
        let masters = vec![master.parse().expect("it is an address")];
        let config = SchedulerConfig::new(masters, framework);
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let same = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("there are threads").block_on(async {
                let (handle, events) = SchedulerClient::connect(config).expect("the usual pauses are valid");
                let mut serving = pin!(same.serve(&handle, events));
                tokio::select! {
                    () = &mut serving => {}
                    torn_down = stopped => if torn_down == Ok(true) {
                        // On the subscription, so it goes on; that ends with the framework, perhaps before the answer.
                        let _either = tokio::join!(handle.call(SchedulerCall::Teardown), async {
                            tokio::time::timeout(Duration::from_secs(5), serving).await
                        });
                    }
                }
            });
        });
        let framework = Self { shared, stop: Some(stop), thread: Some(thread) };
        until("a framework to subscribe", PATIENCE, || match framework.id() {
            id if id.is_empty() => Err("it has no id yet".into()),
            _ => Ok(()),
        });
        framework
    }

    /// The id of the task, as Mesos knows it.
    #[must_use]
    pub fn id(&self) -> String {
        self.shared.id.lock().expect("no test panics in it").clone()
    }

    /// Has a script run on the agent that is offered next.
    pub fn launch(&self, script: Script) {
        self.shared.waiting.lock().expect("no test panics in it").push(script);
    }

    /// Tears the framework down: its executors end.
    pub fn end(mut self) {
        let stop = self.stop.take().expect("it was not dropped");
        let _it_has_ended = stop.send(true);
    }

    /// Waits until a task is in this state.
    #[track_caller]
    pub fn wait(&self, task: &str, state: TaskState) {
        until(&format!("{task} to be {state:?}"), PATIENCE * 2, || {
            let states = self.shared.states.lock().expect("no test panics in it");
            if states.get(task) == Some(&state) { Ok(()) } else { Err(format!("{states:?}")) }
        });
    }
}

impl Drop for Framework {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _its_panic_was_printed = thread.join();
        }
    }
}

impl Shared {
    async fn serve(&self, handle: &SchedulerHandle, mut events: SchedulerEvents) {
        let mut stream = None;
        while let Some(event) = events.next().await {
            match event {
                SchedulerEvent::Subscribed { framework_id, stream_id, .. } => {
                    *self.id.lock().expect("no test panics in it") = framework_id.value;
                    stream = Some(stream_id);
                }
                SchedulerEvent::Offers(offers) => {
                    let Some(stream_id) = &stream else { continue };
                    for offer in offers {
                        let _the_next_one_comes = handle.call_on(stream_id, self.answer(offer)).await;
                    }
                }
                SchedulerEvent::Update(status) => {
                    self.note(status.task_id.value.clone(), status.state());
                    acknowledge(handle, *status).await;
                }
                _ => {}
            }
        }
    }

    fn note(&self, task: String, state: TaskState) {
        self.states.lock().expect("no test panics in it").insert(task, state);
    }

    /// Launches what waits, and has the next offer come soon.
    fn answer(&self, offer: Offer) -> SchedulerCall {
        let waiting = std::mem::take(&mut *self.waiting.lock().expect("no test panics in it"));
        let launches = waiting.iter().map(|script| offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos: vec![task(script, &offer)] }),
            ..offer::Operation::default()
        });
        SchedulerCall::Accept(call::Accept {
            operations: launches.collect(),
            offer_ids: vec![offer.id.clone()],
            filters: Some(Filters { refuse_seconds: Some(0.5) }),
        })
    }
}

async fn acknowledge(handle: &SchedulerHandle, status: mesos_v1::proto::TaskStatus) {
    let Some(uuid) = status.uuid else { return };
    let agent_id = status.agent_id.unwrap_or_default();
    let call = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
    let _it_is_sent_again = handle.call(SchedulerCall::Acknowledge(call)).await;
}

fn task(script: &Script, offer: &Offer) -> TaskInfo {
    let take = |name: &str, amount: f64| {
        // Everything but the amount goes back as it came.
        let resource = offer.resources.iter().find(|resource| resource.name == name);
        let scalar = Some(value::Scalar { value: amount });
        Resource { scalar, ..resource.expect("agents offer it").clone() }
    };
    let resources = vec![take("cpus", 0.1), take("mem", 32.0)];
    let command = match script.image {
        Some(_) => CommandInfo { value: Some(script.script.clone()), ..CommandInfo::default() },
        None => {
            let program = built_beside("script-executor").display().to_string();
            let arguments = vec![program.clone()];
            CommandInfo { shell: Some(false), value: Some(program), arguments, ..CommandInfo::default() }
        }
    };
    let container = script.image.clone().map(|image| ContainerInfo {
        r#type: container_info::Type::Docker.into(),
        docker: Some(container_info::DockerInfo { image, ..container_info::DockerInfo::default() }),
        ..ContainerInfo::default()
    });
    let label = |(key, value): &(String, String)| Label { key: key.clone(), value: Some(value.clone()) };
    TaskInfo {
        name: script.task.clone(),
        task_id: TaskId { value: script.task.clone() },
        agent_id: offer.agent_id.clone(),
        labels: Some(Labels { labels: script.labels.iter().map(label).collect() }),
        data: Some(script.script.clone().into_bytes()),
        executor: Some(ExecutorInfo {
            executor_id: ExecutorId { value: format!("{}-executor", script.task) },
            framework_id: Some(offer.framework_id.clone()),
            r#type: Some(executor_info::Type::Custom.into()),
            command: Some(command),
            container,
            resources: resources.clone(),
            ..ExecutorInfo::default()
        }),
        resources,
        ..TaskInfo::default()
    }
}
