//! Finds keys and values.

use std::ops::Range;

use logstash_mesos_regex::{Captures, Regex, Scratch};

use super::Stop;
use super::class::Table;
use crate::event::Text;
use crate::plugin::BuildError;
use crate::plugin::settings::Settings;

/// The places of a key and its value.
pub(super) type Pair = (Range<usize>, Range<usize>);

/// Finds the pairs of a text as the regular expression that Logstash builds does.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pairs: Regex,
    separator: Regex,
    quick: Option<Quick>,
}

impl Scanner {
    /// From the separators, quotes and blanks of the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, BuildError> {
        let text = |name: &str| settings.text(name).unwrap_or_default();
        for name in ["value_split", "field_split_pattern", "value_split_pattern"] {
            if settings.get(name).is_some() && text(name).is_empty() {
                return Err(BuildError::setting(name, format!("`{name}` must not be empty")));
            }
        }
        let (field_split, value_split) = (text("field_split"), text("value_split"));
        let by_pattern = settings.text("field_split_pattern");
        let values_by_pattern = settings.text("value_split_pattern");
        let lenient = text("whitespace") == "lenient";
        let fields = by_pattern.as_ref().map_or_else(|| format!("[{field_split}]"), ToString::to_string);
        let mut values =
            values_by_pattern.as_ref().map_or_else(|| format!("[{value_split}]"), ToString::to_string);
        if lenient {
            // Each part keeps its meaning when it has alternatives.
            values = format!("(?: *)(?:{values})(?: *)");
        }
        let key = if by_pattern.is_some() || values_by_pattern.is_some() {
            until_pattern(&format!("(?:{values})|(?:{fields})"))
        } else {
            until_class(&format!("{value_split}{field_split}"))
        };
        let mut alternatives = vec![quoted("\"", "\""), quoted("'", "'")];
        let brackets = settings.bool("include_brackets");
        if brackets {
            alternatives.extend([quoted(r"\(", r"\)"), quoted(r"\[", r"\]"), quoted("<", ">")]);
        }
        alternatives.push(if by_pattern.is_some() {
            until_pattern(&fields)
        } else {
            until_class(&field_split)
        });
        let pairs = format!("{key}(?:{values})(?:{})?(?:(?:{fields})|$)", alternatives.join("|"));
        let regex = |name: &'static str, pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                BuildError::setting(name, format!("the separators make no regular expression: {error}"))
            })
        };
        let at_fault = if by_pattern.is_some() { "field_split_pattern" } else { "field_split" };
        let separator_at_fault =
            if values_by_pattern.is_some() { "value_split_pattern" } else { "value_split" };
        let separator = regex(separator_at_fault, &values)?;
        let quick = match (&by_pattern, &values_by_pattern) {
            (None, None) => Quick::new(&field_split, &value_split, lenient, brackets),
            _ => None,
        };
        Ok(Self { pairs: regex(at_fault, &pairs)?, separator, quick })
    }

    /// Adds the pairs of `text` to `found`, until these are more than `most`.
    pub(super) fn scan(
        &self,
        text: &Text,
        scratch: &mut Scratch,
        most: usize,
        found: &mut Vec<Pair>,
    ) -> Result<(), Stop> {
        if let Some(quick) = &self.quick
            && memchr::memchr(b'\\', text.as_bytes()).is_none()
        {
            quick.scan(text.as_bytes(), most, found);
            return Ok(());
        }
        if !self.separator.is_match(text, scratch)? {
            return Ok(());
        }
        let groups = self.pairs.group_count();
        self.pairs.for_each_match(text, scratch, |captures: &Captures| {
            if let Some(key) = captures.get(1) {
                let value = (2..=groups).find_map(|group| captures.get(group));
                found.push((key, value.unwrap_or(0..0)));
            }
            found.len() <= most
        })?;
        Ok(())
    }
}

/// One or more characters up to a character of the class; a backslash takes the next one along.
fn until_class(class: &str) -> String {
    format!(r"((?:\\.|[^{class}])+)")
}

fn until_pattern(pattern: &str) -> String {
    format!(r"((?:(?!{pattern})(?:\\.|.))+)")
}

fn quoted(open: &str, close: &str) -> String {
    format!("{open}{}?{close}", until_class(close))
}

/// The same for plain sets of separators and a text without backslashes, where one look at each byte does.
///
/// In such a text the expression never has to go back: a key reaches to the next separator of any kind, what
/// is not followed by a separator of values is no key whatever its start, and a value without quotes always
/// ends at a separator of fields or at the end of the text.
#[derive(Clone, Debug)]
struct Quick {
    fields: Table,
    values: Table,
    lenient: bool,
    brackets: bool,
}

