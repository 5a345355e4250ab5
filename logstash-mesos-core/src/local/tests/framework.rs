//! A framework under test.

use super::*;

/// A framework under test.
pub(super) struct Subscribed {
    pub(super) handle: SchedulerHandle,
    pub(super) events: SchedulerEvents,
    pub(super) framework_id: FrameworkId,
    pub(super) stream_id: StreamId,
    /// Offers that came while something else was waited for, and are good still.
    pub(super) offers: VecDeque<Offer>,
}

pub(super) async fn subscribe(master: &FakeMaster, framework: FrameworkInfo) -> Subscribed {
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
    pub(super) async fn until<T>(&mut self, mut wanted: impl FnMut(SchedulerEvent) -> Option<T>) -> T {
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

    pub(super) async fn offer(&mut self) -> Offer {
        loop {
            if let Some(offer) = self.offers.pop_front() {
                return offer;
            }
            self.until(|event| matches!(event, SchedulerEvent::Offers(_)).then_some(())).await;
        }
    }

    /// The next update of a task, acknowledged.
    pub(super) async fn update(&mut self, task: &str) -> TaskStatus {
        let status = self
            .until(|event| match event {
                SchedulerEvent::Update(status) if status.task_id.value == task => Some(*status),
                _ => None,
            })
            .await;
        self.acknowledge(&status).await;
        status
    }

    pub(super) async fn acknowledge(&self, status: &TaskStatus) {
        if let Some(uuid) = status.uuid.clone() {
            let agent_id = status.agent_id.clone().unwrap();
            let task_id = status.task_id.clone();
            let acknowledge = call::Acknowledge { agent_id, task_id, uuid };
            self.handle.call(SchedulerCall::Acknowledge(acknowledge)).await.unwrap();
        }
    }

    pub(super) async fn state(&mut self, task: &str) -> TaskState {
        self.update(task).await.state()
    }

    pub(super) async fn launch(&self, offer: &Offer, tasks: Vec<TaskInfo>) {
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
    pub(super) async fn run(&mut self, id: &str) -> Offer {
        let offer = self.offer().await;
        self.launch(&offer, vec![task(id, &offer.agent_id, "e", this_program())]).await;
        let status = self.update(id).await;
        assert_eq!(status.state(), TaskState::TaskRunning, "{status:?}");
        offer
    }

    pub(super) async fn call(&self, call: SchedulerCall) {
        self.handle.call(call).await.unwrap();
    }
}
