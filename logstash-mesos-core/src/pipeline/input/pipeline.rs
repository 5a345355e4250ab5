//! `pipeline`: events from the outputs of other pipelines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::{info, warn};

use super::common::InputOptions;
use crate::event::{Event, StreamKey, Text};
use crate::pipeline::bus::Listening;
use crate::pipeline::plugin::settings::{Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Batch, BatchSender, Build, BuildContext, BuildError, Input, InputContext, InputError, MakeInput,
    PluginSpec,
};

pub(crate) static PIPELINE: PluginSpec = PluginSpec {
    name: "pipeline",
    doc: "Takes events from `pipeline` outputs of the same shipper. What is delivered here counts as delivered there.",
    settings: &[Setting::new("address", Kind::String, "Where others send to; one pipeline listens at each.")
        .required()],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let address = settings.text("address").unwrap_or_default();
    if address.is_empty() {
        return Err(BuildError::setting("address", "is empty"));
    }
    Ok(Box::new(Pipeline { address, options: InputOptions::new(settings) }))
}

struct Pipeline {
    address: Text,
    options: InputOptions,
}

/// A pipeline that goes away has this long to leave its address to another one.
const PATIENCE: Duration = Duration::from_secs(35);
/// How often to try.
const AGAIN: Duration = Duration::from_millis(500);

#[async_trait]
impl Input for Pipeline {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let Self { address, options } = *self;
        let pipeline_id = &**cx.sockets.pipeline_id();
        let receiving: Arc<dyn BatchSender> = Arc::new(Receiving {
            events: Arc::clone(&cx.events),
            options,
            address: address.clone(),
            streams: Mutex::default(),
        });
        let begun = Instant::now();
        let mut said = false;
        let listening: Listening = loop {
            match cx.bus.listen(&address, &cx.sockets, Arc::clone(&receiving)) {
                Ok(listening) => break listening,
                Err(taken) => {
                    if *taken.by == *pipeline_id || begun.elapsed() >= PATIENCE {
                        return Err(InputError::other(taken));
                    }
                    if !said {
                        warn!(error = %taken, pipeline_id, "Input waits for its address");
                        said = true;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = cx.shutdown.cancelled() => return Ok(()),
            }
        };
        info!(%address, pipeline_id, "Input listens for other pipelines");
        cx.shutdown.cancelled().await;
        // When everything ends, the others still deliver what they have.
        listening.nothing_more().await;
        Ok(())
    }
}

/// Takes batches for the pipeline of the input.
struct Receiving {
    events: Arc<dyn BatchSender>,
    options: InputOptions,
    address: Text,
    // The stream of the last event, as it came and as it goes on.
    streams: Mutex<Option<(StreamKey, StreamKey)>>,
}

#[async_trait]
impl BatchSender for Receiving {
    async fn send(&self, mut batch: Batch) -> bool {
        for event in &mut batch.events {
            self.rename(event);
            self.options.apply(event);
        }
        self.events.send(batch).await
    }
}

impl Receiving {
    /// An event that goes several ways is several events: their documents must not get the same id.
    fn rename(&self, event: &mut Event) {
        let Some(origin) = &mut event.origin else { return };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let renamed = match &*streams {
            Some((from, to)) if *from == origin.stream => to.clone(),
            _ => {
                let to = StreamKey(Arc::from(format!("{} {}", origin.stream.0, self.address)));
                *streams = Some((origin.stream.clone(), to.clone()));
                to
            }
        };
        origin.stream = renamed;
    }
}
