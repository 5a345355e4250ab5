//! Bytes to text, as Logstash's `charset` option does it.

use encoding_rs::Encoding;

use super::BuildError;
use super::settings::Settings;
use crate::event::{Blob, Text};

/// The character set of what comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8; what is none of it is shown as Ruby shows such bytes.
    #[default]
    Utf8,
    /// ISO-8859-1.
    Latin1,
    /// US-ASCII.
    Ascii,
    /// UTF-16 of one byte order.
    Utf16 {
        /// The high byte comes first.
        big_endian: bool,
    },
    /// UTF-32 of one byte order.
    Utf32 {
        /// The high byte comes first.
        big_endian: bool,
    },
    /// One byte for each character. The Encoding Standard has a character for every byte, Ruby has none for
    /// some of 0x80 to 0x9f in the sets of Windows, and control characters there in those of ISO.
    Byte {
        /// The set as the Encoding Standard has it.
        encoding: &'static Encoding,
        /// Where Ruby differs from it.
        controls: Controls,
    },
    /// Any other that the Encoding Standard has.
    Other(&'static Encoding),
}

/// What the bytes from 0x80 to 0x9f are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controls {
    /// What the Encoding Standard says.
    AsDecoded,
    /// Control characters are escaped in every string.
    Always,
    /// Nothing, where the Encoding Standard has control characters.
    Never,
}

impl Charset {
    /// By the names that Ruby knows, in their spelling.
    ///
    /// # Errors
    ///
    /// When there is no such set.
    pub fn from_settings(settings: &Settings) -> Result<Self, BuildError> {
        let Some(name) = settings.text("charset") else { return Ok(Self::Utf8) };
        Self::by_name(&name).ok_or_else(|| {
            let close = NAMES
                .iter()
                .flat_map(|(names, _)| names.split(' '))
                .find(|have| have.eq_ignore_ascii_case(&name))
                .map(|close| format!("write `{close}`"));
            let remedy = close.unwrap_or_else(|| {
                // Ruby knows them, and leaves it to the first bytes which way round they are.
                if name.starts_with("UTF-16") || name.starts_with("UTF-32") {
                    converted(&name)
                } else {
                    "use UTF-8, ISO-8859-1, Windows-1252 or another usual one".to_owned()
                }
            });
            BuildError::setting("charset", format!("character set `{name}` is not supported")).remedy(remedy)
        })
    }

    /// Refuses a codec whose character set (`charset` of its settings) has other ends of lines than `delimiter`: cut at
    /// these bytes, its lines would begin in the middle of a character.
    ///
    /// # Errors
    ///
    /// As [`Charset::from_settings`], or when the two do not go together.
    pub fn check_delimiter(codec: &Settings, delimiter: &[u8]) -> Result<(), BuildError> {
        let unit = match Self::from_settings(codec)? {
            Self::Utf16 { .. } => 2,
            Self::Utf32 { .. } => 4,
            _ => return Ok(()),
        };
        if delimiter.len().is_multiple_of(unit) && delimiter.contains(&0) {
            return Ok(());
        }
        let name = codec.text("charset").unwrap_or_default();
        let shown = delimiter.escape_ascii();
        Err(BuildError::setting("charset", format!("`{name}` cannot be cut into lines at `{shown}`"))
            .remedy(converted(&name)))
    }

