//! The pattern of `dissect`: fields and the delimiters between them.

use memchr::memmem::Finder;

use crate::event::{EscapeStyle, Text};
use crate::plugin::field::Field;

/// A parsed pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) fields: Vec<PatternField>,
    /// The fields to store, in the order in which that is done.
    pub(super) order: Vec<usize>,
    /// What is before the first field.
    prefix: usize,
    pub(super) style: EscapeStyle,
}

/// A field of a pattern.
#[derive(Clone, Debug)]
pub(super) struct PatternField {
    pub(super) name: Text,
    pub(super) target: Field,
    pub(super) kind: Kind,
    ordinal: u32,
    before: Delimiter,
    after: Option<Delimiter>,
}

/// What happens with the text of a field.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It is stored.
    Plain,
    /// Nothing; other fields may refer to it.
    Skip,
    /// It is put behind what the field has, with `join` between.
    Append { join: Text },
    /// It is stored in the field that another piece names.
    Indirect,
}

#[derive(Clone, Debug)]
struct Delimiter {
    finder: Finder<'static>,
    /// Repetitions count as one.
    greedy: bool,
}

impl Delimiter {
    fn new(text: &str) -> Self {
        Self { finder: Finder::new(text.as_bytes()).into_owned(), greedy: false }
    }

    fn len(&self) -> usize {
        self.finder.needle().len()
    }

    fn find(&self, source: &[u8], from: usize) -> Option<usize> {
        match self.finder.needle() {
            // A search for nothing finds nothing.
            [] => None,
            [byte] => memchr::memchr(*byte, source.get(from..)?).map(|at| from + at),
            _ => self.finder.find(source.get(from..)?).map(|at| from + at),
        }
    }
}

impl Pattern {
    /// Parses `text`; the error says what Logstash refuses.
    pub(super) fn parse(text: &str, style: EscapeStyle) -> Result<Self, String> {
        let mut found: Vec<(&str, Delimiter)> = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_field(rest) {
            found.push((name, Delimiter::new(before)));
            rest = after;
        }
        let prefix = found.first().map_or(0, |(_, delimiter)| delimiter.len());
        let trailing = &text[text.rfind('}').map_or(0, |at| at + 1)..];
        if found.is_empty() {
            return Err(format!("the pattern `{text}` has no field"));
        }
        if !trailing.is_empty() {
            found.push(("?auto_added_skip", Delimiter::new(trailing)));
        }
        let mut fields: Vec<PatternField> = Vec::new();
        let mut greedy = false;
        for (name, mut before) in found {
            // A delimiter is greedy when the field before it says so.
            before.greedy = greedy;
            if let Some(previous) = fields.last_mut() {
                previous.after = Some(before.clone());
            }
            let (field, arrow) = PatternField::new(name, before, style)?;
            greedy = arrow;
            fields.push(field);
        }
        let mut order: Vec<usize> =
            (0..fields.len()).filter(|at| !matches!(fields[*at].kind, Kind::Skip)).collect();
        order.sort_by_key(|at| fields[*at].ordinal);
        Ok(Self { fields, order, prefix, style })
    }

    /// Finds the piece of `source` for each field. `false` when it does not fit.
    ///
    /// A delimiter at the very start of the text is found but not passed, so the next piece begins with
    /// it: that is how Logstash's works, and results depend on it.
    pub(super) fn find(&self, source: &[u8], pieces: &mut Vec<(usize, usize)>) -> bool {
        pieces.clear();
        if source.is_empty() {
            return false;
        }
        let mut left = 0;
        for field in &self.fields {
            if field.before.greedy {
                while field.before.find(source, left) == Some(left) {
                    left += field.before.len();
                }
            } else if left == 0 && self.prefix > 0 {
                if field.before.find(source, 0) != Some(0) {
                    return false;
                }
                left = field.before.len();
            }
            let Some(after) = &field.after else {
                pieces.push((left, source.len()));
                return true;
            };
            match after.find(source, left) {
                None => return false,
                Some(0) => pieces.push((left, left)),
                Some(at) => {
                    pieces.push((left, at));
                    left = at + after.len();
                }
            }
        }
        true
    }
}

