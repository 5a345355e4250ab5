//! `mutate`: changes fields.

mod convert;
mod gsub;

use std::sync::Arc;

use convert::Target;
use gsub::Gsub;

use crate::compat::ruby;
use crate::event::{Event, Template, Text, Value};
use crate::plugin::field::{Failed, Field, NamedField};
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, ParsedLimit, PluginSpec};

pub(crate) static MUTATE: PluginSpec = PluginSpec {
    name: "mutate",
    doc: "Renames, replaces, converts and otherwise changes fields.",
    settings: &[
        Setting::new("coerce", Kind::Hash, "Gives fields that are null a value."),
        Setting::new("rename", Kind::Hash, "Moves fields."),
        Setting::new("update", Kind::Hash, "Gives fields that exist a new value."),
        Setting::new("replace", Kind::Hash, "Gives fields a new value."),
        Setting::new("convert", Kind::Hash, "Changes the type of fields."),
        Setting::new(
            "gsub",
            Kind::Array,
            "Replaces matches: field, regular expression, replacement, and again.",
        ),
        Setting::new("uppercase", Kind::Array, "Puts texts into upper case."),
        Setting::new(
            "capitalize",
            Kind::Array,
            "Makes the first letter of texts a capital and the others small.",
        ),
        Setting::new("lowercase", Kind::Array, "Puts texts into lower case."),
        Setting::new("strip", Kind::Array, "Takes white space from both ends of texts."),
        Setting::new("split", Kind::Hash, "Splits texts into lists at a separator."),
        Setting::new("join", Kind::Hash, "Joins lists into texts with a separator."),
        Setting::new("merge", Kind::Hash, "Adds fields to lists or hashes."),
        Setting::new("copy", Kind::Hash, "Copies fields."),
        Setting::new("tag_on_failure", Kind::String, "Tag for an event with which something went wrong.")
            .default(Default::String("_mutate_error")),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let mut steps = Vec::new();
    let text = |value: &SettingValue| settings.template_of(&value.to_ruby_text());
    // The order is Logstash's, whatever the order in the configuration.
    for (field, value) in settings.hash("coerce") {
        steps.push(Step::Coerce(settings.field_of(field), text(value)));
    }
    for (from, to) in settings.hash("rename") {
        let named = |name: &str| NamedField::new(name, settings.escape_style());
        steps.push(Step::Rename(named(from), named(&to.to_ruby_text())));
    }
    for (field, value) in settings.hash("update") {
        steps.push(Step::Update(settings.field_of(field), text(value)));
    }
    for (field, value) in settings.hash("replace") {
        steps.push(Step::Replace(settings.field_of(field), text(value)));
    }
    for (field, target) in settings.hash("convert") {
        let target = Target::parse(&target.to_ruby_text())?;
        steps.push(Step::Convert(settings.field_of(field), target));
    }
    for gsub in Gsub::parse(settings)? {
        steps.push(Step::Gsub(Box::new(gsub)));
    }
    for (name, change) in
        [("uppercase", Change::Upper), ("capitalize", Change::Capital), ("lowercase", Change::Lower)]
    {
        steps.extend(
            settings.strings(name).iter().map(|field| Step::Change(settings.field_of(field), change)),
        );
    }
    steps.extend(settings.strings("strip").iter().map(|field| Step::Strip(settings.field_of(field))));
    for (name, make) in [("split", Step::Split as fn(_, _) -> _), ("join", Step::Join as fn(_, _) -> _)] {
        for (field, separator) in settings.hash(name) {
            let separator = match separator {
                SettingValue::String(text) => Ok(text.clone()),
                // Ruby raises a TypeError for it, event by event.
                _ => Err(Failed),
            };
            steps.push(make(settings.field_of(field), separator));
        }
    }
    for (field, sources) in settings.hash("merge") {
        let sources =
            sources.items().iter().map(|source| settings.field_of(&source.to_ruby_text())).collect();
        steps.push(Step::Merge(settings.field_of(field), sources));
    }
    for (from, to) in settings.hash("copy") {
        steps.push(Step::Copy(settings.field_of(from), settings.field_of(&to.to_ruby_text())));
    }
    let tag = settings.text("tag_on_failure").unwrap_or_default();
    Ok(Box::new(Mutate { steps, tag, parsed: Arc::clone(&cx.parsed) }))
}

#[derive(Clone, Debug)]
struct Mutate {
    steps: Vec<Step>,
    tag: Text,
    parsed: Arc<ParsedLimit>,
}

#[derive(Clone, Debug)]
enum Step {
    Coerce(Field, Template),
    Rename(NamedField, NamedField),
    Update(Field, Template),
    Replace(Field, Template),
    Convert(Field, Target),
    Gsub(Box<Gsub>),
    Change(Field, Change),
    Strip(Field),
    Split(Field, Result<Text, Failed>),
    Join(Field, Result<Text, Failed>),
    Merge(Field, Vec<Field>),
    Copy(Field, Field),
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Upper,
    Capital,
    Lower,
}

impl Filter for Mutate {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let done = self.steps.iter_mut().try_for_each(|step| step.apply(event, &self.parsed));
        if done.is_err() || !cx.matched(event) {
            event.tag(&self.tag);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Step {
    fn apply(&mut self, event: &mut Event, parsed: &ParsedLimit) -> Result<(), Failed> {
        match self {
            Self::Coerce(field, value) => {
                let field = field.get()?;
                if matches!(event.get(field), Some(Value::Null)) {
                    event.set(field, value.render(event)?)?;
                }
                Ok(())
            }
            Self::Rename(from, to) => {
                // Both names are expanded before anything moves.
                let (from, to) = (from.resolve(event)?, to.resolve(event)?);
                match event.remove(from.get()?) {
                    Some(value) => Ok(event.set(to.get()?, value)?),
                    None => Ok(()),
                }
            }
            Self::Update(field, value) => {
                let field = field.get()?;
                if event.contains(field) {
                    event.set(field, value.render(event)?)?;
                }
                Ok(())
            }
            Self::Replace(field, value) => {
                let text = value.render(event)?;
                Ok(event.set(field.get()?, text)?)
            }
            Self::Convert(field, target) => convert::apply(event, field.get()?, *target),
            Self::Gsub(gsub) => gsub.apply(event),
            Self::Change(field, change) => change_texts(event, field, *change),
            Self::Strip(field) => strip(event, field),
            Self::Split(field, separator) => {
                let field = field.get()?;
                if let Some(Value::Text(text)) = event.get(field) {
                    let separator = separator.as_ref().map_err(|_| Failed)?;
                    // As texts, and as values.
                    if !parsed.allows(text, separator, size_of::<Text>() + size_of::<Value>()) {
                        return Err(Failed);
                    }
                    let pieces = ruby::split(text, separator);
                    let pieces: Vec<Value> = pieces.into_iter().map(Value::Text).collect();
                    event.set(field, pieces)?;
                }
                Ok(())
            }
            Self::Join(field, separator) => {
                let field = field.get()?;
                if let Some(Value::List(items)) = event.get(field) {
                    let mut joined = String::new();
                    join(items, separator.as_ref().map_err(|_| Failed)?, &mut joined);
                    event.set(field, joined)?;
                }
                Ok(())
            }
            Self::Merge(field, sources) => merge(event, field, sources),
            Self::Copy(from, to) => match event.get(from.get()?) {
                None | Some(Value::Null) => Ok(()),
                Some(value) => {
                    let value = value.clone();
                    Ok(event.set(to.get()?, value)?)
                }
            },
        }
    }
}

/// The text or list at `field`, which is not below `tags`: nothing is ever set there.
fn changeable<'e>(event: &'e mut Event, field: &Field) -> Result<Option<&'e mut Value>, Failed> {
    let field = field.get()?;
    let below_tags = field.top_level().is_none()
        && !field.is_metadata()
        && field.steps().first().is_some_and(|step| step.key == "tags");
    match event.get_mut(field) {
        Some(Value::Text(_) | Value::List(_)) if below_tags => Err(Failed),
        found => Ok(found),
    }
}

fn change_texts(event: &mut Event, field: &Field, change: Change) -> Result<(), Failed> {
    let changed = |text: &mut Text| {
        *text = match change {
            Change::Upper => ruby::upcase(text),
            Change::Capital => ruby::capitalize(text),
            Change::Lower => ruby::downcase(text),
        };
    };
    match changeable(event, field)? {
        Some(Value::Text(text)) => changed(text),
        Some(Value::List(items)) => items.iter_mut().for_each(|item| {
            if let Value::Text(text) = item {
                changed(text);
            }
        }),
        _ => {}
    }
    Ok(())
}

fn strip(event: &mut Event, field: &Field) -> Result<(), Failed> {
    match changeable(event, field)? {
        Some(Value::Text(text)) => *text = ruby::strip(text),
        Some(Value::List(items)) => {
            // Only texts can be stripped: Ruby raises an error for others before anything is changed.
            if items.iter().any(|item| item.as_text().is_none()) {
                return Err(Failed);
            }
            for item in items {
                if let Value::Text(text) = item {
                    *text = ruby::strip(text);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// `Array#join`: lists inside are joined too.
fn join(items: &[Value], separator: &str, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(separator);
        }
        match item {
            Value::List(items) => join(items, separator, out),
            Value::Text(text) => out.push_str(text),
            other => out.push_str(&ruby::to_s(other)),
        }
    }
}

fn merge(event: &mut Event, field: &Field, sources: &[Field]) -> Result<(), Failed> {
    let target = field.get()?;
    let mut have = event.get(target).cloned().unwrap_or(Value::Null);
    for source in sources {
        let added = event.get(source.get()?).cloned().unwrap_or(Value::Null);
        match (&mut have, added) {
            (Value::Map(map), Value::Map(added)) => {
                let map = std::sync::Arc::make_mut(map);
                for (key, value) in std::sync::Arc::unwrap_or_clone(added) {
                    map.insert(key, value);
                }
                event.set(target, have.clone())?;
            }
            // A hash and something else cannot be merged, and that is no failure.
            (Value::Map(_), _) | (_, Value::Map(_)) => {}
            (Value::List(items), added) => {
                items.extend(into_items(added));
                event.set(target, have.clone())?;
            }
            // With several sources each starts from the original value again, as in Logstash.
            (single, added) => {
                let mut items = into_items(single.clone());
                items.extend(into_items(added));
                event.set(target, items)?;
            }
        }
    }
    Ok(())
}

/// `Array(value)`.
fn into_items(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::List(items) => items,
        single => vec![single],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    fn mutate(settings: &str, event: &str) -> String {
        filtered_json(&MUTATE, settings, event)
    }

    #[test]
    fn fields_are_renamed_copied_and_replaced() {
        assert_eq!(mutate(r#"{"rename":{"a":"[n][b]"}}"#, r#"{"a":1}"#), r#"{"n":{"b":1}}"#);
        assert_eq!(mutate(r#"{"rename":{"%{x}":"%{x}2"}}"#, r#"{"x":"y","y":1}"#), r#"{"x":"y","y2":1}"#);
        assert_eq!(mutate(r#"{"rename":{"a":"b"}}"#, r#"{"c":1}"#), r#"{"c":1}"#);
        assert_eq!(mutate(r#"{"copy":{"a":"b"}}"#, r#"{"a":[1]}"#), r#"{"a":[1],"b":[1]}"#);
        assert_eq!(mutate(r#"{"replace":{"a":"%{b}!"}}"#, r#"{"b":"x"}"#), r#"{"b":"x","a":"x!"}"#);
        assert_eq!(mutate(r#"{"update":{"a":"x"}}"#, r#"{"b":1}"#), r#"{"b":1}"#);
        assert_eq!(mutate(r#"{"coerce":{"a":"x"}}"#, r#"{"a":null}"#), r#"{"a":"x"}"#);
    }

    #[test]
    fn a_failure_is_tagged_and_ends_the_work() {
        assert_eq!(
            mutate(r#"{"rename":{"a":"[s][x]"},"uppercase":["s"]}"#, r#"{"a":1,"s":"str"}"#),
            r#"{"s":"str","tags":["_mutate_error"]}"#
        );
        assert_eq!(mutate(r#"{"copy":{"[a":"b"}}"#, r#"{"a":1}"#), r#"{"a":1,"tags":["_mutate_error"]}"#);
        assert_eq!(
            mutate(r#"{"replace":{"@timestamp":"x"},"tag_on_failure":"_t"}"#, r"{}"),
            r#"{"tags":["_t"]}"#
        );
    }

    #[test]
    fn case_and_white_space_of_texts_change_in_lists_too() {
        assert_eq!(mutate(r#"{"uppercase":["a"]}"#, r#"{"a":["x",1,["y"]]}"#), r#"{"a":["X",1,["y"]]}"#);
        assert_eq!(mutate(r#"{"capitalize":"a"}"#, r#"{"a":"éA b"}"#), r#"{"a":"Éa b"}"#);
        assert_eq!(mutate(r#"{"strip":["a"]}"#, r#"{"a":[" x\n","y"]}"#), r#"{"a":["x","y"]}"#);
        assert_eq!(
            mutate(r#"{"strip":["a"]}"#, r#"{"a":[" x",null]}"#),
            r#"{"a":[" x",null],"tags":["_mutate_error"]}"#
        );
    }

    #[test]
    fn lists_are_split_joined_and_merged() {
        assert_eq!(mutate(r#"{"split":{"a":","}}"#, r#"{"a":"x,,y,"}"#), r#"{"a":["x","","y"]}"#);
        assert_eq!(
            mutate(r#"{"join":{"a":"-"}}"#, r#"{"a":[1,[2.5,null],{"k":1}]}"#),
            r#"{"a":"1-2.5--{\"k\" => 1}"}"#
        );
        assert_eq!(mutate(r#"{"merge":{"a":"b"}}"#, r#"{"b":[1]}"#), r#"{"b":[1],"a":[1]}"#);
        assert_eq!(
            mutate(r#"{"merge":{"a":["b","c"]}}"#, r#"{"a":[0],"b":1,"c":2}"#),
            r#"{"a":[0,1,2],"b":1,"c":2}"#
        );
        assert_eq!(
            mutate(r#"{"merge":{"a":["b","c"]}}"#, r#"{"a":0,"b":1,"c":2}"#),
            r#"{"a":[0,2],"b":1,"c":2}"#
        );
        assert_eq!(
            mutate(r#"{"merge":{"a":"b"}}"#, r#"{"a":{"x":1},"b":{"x":2}}"#),
            r#"{"a":{"x":2},"b":{"x":2}}"#
        );
        assert_eq!(mutate(r#"{"merge":{"a":"b"}}"#, r#"{"a":{"x":1},"b":2}"#), r#"{"a":{"x":1},"b":2}"#);
    }

    #[test]
    fn the_order_is_fixed() {
        assert_eq!(
            mutate(r#"{"copy":{"b":"c"},"lowercase":["b"],"rename":{"a":"b"}}"#, r#"{"a":"X"}"#),
            r#"{"b":"x","c":"x"}"#
        );
    }

    #[test]
    fn wrong_settings_are_refused() {
        assert!(build(&MUTATE, r#"{"convert":{"a":"int"}}"#).is_err());
        assert!(build(&MUTATE, r#"{"gsub":["a","b"]}"#).is_err());
        assert!(build(&MUTATE, r#"{"gsub":["a","[","x"]}"#).is_err());
    }
}
