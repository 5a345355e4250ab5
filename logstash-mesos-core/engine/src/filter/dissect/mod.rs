//! `dissect`: takes a text apart at fixed delimiters.

mod convert;
mod pattern;

pub(super) use convert::whole;

use convert::Conversion;
use pattern::{Kind as FieldKind, Pattern};

use crate::compat::ruby;
use crate::event::{Event, Text, Value, slice, write_json};
use crate::plugin::field::{Failed, Field, reference, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static DISSECT: PluginSpec = PluginSpec {
    name: "dissect",
    doc: "Splits a field into fields at delimiters, without regular expressions.",
    settings: &[
        Setting::new("mapping", Kind::Hash, "Fields and the pattern by which each is split."),
        Setting::new(
            "convert_datatype",
            Kind::Hash,
            "Fields and the type, `int` or `float`, they shall have.",
        ),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event that does not fit a pattern.")
            .default(Default::Strings(&["_dissectfailure"])),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let mut mappings = Vec::new();
    for (name, pattern) in settings.hash("mapping") {
        let pattern = pattern.to_ruby_text();
        if !pattern.is_empty() {
            let pattern = Pattern::parse(&pattern, settings.escape_style())
                .map_err(|message| BuildError::setting("mapping", message))?;
            mappings.push(Mapping { source: settings.field_of(name), pattern });
        }
    }
    let conversions = settings
        .hash("convert_datatype")
        .iter()
        .map(|(name, kind)| Conversion::new(name, settings.field_of(name), &kind.to_ruby_text()))
        .collect::<Result<_, _>>()
        .map_err(|message| BuildError::setting("convert_datatype", message))?;
    Ok(Box::new(Dissect {
        mappings,
        conversions,
        tags: settings.strings("tag_on_failure"),
        ranges: Vec::new(),
    }))
}

#[derive(Clone, Debug)]
struct Dissect {
    mappings: Vec<Mapping>,
    conversions: Vec<Conversion>,
    tags: Vec<Text>,
    ranges: Vec<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct Mapping {
    source: Field,
    pattern: Pattern,
}

impl Filter for Dissect {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event, cx).is_err() {
            tag_all(event, &self.tags);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Dissect {
    fn apply(&mut self, event: &mut Event, cx: &FilterContext<'_>) -> Result<(), Failed> {
        for mapping in &self.mappings {
            let source = match event.get(mapping.source.get()?) {
                None => continue,
                Some(Value::Text(text)) => text.clone(),
                Some(other) => ruby::to_s(other),
            };
            if mapping.pattern.find(source.as_bytes(), &mut self.ranges) {
                store(&mapping.pattern, &source, &self.ranges, event)?;
                if !cx.matched(event) {
                    return Err(Failed);
                }
            } else {
                tag_all(event, &self.tags);
            }
        }
        for conversion in &self.conversions {
            conversion.apply(event)?;
        }
        Ok(())
    }
}

/// Puts the pieces of `source` into the event: plain fields, then appended ones, then indirect ones.
fn store(
    pattern: &Pattern,
    source: &Text,
    ranges: &[(usize, usize)],
    event: &mut Event,
) -> Result<(), Failed> {
    let piece = |at: usize| slice(source, ranges[at].0..ranges[at].1);
    for &at in &pattern.order {
        let field = &pattern.fields[at];
        match &field.kind {
            FieldKind::Skip => {}
            FieldKind::Plain => event.set(field.target.get()?, piece(at))?,
            FieldKind::Append { join } => {
                let target = field.target.get()?;
                let joined = match event.get(target) {
                    None => piece(at),
                    Some(Value::Null) => return Err(Failed),
                    Some(have) => {
                        let mut joined = java_text(have).to_string();
                        joined.push_str(join);
                        joined.push_str(&piece(at));
                        Text::from(joined)
                    }
                };
                event.set(target, joined)?;
            }
            FieldKind::Indirect => {
                let name = match event.get(field.target.get()?) {
                    Some(have) => java_text(have),
                    None => pattern
                        .fields
                        .iter()
                        .position(|other| !std::ptr::eq(other, field) && other.name == field.name)
                        .map_or_else(Text::new, piece),
                };
                if !name.is_empty() {
                    event.set(&reference(&name, pattern.style)?, piece(at))?;
                }
            }
        }
    }
    Ok(())
}

/// `toString` of a value of the event.
fn java_text(value: &Value) -> Text {
    match value {
        Value::Text(text) => text.clone(),
        Value::Timestamp(instant) => Text::from(instant.to_string()),
        other => {
            let mut out = Vec::new();
            write_json(other, &mut out);
            Text::from(String::from_utf8_lossy(&out).into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json, json_event, run};

    fn dissect(pattern: &str, message: &str) -> String {
        let settings = format!(r#"{{"mapping":{{"m":{}}}}}"#, serde_json::to_string(pattern).unwrap());
        let event = format!(r#"{{"m":{}}}"#, serde_json::to_string(message).unwrap());
        let got = filtered_json(&DISSECT, &settings, &event);
        let start = format!("{{{}", &event[1..event.len() - 1]);
        got.strip_prefix(&start).unwrap().trim_start_matches(',').trim_end_matches('}').to_owned()
    }

    #[test]
    fn pieces_become_fields() {
        assert_eq!(dissect("[%{a}] %{[n][b]}: %{c}", "[x] y: z: w"), r#""a":"x","n":{"b":"y"},"c":"z: w""#);
        assert_eq!(dissect("%{a}é%{b}", "1é2"), r#""a":"1","b":"2""#);
        assert_eq!(dissect("%{} %{?skipped} %{c}", "1 2 3"), r#""c":"3""#);
    }

    #[test]
    fn repeated_delimiters_are_skipped_on_demand() {
        assert_eq!(dissect("%{a->} %{b}", "x    y z"), r#""a":"x","b":"y z""#);
        assert_eq!(dissect("%{a} %{b}", "x    y"), r#""a":"x","b":"   y""#);
        assert_eq!(dissect("%{a->}[%{b}]", "x[[[y]"), r#""a":"x","b":"y""#);
    }

    #[test]
    fn pieces_are_appended_in_order() {
        assert_eq!(dissect("%{a},%{+a} %{+a}", "1,2 3"), r#""a":"1,2 3""#);
        assert_eq!(dissect("%{+a/2} %{+a/1} %{+a/4} %{+a/3}", "1 2 3 go"), r#""a":"2 1 go 3""#);
    }

    #[test]
    fn a_piece_can_name_the_field() {
        assert_eq!(dissect("%{?k}: %{&k}", "google: 77.98"), r#""google":"77.98""#);
        assert_eq!(dissect("%{?k}: %{&k}", ": 77.98"), "");
    }

    #[test]
    fn texts_that_do_not_fit_are_tagged() {
        for (pattern, text) in
            [("%{a} %{b}", "x"), (" %{a}", "x"), ("%{a}%{b}", "xy"), ("%{a}|%{b};", "x|y"), ("%{a}", "")]
        {
            assert_eq!(dissect(pattern, text), r#""tags":["_dissectfailure"]"#, "{pattern}");
        }
        // A literal at the end need not be there.
        assert_eq!(dissect("%{a} %{b}!", "x y!"), r#""a":"x","b":"y""#);
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["%{+&a} %{b}", "%{&+a}", "%{+}", "%{&}", "%{+/1}", "no field"] {
            let settings = format!(r#"{{"mapping":{{"m":"{pattern}"}}}}"#);
            assert!(build(&DISSECT, &settings).is_err(), "{pattern}");
        }
        assert!(build(&DISSECT, r#"{"convert_datatype":{"m":"string"}}"#).is_err());
    }

    #[test]
    fn types_are_converted() {
        let convert = |value: &str, kind: &str| {
            let settings = format!(r#"{{"convert_datatype":{{"v":"{kind}"}}}}"#);
            filtered_json(&DISSECT, &settings, &format!(r#"{{"v":{value}}}"#))
        };
        assert_eq!(convert("\"1e3\"", "int"), r#"{"v":1000}"#);
        assert_eq!(convert("\"-1.9\"", "int"), r#"{"v":-1}"#);
        assert_eq!(convert("\"1e3\"", "float"), r#"{"v":1E+3}"#);
        assert_eq!(convert("\"3.\"", "float"), r#"{"v":3}"#);
        assert_eq!(convert("5.5", "FLOAT"), r#"{"v":5.5}"#);
        assert_eq!(convert("\" 7\"", "int"), r#"{"v":" 7","tags":["_dataconversionuncoercible_v_int"]}"#);
        assert_eq!(convert("null", "int"), r#"{"v":null,"tags":["_dataconversionnullvalue_v_int"]}"#);
    }

    #[test]
    fn pieces_are_slices_of_the_message() {
        let text = "x the second part is long enough to be shared";
        let mut event = json_event(&format!(r#"{{"m":"{text}"}}"#));
        let mut filter = build(&DISSECT, r#"{"mapping":{"m":"%{a} %{b}"}}"#).unwrap();
        run(&mut *filter, &mut event);
        let whole = event.fields().get("m").and_then(Value::as_text).unwrap().as_bytes().as_ptr_range();
        let piece = event.fields().get("b").and_then(Value::as_text).unwrap();
        assert!(whole.contains(&piece.as_bytes().as_ptr()));
    }
}
