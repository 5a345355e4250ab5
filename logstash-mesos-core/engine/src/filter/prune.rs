//! `prune`: keeps or removes fields by their names and values.

use logstash_mesos_regex::{Regex, Scratch};

use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, Template, Text, Value};
use crate::plugin::field::{Failed, reference};
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static PRUNE: PluginSpec = PluginSpec {
    name: "prune",
    doc: "Removes fields whose names or values match, or do not match, regular expressions.",
    settings: &[
        Setting::new("interpolate", Kind::Boolean, "Expands `%{…}` in names and expressions.")
            .default(Default::Bool(false)),
        Setting::new("whitelist_names", Kind::Array, "Only fields whose names match one of these stay.")
            .default(Default::Strings(&[])),
        Setting::new("blacklist_names", Kind::Array, "Fields whose names match one of these go.")
            .default(Default::Strings(&["%\\{[^}]+\\}"])),
        Setting::new("whitelist_values", Kind::Hash, "Fields stay only with values that match."),
        Setting::new("blacklist_values", Kind::Hash, "Fields go with values that match."),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let interpolate = settings.bool("interpolate");
    let pattern = |name: &'static str, text: &Text| {
        if interpolate {
            return Ok(Pattern::Template(settings.template_of(text)));
        }
        Regex::new(text).map(Pattern::Regex).map_err(|error| {
            BuildError::setting(name, format!("the regular expression `{text}` is wrong: {error}"))
        })
    };
    let names = |name: &'static str| {
        settings.strings(name).iter().map(|text| pattern(name, text)).collect::<Result<Vec<_>, _>>()
    };
    let values = |name: &'static str| {
        settings
            .hash(name)
            .iter()
            .map(|(field, value)| match value {
                SettingValue::Array(_) | SettingValue::Hash(_) => Err(BuildError::setting(
                    name,
                    format!("the field `{field}` takes one regular expression"),
                )),
                value => Ok((settings.template_of(field), pattern(name, &value.to_ruby_text())?)),
            })
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(Box::new(Prune {
        interpolate,
        whitelist_names: names("whitelist_names")?,
        blacklist_names: names("blacklist_names")?,
        whitelist_values: values("whitelist_values")?,
        blacklist_values: values("blacklist_values")?,
        scratch: Scratch::new(),
        style: settings.escape_style(),
    }))
}

#[derive(Debug)]
struct Prune {
    interpolate: bool,
    whitelist_names: Vec<Pattern>,
    blacklist_names: Vec<Pattern>,
    whitelist_values: Vec<(Template, Pattern)>,
    blacklist_values: Vec<(Template, Pattern)>,
    scratch: Scratch,
    style: EscapeStyle,
}

#[derive(Clone, Debug)]
enum Pattern {
    Regex(Regex),
    Template(Template),
}

impl Pattern {
    fn regex(&self, event: &Event) -> Result<Regex, Failed> {
        match self {
            Self::Regex(regex) => Ok(regex.clone()),
            Self::Template(template) => Ok(Regex::new(&template.render(event)?)?),
        }
    }
}

impl Filter for Prune {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        // Logstash ends its pipeline when a pattern from the event is wrong; the event passes here.
        if self.apply(event).is_ok() {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            interpolate: self.interpolate,
            whitelist_names: self.whitelist_names.clone(),
            blacklist_names: self.blacklist_names.clone(),
            whitelist_values: self.whitelist_values.clone(),
            blacklist_values: self.blacklist_values.clone(),
            scratch: Scratch::new(),
            style: self.style,
        })
    }
}

impl Prune {
    fn apply(&mut self, event: &mut Event) -> Result<(), Failed> {
        // All is decided on the event as it came.
        let mut gone: Vec<Text> = Vec::new();
        let mut kept: Vec<(Text, Vec<Value>)> = Vec::new();
        for (patterns, remove) in [(&self.whitelist_names, false), (&self.blacklist_names, true)] {
            if patterns.is_empty() {
                continue;
            }
            let regexes =
                patterns.iter().map(|pattern| pattern.regex(event)).collect::<Result<Vec<_>, _>>()?;
            for name in event.fields().keys() {
                let mut matches = false;
                for regex in &regexes {
                    matches |= regex.is_match(name, &mut self.scratch)?;
                }
                if matches == remove {
                    gone.push(name.clone());
                }
            }
        }
        for (values, remove) in [(&self.whitelist_values, false), (&self.blacklist_values, true)] {
            for (name, pattern) in values {
                let name = if self.interpolate { name.render(event)? } else { name.source().clone() };
                let regex = pattern.regex(event)?;
                let scratch = &mut self.scratch;
                let mut goes = |value: &Value| -> Result<bool, Failed> {
                    match value {
                        Value::Text(text) => Ok(regex.is_match(text, scratch)? == remove),
                        // Ruby: nil matches nothing, numbers and others cannot be asked.
                        Value::Null => Ok(!remove),
                        other => Ok(regex.is_match(&ruby::to_s(other), scratch)? == remove),
                    }
                };
                match event.fields().get(&name) {
                    None | Some(Value::Null | Value::Bool(false)) => {}
                    Some(Value::List(items)) => {
                        let mut stay = Vec::new();
                        for item in items {
                            if !goes(item)? {
                                stay.push(item.clone());
                            }
                        }
                        if stay.is_empty() && !items.is_empty() {
                            gone.push(name);
                        } else if stay.len() < items.len() {
                            kept.push((name, stay));
                        }
                    }
                    Some(value) => {
                        if goes(value)? {
                            gone.push(name);
                        }
                    }
                }
            }
        }
        for (name, items) in kept {
            event.set(&reference(&name, self.style)?, items)?;
        }
        for name in gone {
            // The name is taken for a reference, so one with brackets means something else.
            event.remove(&reference(&name, self.style)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    const EVENT: &str = r#"{"message":"m","alpha":"a1","beta":["b1","b2","x"],"%{odd}":1}"#;

    fn prune(settings: &str) -> String {
        filtered_json(&PRUNE, settings, EVENT)
    }

    #[test]
    fn names_decide() {
        assert_eq!(prune("{}"), r#"{"message":"m","alpha":"a1","beta":["b1","b2","x"]}"#);
        assert_eq!(prune(r#"{"whitelist_names":["^a","mess"]}"#), r#"{"message":"m","alpha":"a1"}"#);
        assert_eq!(prune(r#"{"blacklist_names":["a$"]}"#), r#"{"message":"m","%{odd}":1}"#);
        assert_eq!(prune(r#"{"whitelist_names":["^%{message}"],"interpolate":true}"#), r#"{"message":"m"}"#);
    }

    #[test]
    fn values_decide() {
        assert_eq!(
            prune(r#"{"whitelist_values":{"beta":"b","alpha":"z"}}"#),
            r#"{"message":"m","beta":["b1","b2"]}"#
        );
        assert_eq!(
            prune(r#"{"blacklist_values":{"beta":".","nope":"."}}"#),
            r#"{"message":"m","alpha":"a1"}"#
        );
        assert!(build(&PRUNE, r#"{"blacklist_values":{"beta":["b1"]}}"#).is_err());
        assert!(build(&PRUNE, r#"{"blacklist_names":["("]}"#).is_err());
    }
}
