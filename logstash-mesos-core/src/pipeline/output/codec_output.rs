//! What the outputs share that write what their codec makes.

use std::sync::Arc;

use crate::event::{Event, Template};
use crate::pipeline::plugin::{Codec, EncodeError, Output};
use crate::sink::{LogSink, RecordBatch};

/// Encodes with a codec; a record's route is a template's text.
pub(super) struct CodecOutput {
    codec: Box<dyn Codec>,
    route: Option<Template>,
    sink: Arc<dyn LogSink>,
}

impl CodecOutput {
    pub(super) fn new(codec: Box<dyn Codec>, route: Option<Template>, sink: Arc<dyn LogSink>) -> Self {
        Self { codec, route, sink }
    }
}

impl Output for CodecOutput {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let route = self.route.as_ref().map(|route| route.render(event)).transpose()?;
        if let Err(error) = self.codec.encode(event, &mut batch.body) {
            batch.undo_unfinished();
            return Err(error);
        }
        batch.finish_record(route);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self { codec: self.codec.fork(), route: self.route.clone(), sink: Arc::clone(&self.sink) })
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.sink)
    }
}
