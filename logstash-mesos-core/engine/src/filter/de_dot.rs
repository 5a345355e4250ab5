//! `de_dot`: takes dots out of field names.

use crate::event::{EscapeStyle, Event, Text, Value};
use crate::plugin::field::{Failed, reference};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static DE_DOT: PluginSpec = PluginSpec {
    name: "de_dot",
    doc: "Renames fields with a dot in their name.",
    settings: &[
        Setting::new("separator", Kind::String, "What stands for the dot.").default(Default::String("_")),
        Setting::new("nested", Kind::Boolean, "Makes a hash for each part of the name instead.")
            .default(Default::Bool(false)),
        Setting::new("recursive", Kind::Boolean, "Looks into hashes too.").default(Default::Bool(false)),
        Setting::new("fields", Kind::Array, "The fields to rename; all otherwise."),
        Setting::new("tag_on_failure", Kind::String, "Tag for an event with which something went wrong.")
            .default(Default::String("_de_dot_error")),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let separator = settings.text("separator").unwrap_or_default();
    if separator.contains('.') {
        return Err(BuildError::setting("separator", "the separator must not have a dot in it"));
    }
    Ok(Box::new(DeDot {
        separator: if settings.bool("nested") { Text::from_static("][") } else { separator },
        recursive: settings.bool("recursive"),
        fields: settings.get("fields").map(|_| settings.strings("fields")),
        tag: settings.text("tag_on_failure").unwrap_or_default(),
        style: settings.escape_style(),
    }))
}

#[derive(Clone, Debug)]
struct DeDot {
    separator: Text,
    recursive: bool,
    fields: Option<Vec<Text>>,
    tag: Text,
    style: EscapeStyle,
}

impl Filter for DeDot {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).is_err() || !cx.matched(event) {
            event.tag(&self.tag);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl DeDot {
    fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        let names: Vec<Text> = match &self.fields {
            Some(fields) => fields.clone(),
            // Names without dots need no look, unless those inside do.
            None => {
                event.fields().keys().filter(|name| self.recursive || name.contains('.')).cloned().collect()
            }
        };
        for name in names {
            if (name.contains('.') || self.recursive) && event.contains(&reference(&name, self.style)?) {
                self.rename(event, &name)?;
            }
        }
        Ok(())
    }

    /// Renames the field that the reference `name` means, then looks into it.
    fn rename(&self, event: &mut Event, name: &str) -> Result<(), Failed> {
        let mut name = name.to_owned();
        if self.separator == "][" || self.recursive {
            if !name.starts_with('[') {
                name.insert(0, '[');
            }
            if !name.ends_with(']') {
                name.push(']');
            }
        }
        if name.contains('.') {
            let renamed = name.replace('.', &self.separator);
            let value = event.get(&reference(&name, self.style)?).cloned().unwrap_or(Value::Null);
            event.set(&reference(&renamed, self.style)?, value)?;
            event.remove(&reference(&first_with_dot(&name), self.style)?);
            name = renamed;
        }
        if self.recursive
            && let Some(Value::Map(map)) = event.get(&reference(&name, self.style)?)
        {
            let keys: Vec<Text> = map.keys().cloned().collect();
            for key in keys {
                self.rename(event, &format!("{name}[{key}]"))?;
            }
        }
        Ok(())
    }
}

/// The reference up to its first part with a dot: what is there has moved as a whole.
fn first_with_dot(name: &str) -> String {
    let mut start = String::new();
    for part in name.replace('[', "").split(']') {
        start.push('[');
        start.push_str(part);
        start.push(']');
        if part.contains('.') {
            break;
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    #[test]
    fn dots_are_replaced() {
        let de_dot = |settings: &str, event: &str| filtered_json(&DE_DOT, settings, event);
        assert_eq!(de_dot("{}", r#"{"a.b":1,"c":{"d.e":2}}"#), r#"{"c":{"d.e":2},"a_b":1}"#);
        assert_eq!(de_dot(r#"{"nested":true}"#, r#"{"a.b.c":1}"#), r#"{"a":{"b":{"c":1}}}"#);
        assert_eq!(
            de_dot(r#"{"recursive":true}"#, r#"{"c":{"d.e":{"f.g":2}}}"#),
            r#"{"c":{"d_e":{"f_g":2}}}"#
        );
        assert_eq!(de_dot(r#"{"fields":["x.y"]}"#, r#"{"a.b":1,"x.y":2}"#), r#"{"a.b":1,"x_y":2}"#);
        assert_eq!(
            de_dot(r#"{"nested":true}"#, r#"{"a":1,"a.b":2}"#),
            r#"{"a":1,"a.b":2,"tags":["_de_dot_error"]}"#
        );
        assert!(build(&DE_DOT, r#"{"separator":"."}"#).is_err());
    }
}
