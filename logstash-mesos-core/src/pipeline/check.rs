//! From the settings as written to settings as declared: substituted, merged, converted, complete.

use std::path::Path;

use super::catalog::PluginKind;
use super::common;
use super::compile::{CompileOptions, UnknownVariable};
use super::lang::ast::{Attribute, Number, Plugin, Value, ValueKind};
use super::lang::similar::suggestion;
use super::lang::{Code, Diagnostic, Span};
use super::plugin::PluginSpec;
use super::settings::{Default, Kind, Setting, SettingValue, Settings, Status};
use super::variables::{Substituted, substitute};
use crate::event::{FieldReference, Text, java_hash};

/// Checks plugins one after the other and gathers what is wrong.
#[derive(Debug)]
pub(crate) struct Checker<'o> {
    pub(crate) options: &'o CompileOptions,
    /// The text of the configuration.
    pub(crate) source: &'o str,
    pub(crate) complaints: Vec<Diagnostic>,
}

/// A value as Ruby has it when a plugin is made, before the plugin's declaration is applied.
#[derive(Clone, Debug, PartialEq)]
enum Raw {
    Text(String),
    Int(i64),
    Float(f64),
    List(Vec<Raw>),
    Hash(Vec<(Key, Raw)>),
    Plugin(Plugin),
}

#[derive(Clone, Debug, PartialEq)]
enum Key {
    Text(String),
    Int(i64),
    Float(f64),
}

impl Key {
    fn java(&self) -> java_hash::Key<'_> {
        match self {
            Self::Text(text) => java_hash::Key::Text(text),
            Self::Int(number) => java_hash::Key::Int(*number),
            Self::Float(number) => java_hash::Key::Float(*number),
        }
    }

    fn text(&self) -> Text {
        match self {
            Self::Text(text) => Text::from(text.as_str()),
            Self::Int(number) => Text::from(number.to_string()),
            Self::Float(number) => SettingValue::Float(*number).to_text().unwrap_or_default(),
        }
    }
}

