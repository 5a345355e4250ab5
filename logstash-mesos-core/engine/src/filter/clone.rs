//! `clone`: copies events.

use crate::event::{Event, Text, Value};
use crate::plugin::settings::{Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, EcsCompatibility, Filter, FilterContext, PluginSpec};

pub(crate) static CLONE: PluginSpec = PluginSpec {
    name: "clone",
    doc: "Makes a copy of the event for each name in a list.",
    settings: &[Setting::new(
        "clones",
        Kind::Array,
        "What the copies are called: a tag, or `type` without ECS.",
    )
    .required()],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Clones {
        names: settings.strings("clones"),
        as_type: context.ecs == EcsCompatibility::Disabled,
    }))
}

#[derive(Clone, Debug)]
struct Clones {
    names: Vec<Text>,
    as_type: bool,
}

impl Filter for Clones {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        for name in &self.names {
            let mut copy = event.clone();
            if self.as_type {
                copy.fields_mut().insert("type", name.clone());
            } else {
                // Not `tag`: a name that is a tag already comes a second time.
                let mut tags = match copy.fields_mut().remove("tags") {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::List(tags)) => tags,
                    Some(single) => vec![single],
                };
                tags.push(Value::Text(name.clone()));
                copy.fields_mut().insert("tags", tags);
            }
            cx.matched(&mut copy);
            cx.emit(copy);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build_with, fields, json_event, run};

    fn clones(ecs: EcsCompatibility, event: &str) -> Vec<String> {
        let mut filter = build_with(&CLONE, r#"{"clones":["c1","c2"]}"#, ecs).unwrap();
        let mut event = json_event(event);
        let (dropped, copies) = run(&mut *filter, &mut event);
        assert!(!dropped);
        copies.iter().map(fields).collect()
    }

    #[test]
    fn copies_are_tagged_or_typed() {
        assert_eq!(
            clones(EcsCompatibility::V8, r#"{"m":1,"tags":"c1"}"#),
            [r#"{"m":1,"tags":["c1","c1"]}"#, r#"{"m":1,"tags":["c1","c2"]}"#]
        );
        assert_eq!(
            clones(EcsCompatibility::Disabled, r#"{"m":1,"type":"t"}"#),
            [r#"{"m":1,"type":"c1"}"#, r#"{"m":1,"type":"c2"}"#]
        );
    }
}
