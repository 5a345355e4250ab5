//! `kv`: keys and values out of a text.

mod class;
mod scan;

use std::sync::Arc;

use logstash_mesos_regex::{MatchError, Scratch};

use class::CharClass;
use scan::Scanner;

use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, Map, Template, Text, Value, slice};
use crate::plugin::field::{Failed, Field, set_named, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings, Status};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, ParsedLimit, PluginSpec};

pub(crate) static KV: PluginSpec = PluginSpec {
    name: "kv",
    doc: "Finds `key=value` pairs in a text.",
    settings: &[
        Setting::new("trim_value", Kind::String, "Characters to take from both ends of values."),
        Setting::new("trim_key", Kind::String, "Characters to take from both ends of keys."),
        Setting::new("remove_char_value", Kind::String, "Characters to take out of values."),
        Setting::new("remove_char_key", Kind::String, "Characters to take out of keys."),
        Setting::new("transform_value", Kind::OneOf(TRANSFORMS), "Changes the case of values."),
        Setting::new("transform_key", Kind::OneOf(TRANSFORMS), "Changes the case of keys."),
        Setting::new("field_split", Kind::String, "Characters between pairs.").default(Default::String(" ")),
        Setting::new("field_split_pattern", Kind::String, "A regular expression for what is between pairs."),
        Setting::new("value_split", Kind::String, "Characters between key and value.")
            .default(Default::String("=")),
        Setting::new(
            "value_split_pattern",
            Kind::String,
            "A regular expression for what is between key and value.",
        ),
        Setting::new("prefix", Kind::String, "What all keys begin with.").default(Default::String("")),
        Setting::new("source", Kind::FieldReference, "The field with the text.")
            .default(Default::String("message")),
        Setting::new("target", Kind::FieldReference, "Where the pairs go; they become fields otherwise."),
        Setting::new("include_keys", Kind::Array, "The only keys to keep.").default(Default::Strings(&[])),
        Setting::new("exclude_keys", Kind::Array, "Keys to leave out.").default(Default::Strings(&[])),
        Setting::new("default_keys", Kind::Hash, "Pairs for keys that do not come."),
        Setting::new("allow_duplicate_values", Kind::Boolean, "Keeps a value that a key has already.")
            .default(Default::Bool(true)),
        Setting::new("allow_empty_values", Kind::Boolean, "Keeps keys without value.")
            .default(Default::Bool(false)),
        Setting::new("include_brackets", Kind::Boolean, "Takes brackets around values for quotes.")
            .default(Default::Bool(true)),
        Setting::new("recursive", Kind::Boolean, "Looks for pairs in values.").default(Default::Bool(false)),
        Setting::new(
            "whitespace",
            Kind::OneOf(&["strict", "lenient"]),
            "Whether blanks may surround the separator.",
        )
        .default(Default::String("lenient")),
        Setting::new("timeout_millis", Kind::Number, "The longest time for one event.")
            .default(Default::Int(30_000))
            .status(Status::Ignored(
                "matching has a limit of steps, after which the event gets the timeout's tag",
            )),
        Setting::new("tag_on_timeout", Kind::String, "Tag for an event that took too long.")
            .default(Default::String("_kv_filter_timeout")),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event with which something went wrong.")
            .default(Default::Strings(&["_kv_filter_error"])),
    ],
    build: Build::Filter(build),
};

