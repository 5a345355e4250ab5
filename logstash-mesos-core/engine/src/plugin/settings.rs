//! The settings of plugins: how they are declared, and how a plugin reads them.

use super::field::Field;
use crate::compat::ruby;
use crate::event::{EscapeStyle, FieldReference, Map, Template, Text, Value};

/// One setting of a plugin, declared once: the same table gives validation, defaults and the reference page.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in a configuration.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is when the configuration does not say.
    pub default: Default,
    /// Whether the configuration must say.
    pub required: bool,
    /// Whether it still is (or ever was) there.
    pub status: Status,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// It is the port on which the plugin listens.
    pub listens: Option<Listens>,
}

/// How a plugin listens on the port that a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listens {
    /// What comes to the port.
    pub transport: Transport,
    /// A setting and the value with which it does not listen.
    pub unless: Option<(&'static str, &'static str)>,
}

/// What comes to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Connections over TCP.
    Tcp,
    /// Datagrams over UDP.
    Udp,
    /// TCP connections and UDP datagrams, on one port number.
    TcpAndUdp,
}

impl Transport {
    /// As Mesos names them in a port's protocol: separated by commas.
    #[must_use]
    pub fn protocols(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::TcpAndUdp => "tcp,udp",
        }
    }
}

/// What a setting takes, in Logstash's words (`:validate => …`).
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string; bare words and numbers are taken as they are written.
    String,
    /// A number; a quoted one is taken too, as Logstash does.
    Number,
    /// `true` or `false`, quoted or not.
    Boolean,
    /// A list of anything; a single value becomes a list of one.
    Array,
    /// A hash; arrays of even length are taken too.
    Hash,
    /// A path of a file that exists.
    Path,
    /// A string that is never shown.
    Password,
    /// A URI with scheme and host; its password is never shown.
    Uri,
    /// A size such as `10mib`.
    Bytes,
    /// A codec, by name or with settings.
    Codec,
    /// `name` or `[name][inner]`.
    FieldReference,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of one of the simple kinds (`:list => true`).
    List(&'static Kind),
    /// Whatever is written; the plugin looks at it itself.
    Any,
}

/// The value of a setting that a configuration leaves out.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// There is none: the accessor returns `None`, an empty list or an empty hash.
    None,
    /// A string, as it is written between quotes.
    String(&'static str),
    /// A whole number.
    Int(i64),
    /// A decimal number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list of strings.
    Strings(&'static [&'static str]),
}

/// Whether a setting is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does what Logstash documents.
    Supported,
    /// It works, and Logstash advises against it; the text says what to use.
    Deprecated(&'static str),
    /// Logstash refuses it; the text says what to use.
    Obsolete(&'static str),
    /// It is accepted and changes nothing here; the text says why.
    Ignored(&'static str),
    /// A configuration that uses it is refused; the text says why.
    Absent(&'static str),
}

impl Setting {
    /// An optional setting without default.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Default::None,
            required: false,
            status: Status::Supported,
            doc,
            listens: None,
        }
    }

    /// With a default.
    #[must_use]
    pub const fn default(mut self, default: Default) -> Self {
        self.default = default;
        self
    }

    /// The plugin listens on the port it holds.
    #[must_use]
    pub const fn listens(mut self, transport: Transport) -> Self {
        self.listens = Some(Listens { transport, unless: None });
        self
    }

    /// The plugin listens on the port it holds, but not where `setting` is `value`.
    #[must_use]
    pub const fn listens_unless(
        mut self,
        transport: Transport,
        setting: &'static str,
        value: &'static str,
    ) -> Self {
        self.listens = Some(Listens { transport, unless: Some((setting, value)) });
        self
    }

    /// Must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What it is when the configuration does not say; for a codec its name.
    #[must_use]
    pub fn default_value(&self) -> Option<SettingValue> {
        let text = |text: &'static str| SettingValue::String(Text::from_static(text));
        match self.default {
            Default::None => None,
            Default::String(value) => Some(text(value)),
            Default::Int(number) => Some(SettingValue::Int(number)),
            Default::Float(number) => Some(SettingValue::Float(number)),
            Default::Bool(flag) => Some(SettingValue::Bool(flag)),
            Default::Strings(list) => {
                Some(SettingValue::Array(list.iter().map(|value| text(value)).collect()))
            }
        }
    }

    /// With another status than [`Status::Supported`].
    #[must_use]
    pub const fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }
}

/// The checked value of a setting.
///
/// Hashes are in the order in which Logstash hands them to a plugin (a Java `HashMap`'s), environment
/// variables are substituted, numbers and switches converted.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// A string, and everything that is written as one.
    String(Text),
    /// A whole number.
    Int(i64),
    /// A decimal number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list, also where a single value was written.
    Array(Vec<SettingValue>),
    /// Keys and values in the order in which they were written.
    Hash(Vec<(Text, SettingValue)>),
    /// A plugin as a value: its name and its own settings, checked.
    Plugin(Text, Settings),
}

