//! `null`: takes everything and keeps nothing.

use std::sync::Arc;

use crate::event::Event;
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, PluginSpec};
use crate::sink::{LogSink, NullSink, RecordBatch};

pub(crate) static NULL: PluginSpec = PluginSpec {
    name: "null",
    doc: "Drops every event.",
    settings: &[],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(_: &Settings, _: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Null))
}

struct Null;

impl Output for Null {
    fn encode(&mut self, _: &Event, _: &mut RecordBatch) -> Result<(), EncodeError> {
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self)
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::new(NullSink)
    }
}
