//! A message by RFC 5424, taken apart by its grammar (section 6), which no pattern of grok does: structured data may
//! hold brackets and escaped quotes, a dash stands for what is not known, and the text may be absent.

use crate::event::{Event, FieldReference, InvalidReference, Text, Value};
use crate::pipeline::plugin::EcsCompatibility;

/// The parts of a message; `None` where it says `-`.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    priority: u8,
    version: &'a str,
    timestamp: Option<&'a str>,
    hostname: Option<&'a str>,
    app_name: Option<&'a str>,
    procid: Option<&'a str>,
    msgid: Option<&'a str>,
    structured_data: Option<&'a str>,
    text: &'a str,
}

/// A priority is eight times one of 24 facilities, and a severity.
const HIGHEST_PRIORITY: u8 = 191;
const BYTE_ORDER_MARK: char = '\u{feff}';

impl<'a> Message<'a> {
    /// `None` for anything that does not follow the grammar: it may be of another kind.
    fn parse(message: &'a str) -> Option<Self> {
        // The end of a line or of a datagram is the transport's.
        let message = message.trim_end_matches(['\n', '\r', '\0']);
        let (priority, rest) = message.strip_prefix('<')?.split_once('>')?;
        let priority = number(priority, 3)?.parse().ok().filter(|priority| *priority <= HIGHEST_PRIORITY)?;
        let (version, rest) = rest.split_once(' ')?;
        let version = number(version, 3).filter(|version| !version.starts_with('0'))?;
        let (timestamp, rest) = word(rest)?;
        if timestamp.is_some_and(|text| !text.contains('T') || text.parse::<jiff::Timestamp>().is_err()) {
            return None;
        }
        let (hostname, rest) = word(rest)?;
        let (app_name, rest) = word(rest)?;
        let (procid, rest) = word(rest)?;
        let (msgid, rest) = word(rest)?;
        let data = if rest.starts_with('-') { 1 } else { elements(rest)? };
        let (structured_data, rest) = rest.split_at(data);
        let text = if rest.is_empty() { "" } else { rest.strip_prefix(' ')? };
        Some(Self {
            priority,
            version,
            timestamp,
            hostname,
            app_name,
            procid,
            msgid,
            structured_data: Some(structured_data).filter(|data| *data != "-"),
            text: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
        })
    }
}

fn number(text: &str, most_digits: usize) -> Option<&str> {
    let is_number = (1..=most_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// The next word, and what follows the space behind it.
fn word(text: &str) -> Option<(Option<&str>, &str)> {
    let (word, rest) = text.split_once(' ')?;
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then_some((Some(word).filter(|word| *word != "-"), rest))
}

/// The length of the elements of structured data: `[id name="value" …][…]`.
fn elements(text: &str) -> Option<usize> {
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        rest = name(element)?;
        while let Some(parameter) = rest.strip_prefix(' ') {
            rest = value(name(parameter)?.strip_prefix("=\"")?)?;
        }
        rest = rest.strip_prefix(']')?;
    }
    Some(text.len() - rest.len()).filter(|len| *len > 0)
}

/// What follows a name.
fn name(text: &str) -> Option<&str> {
    let is_of_name = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let len = text.bytes().position(|byte| !is_of_name(byte)).unwrap_or(text.len());
    (len > 0).then(|| &text[len..])
}

/// What follows a value and its quote. A bracket should be escaped in it, and often is not.
fn value(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return text.get(at + 1..);
        }
        // The next character is no end, whatever it is: one of several bytes has no quote among them.
        at += 2;
    }
}

/// Where the parts go: by the names of grok's `SYSLOG5424LINE`.
pub(super) struct Fields {
    whole: FieldReference,
    priority: FieldReference,
    parts: [FieldReference; 7],
    text: FieldReference,
    // For a process that is no number, with the names of ECS.
    procid: Option<FieldReference>,
}

impl Fields {
    pub(super) fn new(ecs: EcsCompatibility, whole: &FieldReference) -> Result<Self, InvalidReference> {
        let old = [
            "syslog5424_ver",
            "syslog5424_ts",
            "syslog5424_host",
            "syslog5424_app",
            "syslog5424_proc",
            "syslog5424_msgid",
            "syslog5424_sd",
        ];
        let new = [
            "[system][syslog][version]",
            "timestamp",
            "[host][hostname]",
            "[process][name]",
            "[process][pid]",
            "[event][code]",
            "[system][syslog][structured_data]",
        ];
        let [a, b, c, d, e, f, g] = ecs.select(old, new).map(FieldReference::parse);
        Ok(Self {
            whole: whole.clone(),
            priority: FieldReference::parse(ecs.select("syslog5424_pri", "[log][syslog][priority]"))?,
            parts: [a?, b?, c?, d?, e?, f?, g?],
            text: FieldReference::parse(ecs.select("syslog5424_msg", "message"))?,
            procid: (ecs != EcsCompatibility::Disabled)
                .then(|| FieldReference::parse("[log][syslog][procid]"))
                .transpose()?,
        })
    }

