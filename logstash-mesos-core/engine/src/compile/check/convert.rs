//! From values as written to what a setting is declared to take.

use std::path::Path;

use super::Checker;
use super::raw::Raw;
use crate::event::{FieldReference, Text};
use crate::lang::PluginKind;
use crate::lang::Span;
use crate::lang::similar::suggestion;
use crate::plugin::settings::{Kind, SettingValue};

impl Checker<'_> {
    /// Converts a value to what the setting takes. `Ok(None)`: it is there and empty.
    pub(super) fn convert(&mut self, raw: &Raw, kind: &Kind, span: Span) -> Converted {
        match kind {
            Kind::Any => plain(raw).map(Some),
            Kind::Array => Ok(Some(match plain(raw)? {
                SettingValue::Array(items) => SettingValue::Array(items),
                hash @ SettingValue::Hash(_) => hash,
                single => SettingValue::Array(vec![single]),
            })),
            Kind::List(item) => {
                let items = match raw {
                    Raw::List(items) => items.as_slice(),
                    single => std::slice::from_ref(single),
                };
                let mut list = Vec::with_capacity(items.len());
                for raw in items {
                    if let (Raw::Text(text), Kind::Uri) = (raw, item) {
                        list.extend(text.split_whitespace().map(|one| SettingValue::String(Text::from(one))));
                    } else if let Some(value) = self.convert(raw, item, span)? {
                        list.push(value);
                    }
                }
                Ok(Some(SettingValue::Array(list)))
            }
            Kind::Hash => hash(raw).map(Some),
            Kind::Codec => match one(raw, "a codec")? {
                None => Ok(None),
                Some(Raw::Text(name)) => {
                    let Some(spec) = self.find(PluginKind::Codec, name, span) else { return Err(None) };
                    let settings = self.settings(PluginKind::Codec, spec, &[], span);
                    Ok(Some(SettingValue::Plugin(Text::from_static(spec.name), settings)))
                }
                Some(Raw::Plugin(plugin)) => match self.plugin(PluginKind::Codec, &plugin.clone()) {
                    Some((spec, settings)) => {
                        Ok(Some(SettingValue::Plugin(Text::from_static(spec.name), settings)))
                    }
                    None => Err(None),
                },
                Some(other) => Err(wrong("a codec", other, None)),
            },
            _ => self.scalar(raw, kind),
        }
    }

    fn scalar(&self, raw: &Raw, kind: &Kind) -> Converted {
        let what = name_of(kind);
        let Some(raw) = one(raw, what)? else { return Ok(None) };
        let text = || match raw {
            Raw::Text(text) => Some(Text::from(text.as_str())),
            Raw::Int(number) => Some(Text::from(number.to_string())),
            Raw::Float(number) => SettingValue::Float(*number).to_text(),
            _ => None,
        };
        match kind {
            Kind::Number => match raw {
                Raw::Int(number) => Ok(Some(SettingValue::Int(*number))),
                Raw::Float(number) => Ok(Some(SettingValue::Float(*number))),
                Raw::Text(text) => ruby_number(text).map(Some).ok_or_else(|| wrong(what, raw, None)),
                other => Err(wrong(what, other, None)),
            },
            Kind::Boolean => match raw {
                Raw::Text(text) if text == "true" => Ok(Some(SettingValue::Bool(true))),
                Raw::Text(text) if text == "false" => Ok(Some(SettingValue::Bool(false))),
                other => Err(wrong(what, other, Some("write `true` or `false`".to_owned()))),
            },
            Kind::Bytes => match raw {
                Raw::Int(number) => Ok(Some(SettingValue::Int(*number))),
                Raw::Text(text) => match bytes(text) {
                    Some(number) => Ok(Some(SettingValue::Int(number))),
                    None => Err(wrong(what, raw, Some("write a number with a unit, such as `10mib`".into()))),
                },
                other => Err(wrong(what, other, None)),
            },
            Kind::OneOf(words) => {
                let found = text().ok_or_else(|| wrong(what, raw, None))?;
                if words.contains(&found.as_str()) {
                    return Ok(Some(SettingValue::String(found)));
                }
                let list: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                let remedy = suggestion(&found, words.iter().copied())
                    .unwrap_or_else(|| format!("write one of {}", list.join(", ")));
                Err(Some((format!("expected one of {}, found `{found}`", list.join(", ")), Some(remedy))))
            }
            Kind::FieldReference => {
                let found = text().ok_or_else(|| wrong(what, raw, None))?;
                if found.is_empty() {
                    return Ok(None);
                }
                match FieldReference::parse_with(&found, self.options.escape_style) {
                    Ok(_) => Ok(Some(SettingValue::String(found))),
                    Err(error) => {
                        let remedy = "write `name` or `[name][name]`".to_owned();
                        Err(Some((error.to_string(), Some(remedy))))
                    }
                }
            }
            Kind::Path => {
                let found = text().ok_or_else(|| wrong(what, raw, None))?;
                if self.options.check_paths && !Path::new(found.as_str()).exists() {
                    let remedy = "the path must exist where the configuration runs".to_owned();
                    return Err(Some((format!("there is no file `{found}`"), Some(remedy))));
                }
                Ok(Some(SettingValue::String(found)))
            }
            _ => match raw {
                Raw::Plugin(_) | Raw::Hash(_) | Raw::List(_) => Err(wrong(what, raw, None)),
                _ => Ok(text().map(SettingValue::String)),
            },
        }
    }
}