    /// The character set of this name in any case, as protocols write them.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("latin1") { "ISO-8859-1" } else { name };
        let mut known = NAMES.iter();
        known
            .find(|(names, _)| names.split(' ').any(|have| have.eq_ignore_ascii_case(name)))
            .map(|(_, charset)| *charset)
    }

    fn by_name(name: &str) -> Option<Self> {
        let (_, charset) = NAMES.iter().find(|(names, _)| names.split(' ').any(|have| have == name))?;
        Some(*charset)
    }

    /// The text of `data`. Valid UTF-8 is not copied.
    pub fn decode(self, data: Blob) -> Text {
        match self {
            Self::Utf8 => match Text::from_utf8(data) {
                Ok(text) => text,
                Err(error) => Text::from(inspect(&error.into_bytes())),
            },
            Self::Latin1 => data.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
            Self::Ascii => data
                .iter()
                .map(|&byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
                .collect::<String>()
                .into(),
            Self::Utf16 { big_endian } => {
                let pairs = data.chunks_exact(2);
                let rest = if pairs.remainder().is_empty() { "" } else { "\u{fffd}" };
                let units = pairs.map(|pair| {
                    let pair = [pair[0], pair[1]];
                    if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
                });
                let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
                Text::from(text.collect::<String>() + rest)
            }
            Self::Utf32 { big_endian } => {
                let fours = data.chunks_exact(4);
                let rest = if fours.remainder().is_empty() { "" } else { "\u{fffd}" };
                let text = fours.map(|four| {
                    let four = [four[0], four[1], four[2], four[3]];
                    let number = if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
                    char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
                });
                Text::from(text.collect::<String>() + rest)
            }
            Self::Byte { encoding, controls } => {
                let (text, _) = encoding.decode_without_bom_handling(&data);
                if controls == Controls::AsDecoded {
                    return Text::from(text.into_owned());
                }
                let corrected = text.chars().zip(data.iter()).map(|(char, &byte)| match controls {
                    Controls::Always if (0x80..=0x9f).contains(&byte) => char::from(byte),
                    Controls::Never if matches!(char, '\u{80}'..='\u{9f}') => char::REPLACEMENT_CHARACTER,
                    _ => char,
                });
                corrected.collect::<String>().into()
            }
            Self::Other(encoding) => Text::from(encoding.decode_without_bom_handling(&data).0.into_owned()),
        }
    }
}

const fn iso(encoding: &'static Encoding) -> Charset {
    Charset::Byte { encoding, controls: Controls::Always }
}

const fn windows(encoding: &'static Encoding) -> Charset {
    Charset::Byte { encoding, controls: Controls::Never }
}

const fn byte(encoding: &'static Encoding) -> Charset {
    Charset::Byte { encoding, controls: Controls::AsDecoded }
}