    /// Takes the message of `event` apart, if it is one; returns its priority.
    pub(super) fn fill(&self, event: &mut Event) -> Option<i64> {
        let whole = event.get_text(&self.whole)?.clone();
        let message = Message::parse(&whole)?;
        let priority = i64::from(message.priority);
        let as_text = |part: &str| Value::Text(whole.slice_ref(part));
        let shown =
            if self.procid.is_some() { Value::Int(priority) } else { Value::from(priority.to_string()) };
        let _kept = event.set(&self.priority, shown);
        let parts = [
            Some(message.version),
            message.timestamp,
            message.hostname,
            message.app_name,
            message.procid,
            message.msgid,
            message.structured_data,
        ];
        for (at, (field, part)) in self.parts.iter().zip(parts).enumerate() {
            let Some(part) = part else { continue };
            let (field, value) = match (&self.procid, part.parse::<i64>()) {
                (Some(_), Ok(pid)) if at == 4 && pid > 0 => (field, Value::Int(pid)),
                (Some(procid), _) if at == 4 => (procid, as_text(part)),
                _ => (field, as_text(part)),
            };
            // Where something that is no hash stands in the way, the event keeps what it has.
            let _kept = event.set(field, value);
        }
        let text = if message.text.is_empty() { Value::Text(Text::default()) } else { as_text(message.text) };
        let _kept = event.set(&self.text, text);
        Some(priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<165>1 2003-10-11T22:14:15.003Z host app 111 ID47 ";

    fn data_and_text(rest: &str) -> Option<(Option<String>, String)> {
        let line = format!("{HEAD}{rest}");
        let message = Message::parse(&line)?;
        Some((message.structured_data.map(str::to_owned), message.text.to_owned()))
    }

    #[test]
    fn the_parts_of_a_message() {
        let line = "<34>1 2003-10-11T22:14:15.003-07:00 mymachine.example.com su - ID47 - \u{feff}'su root' failed\r\n";
        let expected = Message {
            priority: 34,
            version: "1",
            timestamp: Some("2003-10-11T22:14:15.003-07:00"),
            hostname: Some("mymachine.example.com"),
            app_name: Some("su"),
            procid: None,
            msgid: Some("ID47"),
            structured_data: None,
            text: "'su root' failed",
        };
        assert_eq!(Message::parse(line), Some(expected));
        let nobody = Message::parse("<0>1 - - - - - -").unwrap();
        assert_eq!((nobody.priority, nobody.timestamp, nobody.hostname, nobody.text), (0, None, None, ""));
        assert_eq!(Message::parse("<13>2 - h a p m - two\nlines\n").unwrap().text, "two\nlines");
    }

    #[test]
    fn structured_data_end_where_the_grammar_says() {
        let whole = |data: &str| {
            for (text, expected) in [("", ""), (" ", ""), (" text", "text"), (" [b] text", "[b] text")] {
                let found = data_and_text(&format!("{data}{text}")).unwrap();
                assert_eq!(found, (Some(data.to_owned()), expected.to_owned()));
            }
        };
        for data in [
            "[id]",
            r#"[id a="1"]"#,
            r#"[id a="1" b=""][id2@32473 c="x y"][id3]"#,
            r#"[id a="a \"q\" [b\] c\\d"]"#,
            r#"[id a="ends with a backslash \\"][id2 b="\\\""]"#,
            r#"[id a="not escaped ] [x"]"#,
            r#"[id a="C:\windows\é"]"#,
        ] {
            whole(data);
        }
        assert_eq!(data_and_text("- [no] data"), Some((None, "[no] data".to_owned())));
        for wrong in [
            "",
            "text",
            "[]",
            "[id",
            r#"[id a="1]"#,
            r#"[id a="1\"]"#,
            "[two words] x",
            "[id]x",
            "[id] [",
            "-x",
        ] {
            assert_eq!(data_and_text(wrong).is_none(), wrong != "[id] [", "{wrong}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_not_touched() {
        for line in [
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            "<192>1 - - - - - -",
            "<1>0 - - - - - -",
            "<>1 - - - - - -",
            "<34>1 2003-10-11 22:14:15 h a p m - x",
            "<34>1 2003-10-11T22:14:15 h a p m - x",
            "<34>1 yesterday h a p m - x",
            "<34>1  - - - - - -",
            "34>1 - - - - - -",
            "",
        ] {
            assert_eq!(Message::parse(line), None, "{line}");
        }
    }
}
