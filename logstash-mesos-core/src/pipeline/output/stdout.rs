//! `stdout`: standard output.

use std::sync::Arc;

use crate::event::Event;
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EncodeError, MakeOutput, Output, PluginSpec,
};
use crate::sink::{LogSink, RecordBatch, StdoutSink};

pub(crate) static STDOUT: PluginSpec = PluginSpec {
    name: "stdout",
    doc: "Writes events to standard output, for people to read unless the codec says otherwise.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How events are written.").default(Default::String("rubydebug"))
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Stdout { codec: cx.codec(settings, "codec")?, sink: Arc::new(StdoutSink) }))
}

struct Stdout {
    codec: Box<dyn Codec>,
    sink: Arc<StdoutSink>,
}

impl Output for Stdout {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let encoded = self.codec.encode(event, &mut batch.body);
        match &encoded {
            Ok(()) => batch.finish_record(None),
            Err(_) => batch.undo_unfinished(),
        }
        encoded
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self { codec: self.codec.fork(), sink: Arc::clone(&self.sink) })
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.sink) as _
    }
}
