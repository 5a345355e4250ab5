//! `multiline`: joins lines that belong together into one event.

use std::sync::Arc;
use std::time::Duration;

use logstash_mesos_regex::Scratch;

use super::plain::{CHARSET, TextCodec};
use super::stream_lines::StreamLines;
use crate::event::{Blob, Clock, Event, Text};
use crate::grok::{Grok, PatternSet, Patterns};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, LineLimit, PluginSpec};

pub(crate) static MULTILINE: PluginSpec = PluginSpec {
    name: "multiline",
    doc: "Joins lines that belong together, such as a stack trace, into one event.",
    settings: &[
        Setting::new("pattern", Kind::String, "The regular expression; grok patterns may be used.")
            .required(),
        Setting::new(
            "what",
            Kind::OneOf(&["previous", "next"]),
            "Whether a line that matches belongs to the one before or the one after it.",
        )
        .required(),
        Setting::new("negate", Kind::Boolean, "Whether it is the lines that do not match.")
            .default(Default::Bool(false)),
        Setting::new("patterns_dir", Kind::Array, "Directories with files of further patterns.")
            .default(Default::Strings(&[])),
        CHARSET,
        Setting::new("multiline_tag", Kind::String, "The tag of events of several lines; empty for none.")
            .default(Default::String("multiline")),
        Setting::new("max_lines", Kind::Number, "An event is ended after so many lines.")
            .default(Default::Int(500)),
        Setting::new("max_bytes", Kind::Bytes, "An event is ended after so many bytes.")
            .default(Default::Int(10 << 20)),
        Setting::new(
            "auto_flush_interval",
            Kind::Number,
            "Ends an event when nothing has come for so many seconds.",
        ),
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Default::String("\n")),
        Setting::new(
            "streaming_input",
            Kind::Boolean,
            "Whether the input hands over pieces of a stream; inputs that do so set it themselves.",
        )
        .default(Default::Bool(false)),
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let mut patterns = Patterns::builtin(cx.ecs.select(PatternSet::Legacy, PatternSet::EcsV1));
    for path in settings.strings("patterns_dir") {
        patterns
            .add_path(&path, "*")
            .map_err(|error| BuildError::setting("patterns_dir", error.to_string()))?;
    }
    let pattern = settings.text("pattern").unwrap_or_default();
    let pattern = Grok::new(&pattern, &patterns, false)
        .map_err(|error| BuildError::setting("pattern", error.to_string()))?;
    let size = |name, default| settings.int(name).and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    let delimiter = settings.text("delimiter").unwrap_or(Text::from_static("\n"));
    let shared = Arc::new(Shared {
        pattern,
        to_next: settings.text("what").as_deref() == Some("next"),
        negate: settings.bool("negate"),
        tag: settings.text("multiline_tag").unwrap_or_default(),
        max_lines: size("max_lines", 500),
        max_bytes: size("max_bytes", 10 << 20),
        auto_flush: settings
            .float("auto_flush_interval")
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        streaming: settings.bool("streaming_input"),
        text: TextCodec::new(settings, cx)?,
        delimiter,
    });
    let rest = StreamLines::new(&shared.delimiter, &cx.lines);
    Ok(Box::new(Multiline::new(shared, rest)))
}

#[derive(Debug)]
struct Shared {
    pattern: Grok,
    to_next: bool,
    negate: bool,
    tag: Text,
    max_lines: usize,
    max_bytes: usize,
    auto_flush: Option<Duration>,
    streaming: bool,
    text: TextCodec,
    delimiter: Text,
}

struct Multiline {
    shared: Arc<Shared>,
    scratch: Scratch,
    rest: StreamLines,
    // What is gathered for the next event.
    lines: Vec<Text>,
    bytes: usize,
    // Whether one of these lines was cut.
    cut: bool,
}

impl Multiline {
    fn new(shared: Arc<Shared>, rest: StreamLines) -> Self {
        Self { shared, scratch: Scratch::new(), rest, lines: Vec::new(), bytes: 0, cut: false }
    }

    fn line(&mut self, line: Text, cut: bool, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let found = self.shared.pattern.regex().is_match(&line, &mut self.scratch).unwrap_or_else(|error| {
            tracing::warn!(%error, pattern = self.shared.pattern.pattern(), "Pattern gives no answer for a line");
            false
        });
        let belongs = found != self.shared.negate;
        if self.shared.to_next {
            self.keep(line, cut);
            if !belongs || self.is_full() {
                self.end_event(clock, emit);
            }
        } else {
            if !belongs || self.is_full() {
                self.end_event(clock, emit);
            }
            self.keep(line, cut);
        }
    }

