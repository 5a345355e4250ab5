//! `gsub` of `mutate`.

use logstash_mesos_regex::{Regex, Scratch};
use memchr::memmem::Finder;

use crate::event::{Event, Template, Text, Value};
use crate::plugin::BuildError;
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{SettingValue, Settings};

/// One replacement in one field.
#[derive(Debug)]
pub(super) struct Gsub {
    field: Field,
    needle: Needle,
    replacement: Template,
    scratch: Scratch,
}

#[derive(Clone, Debug)]
enum Needle {
    /// A text without anything that means something in a regular expression.
    Literal(Finder<'static>),
    Regex(Regex),
    /// Known only with the event; the last one is kept.
    Template(Template, Option<(Text, Regex)>),
}

impl Clone for Gsub {
    fn clone(&self) -> Self {
        Self {
            field: self.field.clone(),
            needle: self.needle.clone(),
            replacement: self.replacement.clone(),
            scratch: Scratch::new(),
        }
    }
}

impl Gsub {
    /// The triples of the setting.
    pub(super) fn parse(settings: &Settings) -> Result<Vec<Self>, BuildError> {
        let items = settings.get("gsub").map_or(&[][..], SettingValue::items);
        let mut all = Vec::new();
        for triple in items.chunks(3) {
            let [field, needle, replacement] = triple else {
                return Err(BuildError::setting(
                    "gsub",
                    format!(
                        "gsub takes field, regular expression and replacement each time, found {}",
                        triple.len()
                    ),
                )
                .remedy("give three strings for each replacement"));
            };
            let text = |value: &SettingValue| value.to_text().unwrap_or_default();
            let needle = text(needle);
            let needle = if needle.contains("%{") {
                Needle::Template(settings.template_of(&needle), None)
            } else if is_literal(&needle) {
                Needle::Literal(Finder::new(needle.as_bytes()).into_owned())
            } else {
                Needle::Regex(Regex::new(&needle).map_err(|error| {
                    BuildError::setting(
                        "gsub",
                        format!("the regular expression `{needle}` is wrong: {error}"),
                    )
                })?)
            };
            all.push(Self {
                field: settings.field_of(&text(field)),
                needle,
                replacement: settings.template_of(&text(replacement)),
                scratch: Scratch::new(),
            });
        }
        Ok(all)
    }

    /// Replaces in the field if it is a text or a list with texts.
    pub(super) fn apply(&mut self, event: &mut Event) -> Result<(), Failed> {
        let field = self.field.get()?;
        match event.get(field) {
            Some(Value::Text(text)) => {
                let text = text.clone();
                if let Some(changed) =
                    replace(&mut self.needle, &self.replacement, &mut self.scratch, event, &text)?
                {
                    event.set(field, changed)?;
                }
            }
            Some(Value::List(items)) => {
                let mut items = items.clone();
                for item in &mut items {
                    if let Value::Text(text) = item
                        && let Some(changed) =
                            replace(&mut self.needle, &self.replacement, &mut self.scratch, event, text)?
                    {
                        *text = changed;
                    }
                }
                event.set(field, items)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The text with every match replaced, if there is one.
fn replace(
    needle: &mut Needle,
    replacement: &Template,
    scratch: &mut Scratch,
    event: &Event,
    text: &Text,
) -> Result<Option<Text>, Failed> {
    let replacement = replacement.render(event)?;
    let regex = match needle {
        Needle::Literal(finder) if !replacement.contains('\\') => {
            return Ok(replace_literal(finder, &replacement, text));
        }
        Needle::Literal(finder) => {
            let pattern = String::from_utf8_lossy(finder.needle()).into_owned();
            *needle = Needle::Regex(Regex::new(&pattern)?);
            return self::replace(needle, &Template::parse(&replacement), scratch, event, text);
        }
        Needle::Regex(regex) => regex,
        Needle::Template(template, last) => {
            let pattern = template.render(event)?;
            match last {
                Some((have, _)) if *have == pattern => {}
                _ => *last = Some((pattern.clone(), Regex::new(&pattern)?)),
            }
            let Some((_, regex)) = last else { return Err(Failed) };
            regex
        }
    };
    Ok(regex.replace_all(text, &replacement, scratch)?.map(Text::from))
}

fn replace_literal(finder: &Finder<'_>, replacement: &str, text: &Text) -> Option<Text> {
    let mut places = finder.find_iter(text.as_bytes());
    let first = places.next()?;
    let mut out = String::with_capacity(text.len() + replacement.len());
    let mut copied = 0;
    for at in std::iter::once(first).chain(places) {
        out.push_str(&text[copied..at]);
        out.push_str(replacement);
        copied = at + finder.needle().len();
    }
    out.push_str(&text[copied..]);
    Some(Text::from(out))
}

/// Whether each character of a pattern stands for itself.
fn is_literal(pattern: &str) -> bool {
    !pattern.is_empty() && !pattern.contains(|char| r"\.+*?()|[]{}^$".contains(char))
}

#[cfg(test)]
mod tests {
    use super::super::MUTATE;
    use crate::testing::filtered_json;

    fn gsub(triple: &str, event: &str) -> String {
        filtered_json(&MUTATE, &format!(r#"{{"gsub":{triple}}}"#), event)
    }

    #[test]
    fn texts_and_lists_are_replaced_in() {
        assert_eq!(gsub(r#"["a","b","x"]"#, r#"{"a":"abcb"}"#), r#"{"a":"axcx"}"#);
        assert_eq!(
            gsub(r#"["a","[bc]+","<\\0>"]"#, r#"{"a":["abcb",5,["b"]]}"#),
            r#"{"a":["a<bcb>",5,["b"]]}"#
        );
        assert_eq!(gsub(r#"["a","b","\\&\\&"]"#, r#"{"a":"abc"}"#), r#"{"a":"abbc"}"#);
        assert_eq!(gsub(r#"["a","","-"]"#, r#"{"a":"éx"}"#), r#"{"a":"-é-x-"}"#);
        assert_eq!(gsub(r#"["a","/","_"]"#, r#"{"a":5}"#), r#"{"a":5}"#);
    }

    #[test]
    fn needle_and_replacement_may_come_from_the_event() {
        assert_eq!(
            gsub(r#"["a","%{n}+","%{r}"]"#, r#"{"a":"xbby","n":"b","r":"-"}"#),
            r#"{"a":"x-y","n":"b","r":"-"}"#
        );
        assert_eq!(
            gsub(r#"["a","%{n}","x"]"#, r#"{"a":"xy","n":"["}"#),
            r#"{"a":"xy","n":"[","tags":["_mutate_error"]}"#
        );
    }

    #[test]
    fn several_replacements_work_one_after_the_other() {
        assert_eq!(gsub(r#"["a","x","y","a","y+","z"]"#, r#"{"a":"xyx"}"#), r#"{"a":"z"}"#);
    }
}
