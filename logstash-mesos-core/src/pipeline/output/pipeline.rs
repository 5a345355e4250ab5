//! `pipeline`: other pipelines on the same bus.

use std::sync::Arc;

use async_trait::async_trait;
use logstash_mesos_engine::time::Seldom;
use tracing::warn;

use crate::event::{Ack, Event, Text};
use crate::pipeline::bus::{Bus, Registration};
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Batch, Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, OutputContext, PluginSpec,
};
use crate::sink::{Batching, Delivered, LogSink, RecordBatch, SinkError};
use crate::source::{Lost, Tally};

pub(crate) static PIPELINE: PluginSpec = PluginSpec {
    name: "pipeline",
    doc: "Hands events on to `pipeline` inputs of the same shipper. An event counts as delivered when all of these pipelines have delivered it.",
    settings: &[
        Setting::new("send_to", Kind::List(&Kind::String), "The addresses of the inputs.").required(),
        Setting::new(
            "ensure_delivery",
            Kind::Boolean,
            "Waits while nobody listens at an address; without it, such events are dropped and counted as lost (`nobody_listens`).",
        )
        .default(Default::Bool(true)),
    ],
    build: Build::Output(&MakeOutput::sharing(build)),
};

fn build(settings: &Settings, _: &BuildContext, with: &OutputContext) -> Result<Box<dyn Output>, BuildError> {
    let addresses = settings.strings("send_to");
    if addresses.is_empty() || addresses.iter().any(|address| address.is_empty()) {
        return Err(BuildError::setting("send_to", "has no address, or an empty one"));
    }
    let sink = PipelineSink {
        _registered: with.bus.register(&addresses),
        bus: with.bus.clone(),
        addresses,
        insists: settings.bool("ensure_delivery"),
        tally: Arc::clone(&with.tally),
        said: Seldom::default(),
    };
    Ok(Box::new(Pipeline(Arc::new(sink))))
}

struct Pipeline(Arc<PipelineSink>);

impl Output for Pipeline {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        batch.push_event(event.clone());
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.0) as _
    }
}

/// Hands events on to other pipelines, which share the acknowledgement.
struct PipelineSink {
    addresses: Vec<Text>,
    // Without it, what comes while nobody listens is dropped.
    insists: bool,
    bus: Bus,
    tally: Arc<Tally>,
    said: Seldom,
    _registered: Registration,
}

impl std::fmt::Debug for PipelineSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineSink").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogSink for PipelineSink {
    fn name(&self) -> String {
        format!("pipeline {}", self.addresses.iter().map(Text::as_str).collect::<Vec<_>>().join(", "))
    }

    fn batching(&self) -> Batching {
        // Small batches: downstream filters go through them as they come.
        Batching { max_bytes: 512 << 10, max_records: 1000, in_flight: 1 }
    }

    fn takes_bytes(&self) -> bool {
        false
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        self.hand_on(batch, &Ack::none()).await
    }

    async fn hand_on(&self, batch: &Arc<RecordBatch>, ack: &Ack) -> Result<Delivered, SinkError> {
        if self.insists
            && let Some(address) = self.bus.first_deaf(&self.addresses)
        {
            let reason = format!("no pipeline listens at `{address}`");
            return Err(SinkError::Unavailable { sink: self.name(), reason });
        }
        let make = |ack| Batch {
            events: batch.events.clone(),
            byte_size: batch.byte_size(),
            ack,
            ..Batch::default()
        };
        for address in &self.addresses {
            if !self.bus.send(address, self.insists, make, ack).await {
                self.tally.add_lost(Lost::NobodyListens, batch.byte_size() as u64);
                if self.said.is_due() {
                    warn!(%address, count = batch.len(), "No pipeline listens, events are dropped as ensure_delivery is off");
                }
            }
        }
        Ok(Delivered::default())
    }
}
