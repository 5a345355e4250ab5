//! `bytes`: sizes such as `1.5 MB` as numbers.

use logstash_mesos_regex::{Captures, Regex, Scratch};

use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static BYTES: PluginSpec = PluginSpec {
    name: "bytes",
    doc: "Reads sizes of storage and computes the number of bytes.",
    settings: &[
        Setting::new("source", Kind::String, "The field with the size.").default(Default::String("message")),
        Setting::new("target", Kind::String, "The field for the number."),
        Setting::new("conversion_method", Kind::OneOf(&["binary", "metric"]), "Whether k is 1024 or 1000.")
            .default(Default::String("binary")),
        Setting::new("decimal_separator", Kind::OneOf(&[".", ","]), "What stands before decimals.")
            .default(Default::String(".")),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event without a size.")
            .default(Default::Strings(&["_bytesparsefailure"])),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let Some(target) = settings.text("target") else {
        return Err(
            BuildError::setting("target", "`bytes` needs a field for its result").remedy("set `target`")
        );
    };
    let pattern = Regex::new(r"^([0-9 _,.]*)\s*([kKmMgGtTpPeE]?)([bB]?)$")
        .map_err(|error| BuildError::plugin(error.to_string()))?;
    Ok(Box::new(Bytes {
        source: settings.field_of(&settings.text("source").unwrap_or_default()),
        target: settings.field_of(&target),
        base: if settings.text("conversion_method").is_some_and(|method| method == "metric") {
            1000.0
        } else {
            1024.0
        },
        point: settings.text("decimal_separator").and_then(|point| point.chars().next()).unwrap_or('.'),
        tags: settings.strings("tag_on_failure"),
        pattern,
    }))
}

#[derive(Clone, Debug)]
struct Bytes {
    source: Field,
    target: Field,
    base: f64,
    point: char,
    tags: Vec<Text>,
    pattern: Regex,
}

impl Filter for Bytes {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).is_err() {
            tag_all(event, &self.tags);
        } else {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Bytes {
    fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        let Some(Value::Text(text)) = event.get(self.source.get()?) else { return Err(Failed) };
        let text = ruby::strip(text);
        let mut captures = Captures::new();
        if !self.pattern.captures(&text, 0, &mut Scratch::new(), &mut captures)? {
            return Err(Failed);
        }
        let group = |number| captures.get(number).map_or("", |range| &text[range]);
        if group(1).matches(self.point).count() > 1 {
            return Err(Failed);
        }
        let number: String = group(1)
            .chars()
            .filter(|char| char.is_ascii_digit() || *char == self.point)
            .map(|char| if char == self.point { '.' } else { char })
            .collect();
        if number.is_empty() {
            return Err(Failed);
        }
        let power = match group(2).to_ascii_lowercase().as_str() {
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            "e" => 6,
            _ => 0,
        };
        let size =
            bigdecimal::BigDecimal::try_from((ruby::string_to_f(&number) * self.base.powi(power)).round())?;
        let size = super::dissect::whole(&size).ok_or(Failed)?;
        Ok(event.set(self.target.get()?, ruby::integer(size))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    #[test]
    fn sizes_become_numbers() {
        let bytes = |settings: &str, text: &str| {
            let got = filtered_json(&BYTES, settings, &format!(r#"{{"message":"{text}"}}"#));
            got.split_once("\",\"").map(|(_, rest)| rest.to_owned()).unwrap_or(got)
        };
        for (text, number) in [
            ("32", "32"),
            (" 1 kB ", "1024"),
            ("1.5m", "1572864"),
            ("1,000", "1000"),
            ("1 000.5", "1001"),
            (".5k", "512"),
            ("16e", "18446744073709551616"),
        ] {
            assert_eq!(bytes(r#"{"target":"b"}"#, text), format!("b\":{number}}}"), "{text}");
        }
        assert_eq!(
            bytes(r#"{"target":"b","conversion_method":"metric","decimal_separator":","}"#, "1,5k"),
            "b\":1500}"
        );
        for text in ["", "x", "1.2.3", "kb", "1 zb"] {
            assert_eq!(bytes(r#"{"target":"b"}"#, text), "tags\":[\"_bytesparsefailure\"]}", "{text}");
        }
        assert!(build(&BYTES, "{}").is_err());
    }
}