impl Quick {
    fn new(fields: &str, values: &str, lenient: bool, brackets: bool) -> Option<Self> {
        // Side by side the two sets must mean what each means alone.
        let together = Table::new(&format!("{values}{fields}"))?;
        let (fields, values) = (Table::new(fields)?, Table::new(values)?);
        let same = (0..128).all(|byte| together.has(byte) == (fields.has(byte) || values.has(byte)));
        // A blank as separator could be one of the blanks around it.
        let same = same && !(lenient && values.has(b' '));
        same.then_some(Self { fields, values, lenient, brackets })
    }

    fn scan(&self, text: &[u8], most: usize, found: &mut Vec<Pair>) {
        let mut at = 0;
        while at < text.len() && found.len() <= most {
            let key = at;
            while at < text.len() && !self.fields.has(text[at]) && !self.values.has(text[at]) {
                at += 1;
            }
            let key = key..at;
            let mut value = if self.lenient { skip_blanks(text, at) } else { at };
            if key.is_empty() || !text.get(value).is_some_and(|byte| self.values.has(*byte)) {
                at += 1;
                continue;
            }
            value += 1;
            if self.lenient {
                value = skip_blanks(text, value);
            }
            let (inner, end) = self.quoted(text, value).unwrap_or_else(|| {
                let len = text[value..].iter().position(|byte| self.fields.has(*byte));
                let end = len.map_or(text.len(), |len| value + len);
                (value..end, end)
            });
            found.push((key, inner));
            // The separator is taken along; the end of a line is an end too, but stays.
            at = end + usize::from(text.get(end).is_some_and(|byte| self.fields.has(*byte)));
        }
    }

    /// The inside of quotes that begin at `at` and end before a separator, and the place after them.
    fn quoted(&self, text: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
        let close = match text.get(at)? {
            quote @ (b'"' | b'\'') => *quote,
            b'(' if self.brackets => b')',
            b'[' if self.brackets => b']',
            b'<' if self.brackets => b'>',
            _ => return None,
        };
        let len = memchr::memchr(close, &text[at + 1..])?;
        let end = at + 2 + len;
        let ends = text.get(end).is_none_or(|byte| *byte == b'\n' || self.fields.has(*byte));
        ends.then_some((at + 1..at + 1 + len, end))
    }
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| **byte == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quick way and the regular expression find the same pairs.
    #[test]
    fn both_ways_agree() {
        let pieces =
            ["a", "bc", "=", " ", "  ", "\"", "'", "(", ")", "<", ">", "[", "]", ",", "\n", "é", ":", "&"];
        let settings = [
            (" ", "=", true, true),
            (",", "=", true, true),
            ("&,", ":=", false, true),
            (r" \t", "=", true, false),
        ];
        let mut random = 1_u64;
        for (fields, values, lenient, brackets) in settings {
            let given = crate::plugin::settings::Settings::new(
                vec![
                    (Text::from_static("field_split"), Text::from_static(fields)),
                    (Text::from_static("value_split"), Text::from_static(values)),
                    (
                        Text::from_static("whitespace"),
                        Text::from_static(if lenient { "lenient" } else { "strict" }),
                    ),
                ]
                .into_iter()
                .map(|(name, text)| (name, crate::plugin::settings::SettingValue::String(text)))
                .chain([(
                    Text::from_static("include_brackets"),
                    crate::plugin::settings::SettingValue::Bool(brackets),
                )])
                .collect(),
                vec![],
            );
            let scanner = Scanner::new(&given).unwrap();
            let slow = Scanner { quick: None, ..scanner.clone() };
            assert!(scanner.quick.is_some());
            let mut scratch = Scratch::new();
            for _ in 0..4000 {
                let mut text = String::new();
                for _ in 0..12 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    text.push_str(pieces[usize::try_from(random >> 40).unwrap() % pieces.len()]);
                }
                let text = Text::from(text);
                let (mut one, mut other) = (Vec::new(), Vec::new());
                assert!(scanner.scan(&text, &mut scratch, usize::MAX, &mut one).is_ok());
                assert!(slow.scan(&text, &mut scratch, usize::MAX, &mut other).is_ok());
                let parts = |pairs: &[Pair]| {
                    pairs
                        .iter()
                        .map(|(key, value)| (text[key.clone()].to_owned(), text[value.clone()].to_owned()))
                        .collect::<Vec<_>>()
                };
                assert_eq!(parts(&one), parts(&other), "{text:?}");
            }
        }
    }
}
