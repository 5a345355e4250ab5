//! What the unit tests of the outputs share.

use std::sync::Arc;

use crate::pipeline::filter::testing::{context, json_event, settings_of};
use crate::pipeline::plugin::{Build, EcsCompatibility, Output, PluginSpec};
use crate::sink::RecordBatch;

/// The output with settings written as a JSON object.
pub(super) fn output(spec: &PluginSpec, settings: &str) -> Box<dyn Output> {
    let Build::Output(make) = spec.build else { panic!("an output") };
    make(&settings_of(spec, settings), &context(spec, EcsCompatibility::V8)).expect("the settings are fine")
}

/// The records of these events.
pub(super) fn batch(output: &mut dyn Output, events: &[&str]) -> Arc<RecordBatch> {
    let mut batch = RecordBatch::default();
    for event in events {
        output.encode(&json_event(event), &mut batch).expect("the event can be written");
    }
    Arc::new(batch)
}