const TRANSFORMS: &[&str] = &["lowercase", "uppercase", "capitalize"];

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let class = |name: &'static str| -> Result<Option<CharClass>, BuildError> {
        settings.text(name).map(|text| CharClass::new(name, &text)).transpose()
    };
    let transform = |name: &str| -> Option<fn(&Text) -> Text> {
        match settings.text(name)?.as_str() {
            "lowercase" => Some(ruby::downcase),
            "uppercase" => Some(ruby::upcase),
            _ => Some(ruby::capitalize),
        }
    };
    let templates =
        |name: &str| settings.strings(name).iter().map(|key| settings.template_of(key)).collect::<Vec<_>>();
    Ok(Box::new(Kv {
        scanner: Scanner::new(settings)?,
        trim_key: class("trim_key")?,
        trim_value: class("trim_value")?,
        remove_key: class("remove_char_key")?,
        remove_value: class("remove_char_value")?,
        transform_key: transform("transform_key"),
        transform_value: transform("transform_value"),
        prefix: settings.template("prefix").filter(|prefix| !prefix.source().is_empty()),
        source: settings.field_of(&settings.text("source").unwrap_or_default()),
        target: settings.text("target").map(|target| settings.field_of(&target)),
        include: templates("include_keys"),
        exclude: templates("exclude_keys"),
        defaults: settings
            .hash("default_keys")
            .iter()
            .map(|(key, value)| (key.clone(), value.to_value()))
            .collect(),
        duplicates: settings.bool("allow_duplicate_values"),
        empty: settings.bool("allow_empty_values"),
        recursive: settings.bool("recursive"),
        tag_on_timeout: settings.text("tag_on_timeout").unwrap_or_default(),
        tags: settings.strings("tag_on_failure"),
        scratch: Scratch::new(),
        style: settings.escape_style(),
        parsed: Arc::clone(&cx.parsed),
    }))
}

#[derive(Debug)]
struct Kv {
    scanner: Scanner,
    trim_key: Option<CharClass>,
    trim_value: Option<CharClass>,
    remove_key: Option<CharClass>,
    remove_value: Option<CharClass>,
    transform_key: Option<fn(&Text) -> Text>,
    transform_value: Option<fn(&Text) -> Text>,
    prefix: Option<Template>,
    source: Field,
    target: Option<Field>,
    include: Vec<Template>,
    exclude: Vec<Template>,
    defaults: Map,
    duplicates: bool,
    empty: bool,
    recursive: bool,
    tag_on_timeout: Text,
    tags: Vec<Text>,
    scratch: Scratch,
    style: EscapeStyle,
    parsed: Arc<ParsedLimit>,
}

/// What a pair takes: its places, its field by itself and in the event, and in the index of these.
const PAIR_BYTES: usize = 256;

/// Why an event is not finished.
enum Stop {
    Failed,
    Timeout,
}

impl From<Failed> for Stop {
    fn from(_: Failed) -> Self {
        Self::Failed
    }
}

impl From<MatchError> for Stop {
    fn from(_: MatchError) -> Self {
        Self::Timeout
    }
}

/// What keys are called in this event.
struct Names {
    include: Vec<Text>,
    exclude: Vec<Text>,
    prefix: Option<Text>,
}

impl Filter for Kv {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        // Taken out for the call, as it changes while the rest is only read.
        let mut scratch = std::mem::take(&mut self.scratch);
        match self.apply(event, cx, &mut scratch) {
            Ok(()) => {}
            Err(Stop::Failed) => tag_all(event, &self.tags),
            Err(Stop::Timeout) => event.tag(&self.tag_on_timeout),
        }
        self.scratch = scratch;
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            scanner: self.scanner.clone(),
            trim_key: self.trim_key.clone(),
            trim_value: self.trim_value.clone(),
            remove_key: self.remove_key.clone(),
            remove_value: self.remove_value.clone(),
            transform_key: self.transform_key,
            transform_value: self.transform_value,
            prefix: self.prefix.clone(),
            source: self.source.clone(),
            target: self.target.clone(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            defaults: self.defaults.clone(),
            duplicates: self.duplicates,
            empty: self.empty,
            recursive: self.recursive,
            tag_on_timeout: self.tag_on_timeout.clone(),
            tags: self.tags.clone(),
            scratch: Scratch::new(),
            style: self.style,
            parsed: Arc::clone(&self.parsed),
        })
    }
}