/// What is wrong and what to do, or nothing when it has been said already.
pub(super) type Complaint = Option<(String, Option<String>)>;

pub(super) type Converted = Result<Option<SettingValue>, Complaint>;

fn wrong(expected: &str, found: &Raw, remedy: Option<String>) -> Complaint {
    Some((format!("expected {expected}, found {}", describe(found)), remedy))
}

fn describe(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("the string `{}`", text.chars().take(60).collect::<String>()),
        Raw::Int(number) => format!("the number {number}"),
        Raw::Float(number) => format!("the number {number:?}"),
        Raw::List(items) => format!("a list of {} items", items.len()),
        Raw::Hash(_) => "a hash".to_owned(),
        Raw::Plugin(plugin) => format!("the plugin `{}`", plugin.name),
    }
}

/// A hash, or a list of keys and values in turn.
fn hash(raw: &Raw) -> Result<SettingValue, Complaint> {
    let items = match raw {
        Raw::Hash(_) => return plain(raw),
        Raw::List(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    if items.len() % 2 == 1 {
        let remedy = "write `{ \"key\" => \"value\" }`".to_owned();
        let message = if matches!(raw, Raw::List(_)) {
            format!("a list in place of a hash needs an even number of items, found {}", items.len())
        } else {
            format!("expected a hash, found {}", describe(raw))
        };
        return Err(Some((message, Some(remedy))));
    }
    let mut entries: Vec<(Text, SettingValue)> = Vec::new();
    for pair in items.chunks_exact(2) {
        let key = plain(&pair[0])?.to_text();
        let key = key.ok_or_else(|| wrong("a key", &pair[0], None))?;
        let value = plain(&pair[1])?;
        match entries.iter_mut().find(|(have, _)| *have == key) {
            None => entries.push((key, value)),
            Some((_, SettingValue::Array(have))) => have.push(value),
            Some((_, have)) => *have = SettingValue::Array(vec![have.clone(), value]),
        }
    }
    Ok(SettingValue::Hash(entries))
}

fn plain(raw: &Raw) -> Result<SettingValue, Complaint> {
    Ok(match raw {
        Raw::Text(text) => SettingValue::String(Text::from(text.as_str())),
        Raw::Int(number) => SettingValue::Int(*number),
        Raw::Float(number) => SettingValue::Float(*number),
        Raw::List(items) => SettingValue::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        Raw::Hash(entries) => SettingValue::Hash(
            entries
                .iter()
                .map(|(key, value)| Ok((key.text(), plain(value)?)))
                .collect::<Result<_, Complaint>>()?,
        ),
        Raw::Plugin(_) => return Err(wrong("a value", raw, None)),
    })
}

/// The single item of a list of one, the value itself otherwise; nothing for an empty list.
fn one<'r>(raw: &'r Raw, expected: &str) -> Result<Option<&'r Raw>, Complaint> {
    match raw {
        Raw::List(items) => match items.as_slice() {
            [] => Ok(None),
            [single] => Ok(Some(single)),
            _ => Err(wrong(expected, raw, Some("give one value".to_owned()))),
        },
        single => Ok(Some(single)),
    }
}

fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Number => "a number",
        Kind::Boolean => "`true` or `false`",
        Kind::Bytes => "a size",
        Kind::Path => "a path",
        Kind::Password => "a password",
        Kind::Uri => "a URI",
        Kind::FieldReference => "a field reference",
        Kind::Codec => "a codec",
        Kind::Hash => "a hash",
        Kind::Array | Kind::List(_) => "a list",
        Kind::String | Kind::OneOf(_) | Kind::Any => "a string",
    }
}

/// A quoted number is taken when Ruby prints it as it was written.
fn ruby_number(text: &str) -> Option<SettingValue> {
    if let Ok(number) = text.parse::<i64>() {
        return (number.to_string() == text).then_some(SettingValue::Int(number));
    }
    let number: f64 = text.parse().ok()?;
    (text.contains('.') && SettingValue::Float(number).to_text()? == text)
        .then_some(SettingValue::Float(number))
}

/// A size with a unit: `10`, `10kb` (thousands), `10 KiB` (1024s).
fn bytes(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let prefix = unit.trim_end_matches('b');
    if unit.len() > prefix.len() + 1 {
        return None;
    }
    let (prefix, base) = prefix.strip_suffix('i').map_or((prefix, 1000_f64), |prefix| (prefix, 1024.0));
    let power = ["", "k", "m", "g", "t", "p", "e"].iter().position(|known| *known == prefix)?;
    let size = number * base.powi(i32::try_from(power).ok()?);
    #[expect(clippy::cast_possible_truncation, reason = "Ruby's to_i cuts as well")]
    (size < 9e18).then_some(size as i64)
}
