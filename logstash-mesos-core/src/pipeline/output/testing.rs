//! What the unit tests of the outputs share.

use std::sync::Arc;

use logstash_mesos_engine::testing::{context, json_event, settings_of};

use crate::pipeline::plugin::{EcsCompatibility, MakeOutput, Output, OutputContext, PluginSpec};
use crate::sink::RecordBatch;

/// The output with settings written as a JSON object.
pub(super) fn output(spec: &PluginSpec, settings: &str) -> Box<dyn Output> {
    let make = MakeOutput::of(spec).expect("an output");
    make.make(&settings_of(spec, settings), &context(spec, EcsCompatibility::V8), &OutputContext::default())
        .expect("the settings are fine")
}

/// The records of these events.
pub(super) fn batch(output: &mut dyn Output, events: &[&str]) -> Arc<RecordBatch> {
    let mut batch = RecordBatch::default();
    for event in events {
        output.encode(&json_event(event), &mut batch).expect("the event can be written");
    }
    Arc::new(batch)
}
