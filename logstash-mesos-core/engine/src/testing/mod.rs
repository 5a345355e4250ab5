//! What the unit tests of plugins share: settings and events written as JSON.

#[cfg(test)]
pub(crate) mod codec;
pub mod directions;

use crate::event::{Clock, Event, Text, Timestamp, Value, read_json, write_json, write_json_map};
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::plugin::{
    Build, BuildContext, BuildError, Decoration, EcsCompatibility, Emitting, Filter, FilterContext,
    PluginSpec,
};

/// The current time in these tests: 2024-03-05T06:07:08.123Z.
pub const NOW: Clock = Clock::Fixed(Timestamp::new(1_709_618_828, 123_000_000));

/// An event with the fields of a JSON object and nothing else; `@timestamp` is read as a time.
///
/// # Panics
///
/// When the text is not the JSON of an event.
pub fn json_event(text: &str) -> Event {
    let Value::Map(map) = read_json(&Text::from(text)).expect("the test writes JSON") else {
        panic!("an event is an object")
    };
    let mut event = Event::empty();
    for (key, value) in std::sync::Arc::unwrap_or_clone(map) {
        let value = match (key.as_str(), &value) {
            ("@timestamp", Value::Text(text)) => {
                Value::Timestamp(Timestamp::parse_iso8601(text).expect("the test writes a time"))
            }
            _ => value,
        };
        event.fields_mut().insert(key, value);
    }
    event
}

/// The fields of an event as JSON.
pub fn fields(event: &Event) -> String {
    let mut out = Vec::new();
    write_json_map(event.fields(), &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The filter with settings written as a JSON object, defaults filled in.
pub fn build(spec: &PluginSpec, settings: &str) -> Result<Box<dyn Filter>, BuildError> {
    build_with(spec, settings, EcsCompatibility::V8)
}

/// As [`build`], with another naming of fields.
pub fn build_with(
    spec: &PluginSpec,
    settings: &str,
    ecs: EcsCompatibility,
) -> Result<Box<dyn Filter>, BuildError> {
    let Build::Filter(make) = spec.build else { panic!("a filter") };
    make(&settings_of(spec, settings), &context(spec, ecs))
}

/// What a maker is given in these tests.
pub fn context(spec: &PluginSpec, ecs: EcsCompatibility) -> BuildContext {
    BuildContext {
        ecs,
        clock: NOW,
        pipeline_id: "main".to_owned(),
        plugin_id: spec.name.to_owned(),
        ..BuildContext::new(crate::registry::catalog())
    }
}

/// Settings written as a JSON object, defaults filled in.
pub fn settings_of(spec: &PluginSpec, settings: &str) -> Settings {
    let Value::Map(map) = read_json(&Text::from(settings)).expect("the test writes JSON") else {
        panic!("settings are an object")
    };
    let given: Vec<_> = map.keys().cloned().collect();
    let mut values: Vec<(Text, SettingValue)> = Vec::new();
    for (key, value) in map.iter() {
        let setting = declared(spec).find(|setting| setting.name == *key).expect("a known setting");
        let mut value = match (&setting.kind, value) {
            (Kind::Codec, value) => codec_value(value),
            (_, value) => setting_value(value),
        };
        let fits = matches!(value, SettingValue::Array(_))
            || (matches!(setting.kind, Kind::Array) && matches!(value, SettingValue::Hash(_)));
        if matches!(setting.kind, Kind::Array | Kind::List(_)) && !fits {
            value = SettingValue::Array(vec![value]);
        }
        values.push((key.clone(), value));
    }
    for setting in declared(spec).filter(|setting| !given.iter().any(|have| have == setting.name)) {
        let value = match setting.default {
            Default::String(name) if matches!(setting.kind, Kind::Codec) => {
                codec_value(&Value::Text(Text::from_static(name)))
            }
            _ => match setting.default_value() {
                Some(value) => value,
                None => continue,
            },
        };
        values.push((Text::from_static(setting.name), value));
    }
    Settings::new(values, given)
}

/// The plugin's own settings, and the common ones it does not declare itself.
fn declared(spec: &PluginSpec) -> impl Iterator<Item = &'static Setting> {
    let own = spec.settings;
    let common = crate::plugin::common::settings(spec.build.kind());
    own.iter().chain(common.iter().filter(|common| !own.iter().any(|own| own.name == common.name)))
}

/// A codec: its name, or a hash of its name and its settings.
fn codec_value(value: &Value) -> SettingValue {
    let (name, own) = match value {
        Value::Map(map) => map.iter().next().expect("the test names a codec"),
        name => (name.as_text().expect("the test names a codec"), &Value::Null),
    };
    let spec = crate::registry::catalog()
        .find(crate::lang::PluginKind::Codec, name)
        .expect("the test names a codec that is there");
    let mut text = Vec::new();
    write_json(own, &mut text);
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    let own = if text == "null" { "{}" } else { text.as_str() };
    SettingValue::Plugin(name.clone(), settings_of(spec, own))
}

fn setting_value(value: &Value) -> SettingValue {
    match value {
        Value::Text(text) => SettingValue::String(text.clone()),
        Value::Int(number) => SettingValue::Int(*number),
        Value::Float(number) => SettingValue::Float(*number),
        Value::Bool(flag) => SettingValue::Bool(*flag),
        Value::List(items) => SettingValue::Array(items.iter().map(setting_value).collect()),
        Value::Map(map) => {
            SettingValue::Hash(map.iter().map(|(key, value)| (key.clone(), setting_value(value))).collect())
        }
        other => {
            let mut out = Vec::new();
            write_json(other, &mut out);
            panic!("no setting: {}", String::from_utf8_lossy(&out))
        }
    }
}

/// Runs the filter over one event: whether it was dropped, and what it emitted.
pub fn run(filter: &mut dyn Filter, event: &mut Event) -> (bool, Vec<Event>) {
    run_with(filter, event, &Decoration::default())
}

/// As [`run`], with common options.
pub fn run_with(filter: &mut dyn Filter, event: &mut Event, decoration: &Decoration) -> (bool, Vec<Event>) {
    let (mut emitted, mut later) = (Vec::new(), None);
    filter.filter(
        event,
        &mut FilterContext { decoration, emitted: &mut emitted, later: &mut later, clock: NOW },
    );
    emitted.extend(later.into_iter().flat_map(|Emitting(events)| events));
    (event.is_cancelled(), emitted)
}

/// Lets the filter give out what it keeps, at the time of `clock`; for the last time with `last`.
pub fn flush(filter: &mut dyn Filter, decoration: &Decoration, clock: Clock, last: bool) -> Vec<Event> {
    let (mut emitted, mut later) = (Vec::new(), None);
    filter.flush(&mut FilterContext { decoration, emitted: &mut emitted, later: &mut later, clock }, last);
    emitted.extend(later.into_iter().flat_map(|Emitting(events)| events));
    emitted
}

/// Common options that add a tag to events that matched.
pub fn tagging(tag: &'static str) -> Decoration {
    let tags = SettingValue::Array(vec![SettingValue::String(Text::from_static(tag))]);
    Decoration::new(&Settings::new(vec![(Text::from_static("add_tag"), tags)], vec![]))
}

/// The fields of one event after a filter with these settings.
pub fn filtered(spec: &PluginSpec, settings: &str, mut event: Event) -> String {
    let mut filter = build(spec, settings).expect("the settings are fine");
    run(&mut *filter, &mut event);
    fields(&event)
}

/// As [`filtered`], with the event written as JSON.
pub fn filtered_json(spec: &PluginSpec, settings: &str, event: &str) -> String {
    filtered(spec, settings, json_event(event))
}
