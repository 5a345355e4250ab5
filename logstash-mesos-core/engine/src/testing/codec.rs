//! What the unit tests of the codecs share.

use crate::event::{Blob, Clock, Event, Text, write_json_map};
use crate::plugin::{Build, BuildError, Codec, EcsCompatibility, PluginSpec};
use crate::testing::{NOW, context, settings_of};

fn build(spec: &PluginSpec, settings: &str, ecs: EcsCompatibility) -> Result<Box<dyn Codec>, BuildError> {
    let Build::Codec(make) = spec.build else { panic!("a codec") };
    make(&settings_of(spec, settings), &context(spec, ecs))
}

/// The codec with settings written as a JSON object, and the old field names.
pub(crate) fn codec(spec: &PluginSpec, settings: &str) -> Box<dyn Codec> {
    codec_with(spec, settings, EcsCompatibility::Disabled)
}

/// As [`codec`], with another naming of fields.
pub(crate) fn codec_with(spec: &PluginSpec, settings: &str, ecs: EcsCompatibility) -> Box<dyn Codec> {
    build(spec, settings, ecs).expect("the settings are fine")
}

/// What a codec says about settings it refuses.
pub(crate) fn refused(spec: &PluginSpec, settings: &str) -> String {
    match build(spec, settings, EcsCompatibility::V8) {
        Ok(_) => panic!("{settings} was accepted"),
        Err(error) => error.message,
    }
}

/// The events of these pieces as JSON, without `@timestamp` and `@version`.
pub(crate) fn decoded(codec: &mut dyn Codec, pieces: &[impl AsRef<[u8]>]) -> Vec<String> {
    let clock: Clock = NOW;
    let mut events = Vec::new();
    let mut emit = |mut event: Event| {
        event.fields_mut().retain(|name: &Text, _| !name.starts_with('@'));
        let mut out = Vec::new();
        write_json_map(event.fields(), &mut out);
        events.push(String::from_utf8(out).expect("JSON is UTF-8"));
    };
    for piece in pieces {
        codec.decode(Blob::from(piece.as_ref()), clock, &mut emit);
    }
    codec.flush(clock, &mut emit);
    events
}
