//! The common options of filters and inputs, from their settings.

use super::plugin::{AddedValue, Decoration};
use super::settings::{SettingValue, Settings};
use crate::event::{Template, Text};

/// `add_field`, `remove_field`, `add_tag` and `remove_tag` of a plugin.
#[must_use]
pub fn decoration(settings: &Settings) -> Decoration {
    let templates = |name: &str| {
        settings.get(name).map_or_else(Vec::new, |value| {
            value.items().iter().map(|item| Template::parse(&ruby_text(item))).collect()
        })
    };
    Decoration {
        add_field: settings
            .hash("add_field")
            .iter()
            .map(|(name, value)| (Template::parse(name), added(value)))
            .collect(),
        remove_field: templates("remove_field"),
        add_tag: templates("add_tag"),
        remove_tag: templates("remove_tag"),
    }
}

/// Every value goes through sprintf, and so becomes a text; a hash is a list of pairs before.
fn added(value: &SettingValue) -> Vec<AddedValue> {
    let template = |text: Text| AddedValue::Template(Template::parse(&text));
    match value {
        SettingValue::Array(items) => items.iter().map(|item| template(ruby_text(item))).collect(),
        SettingValue::Hash(entries) => entries
            .iter()
            .map(|(key, value)| {
                let pair = SettingValue::Array(vec![SettingValue::String(key.clone()), value.clone()]);
                template(ruby_text(&pair))
            })
            .collect(),
        single => vec![template(ruby_text(single))],
    }
}

/// Ruby's `to_s` of a value of the configuration.
#[must_use]
pub fn ruby_text(value: &SettingValue) -> Text {
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
