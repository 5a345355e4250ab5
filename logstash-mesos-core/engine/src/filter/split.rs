//! `split`: one event for each item of a list or line of a text.

use crate::compat::ruby::is_space;
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
                Some(Value::List(items)) => Pieces::Items(items.into_iter()),
                _ => return Err(Failed),
            },
            Some(Value::List(items)) => Pieces::Items(items.clone().into_iter()),
            Some(Value::Text(text)) => {
                let pieces = Pieces::of(text, &self.terminator);
                if pieces.clone().nth(1).is_none() && pieces.clone().next().is_some() {
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
        let target = self.target.as_ref().unwrap_or(&self.field).get()?.clone();
        let is_nothing = |piece: &Value| {
            matches!(piece, Value::Null) || piece.as_text().is_some_and(|text| text.is_empty())
        };
        let mut pieces = pieces.filter(move |piece| !is_nothing(piece)).peekable();
        // Where the first one finds no place, none does.
        if let Some(piece) = pieces.peek() {
            event.clone().set(&target, piece.clone())?;
        }
        let (parent, decoration) = (event.clone(), cx.decoration.clone());
        cx.emit_all(pieces.filter_map(move |piece| {
            let mut child = parent.clone();
            child.set(&target, piece).ok()?;
            decoration.apply(&mut child);
            Some(child)
        }));
        event.cancel();
        Ok(())
    }
}

/// What a value is split into, one after the other.
#[derive(Clone)]
enum Pieces {
    Items(std::vec::IntoIter<Value>),
    /// The rest of a text and what ends a piece; `None` behind the last one.
    Text(Option<Text>, Text),
}

impl Pieces {
    /// `text.split(terminator, -1)`.
    fn of(text: &Text, terminator: &Text) -> Self {
        let rest = match terminator.as_str() {
            // A single blank stands for any white space, and what is before the first word is not a piece.
            " " => text.slice_ref(text.as_str().trim_start_matches(is_space)),
            _ => text.clone(),
        };
        Self::Text((!text.is_empty()).then_some(rest), terminator.clone())
    }
}

impl Iterator for Pieces {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let (rest, terminator) = match self {
            Self::Items(items) => return items.next(),
            Self::Text(rest, terminator) => (rest, terminator),
        };
        let whole = rest.take()?;
        let text = whole.as_str();
        let (piece, behind) = match terminator.as_str() {
            " " => match text.find(is_space) {
                Some(at) => (&text[..at], Some(text[at..].trim_start_matches(is_space))),
                None => (text, None),
            },
            // Each character, and nothing behind the last one.
            "" => {
                let (piece, behind) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
                (piece, (!piece.is_empty()).then_some(behind))
            }
            terminator => match text.split_once(terminator) {
                Some((piece, behind)) => (piece, Some(behind)),
                None => (text, None),
            },
        };
        *rest = behind.map(|behind| whole.slice_ref(behind));
        Some(Value::Text(whole.slice_ref(piece)))
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