    fn keep(&mut self, line: Text, cut: bool) {
        self.bytes += line.len();
        self.cut |= cut;
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.has_most_lines() || self.has_most_bytes()
    }

    fn has_most_lines(&self) -> bool {
        self.lines.len() > self.shared.max_lines
    }

    fn has_most_bytes(&self) -> bool {
        self.bytes >= self.shared.max_bytes
    }

    fn end_event(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let message = match self.lines.as_slice() {
            [] => return,
            [only] => only.clone(),
            several => Text::from(several.join("\n")),
        };
        let mut event = self.shared.text.event(message, clock);
        if self.lines.len() > 1 && !self.shared.tag.is_empty() {
            event.tag(&self.shared.tag);
        }
        if std::mem::take(&mut self.cut) {
            event.tag(LineLimit::TAG);
        }
        if self.has_most_bytes() {
            event.tag("multiline_codec_max_bytes_reached");
        }
        if self.has_most_lines() {
            event.tag("multiline_codec_max_lines_reached");
        }
        self.lines.clear();
        // As a rule it is not longer.
        self.lines.shrink_to(1024);
        self.bytes = 0;
        emit(event);
    }
}

impl Codec for Multiline {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let shared = Arc::clone(&self.shared);
        if !shared.streaming {
            return self.decode_text(shared.text.charset.decode(data), clock, emit);
        }
        let mut lines = Vec::new();
        self.rest.pieces(data, |line, cut| lines.push((shared.text.charset.decode(line), cut)));
        for (line, cut) in lines {
            self.line(line, cut, clock, emit);
        }
    }

    fn decode_text(&mut self, text: Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let shared = Arc::clone(&self.shared);
        if shared.streaming {
            return self.decode(text.into_bytes(), clock, emit);
        }
        if shared.delimiter.is_empty() {
            return self.line(text, false, clock, emit);
        }
        // An input that hands over lines has taken their ends away: an empty text is an empty line. Since it has
        // `streaming_input`, Logstash's codec adds the delimiter and cuts, where it split before and lost such lines.
        for line in text.as_str().split(shared.delimiter.as_str()) {
            self.line(text.slice_ref(line), false, clock, emit);
        }
    }

    fn keeps(&self) -> bool {
        !self.lines.is_empty() || !self.rest.is_empty()
    }

    fn kept_bytes(&self) -> usize {
        self.bytes + self.lines.capacity() * size_of::<Text>() + self.rest.kept_bytes()
    }

    fn may_end(&self, data: &[u8]) -> bool {
        self.rest.may_end(data)
    }

    fn auto_flush(&self) -> Option<Duration> {
        self.shared.auto_flush
    }

    fn flush(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if let Some((rest, cut)) = self.rest.last_piece() {
            let line = self.shared.text.charset.decode(rest);
            self.line(line, cut, clock, emit);
        }
        self.end_event(clock, emit);
    }

    fn end_early(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        // The limit is lower than it was thought to be.
        self.bytes = self.bytes.max(self.shared.max_bytes);
        self.flush(clock, emit);
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.shared.text.encode(event, out)
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(Self::new(Arc::clone(&self.shared), self.rest.fresh()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::codec::{codec, decoded, refused};

    fn messages(settings: &str, pieces: &[&str]) -> Vec<String> {
        decoded(&mut *codec(&MULTILINE, settings), pieces)
    }

    #[test]
    fn lines_join_the_one_before() {
        let lines = ["first", "  at a", "  at b", "second", "third", " x"];
        assert_eq!(
            messages(r#"{"pattern":"^\\s","what":"previous"}"#, &lines),
            [
                r#"{"message":"first\n  at a\n  at b","tags":["multiline"]}"#,
                r#"{"message":"second"}"#,
                r#"{"message":"third\n x","tags":["multiline"]}"#
            ]
        );
    }

    #[test]
    fn lines_join_the_one_after() {
        assert_eq!(
            messages(r#"{"pattern":"\\\\$","what":"next","multiline_tag":""}"#, &["a \\", "b", "c"]),
            [r#"{"message":"a \\\nb"}"#, r#"{"message":"c"}"#]
        );
    }

    #[test]
    fn grok_patterns_negated() {
        let lines = ["2024-03-05T01:02:03Z one", "more", "2024-03-05T01:02:04Z two"];
        assert_eq!(
            messages(r#"{"pattern":"^%{TIMESTAMP_ISO8601} ","negate":true,"what":"previous"}"#, &lines),
            [
                r#"{"message":"2024-03-05T01:02:03Z one\nmore","tags":["multiline"]}"#,
                r#"{"message":"2024-03-05T01:02:04Z two"}"#
            ]
        );
    }

    #[test]
    fn long_events_are_ended() {
        let all = r#""pattern":"x","what":"previous""#;
        assert_eq!(
            messages(&format!(r#"{{{all},"max_lines":1}}"#), &["x1", "x2", "x3"]),
            [
                r#"{"message":"x1\nx2","tags":["multiline","multiline_codec_max_lines_reached"]}"#,
                r#"{"message":"x3"}"#
            ]
        );
        assert_eq!(
            messages(&format!(r#"{{{all},"max_bytes":2}}"#), &["x1", "x2"]),
            [
                r#"{"message":"x1","tags":["multiline_codec_max_bytes_reached"]}"#,
                r#"{"message":"x2","tags":["multiline_codec_max_bytes_reached"]}"#
            ]
        );
    }

    #[test]
    fn a_stream_is_cut_into_lines() {
        assert_eq!(
            messages(
                r#"{"pattern":"^ ","what":"previous","streaming_input":true}"#,
                &["on", "e\n t", "wo\nthr", "ee"]
            ),
            [r#"{"message":"one\n two","tags":["multiline"]}"#, r#"{"message":"three"}"#]
        );
        // Without that, a unit of input is a line, or several.
        assert_eq!(
            messages(r#"{"pattern":"^ ","what":"previous"}"#, &["a\n b", "c"]),
            [r#"{"message":"a\n b","tags":["multiline"]}"#, r#"{"message":"c"}"#]
        );
        assert_eq!(
            messages(r#"{"pattern":"^( |$)","what":"previous"}"#, &["a\n b\n", "", "c"]),
            [r#"{"message":"a\n b\n\n","tags":["multiline"]}"#, r#"{"message":"c"}"#]
        );
    }

    #[test]
    fn lines_and_a_stream_of_them_give_the_same_events() {
        let lines = ["", "first", "", " more", "", "", "second", ""];
        let stream = lines.map(|line| format!("{line}\n")).concat();
        for pattern in [
            r#""pattern":"^\\s","what":"previous""#,
            r#""pattern":"^$","negate":true,"what":"next""#,
            r#""pattern":"^$","what":"previous""#,
            r#""pattern":"^$","what":"next""#,
            r#""pattern":"^(first|second)","negate":true,"what":"previous""#,
            r#""pattern":"^$","what":"next","max_lines":1"#,
        ] {
            let by_line = messages(&format!("{{{pattern}}}"), &lines);
            for size in [1, 7, stream.len()] {
                let pieces: Vec<&str> =
                    stream.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
                let settings = format!(r#"{{{pattern},"streaming_input":true}}"#);
                assert_eq!(messages(&settings, &pieces), by_line, "{pattern}, {size}");
            }
        }
        assert_eq!(
            messages(r#"{"pattern":"^$","negate":true,"what":"next"}"#, &["a", "b", "", "c", ""]),
            [r#"{"message":"a\nb\n","tags":["multiline"]}"#, r#"{"message":"c\n","tags":["multiline"]}"#]
        );
    }

    #[test]
    fn what_is_kept_is_known_and_mistakes_are_refused() {
        let mut kept = codec(&MULTILINE, r#"{"pattern":"^ ","what":"previous","auto_flush_interval":1.5}"#);
        assert!(!kept.keeps());
        kept.decode(Blob::from(b"a"), Clock::System, &mut |_| panic!("the next line may belong to it"));
        assert!(kept.keeps() && !kept.fork().keeps());
        assert_eq!(kept.auto_flush(), Some(Duration::from_millis(1500)));
        assert_eq!(
            refused(&MULTILINE, r#"{"pattern":"%{NOSUCH}","what":"next"}"#),
            "pattern %{NOSUCH} not defined"
        );
    }
}
