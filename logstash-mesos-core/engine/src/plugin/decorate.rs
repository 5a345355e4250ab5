//! The common options of filters and inputs: `add_field`, `remove_field`, `add_tag`, `remove_tag`.

use super::settings::{SettingValue, Settings};
use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, FieldReference, InvalidReference, Template, Text, Value};

/// The common options of one plugin, compiled.
#[derive(Clone, Debug, Default)]
pub struct Decoration {
    add_field: Vec<(Name, Vec<Template>)>,
    remove_field: Vec<Name>,
    add_tag: Vec<Template>,
    remove_tag: Vec<Template>,
}

/// The name of a field. Most are the same for every event, and parsed once.
#[derive(Clone, Debug)]
enum Name {
    Constant(Result<FieldReference, InvalidReference>),
    Template(Template),
}

impl Name {
    fn new(text: &str, style: EscapeStyle) -> Self {
        let template = Template::parse_with(text, style);
        if template.is_constant() {
            Self::Constant(FieldReference::parse_with(text, style))
        } else {
            Self::Template(template)
        }
    }

    /// Calls `act` with the reference. Nothing when there is none.
    fn with<T>(&self, event: &mut Event, act: impl FnOnce(&mut Event, &FieldReference) -> T) -> Option<T> {
        match self {
            Self::Constant(field) => Some(act(event, field.as_ref().ok()?)),
            Self::Template(template) => {
                let name = template.render(event).ok()?;
                let field = FieldReference::parse_with(&name, template.style()).ok()?;
                Some(act(event, &field))
            }
        }
    }
}

impl Decoration {
    /// From the settings of a plugin.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let texts = |name: &str| {
            settings.get(name).map_or_else(Vec::new, |value| value.items().iter().map(ruby_text).collect())
        };
        let style = settings.escape_style();
        let templates =
            |name: &str| texts(name).iter().map(|text| Template::parse_with(text, style)).collect();
        Self {
            add_field: settings
                .hash("add_field")
                .iter()
                .map(|(name, value)| (Name::new(name, style), added(value, style)))
                .collect(),
            remove_field: texts("remove_field").iter().map(|name| Name::new(name, style)).collect(),
            add_tag: templates("add_tag"),
            remove_tag: templates("remove_tag"),
        }
    }

    /// From the settings of an input: `add_field` and `tags`.
    #[must_use]
    pub fn of_input(settings: &Settings) -> Self {
        let add_tag = settings.strings("tags").iter().map(|tag| settings.template_of(tag)).collect();
        Self { add_field: Self::new(settings).add_field, add_tag, ..Self::default() }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add_field.is_empty()
            && self.remove_field.is_empty()
            && self.add_tag.is_empty()
            && self.remove_tag.is_empty()
    }

    /// Applies the options to `event`, in Logstash's order. Stops with `false` at the first that cannot
    /// be applied, where Logstash raises an error.
    pub fn apply(&self, event: &mut Event) -> bool {
        self.try_apply(event).is_some()
    }

    fn try_apply(&self, event: &mut Event) -> Option<()> {
        if self.is_empty() {
            return Some(());
        }
        for (name, values) in &self.add_field {
            for value in values {
                let value = value.render(event).ok()?;
                name.with(event, |event, field| add(event, field, value))??;
            }
        }
        for name in &self.remove_field {
            name.with(event, Event::remove)?;
        }
        self.add_tags(event)?;
        self.remove_tags(event)
    }

    /// Tags that are there already are added again, unlike those that plugins set on failure.
    fn add_tags(&self, event: &mut Event) -> Option<()> {
        if self.add_tag.is_empty() {
            return Some(());
        }
        let mut new = Vec::with_capacity(self.add_tag.len());
        for tag in &self.add_tag {
            new.push(Value::Text(tag.render(event).ok()?));
        }
        match event.fields_mut().get_mut("tags") {
            Some(Value::List(tags)) => tags.append(&mut new),
            Some(Value::Null) | None => {
                event.fields_mut().insert("tags", new);
            }
            Some(single) => {
                new.insert(0, single.clone());
                *single = Value::List(new);
            }
        }
        Some(())
    }

    fn remove_tags(&self, event: &mut Event) -> Option<()> {
        if self.remove_tag.is_empty() || !event.fields().contains_key("tags") {
            return Some(());
        }
        let mut old = Vec::with_capacity(self.remove_tag.len());
        for tag in &self.remove_tag {
            old.push(tag.render(event).ok()?);
        }
        match event.fields_mut().get_mut("tags") {
            Some(Value::List(tags)) => tags.retain(|tag| !tag.as_text().is_some_and(|tag| old.contains(tag))),
            Some(Value::Text(tag)) => {
                let rest = if old.contains(tag) { Vec::new() } else { vec![Value::Text(tag.clone())] };
                event.fields_mut().insert("tags", rest);
            }
            _ => {}
        }
        Some(())
    }
}

/// Sets a field, or makes what is there a list with one item more.
fn add(event: &mut Event, field: &FieldReference, value: Text) -> Option<()> {
    let value = Value::Text(value);
    let value = match event.get(field) {
        None => value,
        Some(have) => {
            let mut list = ruby::array(have);
            list.push(value);
            Value::List(list)
        }
    };
    event.set(field, value).ok()
}

/// Every value goes through sprintf, and so becomes a text; a hash is a list of pairs before.
fn added(value: &SettingValue, style: EscapeStyle) -> Vec<Template> {
    let template = |value: &SettingValue| Template::parse_with(&ruby_text(value), style);
    match value {
        SettingValue::Array(items) => items.iter().map(template).collect(),
        SettingValue::Hash(entries) => entries
            .iter()
            .map(|(key, value)| {
                template(&SettingValue::Array(vec![SettingValue::String(key.clone()), value.clone()]))
            })
            .collect(),
        single => vec![template(single)],
    }
}

/// Ruby's `to_s` of a value of the configuration.
#[must_use]
fn ruby_text(value: &SettingValue) -> Text {
    match value {
        SettingValue::Array(_) | SettingValue::Hash(_) => {
            let mut out = String::new();
            inspect(value, &mut out);
            Text::from(out)
        }
        scalar => scalar.to_text().unwrap_or_default(),
    }
}

fn inspect(value: &SettingValue, out: &mut String) {
    match value {
        SettingValue::String(text) => {
            out.push('"');
            for c in text.chars() {
                match c {
                    '"' | '\\' => out.extend(['\\', c]),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    other => out.push(other),
                }
            }
            out.push('"');
        }
        SettingValue::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                inspect(item, out);
            }
            out.push(']');
        }
        SettingValue::Hash(entries) => {
            out.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                inspect(&SettingValue::String(key.clone()), out);
                out.push_str("=>");
                inspect(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_text().unwrap_or_default()),
    }
}
