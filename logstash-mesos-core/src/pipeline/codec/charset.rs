//! Bytes to text, as Logstash's `charset` option does it.

use crate::event::{Blob, Text};
use crate::pipeline::plugin::BuildError;
use crate::pipeline::settings::Settings;

/// The character set of what comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charset {
    #[default]
    Utf8,
    Latin1,
    Windows1252,
    Ascii,
    Utf16 {
        big_endian: bool,
    },
}

impl Charset {
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, BuildError> {
        let Some(name) = settings.text("charset") else { return Ok(Self::Utf8) };
        Self::named(&name).ok_or_else(|| {
            BuildError::setting("charset", format!("character set `{name}` is not supported"))
                .remedy("use UTF-8, ISO-8859-1, Windows-1252, US-ASCII, UTF-16LE or UTF-16BE")
        })
    }

    /// The character set of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "CP65001" => Self::Utf8,
            "ISO-8859-1" | "ISO8859-1" | "LATIN1" => Self::Latin1,
            "WINDOWS-1252" | "CP1252" => Self::Windows1252,
            "US-ASCII" | "ASCII" | "ANSI_X3.4-1968" | "646" | "ASCII-8BIT" | "BINARY" => Self::Ascii,
            "UTF-16LE" => Self::Utf16 { big_endian: false },
            "UTF-16BE" | "UCS-2BE" => Self::Utf16 { big_endian: true },
            _ => return None,
        })
    }

    /// The text of `data`. Valid UTF-8 is not copied.
    pub(crate) fn decode(self, data: Blob) -> Text {
        match self {
            Self::Utf8 => match Text::from_utf8(data) {
                Ok(text) => text,
                Err(error) => Text::from(inspect(&error.into_bytes())),
            },
            Self::Latin1 => data.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
            Self::Windows1252 => data.iter().map(|&byte| windows_1252(byte)).collect::<String>().into(),
            Self::Ascii => data
                .iter()
                .map(|&byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
                .collect::<String>()
                .into(),
            Self::Utf16 { big_endian } => {
                let units = data.chunks(2).map(|pair| {
                    let pair = [pair[0], pair.get(1).copied().unwrap_or(0)];
                    if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
                });
                char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect::<String>()
                    .into()
            }
        }
    }
}

fn windows_1252(byte: u8) -> char {
    // 0x80 to 0x9f; the rest is Latin-1.
    const TABLE: [char; 32] = [
        '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}',
        '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => TABLE[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// Ruby's `inspect` of a string without the quotes: what Logstash makes of bytes that are not UTF-8.
fn inspect(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        inspect_text(chunk.valid(), &mut out);
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

/// Appends `text` as Ruby's `inspect` shows it, without the quotes.
pub(super) fn inspect_text(text: &str, out: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '#' if matches!(chars.peek(), Some('{' | '$' | '@')) => out.push_str("\\#"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{7f}' => out.push_str("\\x7F"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_ruby_shows_them() {
        // logstash-core/spec/logstash/util/charset_spec.rb: "\xC3\x28" and its siblings.
        let cases: [(&[u8], &str); 4] = [
            (b"foo \xff bar", "foo \\xFF bar"),
            (b"say \"hi\" \xc3(", "say \\\"hi\\\" \\xC3("),
            ("ümlaut \u{0}".as_bytes(), "ümlaut \u{0}"),
            (b"tab\there \xfe", "tab\\there \\xFE"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Charset::Utf8.decode(Blob::from(bytes)), text);
        }
    }

    #[test]
    fn other_character_sets_become_utf8() {
        let decode = |set: Charset, bytes: &[u8]| set.decode(Blob::from(bytes));
        assert_eq!(decode(Charset::Latin1, b"caf\xe9"), "café");
        assert_eq!(decode(Charset::Windows1252, b"\x80 5"), "€ 5");
        assert_eq!(decode(Charset::Ascii, b"a\xff"), "a\u{fffd}");
        assert_eq!(decode(Charset::Utf16 { big_endian: false }, b"h\0i\0"), "hi");
    }
}