/// Ruby's names of character sets; those that mean the same together.
static NAMES: &[(&str, Charset)] = &[
    ("UTF-8 CP65001", Charset::Utf8),
    ("ISO-8859-1 ISO8859-1", Charset::Latin1),
    ("US-ASCII ASCII ANSI_X3.4-1968 646 ASCII-8BIT BINARY", Charset::Ascii),
    ("UTF-16LE", Charset::Utf16 { big_endian: false }),
    ("UTF-16BE UCS-2BE", Charset::Utf16 { big_endian: true }),
    ("UTF-32LE UCS-4LE", Charset::Utf32 { big_endian: false }),
    ("UTF-32BE UCS-4BE", Charset::Utf32 { big_endian: true }),
    ("ISO-8859-2 ISO8859-2", iso(encoding_rs::ISO_8859_2)),
    ("ISO-8859-3 ISO8859-3", iso(encoding_rs::ISO_8859_3)),
    ("ISO-8859-4 ISO8859-4", iso(encoding_rs::ISO_8859_4)),
    ("ISO-8859-5 ISO8859-5", iso(encoding_rs::ISO_8859_5)),
    ("ISO-8859-6 ISO8859-6", iso(encoding_rs::ISO_8859_6)),
    ("ISO-8859-7 ISO8859-7", iso(encoding_rs::ISO_8859_7)),
    ("ISO-8859-8 ISO8859-8", iso(encoding_rs::ISO_8859_8)),
    ("ISO-8859-9 ISO8859-9", iso(encoding_rs::WINDOWS_1254)),
    ("ISO-8859-10 ISO8859-10", iso(encoding_rs::ISO_8859_10)),
    ("ISO-8859-11 ISO8859-11", iso(encoding_rs::WINDOWS_874)),
    ("ISO-8859-13 ISO8859-13", iso(encoding_rs::ISO_8859_13)),
    ("ISO-8859-14 ISO8859-14", iso(encoding_rs::ISO_8859_14)),
    ("ISO-8859-15 ISO8859-15", iso(encoding_rs::ISO_8859_15)),
    ("ISO-8859-16 ISO8859-16", iso(encoding_rs::ISO_8859_16)),
    ("Windows-1250 CP1250", windows(encoding_rs::WINDOWS_1250)),
    ("Windows-1251 CP1251", windows(encoding_rs::WINDOWS_1251)),
    ("Windows-1252 CP1252", windows(encoding_rs::WINDOWS_1252)),
    ("Windows-1253 CP1253", windows(encoding_rs::WINDOWS_1253)),
    ("Windows-1254 CP1254", windows(encoding_rs::WINDOWS_1254)),
    ("Windows-1255 CP1255", windows(encoding_rs::WINDOWS_1255)),
    ("Windows-1256 CP1256", windows(encoding_rs::WINDOWS_1256)),
    ("Windows-1257 CP1257", windows(encoding_rs::WINDOWS_1257)),
    ("Windows-1258 CP1258", windows(encoding_rs::WINDOWS_1258)),
    ("Windows-874 CP874", windows(encoding_rs::WINDOWS_874)),
    ("KOI8-R CP878", byte(encoding_rs::KOI8_R)),
    ("KOI8-U", byte(encoding_rs::KOI8_U)),
    ("IBM866 CP866", byte(encoding_rs::IBM866)),
    ("Shift_JIS Windows-31J CP932 csWindows31J SJIS PCK", Charset::Other(encoding_rs::SHIFT_JIS)),
    ("EUC-JP eucJP", Charset::Other(encoding_rs::EUC_JP)),
    ("EUC-KR eucKR CP949", Charset::Other(encoding_rs::EUC_KR)),
    ("GBK CP936 GB2312 EUC-CN eucCN", Charset::Other(encoding_rs::GBK)),
    ("GB18030", Charset::Other(encoding_rs::GB18030)),
    ("Big5 CP950", Charset::Other(encoding_rs::BIG5)),
    ("ISO-2022-JP ISO2022-JP", Charset::Other(encoding_rs::ISO_2022_JP)),
];

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
pub(crate) fn inspect_text(text: &str, out: &mut String) {
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
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
}

fn converted(name: &str) -> String {
    format!("have it written as UTF-8, or converted before it is read: `iconv -f {name} -t UTF-8`")
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
        let named = |name: &str, bytes: &[u8]| decode(Charset::by_name(name).unwrap(), bytes);
        assert_eq!(named("Windows-1252", b"\x80 5\x81"), "€ 5\u{fffd}");
        assert_eq!(named("Shift_JIS", b"\x83\x65\x83\x58\x83\x67"), "テスト");
        assert_eq!(named("GBK", b"\xd6\xd0\xce\xc4"), "中文");
        assert_eq!(named("KOI8-R", b"\xd4\xc5\xd3\xd4"), "тест");
        assert_eq!(named("ISO-8859-9", b"\x80\xfd"), "\u{80}ı");
        assert_eq!(named("UTF-32LE", b"h\0\0\0\0\0"), "h\u{fffd}");
        for unknown in ["latin1", "utf-8", "iso8859-1", "nope"] {
            assert_eq!(Charset::by_name(unknown), None, "{unknown}");
        }
        assert_eq!(decode(Charset::Ascii, b"a\xff"), "a\u{fffd}");
        assert_eq!(decode(Charset::Utf16 { big_endian: false }, b"h\0i\0"), "hi");
        assert_eq!(decode(Charset::Utf16 { big_endian: true }, b"\0hi"), "h\u{fffd}");
    }
}