impl PatternField {
    /// The field written as `%{text}`, and whether it ends with an arrow.
    fn new(text: &str, before: Delimiter, style: EscapeStyle) -> Result<(Self, bool), String> {
        let join = match before.finder.needle() {
            [] => Text::from_static(" "),
            needle => Text::from(String::from_utf8_lossy(needle).into_owned()),
        };
        let (kind, written) = match text.as_bytes().first() {
            None => (Kind::Skip, text),
            Some(b'?') => (Kind::Skip, &text[1..]),
            Some(b'+') if text.starts_with("+&") => return Err(mixed(text)),
            Some(b'&') if text.starts_with("&+") => return Err(mixed(text)),
            Some(b'+') => (Kind::Append { join }, &text[1..]),
            Some(b'&') => (Kind::Indirect, &text[1..]),
            Some(_) => (Kind::Plain, text),
        };
        let (name, suffix) = split_suffix(written);
        if name.is_empty() && matches!(kind, Kind::Append { .. } | Kind::Indirect) {
            return Err(format!("the field `%{{{text}}}` has no name"));
        }
        let ordinal = match kind {
            Kind::Skip => 0,
            Kind::Plain => 1,
            Kind::Append { .. } => {
                let digits: String = suffix
                    .chars()
                    .skip_while(|c| !c.is_ascii_digit())
                    .take_while(char::is_ascii_digit)
                    .collect();
                100 + digits.parse::<u32>().unwrap_or(0)
            }
            Kind::Indirect => 1000,
        };
        let field = Self {
            name: Text::from(name),
            target: Field::new(name, style),
            kind,
            ordinal,
            before,
            after: None,
        };
        Ok((field, suffix.contains("->")))
    }
}

fn mixed(field: &str) -> String {
    format!("the field `%{{{field}}}` cannot be appended and indirect at once")
}

/// The text before the next `%{name}`, the name, and the rest.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("%{")?;
    let name = &text[start + 2..];
    let end = name.find('}')?;
    Some((&text[..start], &name[..end], &name[end + 1..]))
}

/// A name and what follows it: an order (`/2`), an arrow (`->`), or both.
fn split_suffix(text: &str) -> (&str, &str) {
    let order = |text: &str| {
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let start = text.len() - digits;
        ((1..=2).contains(&digits) && text[..start].ends_with('/')).then(|| start - 1)
    };
    let arrow = |text: &str| text.strip_suffix("->").map(str::len);
    // The earliest start of a suffix that reaches to the end wins; the name needs a character, unless
    // there is nothing but suffix.
    let mut start = text.len();
    if let Some(at) = order(text) {
        start = arrow(&text[..at]).unwrap_or(at);
    } else if let Some(at) = arrow(text) {
        start = order(&text[..at]).unwrap_or(at);
    }
    text.split_at(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_taken_off() {
        let cases = [
            ("a", ("a", "")),
            ("a->", ("a", "->")),
            ("a/12", ("a", "/12")),
            ("a/123", ("a/123", "")),
            ("a/1->", ("a", "/1->")),
            ("a->/1", ("a", "->/1")),
            ("->", ("", "->")),
            ("/1", ("", "/1")),
            ("a/b", ("a/b", "")),
            ("", ("", "")),
        ];
        for (text, parts) in cases {
            assert_eq!(split_suffix(text), parts, "{text}");
        }
    }

    #[test]
    fn a_delimiter_at_the_very_start_is_not_passed() {
        let pattern = Pattern::parse("%{a} %{b}", EscapeStyle::None).unwrap();
        let mut pieces = Vec::new();
        assert!(pattern.find(b" lead", &mut pieces));
        assert_eq!(pieces, [(0, 0), (0, 5)]);
    }
}
