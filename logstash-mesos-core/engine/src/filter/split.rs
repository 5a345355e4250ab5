//! `split`: one event for each item of a list or line of a text.

use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static SPLIT: PluginSpec = PluginSpec {
    name: "split",
    doc: "Makes an event for each item of a list, or each piece of a text.",
    settings: &[
        Setting::new("terminator", Kind::String, "Where a text is split.").default(Default::String("\n")),
        Setting::new("field", Kind::String, "The field to split.").default(Default::String("message")),
        Setting::new("target", Kind::String, "Where the piece goes; into `field` itself otherwise."),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Split {
        terminator: settings.text("terminator").unwrap_or_default(),
        field: settings.field_of(&settings.text("field").unwrap_or_default()),
        target: settings.text("target").map(|target| settings.field_of(&target)),
    }))
}

#[derive(Clone, Debug)]
struct Split {
    terminator: Text,
    field: Field,
    target: Option<Field>,
}

impl Filter for Split {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event, cx).is_err() {
            event.tag("_split_type_failure");
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Split {
    fn apply(&self, event: &mut Event, cx: &mut FilterContext<'_>) -> Result<(), Failed> {
        let field = self.field.get()?;
        let pieces = match event.get(field) {
            Some(Value::List(_)) if self.target.is_none() => match event.remove(field) {
                Some(Value::List(items)) => items,
                _ => return Err(Failed),
            },
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => {
                let pieces = self.pieces(text);
                if pieces.len() == 1 {
                    return Ok(());
                }
                // The children do not need the whole text, only their piece of it.
                if self.target.is_none() {
                    event.remove(field);
                }
                pieces
            }
            _ => return Err(Failed),
        };
        let target = self.target.as_ref().unwrap_or(&self.field).get()?;
        for piece in pieces {
            if matches!(&piece, Value::Null) || piece.as_text().is_some_and(|text| text.is_empty()) {
                continue;
            }
            let mut child = event.clone();
            child.set(target, piece)?;
            cx.matched(&mut child);
            cx.emit(child);
        }
        event.cancel();
        Ok(())
    }

    /// `text.split(terminator, -1)`.
    fn pieces(&self, text: &Text) -> Vec<Value> {
        let pieces: Vec<&str> = match self.terminator.as_str() {
            _ if text.is_empty() => Vec::new(),
            // A single blank stands for any white space, and what is before the first word is not a piece.
            " " => {
                let trimmed = text.as_str().trim_start_matches(crate::compat::ruby::is_space);
                let mut pieces = Vec::new();
                let mut rest = trimmed;
                while let Some(at) = rest.find(crate::compat::ruby::is_space) {
                    pieces.push(&rest[..at]);
                    rest = rest[at..].trim_start_matches(crate::compat::ruby::is_space);
                }
                pieces.push(rest);
                pieces
            }
            "" => text.as_str().split("").skip(1).collect(),
            terminator => text.as_str().split(terminator).collect(),
        };
        pieces.into_iter().map(|piece| Value::Text(text.slice_ref(piece))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, fields, json_event, run};

    fn split(settings: &str, event: &str) -> (bool, Vec<String>) {
        let mut filter = build(&SPLIT, settings).unwrap();
        let mut event = json_event(event);
        let (dropped, children) = run(&mut *filter, &mut event);
        let mut all: Vec<_> = children.iter().map(fields).collect();
        if !dropped {
            all.insert(0, fields(&event));
        }
        (dropped, all)
    }

    #[test]
    fn lines_and_items_become_events() {
        assert_eq!(
            split("{}", r#"{"message":"a\nb\n\nc","k":1}"#),
            (
                true,
                vec![
                    r#"{"k":1,"message":"a"}"#.into(),
                    r#"{"k":1,"message":"b"}"#.into(),
                    r#"{"k":1,"message":"c"}"#.into()
                ]
            )
        );
        assert_eq!(
            split(r#"{"field":"[n][l]","target":"x"}"#, r#"{"n":{"l":[1,null,{"a":2}]}}"#),
            (
                true,
                vec![
                    r#"{"n":{"l":[1,null,{"a":2}]},"x":1}"#.into(),
                    r#"{"n":{"l":[1,null,{"a":2}]},"x":{"a":2}}"#.into()
                ]
            )
        );
    }

    #[test]
    fn one_piece_changes_nothing_and_none_drops() {
        assert_eq!(split("{}", r#"{"message":"a"}"#), (false, vec![r#"{"message":"a"}"#.into()]));
        assert_eq!(split("{}", r#"{"message":""}"#), (true, vec![]));
        assert_eq!(split("{}", r#"{"message":[]}"#), (true, vec![]));
        assert_eq!(split("{}", r#"{"message":["a"]}"#), (true, vec![r#"{"message":"a"}"#.into()]));
    }

    #[test]
    fn other_types_are_tagged() {
        for value in ["5", "null", "true", "{}"] {
            let got = split("{}", &format!(r#"{{"message":{value}}}"#));
            assert_eq!(
                got,
                (false, vec![format!(r#"{{"message":{value},"tags":["_split_type_failure"]}}"#)])
            );
        }
    }
}
