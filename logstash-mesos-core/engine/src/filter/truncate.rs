//! `truncate`: cuts long texts.

use crate::event::{EscapeStyle, Event, Text, Value};
use crate::plugin::field::{Failed, Field, reference};
use crate::plugin::settings::{Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static TRUNCATE: PluginSpec = PluginSpec {
    name: "truncate",
    doc: "Cuts texts after a number of bytes, never inside a character.",
    settings: &[
        Setting::new("fields", Kind::List(&Kind::String), "The fields to cut; all otherwise."),
        Setting::new("length_bytes", Kind::Number, "The bytes that may stay.").required(),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let fields = settings
        .get("fields")
        .map(|_| settings.strings("fields").iter().map(|field| settings.field_of(field)).collect());
    Ok(Box::new(Truncate {
        fields,
        length: settings.int("length_bytes").unwrap_or(0),
        style: settings.escape_style(),
    }))
}

#[derive(Clone, Debug)]
struct Truncate {
    fields: Option<Vec<Field>>,
    length: i64,
    style: EscapeStyle,
}

impl Filter for Truncate {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).unwrap_or(false) {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Truncate {
    /// Whether anything was cut.
    fn apply(&self, event: &mut Event) -> Result<bool, Failed> {
        let mut cut = false;
        if let Some(fields) = &self.fields {
            for field in fields {
                let field = field.get()?;
                if let Some(value) = event.get_mut(field) {
                    cut |= self.cut(value);
                }
            }
        } else {
            let names: Vec<Text> = event.fields().keys().cloned().collect();
            for name in names {
                if let Some(value) = event.get_mut(&reference(&format!("[{name}]"), self.style)?) {
                    cut |= self.cut(value);
                }
            }
        }
        Ok(cut)
    }

    fn cut(&self, value: &mut Value) -> bool {
        match value {
            Value::Text(_) => self.cut_text(value),
            // Only the texts right in a list, not those in lists inside.
            Value::List(items) => items
                .iter_mut()
                .filter(|item| item.as_text().is_some())
                .fold(false, |cut, item| self.cut_text(item) | cut),
            Value::Map(map) => {
                if !map.iter().any(|(_, item)| self.would_cut(item)) {
                    return false;
                }
                std::sync::Arc::make_mut(map).values_mut().fold(false, |cut, item| self.cut(item) | cut)
            }
            _ => false,
        }
    }

    fn would_cut(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => i64::try_from(text.len()).is_ok_and(|len| len > self.length),
            Value::List(items) => items.iter().any(|item| item.as_text().is_some() && self.would_cut(item)),
            Value::Map(map) => map.iter().any(|(_, item)| self.would_cut(item)),
            _ => false,
        }
    }

    fn cut_text(&self, value: &mut Value) -> bool {
        let Value::Text(text) = value else { return false };
        if i64::try_from(text.len()).is_ok_and(|len| len <= self.length) {
            return false;
        }
        *value = match usize::try_from(self.length) {
            Ok(length) => Value::Text(text.slice(..text.floor_char_boundary(length))),
            Err(_) => Value::Null,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::TRUNCATE;
    use crate::testing::filtered_json;

    #[test]
    fn texts_are_cut_between_characters() {
        let cut = |settings: &str, event: &str| filtered_json(&TRUNCATE, settings, event);
        assert_eq!(
            cut(r#"{"length_bytes":4}"#, r#"{"a":"héllo","b":"abc","c":5}"#),
            r#"{"a":"hél","b":"abc","c":5}"#
        );
        assert_eq!(
            cut(r#"{"length_bytes":1,"fields":["a"]}"#, r#"{"a":["xy","é",["long"],{"k":"vw"}],"b":"xy"}"#),
            r#"{"a":["x","",["long"],{"k":"vw"}],"b":"xy"}"#
        );
        assert_eq!(cut(r#"{"length_bytes":1}"#, r#"{"a":{"b":{"c":"xyz"}}}"#), r#"{"a":{"b":{"c":"x"}}}"#);
    }
}