impl Checker<'_> {
    /// The plugin `written` names and its settings, or `None` after a complaint.
    pub(crate) fn plugin(
        &mut self,
        kind: PluginKind,
        written: &Plugin,
    ) -> Option<(&'static PluginSpec, Settings)> {
        let spec = self.find(kind, &written.name, written.name_span)?;
        let before = self.complaints.len();
        let settings = self.settings(kind, spec, &written.attributes, written.name_span);
        let refused =
            self.complaints[before..].iter().any(|said| said.severity == super::lang::Severity::Error);
        (!refused).then_some((spec, settings))
    }

    fn find(&mut self, kind: PluginKind, name: &str, span: Span) -> Option<&'static PluginSpec> {
        let found = self.options.catalog.find(kind, name);
        if found.is_none() {
            let word = kind.word();
            let (code, message, remedy) = if name.starts_with(['"', '\'']) {
                (
                    Code::UNKNOWN_PLUGIN,
                    format!("there is no {word} {name}: names of plugins stand without quotes"),
                    Some(format!("write `{}`", name.trim_matches(['"', '\'']))),
                )
            } else {
                let close = suggestion(name, self.options.catalog.names(kind));
                (
                    Code::UNKNOWN_PLUGIN,
                    format!("there is no {word} `{name}`"),
                    close.or_else(|| Some(format!("the {word}s are {}", self.list_of(kind)))),
                )
            };
            self.complaints.push(Diagnostic::error(code, span, message).remedy(remedy));
        }
        found
    }

    fn list_of(&self, kind: PluginKind) -> String {
        let mut names: Vec<_> = self.options.catalog.names(kind).collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn settings(
        &mut self,
        kind: PluginKind,
        spec: &'static PluginSpec,
        attributes: &[Attribute],
        plugin_span: Span,
    ) -> Settings {
        let mut values = Vec::new();
        let mut given = Vec::new();
        let declared = |name: &str| {
            spec.settings.iter().chain(common::settings(kind)).find(|setting| setting.name == name)
        };
        for (name, span, value_span, raw) in self.merged(attributes) {
            let Some(setting) = declared(&name) else {
                let known = spec.settings.iter().chain(common::settings(kind)).map(|setting| setting.name);
                let remedy = suggestion(&name, known.clone()).or_else(|| {
                    let mut names: Vec<_> = spec.settings.iter().map(|setting| setting.name).collect();
                    names.sort_unstable();
                    (!names.is_empty()).then(|| format!("its own settings are {}", names.join(", ")))
                });
                let message = format!("{} `{}` has no setting `{name}`", kind.word(), spec.name);
                self.complaints.push(Diagnostic::error(Code::UNKNOWN_SETTING, span, message).remedy(remedy));
                continue;
            };
            self.status(spec, setting, span);
            match self.convert(&raw, &setting.kind, value_span) {
                Ok(Some(value)) => {
                    given.push(Text::from_static(setting.name));
                    values.push((Text::from_static(setting.name), value));
                }
                Ok(None) => given.push(Text::from_static(setting.name)),
                Err(Some((problem, remedy))) => {
                    let message = format!("`{name}` of `{}`: {problem}", spec.name);
                    let complaint = Diagnostic::error(Code::INVALID_VALUE, value_span, message);
                    self.complaints.push(complaint.remedy(remedy.or_else(|| Some(setting.doc.to_owned()))));
                }
                // Said already, at the place inside the value.
                Err(None) => {}
            }
        }
        // The plugin's own declaration comes first: it may give a common setting another default.
        for setting in spec.settings.iter().chain(common::settings(kind)) {
            if values.iter().any(|(have, _)| have == setting.name)
                || given.iter().any(|have| have == setting.name)
            {
                continue;
            }
            if setting.required && !attributes.iter().any(|attribute| attribute.name == setting.name) {
                let message = format!("{} `{}` needs the setting `{}`", kind.word(), spec.name, setting.name);
                self.complaints.push(
                    Diagnostic::error(Code::MISSING_SETTING, plugin_span, message)
                        .remedy(format!("`{}`: {}", setting.name, setting.doc)),
                );
            }
            if let Some(value) = self.default(setting) {
                values.push((Text::from_static(setting.name), value));
            }
        }
        Settings::new(values, given)
    }

    fn status(&mut self, spec: &PluginSpec, setting: &Setting, span: Span) {
        let name = setting.name;
        let plugin = spec.name;
        let complaint = match setting.status {
            Status::Supported => return,
            Status::Deprecated(instead) => {
                Diagnostic::warning(Code::DEPRECATED, span, format!("`{name}` of `{plugin}` is deprecated"))
                    .remedy(instead.to_owned())
            }
            Status::Obsolete(instead) => Diagnostic::error(
                Code::OBSOLETE_SETTING,
                span,
                format!("`{name}` of `{plugin}` was removed from Logstash"),
            )
            .remedy(instead.to_owned()),
            // These two are in half of all configurations and change nothing for anyone.
            Status::Ignored(_) if matches!(name, "enable_metric" | "periodic_flush") => return,
            Status::Ignored(why) => Diagnostic::warning(
                Code::IGNORED,
                span,
                format!("`{name}` of `{plugin}` changes nothing here: {why}"),
            )
            .remedy("leave it out".to_owned()),
            Status::Absent(why) => Diagnostic::error(
                Code::ABSENT,
                span,
                format!("`{name}` of `{plugin}` is not implemented by this engine: {why}"),
            )
            .remedy("leave it out, or run this configuration with the `logstash` engine".to_owned()),
        };
        self.complaints.push(complaint);
    }

    /// The settings by name, repeated ones merged as Logstash does.
    fn merged(&mut self, attributes: &[Attribute]) -> Vec<(String, Span, Span, Raw)> {
        let mut all: Vec<(String, Span, Span, Raw)> = Vec::new();
        for Attribute { name, name_span, value } in attributes {
            let Some(new) = self.raw(value, true) else { continue };
            let Some((.., have)) = all.iter_mut().find(|(have, ..)| have == name) else {
                all.push((name.clone(), *name_span, value.span, new));
                continue;
            };
            match (&mut *have, new) {
                (Raw::Hash(have), Raw::Hash(new)) => merge_hash(have, new),
                (Raw::Hash(_), _) => self.complaints.push(
                    Diagnostic::error(
                        Code::INVALID_VALUE,
                        value.span,
                        format!("`{name}` was a hash before and cannot be merged with this"),
                    )
                    .remedy("write it once".to_owned()),
                ),
                (Raw::List(have), Raw::List(mut new)) => have.append(&mut new),
                (Raw::List(have), Raw::Hash(new)) => have.extend(
                    new.into_iter()
                        .map(|(key, value)| Raw::List(vec![Raw::Text(key.text().to_string()), value])),
                ),
                (Raw::List(have), new) => have.push(new),
                (single, new) if *single == new => {}
                (single, new) => *single = Raw::List(vec![single.clone(), new]),
            }
        }
        for (name, span, _, raw) in &all {
            if name == "codec" && matches!(raw, Raw::List(items) if items.len() > 1) {
                self.complaints.push(
                    Diagnostic::error(
                        Code::INVALID_VALUE,
                        *span,
                        "a plugin has one codec, and several are given",
                    )
                    .remedy("keep one of them".to_owned()),
                );
            }
        }
        all.retain(|(name, _, _, raw)| {
            name != "codec" || !matches!(raw, Raw::List(items) if items.len() > 1)
        });
        // Merging hashes puts entries in the order of insertion; Java's map has the last word.
        for (.., raw) in &mut all {
            java_order(raw);
        }
        all
    }

    /// The value as Ruby has it, variables filled in.
    fn raw(&mut self, value: &Value, fill: bool) -> Option<Raw> {
        Some(match &value.kind {
            ValueKind::Bareword(word) => Raw::Text(word.clone()),
            ValueKind::String(text) => {
                let text = self.options.unescape(text);
                if fill { self.substituted(text, value.span)? } else { Raw::Text(text) }
            }
            ValueKind::Number(Number::Int(number)) => Raw::Int(*number),
            ValueKind::Number(Number::Float(number)) => Raw::Float(*number),
            ValueKind::Array(items) => {
                Raw::List(items.iter().map(|item| self.raw(item, fill)).collect::<Option<_>>()?)
            }
            ValueKind::Hash(entries) => Raw::Hash(self.raw_hash(entries, fill)?),
            ValueKind::Plugin(plugin) => Raw::Plugin(plugin.clone()),
        })
    }

    fn raw_hash(&mut self, entries: &[(Value, Value)], fill: bool) -> Option<Vec<(Key, Raw)>> {
        let mut hash: Vec<(Key, Raw)> = Vec::with_capacity(entries.len());
        let mut valid = true;
        for (at, (key, value)) in entries.iter().enumerate() {
            // As written, quotes included: `"a"` and `'a'` are two keys here, and the later wins.
            let written = |key: &Value| self.source.get(std::ops::Range::from(key.span));
            if entries[..at].iter().any(|(before, _)| written(before) == written(key)) {
                let message = "this key stands twice in the hash";
                self.complaints.push(
                    Diagnostic::error(Code::DUPLICATE_KEY, key.span, message)
                        .remedy("keep one of them; several values of one key go into a list".to_owned()),
                );
                valid = false;
            }
            // Variables are not filled in in keys.
            let key = match self.raw(key, false)? {
                Raw::Int(number) => Key::Int(number),
                Raw::Float(number) => Key::Float(number),
                Raw::Text(text) => Key::Text(text),
                _ => continue,
            };
            let Some(value) = self.raw(value, fill) else {
                valid = false;
                continue;
            };
            match hash.iter_mut().find(|(have, _)| *have == key) {
                Some((_, have)) => *have = value,
                None => hash.push((key, value)),
            }
        }
        valid.then_some(hash)
    }

    fn substituted(&mut self, text: String, span: Span) -> Option<Raw> {
        match substitute(&text, &self.options.variables) {
            Ok(Substituted::Unchanged) => Some(Raw::Text(text)),
            Ok(Substituted::Text(text)) => Some(Raw::Text(text)),
            Ok(Substituted::List(items)) => Some(Raw::List(items.into_iter().map(Raw::Text).collect())),
            Err(name) => {
                self.undefined(&name, span);
                (self.options.unknown_variables == UnknownVariable::Warn).then_some(Raw::Text(text))
            }
        }
    }

    /// Complains about a variable without a value.
    pub(crate) fn undefined(&mut self, name: &str, span: Span) {
        let remedy = format!("set `{name}` in the environment, or give a default: `${{{name}:…}}`");
        let complaint = match self.options.unknown_variables {
            UnknownVariable::Refuse => Diagnostic::error(
                Code::UNDEFINED_VARIABLE,
                span,
                format!("the variable `{name}` has no value and no default"),
            ),
            UnknownVariable::Warn => Diagnostic::warning(
                Code::UNKNOWN_VARIABLE,
                span,
                format!("the variable `{name}` is not known here; it must be where the configuration runs"),
            ),
        };
        self.complaints.push(complaint.remedy(remedy));
    }

    fn default(&mut self, setting: &Setting) -> Option<SettingValue> {
        let text = |text: &str| SettingValue::String(Text::from(text));
        match setting.default {
            Default::None => None,
            Default::String(name) if matches!(setting.kind, Kind::Codec) => {
                let spec = self.options.catalog.find(PluginKind::Codec, name)?;
                let settings = self.settings(PluginKind::Codec, spec, &[], Span::default());
                Some(SettingValue::Plugin(Text::from_static(spec.name), settings))
            }
            Default::String(value) => Some(text(value)),
            Default::Int(number) => Some(SettingValue::Int(number)),
            Default::Float(number) => Some(SettingValue::Float(number)),
            Default::Bool(flag) => Some(SettingValue::Bool(flag)),
            Default::Strings(list) => {
                Some(SettingValue::Array(list.iter().map(|value| text(value)).collect()))
            }
        }
    }

    /// Converts a value to what the setting takes. `Ok(None)`: it is there and empty.
    fn convert(&mut self, raw: &Raw, kind: &Kind, span: Span) -> Converted {
        match kind {
            Kind::Any => self.plain(raw, span).map(Some),
            Kind::Array => Ok(Some(match self.plain(raw, span)? {
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
            Kind::Hash => self.hash(raw, span).map(Some),
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
            _ => self.scalar(raw, kind, span),
        }
    }

    fn scalar(&mut self, raw: &Raw, kind: &Kind, span: Span) -> Converted {
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
                match FieldReference::parse(&found) {
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
                _ => {
                    let _ = span;
                    Ok(text().map(SettingValue::String))
                }
            },
        }
    }

    /// A hash, or a list of keys and values in turn.
    fn hash(&mut self, raw: &Raw, span: Span) -> Result<SettingValue, Complaint> {
        let items = match raw {
            Raw::Hash(_) => return self.plain(raw, span),
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
            let key = self.plain(&pair[0], span)?.to_text();
            let key = key.ok_or_else(|| wrong("a key", &pair[0], None))?;
            let value = self.plain(&pair[1], span)?;
            match entries.iter_mut().find(|(have, _)| *have == key) {
                None => entries.push((key, value)),
                Some((_, SettingValue::Array(have))) => have.push(value),
                Some((_, have)) => *have = SettingValue::Array(vec![have.clone(), value]),
            }
        }
        Ok(SettingValue::Hash(entries))
    }

    fn plain(&mut self, raw: &Raw, span: Span) -> Result<SettingValue, Complaint> {
        Ok(match raw {
            Raw::Text(text) => SettingValue::String(Text::from(text.as_str())),
            Raw::Int(number) => SettingValue::Int(*number),
            Raw::Float(number) => SettingValue::Float(*number),
            Raw::List(items) => SettingValue::Array(
                items.iter().map(|item| self.plain(item, span)).collect::<Result<_, _>>()?,
            ),
            Raw::Hash(entries) => SettingValue::Hash(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.text(), self.plain(value, span)?)))
                    .collect::<Result<_, Complaint>>()?,
            ),
            Raw::Plugin(_) => return Err(wrong("a value", raw, None)),
        })
    }
}

