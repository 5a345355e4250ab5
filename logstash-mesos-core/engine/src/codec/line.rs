//! `line`: a stream cut at a delimiter.

use super::plain::{CHARSET, TextCodec};
use super::stream_lines::StreamLines;
use crate::event::{Blob, Clock, Event, Text};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static LINE: PluginSpec = PluginSpec {
    name: "line",
    doc: "Lines of text.",
    settings: &[
        Setting::new("format", Kind::String, "What an output writes for an event; may hold `%{field}`."),
        CHARSET,
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Default::String("\n")),
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let delimiter = settings.text("delimiter").unwrap_or(Text::from_static("\n"));
    let lines = StreamLines::new(&delimiter, &cx.lines);
    Ok(Box::new(Line { text: TextCodec::new(settings, cx)?, lines, delimiter }))
}

#[derive(Clone, Debug)]
struct Line {
    text: TextCodec,
    lines: StreamLines,
    delimiter: Text,
}

impl Codec for Line {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let text = &self.text;
        self.lines.extract(data, emit, |line, emit| emit(text.event(text.charset.decode(line), clock)));
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
        let text = &self.text;
        self.lines.flush(emit, |line, emit| emit(text.event(text.charset.decode(line), clock)));
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.text.encode(event, out)?;
        out.extend_from_slice(self.delimiter.as_bytes());
        Ok(())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(Self { lines: self.lines.fresh(), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FieldReference;

    #[test]
    fn lines_are_found_across_pieces() {
        let mut codec = build(&Settings::default(), &BuildContext::new(crate::registry::catalog())).unwrap();
        let mut lines = Vec::new();
        let message = FieldReference::field("message");
        let mut emit = |event: Event| lines.push(event.get_text(&message).unwrap().to_string());
        for piece in ["one\ntw", "o\n\nth", "ree"] {
            codec.decode(Blob::from(piece.as_bytes()), Clock::System, &mut emit);
        }
        // The last one has no end yet: its source must not move on.
        assert!(codec.keeps());
        codec.flush(Clock::System, &mut emit);
        codec.flush(Clock::System, &mut emit);
        assert!(!codec.keeps());
        assert_eq!(lines, ["one", "two", "", "three"]);
    }
}
