//! Sets of characters as the settings of `kv` write them: the inside of a `[…]`.

use logstash_mesos_regex::{Regex, Scratch};

use super::Stop;
use crate::event::Text;
use crate::plugin::BuildError;

/// The characters of a trim or remove setting.
#[derive(Clone, Debug)]
pub(super) struct CharClass {
    table: Option<Table>,
    trim: Regex,
    remove: Regex,
}

impl CharClass {
    /// Of the setting `name`.
    pub(super) fn new(name: &'static str, class: &str) -> Result<Self, BuildError> {
        let regex = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                BuildError::setting(name, format!("`{class}` is no set of characters: {error}"))
            })
        };
        Ok(Self {
            table: Table::new(class),
            trim: regex(&format!("^[{class}]+|[{class}]+$"))?,
            remove: regex(&format!("[{class}]"))?,
        })
    }

    /// Takes the characters from both ends (of each line, as the pattern in Logstash does).
    pub(super) fn trim(&self, text: &Text, scratch: &mut Scratch) -> Result<Text, Stop> {
        match &self.table {
            Some(table) if memchr::memchr(b'\n', text.as_bytes()).is_none() => {
                Ok(text.slice_ref(text.as_str().trim_matches(|char| table.contains(char))))
            }
            _ => Ok(self.trim.replace_all(text, "", scratch)?.map_or_else(|| text.clone(), Text::from)),
        }
    }

    /// Takes the characters out.
    pub(super) fn remove(&self, text: &Text, scratch: &mut Scratch) -> Result<Text, Stop> {
        match &self.table {
            Some(table) if !text.contains(|char| table.contains(char)) => Ok(text.clone()),
            Some(table) => {
                Ok(Text::from(text.chars().filter(|char| !table.contains(*char)).collect::<String>()))
            }
            None => Ok(self.remove.replace_all(text, "", scratch)?.map_or_else(|| text.clone(), Text::from)),
        }
    }
}

/// The ASCII characters of a class that has no others.
#[derive(Clone, Debug)]
pub(super) struct Table([bool; 128]);

impl Table {
    /// `None` for a class that only a regular expression can express.
    pub(super) fn new(class: &str) -> Option<Self> {
        // Negation, nested classes, intersections and escapes for whole kinds of characters reach beyond
        // ASCII or mean more than they show.
        let mut escaped = false;
        if class.is_empty() || class.starts_with('^') || class.contains("&&") || !class.is_ascii() {
            return None;
        }
        for char in class.chars() {
            if escaped {
                if char.is_ascii_alphanumeric() && !matches!(char, 't' | 'n' | 'r' | 's' | 'd' | 'w') {
                    return None;
                }
                escaped = false;
            } else if char == '\\' {
                escaped = true;
            } else if char == '[' {
                return None;
            }
        }
        let regex = Regex::new(&format!(r"\A[{class}]\z")).ok()?;
        let mut scratch = Scratch::new();
        let mut table = [false; 128];
        for (byte, entry) in (0_u8..).zip(&mut table) {
            let mut text = [0; 4];
            *entry = regex.is_match(char::from(byte).encode_utf8(&mut text), &mut scratch).ok()?;
        }
        Some(Self(table))
    }

    /// Whether a byte of UTF-8 is one of the characters.
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }

    fn contains(&self, char: char) -> bool {
        u8::try_from(char).is_ok_and(|byte| self.has(byte))
    }
}
