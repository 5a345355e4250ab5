//! How much memory the values may take that are made of a text, and what was left as it is because of it.

use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;
use tracing::warn;

use crate::time::Seldom;

/// What a text holds may take many times its bytes: each number of `[1,1,1]` takes 32. A text whose values would take more
/// than this is treated as one that cannot be read, and is counted here.
///
/// Everything that reads texts in a pipeline shares the one of it.
#[derive(Debug)]
pub struct ParsedLimit {
    max_bytes: usize,
    texts: AtomicU64,
    bytes: AtomicU64,
    said: Seldom,
}

impl ParsedLimit {
    /// The limit unless something else is said: 24 MiB, which an ordinary document of some 4 MB takes.
    pub const DEFAULT_BYTES: usize = 24 << 20;
    /// The least it may be, in bytes.
    pub const LEAST_BYTES: usize = 4 << 20;

    /// The values of a text may take `max_bytes`, and [`ParsedLimit::LEAST_BYTES`] in any case.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.max(Self::LEAST_BYTES),
            texts: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            said: Seldom::default(),
        }
    }

    /// The most bytes that values may take.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether as many values may be made of a text as there are places of `separator` in it, and one more,
    /// of which each takes `each` bytes; a text of which not is counted. An empty separator is between all characters.
    pub(crate) fn allows(&self, text: &str, separator: &str, each: usize) -> bool {
        // Most texts are too short for anything.
        let may_be = |values: usize| values.saturating_mul(each) <= self.max_bytes;
        let may = may_be(text.len() + 1)
            || (!separator.is_empty()
                && may_be(1 + memmem::find_iter(text.as_bytes(), separator.as_bytes()).count()));
        if !may {
            self.exceeded(text.len());
        }
        may
    }

    /// Counts a text of so many bytes that was left as it is, and says so from time to time.
    pub fn exceeded(&self, bytes: usize) {
        let texts = self.texts.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if self.said.is_due() {
            warn!(
                texts,
                byte_size = bytes,
                most_bytes = self.max_bytes,
                "Texts are not parsed, their values would take more memory than they may; give the queues more"
            );
        }
    }

    /// Texts that were left as they are.
    #[must_use]
    pub fn texts(&self) -> u64 {
        self.texts.load(Ordering::Relaxed)
    }
}

impl Default for ParsedLimit {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::{CompileOptions, compile};
    use crate::event::{Blob, Event, Text};
    use crate::plugin::{Build, EcsCompatibility, PluginKind};
    use crate::testing::{NOW, context, fields, settings_of};

    /// About so many values are too many for 24 MiB, whatever they are.
    const MANY: usize = 1_000_000;

    #[test]
    fn what_would_take_too_much_is_left_as_a_text_that_cannot_be_read() {
        let json = format!("{{\"a\":[{}1]}}", "1,".repeat(MANY));
        let commas = ",".repeat(MANY);
        for (filter, text, short, tag) in [
            ("json { source => message }", json.clone(), "{\"a\":[1]}", "_jsonparsefailure"),
            ("json { source => message target => 't' }", json, "[1]", "_jsonparsefailure"),
            ("csv { }", commas.clone(), ",,", "_csvparsefailure"),
            ("mutate { split => { message => ',' } }", commas, "a,b", "_mutate_error"),
            ("kv { tag_on_failure => 'x' }", "a=b ".repeat(MANY), "a=b", "x"),
            ("kv { tag_on_failure => 'x' }", "a=b ".repeat(MANY) + "\\", "a=b\\", "x"),
            (
                "xml { source => message target => 't' }",
                format!("<r>{}</r>", "<a/>".repeat(MANY)),
                "<r><a/></r>",
                "_xmlparsefailure",
            ),
        ] {
            let options = CompileOptions::new(crate::registry::catalog());
            let compiled = compile(&format!("filter {{ {filter} }}"), &options).unwrap();
            let mut worker = compiled.filters.fork();
            let mut run = |text: &str| {
                let event = Event::from_message(Text::from(text), NOW.now());
                fields(&worker.run(vec![event])[0])
            };
            assert!(!run(short).contains("tags"), "{filter}: {}", run(short));
            assert_eq!(compiled.parsed.texts(), 0);
            let left = run(&text);
            let written = serde_json::to_string(&text).unwrap();
            assert!(left.contains(&format!("\"message\":{written}")), "{filter}: {left:.200}");
            assert!(left.ends_with(&format!("\"tags\":[\"{tag}\"]}}")), "{filter}: {left:.200}");
            assert_eq!(compiled.parsed.texts(), 1, "{filter}");
            assert!(!run(short).contains("tags"), "{filter}");
        }
    }

    #[test]
    fn codecs_leave_it_too() {
        let json = format!("{{\"a\":[{}1]}}\n", "1,".repeat(MANY));
        let mut msgpack = b"\x81\xa1a\xdd".to_vec();
        msgpack.extend(u32::try_from(MANY).unwrap().to_be_bytes());
        msgpack.extend(vec![1; MANY]);
        let cef = format!("CEF:0|a|b|c|d|e|1|{}", "a=b ".repeat(MANY));
        for (codec, data, short, tag) in [
            ("json", json.clone().into_bytes(), &b"{\"a\":1}"[..], "_jsonparsefailure"),
            ("json_lines", json.into_bytes(), b"{\"a\":1}\n", "_jsonparsefailure"),
            ("csv", ",".repeat(MANY).into_bytes(), b",", "_csvparsefailure"),
            ("msgpack", msgpack, b"\x81\xa1a\x01", "_msgpackparsefailure"),
            ("cef", cef.into_bytes(), b"CEF:0|a|b|c|d|e|1|a=b", "_cefparsefailure"),
        ] {
            let spec = crate::registry::catalog().find(PluginKind::Codec, codec).unwrap();
            let cx = context(spec, EcsCompatibility::Disabled);
            let Build::Codec(make) = spec.build else { panic!("a codec") };
            let mut codec = make(&settings_of(spec, "{}"), &cx).unwrap();
            let mut events = Vec::new();
            codec.decode(Blob::from(short), NOW, &mut |event| events.push(fields(&event)));
            assert!(events.iter().all(|event| !event.contains("tags")), "{events:?}");
            let before = (events.len(), cx.parsed.texts());
            codec.decode(Blob::from(&*data), NOW, &mut |event| events.push(fields(&event)));
            assert_eq!((events.len(), cx.parsed.texts()), (before.0 + 1, before.1 + 1), "{}", spec.name);
            let left = events.last().unwrap();
            assert!(left.contains(tag) && left.len() > data.len() - 2, "{}: {left:.200}", spec.name);
        }
    }
}