impl SettingValue {
    /// The value as text, if it is a scalar.
    #[must_use]
    pub fn to_text(&self) -> Option<Text> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Int(number) => Some(Text::from(number.to_string())),
            Self::Float(number) => Some(Text::from(format!("{number:?}"))),
            Self::Bool(flag) => Some(Text::from_static(if *flag { "true" } else { "false" })),
            Self::Array(_) | Self::Hash(_) | Self::Plugin(..) => None,
        }
    }

    /// The value as it would stand in an event.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::String(text) => Value::Text(text.clone()),
            Self::Int(number) => Value::Int(*number),
            Self::Float(number) => Value::Float(*number),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Array(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Self::Hash(entries) => {
                let entries: Map =
                    entries.iter().map(|(key, value)| (key.clone(), value.to_value())).collect();
                Value::from(entries)
            }
            Self::Plugin(name, _) => Value::Text(name.clone()),
        }
    }

    /// The value as Ruby's `to_s` writes it.
    #[must_use]
    pub fn to_ruby_text(&self) -> Text {
        ruby::to_s(&self.to_value())
    }

    /// The items of a list; a scalar is a list of one.
    #[must_use]
    pub fn items(&self) -> &[SettingValue] {
        match self {
            Self::Array(items) => items,
            single => std::slice::from_ref(single),
        }
    }
}

/// The checked settings of one plugin, defaults filled in.
#[derive(Clone, Debug, std::default::Default, PartialEq)]
pub struct Settings {
    values: Vec<(Text, SettingValue)>,
    /// Names that the configuration itself gave, as opposed to defaults.
    given: Vec<Text>,
    style: EscapeStyle,
}

impl Settings {
    /// From checked values; `given` names those the configuration itself set.
    #[must_use]
    pub fn new(values: Vec<(Text, SettingValue)>, given: Vec<Text>) -> Self {
        Self { values, given, style: EscapeStyle::None }
    }

    /// The same settings, which write brackets in the names of fields in this style.
    #[must_use]
    pub fn with_escape_style(self, style: EscapeStyle) -> Self {
        Self { style, ..self }
    }

    /// How the names of fields in them are written. What is made of them keeps it for names that come with the events.
    #[must_use]
    pub fn escape_style(&self) -> EscapeStyle {
        self.style
    }

    /// The field that `name`, a part of these settings, means.
    #[must_use]
    pub fn field_of(&self, name: &str) -> Field {
        Field::new(name, self.style)
    }

    /// The template that `text`, a part of these settings, is.
    #[must_use]
    pub fn template_of(&self, text: &str) -> Template {
        Template::parse_with(text, self.style)
    }

    /// The same settings with `value` in the place of what `name` was.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: SettingValue) -> Self {
        self.values.retain(|(have, _)| have != name);
        self.values.push((Text::from_static(name), value));
        self
    }

    /// The value, if there is one (from the configuration or the default).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        self.values.iter().find(|(have, _)| have == name).map(|(_, value)| value)
    }

    /// Whether the configuration itself gives it.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|have| have == name)
    }

    /// The names that the configuration itself gives.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(Text::as_str)
    }

    /// The value of a setting as a string; none where it is not given and has no default.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Text> {
        self.get(name).and_then(SettingValue::to_text)
    }

    /// A switch; `false` when there is none.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.get(name), Some(SettingValue::Bool(true)))
    }

    /// An integer (a decimal number is cut).
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            SettingValue::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "Ruby's to_i cuts as well")]
            SettingValue::Float(number) => Some(*number as i64),
            _ => None,
        }
    }

    /// The value of a setting as a number; none where it is not given and has no default.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
            SettingValue::Int(number) => Some(*number as f64),
            SettingValue::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// A list of strings; empty when there is none.
    #[must_use]
    pub fn strings(&self, name: &str) -> Vec<Text> {
        self.get(name)
            .map_or_else(Vec::new, |value| value.items().iter().filter_map(SettingValue::to_text).collect())
    }

    /// A hash; empty when there is none.
    #[must_use]
    pub fn hash(&self, name: &str) -> &[(Text, SettingValue)] {
        match self.get(name) {
            Some(SettingValue::Hash(entries)) => entries,
            _ => &[],
        }
    }

    /// A field reference. `None` when there is none, or it is not valid (the checker has refused that
    /// already for settings of that kind).
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldReference> {
        self.text(name).and_then(|text| FieldReference::parse_with(&text, self.style).ok())
    }

    /// A text with `%{…}` in it.
    #[must_use]
    pub fn template(&self, name: &str) -> Option<Template> {
        self.text(name).map(|text| self.template_of(&text))
    }

    /// A codec or another plugin as a value: its name and settings.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<(&Text, Settings)> {
        match self.get(name)? {
            SettingValue::Plugin(name, settings) => Some((name, settings.clone())),
            SettingValue::String(name) => Some((name, Settings::default().with_escape_style(self.style))),
            _ => None,
        }
    }
}