impl Kv {
    fn apply(&self, event: &mut Event, cx: &FilterContext<'_>, scratch: &mut Scratch) -> Result<(), Stop> {
        let mut pairs = Map::new();
        match event.get(self.source.get()?) {
            Some(Value::Text(text)) => {
                let text = text.clone();
                let names = self.names(event)?;
                self.parse(&text, &names, &mut pairs, scratch, 0)?;
            }
            Some(Value::List(items)) => {
                let items = items.clone();
                let names = self.names(event)?;
                for item in &items {
                    match item {
                        Value::Text(text) => self.parse(text, &names, &mut pairs, scratch, 0)?,
                        Value::Null => {}
                        _ => return Err(Stop::Failed),
                    }
                }
            }
            _ => {}
        }
        if !self.defaults.is_empty() {
            let mut merged = self.defaults.clone();
            for (key, value) in pairs {
                merged.insert(key, value);
            }
            pairs = merged;
        }
        if pairs.is_empty() {
            return Ok(());
        }
        if let Some(target) = &self.target {
            event.set(target.get()?, pairs).map_err(Failed::from)?;
        } else {
            for (key, value) in pairs {
                set_named(event, key, value, self.style)?;
            }
        }
        if cx.matched(event) { Ok(()) } else { Err(Stop::Failed) }
    }

    fn names(&self, event: &Event) -> Result<Names, Failed> {
        let render = |templates: &[Template]| {
            templates.iter().map(|key| Ok(key.render(event)?)).collect::<Result<Vec<_>, Failed>>()
        };
        let prefix = self.prefix.as_ref().map(|prefix| prefix.render(event)).transpose()?;
        Ok(Names { include: render(&self.include)?, exclude: render(&self.exclude)?, prefix })
    }

