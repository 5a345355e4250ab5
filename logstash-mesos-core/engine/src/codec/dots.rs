//! `dots`: a dot for every event, to see that there are any.

use crate::event::{Blob, Clock, Event};
use crate::plugin::settings::Settings;
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static DOTS: PluginSpec = PluginSpec {
    name: "dots",
    doc: "Writes a dot for every event.",
    settings: &[],
    build: Build::Codec(build),
};

fn build(_: &Settings, _: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    Ok(Box::new(Dots))
}

struct Dots;

impl Codec for Dots {
    fn decode(&mut self, _: Blob, _: Clock, _: &mut dyn FnMut(Event)) {
        tracing::warn!("The codec `dots` only writes: what came in is dropped");
    }

    fn encode(&mut self, _: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(b'.');
        Ok(())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(Self)
    }
}
