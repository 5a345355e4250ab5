//! `translate`: replaces values by those of a dictionary.

mod dictionary;
mod lookup;

use std::sync::Arc;

use dictionary::Dictionary;

use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, Template, Text, Value};
use crate::plugin::field::{Failed, Field, reference};
use crate::plugin::settings::{Default, Kind, Setting, Settings, Status};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static TRANSLATE: PluginSpec = PluginSpec {
    name: "translate",
    doc: "Looks values up in a dictionary.",
    settings: &[
        Setting::new("source", Kind::FieldReference, "The field with what is looked up."),
        Setting::new("field", Kind::String, "The old name of `source`.")
            .status(Status::Deprecated("use `source` instead")),
        Setting::new(
            "target",
            Kind::FieldReference,
            "Where the result goes: `source`, or `translation` without ECS.",
        ),
        Setting::new("destination", Kind::String, "The old name of `target`.")
            .status(Status::Deprecated("use `target` instead")),
        Setting::new("override", Kind::Boolean, "Replaces a target that exists."),
        Setting::new("dictionary", Kind::Hash, "The dictionary."),
        Setting::new("dictionary_path", Kind::Path, "A file with the dictionary: YAML, JSON or CSV."),
        Setting::new(
            "yaml_dictionary_code_point_limit",
            Kind::Number,
            "The most characters a YAML file may have.",
        ),
        Setting::new(
            "yaml_load_strategy",
            Kind::OneOf(&["streaming", "one_shot"]),
            "How a YAML file is read.",
        )
        .default(Default::String("one_shot"))
        .status(Status::Ignored("files are always read as a whole")),
        Setting::new("refresh_interval", Kind::Number, "Seconds after which the file is looked at again.")
            .default(Default::Int(300)),
        Setting::new(
            "refresh_behaviour",
            Kind::OneOf(&["merge", "replace"]),
            "Whether old entries stay then.",
        )
        .default(Default::String("merge")),
        Setting::new("exact", Kind::Boolean, "Looks whole values up, not parts of them.")
            .default(Default::Bool(true)),
        Setting::new("regex", Kind::Boolean, "Takes keys for regular expressions.")
            .default(Default::Bool(false)),
        Setting::new("fallback", Kind::String, "What is set when nothing is found."),
        Setting::new("iterate_on", Kind::String, "A list of values, or of hashes with `source`, to look up."),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let either = |new: &'static str, old: &'static str| match (settings.text(new), settings.text(old)) {
        (Some(_), Some(_)) => {
            Err(BuildError::setting(old, format!("`{new}` and `{old}` cannot both be given"))
                .remedy(format!("remove `{old}`")))
        }
        (new, old) => Ok(new.or(old)),
    };
    let Some(source) = either("source", "field")? else {
        return Err(
            BuildError::setting("source", "`translate` needs a field to look up").remedy("set `source`")
        );
    };
    let target = either("target", "destination")?
        .unwrap_or_else(|| context.ecs.select(Text::from_static("translation"), source.clone()));
    let in_place = source == target;
    if in_place && settings.get("override").is_some() && !settings.bool("override") {
        return Err(BuildError::setting(
            "override",
            "`override => false` makes no sense where source and target are one",
        )
        .remedy("remove `override`"));
    }
    let iterate_on = settings.text("iterate_on");
    let update = match &iterate_on {
        None => Update::One,
        Some(list) if *list == source => Update::Values,
        Some(list) => Update::Hashes { list: bracketed(list) },
    };
    Ok(Box::new(Translate {
        dictionary: Arc::new(Dictionary::new(settings)?),
        source: settings.field_of(&source),
        target: settings.field_of(&target),
        names: (bracketed(&source), bracketed(&target)),
        fallback: settings.template("fallback"),
        replace: settings.bool("override") || in_place,
        in_place,
        update,
        style: settings.escape_style(),
    }))
}

fn bracketed(field: &str) -> String {
    if field.starts_with('[') && field.ends_with(']') { field.to_owned() } else { format!("[{field}]") }
}

#[derive(Clone, Debug)]
struct Translate {
    dictionary: Arc<Dictionary>,
    source: Field,
    target: Field,
    /// Source and target with brackets, for hashes in a list.
    names: (String, String),
    fallback: Option<Template>,
    replace: bool,
    in_place: bool,
    update: Update,
    style: EscapeStyle,
}

#[derive(Clone, Debug)]
enum Update {
    One,
    Values,
    Hashes { list: String },
}

impl Filter for Translate {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        match self.apply(event) {
            Ok(Some(found)) if found || self.in_place => {
                cx.matched(event);
            }
            Ok(_) => {}
            Err(Failed) => tracing::debug!("Translation cannot be stored"),
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn flushes(&self) -> bool {
        self.dictionary.refreshes()
    }

    fn keeps_events(&self) -> bool {
        false
    }

    fn flush(&mut self, _: &mut FilterContext<'_>, last: bool) {
        if !last {
            self.dictionary.refresh();
        }
    }
}

impl Translate {
    /// Whether anything was found; `None` when there is nothing to look up.
    fn apply(&self, event: &mut Event) -> Result<Option<bool>, Failed> {
        let lookup = self.dictionary.lookup();
        if let Update::Hashes { list } = &self.update {
            let Some(value) = event.get(&reference(list, self.style)?) else { return Ok(None) };
            let count = match value {
                Value::Null => 0,
                Value::List(items) => items.len(),
                _ => 1,
            };
            let mut any = false;
            for at in 0..count {
                let source = reference(&format!("{list}[{at}]{}", self.names.0), self.style)?;
                let result = match event.get(&source) {
                    None | Some(Value::Null) => continue,
                    Some(value) => lookup.find(&ruby::to_s(value))?,
                };
                let Some(result) = self.or_fallback(result, event)? else { continue };
                event.set(&reference(&format!("{list}[{at}]{}", self.names.1), self.style)?, result)?;
                any = true;
            }
            return Ok(Some(any));
        }
        let target = self.target.get()?;
        if !self.replace && event.contains(target) {
            return Ok(None);
        }
        let Some(value) = event.get(self.source.get()?) else { return Ok(None) };
        if let Update::Values = self.update {
            let items = ruby::array(value);
            let mut results = Vec::with_capacity(items.len());
            for item in &items {
                let result = lookup.find(&ruby::to_s(item))?;
                results.push(self.or_fallback(result, event)?.unwrap_or(Value::Null));
            }
            let any = results.iter().any(|result| !matches!(result, Value::Null | Value::Bool(false)));
            event.set(target, results)?;
            return Ok(Some(any));
        }
        let result = match value {
            Value::Text(text) => lookup.find(text)?,
            // Of a list only the first item is looked up.
            Value::List(items) => lookup.find(&items.first().map_or_else(Text::new, ruby::to_s))?,
            value => lookup.find(&ruby::to_s(value))?,
        };
        match self.or_fallback(result, event)? {
            Some(result) => {
                event.set(target, result)?;
                Ok(Some(true))
            }
            None => Ok(Some(false)),
        }
    }

    fn or_fallback(&self, result: Option<Value>, event: &Event) -> Result<Option<Value>, Failed> {
        match (result, &self.fallback) {
            (None, Some(fallback)) => Ok(Some(Value::Text(fallback.render(event)?))),
            (result, _) => Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::EcsCompatibility;
    use crate::testing::{build, build_with, fields, filtered_json, json_event, run};

    fn translate(more: &str, event: &str) -> String {
        let settings =
            format!(r#"{{"source":"c","dictionary":{{"200":"OK","404":"Not Found","5..":5}}{more}}}"#);
        filtered_json(&TRANSLATE, &settings, event)
    }

    #[test]
    fn whole_values_are_looked_up() {
        assert_eq!(translate("", r#"{"c":"200"}"#), r#"{"c":"OK"}"#);
        assert_eq!(translate(r#","target":"t""#, r#"{"c":404}"#), r#"{"c":404,"t":"Not Found"}"#);
        assert_eq!(translate(r#","target":"t""#, r#"{"c":["200",1]}"#), r#"{"c":["200",1],"t":"OK"}"#);
        assert_eq!(translate(r#","target":"t""#, r#"{"c":"200","t":1}"#), r#"{"c":"200","t":1}"#);
        assert_eq!(
            translate(r#","target":"t","override":true"#, r#"{"c":"200","t":1}"#),
            r#"{"c":"200","t":"OK"}"#
        );
        assert_eq!(
            translate(r#","target":"t","fallback":"no %{c}""#, r#"{"c":"x"}"#),
            r#"{"c":"x","t":"no x"}"#
        );
        assert_eq!(translate("", r#"{"d":1}"#), r#"{"d":1}"#);
        let mut filter =
            build_with(&TRANSLATE, r#"{"field":"c","dictionary":{"1":"one"}}"#, EcsCompatibility::Disabled)
                .unwrap();
        let mut event = json_event(r#"{"c":"1"}"#);
        run(&mut *filter, &mut event);
        assert_eq!(fields(&event), r#"{"c":"1","translation":"one"}"#);
    }

    #[test]
    fn keys_can_be_expressions_or_parts() {
        assert_eq!(translate(r#","regex":true"#, r#"{"c":"503"}"#), r#"{"c":5}"#);
        assert_eq!(
            translate(r#","exact":false"#, r#"{"c":"was 200 and 404"}"#),
            r#"{"c":"was OK and Not Found"}"#
        );
        assert_eq!(translate(r#","exact":false,"regex":true"#, r#"{"c":"503 5.."}"#), r#"{"c":"503 5"}"#);
    }

    #[test]
    fn lists_are_translated_item_by_item() {
        let settings = r#"{"source":"l","target":"t","iterate_on":"l","dictionary":{"1":"one"}}"#;
        assert_eq!(
            filtered_json(&TRANSLATE, settings, r#"{"l":["1",1,"x"]}"#),
            r#"{"l":["1",1,"x"],"t":["one","one",null]}"#
        );
        let settings = r#"{"source":"[a][id]","target":"name","iterate_on":"l","dictionary":{"1":"one"},"fallback":"?"}"#;
        assert_eq!(
            filtered_json(&TRANSLATE, settings, r#"{"l":[{"a":{"id":1}},{"a":{"id":2}},{"b":1}]}"#),
            r#"{"l":[{"a":{"id":1},"name":"one"},{"a":{"id":2},"name":"?"},{"b":1}]}"#
        );
    }

    #[test]
    fn dictionaries_come_from_files() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("d.yml", "---\n'1': one\ntwo: [a, {b: yes}]\n"),
            ("d.json", r#"{"1":"one","two":["a",{"b":true}]}"#),
            ("d.csv", "1,one\n\"two\",\"a,b\"\n"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let settings = format!(r#"{{"source":"c","target":"t","dictionary_path":"{}"}}"#, path.display());
            let get = |key| filtered_json(&TRANSLATE, &settings, &format!(r#"{{"c":"{key}"}}"#));
            assert_eq!(get("1"), r#"{"c":"1","t":"one"}"#, "{name}");
            let two = if name == "d.csv" { r#""a,b""# } else { r#"["a",{"b":true}]"# };
            assert_eq!(get("two"), format!(r#"{{"c":"two","t":{two}}}"#), "{name}");
        }
        let missing = dir.path().join("no.json");
        assert!(
            build(&TRANSLATE, &format!(r#"{{"source":"c","dictionary_path":"{}"}}"#, missing.display()))
                .is_err()
        );
        std::fs::write(dir.path().join("d.txt"), "").unwrap();
        let wrong = dir.path().join("d.txt");
        assert!(
            build(&TRANSLATE, &format!(r#"{{"source":"c","dictionary_path":"{}"}}"#, wrong.display()))
                .is_err()
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for wrong in [
            r#"{"dictionary":{}}"#,
            r#"{"source":"a","field":"a"}"#,
            r#"{"source":"a","override":false}"#,
            r#"{"source":"a","dictionary":{"[":"x"},"regex":true}"#,
        ] {
            assert!(build(&TRANSLATE, wrong).is_err(), "{wrong}");
        }
    }
}