    fn parse(
        &self,
        text: &Text,
        names: &Names,
        pairs: &mut Map,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Result<(), Stop> {
        let mut found = Vec::new();
        let most = self.parsed.max_bytes() / PAIR_BYTES;
        self.scanner.scan(text, scratch, most, &mut found)?;
        if found.len() > most {
            self.parsed.exceeded(text.len());
            return Err(Stop::Failed);
        }
        for (key, value) in found {
            if value.is_empty() && !self.empty {
                continue;
            }
            let mut key = slice(text, key);
            if let Some(class) = &self.trim_key {
                key = class.trim(&key, scratch)?;
            }
            if let Some(class) = &self.remove_key {
                key = class.remove(&key, scratch)?;
            }
            if let Some(transform) = self.transform_key {
                key = transform(&key);
            }
            if (!names.include.is_empty() && !names.include.contains(&key)) || names.exclude.contains(&key) {
                continue;
            }
            if let Some(prefix) = &names.prefix {
                key = Text::from(format!("{prefix}{key}"));
            }
            let mut value = slice(text, value);
            if let Some(class) = &self.trim_value {
                value = class.trim(&value, scratch)?;
            }
            if let Some(class) = &self.remove_value {
                value = class.remove(&value, scratch)?;
            }
            if let Some(transform) = self.transform_value {
                value = transform(&value);
            }
            if !self.duplicates && pairs.get(&key).is_some_and(|have| includes(have, &value)) {
                continue;
            }
            let value = if self.recursive && depth < MAX_DEPTH {
                let mut inner = Map::new();
                self.parse(&value, names, &mut inner, scratch, depth + 1)?;
                if inner.is_empty() { Value::Text(value) } else { Value::Map(Arc::new(inner)) }
            } else {
                Value::Text(value)
            };
            match pairs.get_mut(&key) {
                None => {
                    pairs.push(key, value);
                }
                Some(Value::List(items)) => items.push(value),
                Some(single) => {
                    let first = std::mem::replace(single, Value::Null);
                    *single = Value::List(vec![first, value]);
                }
            }
        }
        Ok(())
    }
}

/// A value can hold pairs, whose values hold pairs, and so on; a text is not nested deeper than this.
const MAX_DEPTH: usize = 100;

/// `include?` of what a key has: of a list it means an item, of a string a part of it.
fn includes(have: &Value, value: &str) -> bool {
    match have {
        Value::Text(text) => text.contains(value),
        Value::List(items) => items.iter().any(|item| item.as_text().is_some_and(|item| item == value)),
        Value::Map(map) => map.contains_key(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    fn kv(settings: &str, message: &str) -> String {
        let event = format!(r#"{{"message":{}}}"#, serde_json::to_string(message).unwrap());
        let got = filtered_json(&KV, settings, &event);
        let rest = got.strip_prefix(&event[..event.len() - 1]).unwrap_or(&got);
        rest.trim_start_matches(',').strip_suffix('}').unwrap_or(rest).to_owned()
    }

    #[test]
    fn pairs_become_fields() {
        assert_eq!(
            kv("{}", "a=1 b = 2 c=\"x y\" d='z' e=(p q) f"),
            r#""a":"1","b":"2","c":"x y","d":"z","e":"p q""#
        );
        assert_eq!(kv("{}", "a=1 a=2"), r#""a":["1","2"]"#);
        assert_eq!(kv("{}", "a= b=2"), r#""a":"b=2""#);
        assert_eq!(kv(r#"{"whitespace":"strict"}"#, "a= b=2"), r#""b":"2""#);
        assert_eq!(kv(r#"{"field_split":"&","value_split":":"}"#, "a:1&b:x=y"), r#""a":"1","b":"x=y""#);
        assert_eq!(kv("{}", "no pairs here"), "");
    }

    #[test]
    fn a_quote_ends_at_a_separator_or_it_is_none() {
        assert_eq!(kv("{}", "a=\"x\"y b=1"), r#""a":"\"x\"y","b":"1""#);
        assert_eq!(kv("{}", "a=\"open b=1"), r#""a":"\"open","b":"1""#);
        assert_eq!(kv(r#"{"include_brackets":false}"#, "a=(x y)"), r#""a":"(x""#);
        assert_eq!(kv(r#"{"allow_empty_values":true}"#, "e=\"\" g="), r#""e":"","g":"""#);
    }

    #[test]
    fn backslashes_escape_separators() {
        assert_eq!(kv("{}", r"a=x\ y b=1"), r#""a":"x\\ y","b":"1""#);
        assert_eq!(kv("{}", r#"a="x\"y" b=1"#), r#""a":"x\\\"y","b":"1""#);
    }

    #[test]
    fn keys_and_values_are_cleaned() {
        assert_eq!(kv(r#"{"trim_value":"<>","trim_key":"_"}"#, "_a_=<x> b=>"), r#""a":"x","b":"""#);
        assert_eq!(
            kv(r#"{"remove_char_value":"aeiou","transform_key":"uppercase"}"#, "k=audio"),
            r#""K":"d""#
        );
        assert_eq!(kv(r#"{"prefix":"p_","include_keys":["b"]}"#, "a=1 b=2"), r#""p_b":"2""#);
        assert_eq!(
            kv(r#"{"exclude_keys":["b"],"default_keys":{"z":"q","a":"0"}}"#, "a=1 b=2"),
            r#""z":"q","a":"1""#
        );
    }

    #[test]
    fn values_can_hold_pairs() {
        assert_eq!(
            kv(r#"{"recursive":true,"target":"t"}"#, "n=(x=1 y=[z=2])"),
            r#""t":{"n":{"x":"1","y":{"z":"2"}}}"#
        );
    }

    #[test]
    fn duplicates_are_left_out_on_demand() {
        assert_eq!(kv(r#"{"allow_duplicate_values":false}"#, "a=1 a=1 a=2 a=1"), r#""a":["1","2"]"#);
        // The first value is a string, and Ruby looks for a part of it.
        assert_eq!(kv(r#"{"allow_duplicate_values":false}"#, "a=10 a=1"), r#""a":"10""#);
    }

    #[test]
    fn patterns_separate_too() {
        assert_eq!(
            kv(
                r#"{"field_split_pattern":"\\s*[,;]\\s*","value_split_pattern":"=>"}"#,
                "a=>1 , b=>x y; c=>\"q,r\""
            ),
            r#""a":"1","b":"x y","c":"q,r""#
        );
        for wrong in
            [r#"{"value_split":""}"#, r#"{"field_split_pattern":""}"#, r#"{"value_split_pattern":"("}"#]
        {
            assert!(build(&KV, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bad_key_is_tagged_and_earlier_fields_stay() {
        assert_eq!(kv("{}", "a=1 d[e]=2 f=3"), r#""a":"1","tags":["_kv_filter_error"]"#);
    }
}
