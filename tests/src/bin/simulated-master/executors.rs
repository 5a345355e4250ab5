//! Executors that are woken: each keeps a session with the scheduler and tells of streams that it does not read.

use std::time::Duration;

use logstash_mesos_core::protocol::control_client::ControlClient;
use logstash_mesos_core::protocol::{
    Applied, ExecutorMessage, Hello, PipelineStatus, SourceKind, Status, StreamStatus, Wake,
    executor_message, scheduler_message,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// What an executor is, as far as the scheduler has to know it.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) framework_id: String,
    pub(crate) agent_id: String,
    pub(crate) executor_id: String,
    pub(crate) hostname: String,
    /// As many streams, two for each container.
    pub(crate) streams: usize,
}

/// So long details are sent after somebody has asked for them, as a real one does.
const WATCHED_FOR: Duration = Duration::from_secs(60);

impl Executor {
    /// Keeps a session with the scheduler that sent this message, until that ends it.
    pub(crate) async fn woken(self, message: Vec<u8>) {
        let Ok(Wake { urls, token, .. }) = Wake::decode(&*message) else { return };
        let Some(url) = urls.into_iter().next() else { return };
        // It is woken again if it comes to nothing.
        let _ended = self.session(url, token).await;
    }

    async fn session(
        &self,
        url: String,
        token: String,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut client = ControlClient::new(tonic::transport::Endpoint::from_shared(url)?.connect().await?);
        let (outgoing, messages) = mpsc::channel(4);
        let say = async |message| outgoing.send(ExecutorMessage { message: Some(message) }).await;
        say(executor_message::Message::Hello(Hello {
            framework_id: self.framework_id.clone(),
            agent_id: self.agent_id.clone(),
            executor_id: self.executor_id.clone(),
            hostname: self.hostname.clone(),
            token,
            build: "simulated".to_owned(),
            ..Hello::default()
        }))
        .await?;
        let mut incoming = client.session(ReceiverStream::new(messages)).await?.into_inner();
        let (mut seconds, mut watched_until) = (0, None);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                message = incoming.message() => match message?.ok_or("it has ended")?.message {
                    Some(scheduler_message::Message::ConfigSet(set)) => {
                        let applied = Applied { set_version: set.set_version, results: vec![] };
                        say(executor_message::Message::Applied(applied)).await?;
                        say(executor_message::Message::Status(self.status(seconds, false))).await?;
                    }
                    Some(scheduler_message::Message::Watch(_)) => watched_until = Some(Instant::now() + WATCHED_FOR),
                    Some(scheduler_message::Message::Rejected(rejected)) => return Err(rejected.reason.into()),
                    _ => {}
                },
                _ = tick.tick() => {
                    seconds += 1;
                    if watched_until.is_some_and(|until| Instant::now() < until) {
                        say(executor_message::Message::Status(self.status(seconds, true))).await?;
                    }
                }
            }
        }
    }

    /// Every stream has had events since the second before.
    fn status(&self, seconds: u64, partial: bool) -> Status {
        let events = seconds * 10;
        let total = events * self.streams as u64;
        let pipeline = PipelineStatus {
            configuration: "docker/nginx:1.27".to_owned(),
            events_in: total,
            events_out: total,
            ..PipelineStatus::default()
        };
        Status {
            streams: (0..self.streams).map(|number| self.stream(number, events)).collect(),
            events_in: total,
            events_out: total,
            memory_bytes: 40 << 20,
            pipelines: vec![pipeline],
            partial,
            ..Status::default()
        }
    }

    fn stream(&self, number: usize, events: u64) -> StreamStatus {
        let agent = self.agent_id.rsplit('S').next().unwrap_or_default();
        let container = format!("{:0>60}{:0>4}", agent, number / 2);
        let path = ["/var/log/nginx/access.log", "/var/log/nginx/error.log"][number % 2];
        StreamStatus {
            id: format!("container:{container}:file:{path}"),
            container_id: container,
            name: format!("web-{agent}-{}", number / 2),
            image: "nginx:1.27".to_owned(),
            source: SourceKind::Path.into(),
            path: path.to_owned(),
            method: "proc-root".to_owned(),
            offset: events * 180,
            events,
            configurations: vec!["nginx:1.27".to_owned()],
            ..StreamStatus::default()
        }
    }
}