/// What is wrong and what to do, or nothing when it has been said already.
type Complaint = Option<(String, Option<String>)>;

type Converted = Result<Option<SettingValue>, Complaint>;

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
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<f64>().ok()?, text[digits..].trim().to_ascii_lowercase());
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

/// Merges `new` into `have`, key by key: values of the same key become a list.
fn merge_hash(have: &mut Vec<(Key, Raw)>, new: Vec<(Key, Raw)>) {
    for (key, value) in new {
        let Some((_, before)) = have.iter_mut().find(|(name, _)| *name == key) else {
            have.push((key, value));
            continue;
        };
        match (&mut *before, value) {
            (Raw::Hash(before), Raw::Hash(value)) => merge_hash(before, value),
            (Raw::List(before), Raw::List(mut value)) => before.append(&mut value),
            (Raw::List(before), value) => {
                if !before.contains(&value) {
                    before.push(value);
                }
            }
            (single, Raw::List(value)) => {
                let mut list = vec![single.clone()];
                list.extend(value);
                *single = Raw::List(list);
            }
            (single, value) if *single == value => {}
            (single, value) => *single = Raw::List(vec![single.clone(), value]),
        }
    }
}

/// Puts hashes, and hashes in hashes, into the order of Java's map; what is inside a list stays as written.
fn java_order(raw: &mut Raw) {
    if let Raw::Hash(entries) = raw {
        java_hash::sort(entries, |(key, _)| key.java());
        entries.iter_mut().for_each(|(_, value)| java_order(value));
    }
}
