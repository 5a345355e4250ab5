//! `json_lines`: a stream of JSON documents, one a line.

use super::json::TARGET;
use super::plain::CHARSET;
use super::stream_lines::StreamLines;
use crate::event::{Blob, Clock, Event, JsonWriter, Text};
use crate::plugin::charset::Charset;
use crate::plugin::json_text::JsonText;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static JSON_LINES: PluginSpec = PluginSpec {
    name: "json_lines",
    doc: "JSON documents, one a line.",
    settings: &[
        CHARSET,
        TARGET,
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Default::String("\n")),
        Setting::new(
            "decode_size_limit_bytes",
            Kind::Number,
            "The longest line in bytes, instead of `pipeline.max_line_bytes`; a longer one is cut and gets the tag `_linetoolong`.",
        ),
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let delimiter = settings.text("delimiter").unwrap_or(Text::from_static("\n"));
    let lines = match settings.int("decode_size_limit_bytes") {
        None => StreamLines::new(&delimiter, &cx.lines),
        Some(bytes) => {
            let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            let wrong = || BuildError::setting("decode_size_limit_bytes", "is a number above 0");
            StreamLines::new(&delimiter, &cx.lines).at_most(bytes.ok_or_else(wrong)?)
        }
    };
    Ok(Box::new(JsonLines {
        charset: Charset::from_settings(settings)?,
        text: JsonText::new(settings, cx, false)?,
        lines,
        delimiter,
        json: JsonWriter::default(),
    }))
}

#[derive(Clone, Debug)]
struct JsonLines {
    charset: Charset,
    text: JsonText,
    lines: StreamLines,
    delimiter: Text,
    json: JsonWriter,
}

impl Codec for JsonLines {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let Self { charset, text, lines, .. } = self;
        lines.extract(data, emit, |line, emit| text.read(&charset.decode(line), clock, emit));
    }

    fn keeps(&self) -> bool {
        !self.lines.is_empty()
    }

    fn kept_bytes(&self) -> usize {
        self.lines.kept_bytes()
    }

    fn may_end(&self, data: &[u8]) -> bool {
        self.lines.may_end(data)
    }

    fn flush(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let Self { charset, text, lines, .. } = self;
        lines.flush(emit, |line, emit| text.read(&charset.decode(line), clock, emit));
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.json.write_document(event.fields(), out);
        out.extend_from_slice(self.delimiter.as_bytes());
        Ok(())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(Self { lines: self.lines.fresh(), ..self.clone() })
    }
}
