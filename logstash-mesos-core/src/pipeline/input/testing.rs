//! What the unit tests of the inputs share: an input at work, and the events it makes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use logstash_mesos_engine::testing::{NOW, context, settings_of};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::event::{Ack, Event, FieldReference, Text, write_json};
use crate::pipeline::plugin::{
    Batch, BatchSender, BuildError, EcsCompatibility, Input, InputContext, InputError, MakeInput, PluginSpec,
};
use crate::pipeline::sockets::Sockets;
use crate::source::Tally;

/// No event takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A connection, as soon as somebody listens.
pub(crate) async fn connect(port: u16) -> TcpStream {
    for _ in 0..2000 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody listens on port {port}")
}

fn build(spec: &PluginSpec, settings: &str, ecs: EcsCompatibility) -> Result<Box<dyn Input>, BuildError> {
    MakeInput::of(spec)?(&settings_of(spec, settings), &context(spec, ecs))
}

/// What an input says about settings it refuses.
pub(crate) fn refused(spec: &PluginSpec, settings: &str) -> String {
    match build(spec, settings, EcsCompatibility::V8) {
        Ok(_) => panic!("{settings} was accepted"),
        Err(error) => error.message,
    }
}

/// An input at work.
pub(crate) struct Running {
    events: mpsc::UnboundedReceiver<Received>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), InputError>>,
    /// What it has counted.
    pub(crate) tally: Arc<Tally>,
}

/// An event, and the acknowledgement of its batch.
pub(crate) struct Received {
    pub(crate) event: Event,
    pub(crate) ack: Ack,
}

impl Received {
    /// The text of a field.
    pub(crate) fn text(&self, field: &str) -> String {
        let field = FieldReference::parse(field).expect("a field reference");
        self.event.get_text(&field).map(Text::to_string).unwrap_or_default()
    }

    /// A field as JSON.
    pub(crate) fn json(&self, field: &str) -> String {
        let field = FieldReference::parse(field).expect("a field reference");
        let mut out = Vec::new();
        if let Some(value) = self.event.get(&field) {
            write_json(value, &mut out);
        }
        String::from_utf8(out).expect("JSON is UTF-8")
    }
}

struct Sender(mpsc::UnboundedSender<Received>);

#[async_trait]
impl BatchSender for Sender {
    async fn send(&self, mut batch: Batch) -> bool {
        let events = batch.take_events();
        for event in events {
            if self.0.send(Received { event, ack: batch.ack.clone() }).is_err() {
                return false;
            }
        }
        batch.ack.delivered();
        true
    }
}

/// What an input is run with, and the events that it sends.
pub(crate) fn receiving() -> (InputContext, mpsc::UnboundedReceiver<Received>) {
    let (sender, events) = mpsc::unbounded_channel();
    let cx = InputContext {
        events: Arc::new(Sender(sender)),
        shutdown: CancellationToken::new(),
        clock: NOW,
        bus: crate::pipeline::Bus::default(),
        memory: crate::memory::Memory::default(),
        persisted: false,
        tally: Arc::default(),
        host_root: "/".into(),
        sockets: Sockets::default(),
    };
    (cx, events)
}

impl Running {
    /// Starts the input with settings written as a JSON object.
    pub(crate) fn start(spec: &PluginSpec, settings: &str, ecs: EcsCompatibility) -> Self {
        Self::run_with(Sockets::default(), spec, settings, ecs)
    }

    /// The same in a run of a pipeline that has `sockets`.
    pub(crate) fn run_with(
        sockets: Sockets,
        spec: &PluginSpec,
        settings: &str,
        ecs: EcsCompatibility,
    ) -> Self {
        let input = build(spec, settings, ecs).expect("the settings are fine");
        let (cx, events) = receiving();
        let cx = InputContext { sockets, ..cx };
        let (shutdown, tally) = (cx.shutdown.clone(), Arc::clone(&cx.tally));
        Self { events, shutdown, task: tokio::spawn(input.run(cx)), tally }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("in time")
            .expect("the input is at work")
    }

    /// The next event if it comes soon.
    pub(crate) async fn try_next(&mut self) -> Option<Received> {
        tokio::time::timeout(Duration::from_millis(50), self.events.recv()).await.ok().flatten()
    }

    /// What the input says when it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), InputError> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("it ends in time");
        ended.expect("it does not panic")
    }

    /// Ends the input.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("it ends in time");
        ended.expect("it does not panic").expect("it ends well");
    }
}
