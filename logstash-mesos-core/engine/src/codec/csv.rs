//! `csv`: lines of comma-separated values.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::json::TARGET;
use super::plain::CHARSET;
use crate::compat::ruby;
use crate::event::{Blob, Clock, EscapeStyle, Event, FieldReference, Map, Text, Value};
use crate::filter::csv;
use crate::plugin::charset::Charset;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, ParsedLimit, PluginSpec};

pub(crate) static CSV: PluginSpec = PluginSpec {
    name: "csv",
    doc: "Lines of comma-separated values.",
    settings: &[
        Setting::new("columns", Kind::Array, "The names of the columns; of an output, the fields to write.")
            .default(Default::Strings(&[])),
        Setting::new("separator", Kind::String, "What stands between values.").default(Default::String(",")),
        Setting::new("quote_char", Kind::String, "What stands around values.").default(Default::String("\"")),
        Setting::new("include_headers", Kind::Boolean, "Writes the names of the columns first, once.")
            .default(Default::Bool(false)),
        Setting::new("autodetect_column_names", Kind::Boolean, "Takes the names from the first line.")
            .default(Default::Bool(false)),
        Setting::new(
            "autogenerate_column_names",
            Kind::Boolean,
            "Names columns without name `column1` and so on.",
        )
        .default(Default::Bool(true)),
        Setting::new("skip_empty_columns", Kind::Boolean, "Makes no field of an empty value.")
            .default(Default::Bool(false)),
        Setting::new("convert", Kind::Hash, "Columns and their types."),
        CHARSET,
        TARGET,
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let mut convert = Vec::new();
    for (column, kind) in settings.hash("convert") {
        let kind = kind.to_text().unwrap_or_default();
        if !csv::is_type(&kind) {
            return Err(BuildError::setting("convert", format!("csv cannot convert to `{kind}`"))
                .remedy("use integer, float, date, date_time or boolean"));
        }
        convert.push((column.clone(), kind));
    }
    let original = FieldReference::parse("[event][original]").ok();
    let columns = settings.strings("columns");
    Ok(Box::new(Csv {
        shared: Arc::new(Shared {
            charset: Charset::from_settings(settings)?,
            separator: settings.text("separator").unwrap_or(Text::from_static(",")),
            quote: settings.text("quote_char").unwrap_or(Text::from_static("\"")),
            autodetects: settings.bool("autodetect_column_names"),
            autogenerates: settings.bool("autogenerate_column_names"),
            skips_empty: settings.bool("skip_empty_columns"),
            convert,
            target: settings.field("target"),
            original: cx.ecs.select(None, original),
            configured: columns.clone(),
            style: settings.escape_style(),
            parsed: Arc::clone(&cx.parsed),
            wants_header: AtomicBool::new(settings.bool("include_headers")),
        }),
        columns,
    }))
}

#[derive(Debug)]
struct Shared {
    charset: Charset,
    separator: Text,
    quote: Text,
    autodetects: bool,
    autogenerates: bool,
    skips_empty: bool,
    convert: Vec<(Text, Text)>,
    target: Option<FieldReference>,
    original: Option<FieldReference>,
    configured: Vec<Text>,
    style: EscapeStyle,
    parsed: Arc<ParsedLimit>,
    // Until one of the workers has written it.
    wants_header: AtomicBool,
}

#[derive(Debug)]
struct Csv {
    shared: Arc<Shared>,
    // As configured, or those of the first line of this stream.
    columns: Vec<Text>,
}

/// The line has not the form of CSV, or a value not that of its type.
struct Malformed;

impl Csv {
    fn event(&mut self, line: &Text, clock: Clock) -> Result<Option<Event>, Malformed> {
        let shared = Arc::clone(&self.shared);
        if !shared.parsed.allows(line, &shared.separator, csv::FIELD_BYTES) {
            return Err(Malformed);
        }
        let values = csv::values(line, &shared.separator, &shared.quote).map_err(|()| Malformed)?;
        let values = match values {
            Some(values) => values,
            // Nothing to take names from.
            None if shared.autodetects && self.columns.is_empty() => return Ok(None),
            None => return Err(Malformed),
        };
        if shared.autodetects && self.columns.is_empty() {
            self.columns = values.into_iter().map(Option::unwrap_or_default).collect();
            return Ok(None);
        }
        let mut map = Map::with_capacity(values.len() + 3);
        for (at, value) in values.into_iter().enumerate() {
            if shared.skips_empty && value.as_ref().is_none_or(|value| value.is_empty()) {
                continue;
            }
            let name = match self.columns.get(at) {
                Some(name) => name.clone(),
                None if shared.autogenerates => Text::from(format!("column{}", at + 1)),
                None => continue,
            };
            let value = match shared.convert.iter().find(|(column, _)| *column == name) {
                Some((_, kind)) => csv::converted(kind, value).ok_or(Malformed)?,
                None => value.map_or(Value::Null, Value::Text),
            };
            map.insert(name, value);
        }
        let mut event = match &shared.target {
            None => Event::from_map(map, clock).map_err(|_| Malformed)?,
            Some(target) => {
                let mut event = Event::new(clock.now());
                event.set(target, Value::from(map)).map_err(|_| Malformed)?;
                event
            }
        };
        if let Some(original) = &shared.original {
            let _kept_where_event_is_no_hash = event.set(original, line.clone());
        }
        Ok(Some(event))
    }

    fn write_row<'v>(&self, values: impl Iterator<Item = Option<&'v Value>>, out: &mut Vec<u8>) {
        for (at, value) in values.enumerate() {
            if at > 0 {
                out.extend_from_slice(self.shared.separator.as_bytes());
            }
            match value {
                None | Some(Value::Null) => {}
                Some(Value::Text(text)) => self.write_value(text, out),
                Some(Value::Timestamp(time)) => self.write_value(&time.to_string(), out),
                Some(other) => self.write_value(&ruby::to_s(other), out),
            }
        }
        out.push(b'\n');
    }

    fn write_value(&self, value: &str, out: &mut Vec<u8>) {
        let Shared { separator, quote, .. } = &*self.shared;
        let quoted = value.is_empty()
            || value.starts_with([' ', '\t', '\u{b}', '\u{c}'])
            || value.contains(['\r', '\n'])
            || value.contains(separator.as_str())
            || value.contains(quote.as_str());
        if quoted {
            let doubled = value.replace(quote.as_str(), &format!("{quote}{quote}"));
            out.extend_from_slice(format!("{quote}{doubled}{quote}").as_bytes());
        } else {
            out.extend_from_slice(value.as_bytes());
        }
    }
}

impl Codec for Csv {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let text = self.shared.charset.decode(data);
        match self.event(&text, clock) {
            Ok(event) => event.into_iter().for_each(emit),
            Err(Malformed) => {
                let mut event = Event::from_message(text, clock.now());
                event.tag("_csvparsefailure");
                emit(event);
            }
        }
    }

    fn is_stateless(&self) -> bool {
        !self.shared.autodetects
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let columns = &self.shared.configured;
        if self.shared.wants_header.swap(false, Ordering::Relaxed) {
            let names: Vec<Value> = if columns.is_empty() {
                event.fields().keys().cloned().map(Value::Text).collect()
            } else {
                columns.iter().cloned().map(Value::Text).collect()
            };
            self.write_row(names.iter().map(Some), out);
        }
        if columns.is_empty() {
            self.write_row(event.fields().iter().map(|(_, value)| Some(value)), out);
            return Ok(());
        }
        let fields = columns
            .iter()
            .map(|column| FieldReference::parse_with(column, self.shared.style))
            .collect::<Result<Vec<_>, _>>()?;
        self.write_row(fields.iter().map(|field| event.get(field)), out);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(Self { shared: Arc::clone(&self.shared), columns: self.shared.configured.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::EcsCompatibility;
    use crate::testing::codec::{codec, codec_with, decoded, refused};
    use crate::testing::json_event;

    #[test]
    fn columns_become_fields() {
        let events = |settings: &str, lines: &[&str]| decoded(&mut *codec(&CSV, settings), lines);
        assert_eq!(
            events("{}", &["a,\"b,c\",,"]),
            [r#"{"column1":"a","column2":"b,c","column3":null,"column4":null}"#]
        );
        assert_eq!(
            events(r#"{"columns":["x"],"target":"t"}"#, &["1,2"]),
            [r#"{"t":{"x":"1","column2":"2"}}"#]
        );
        assert_eq!(
            events(
                r#"{"columns":["x"],"autogenerate_column_names":false,"convert":{"x":"integer"}}"#,
                &["1,2"]
            ),
            [r#"{"x":1}"#]
        );
        assert_eq!(events(r#"{"autodetect_column_names":true}"#, &["h,i", "1,2"]), [r#"{"h":"1","i":"2"}"#]);
        assert_eq!(events(r#"{"skip_empty_columns":true}"#, &["1,,3"]), [r#"{"column1":"1","column3":"3"}"#]);
        assert_eq!(events("{}", &["a\"b"]), [r#"{"message":"a\"b","tags":["_csvparsefailure"]}"#]);
        assert!(refused(&CSV, r#"{"convert":{"x":"int"}}"#).contains("`int`"));
        let mut ecs = codec_with(&CSV, "{}", EcsCompatibility::V8);
        assert_eq!(decoded(&mut *ecs, &["a"]), [r#"{"column1":"a","event":{"original":"a"}}"#]);
    }

    #[test]
    fn events_become_lines() {
        let event = json_event(r#"{"a":"x,y","b":{"c":1},"d":"say \"hi\"","e":"","n":null}"#);
        let written = |settings: &str| {
            let mut out = Vec::new();
            let mut first = codec(&CSV, settings);
            first.encode(&event, &mut out).unwrap();
            first.fork().encode(&event, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let line = "\"x,y\",\"{\"\"c\"\" => 1}\",\"say \"\"hi\"\"\",\"\",\n";
        assert_eq!(written("{}"), line.repeat(2));
        assert_eq!(
            written(r#"{"columns":["[b][c]","zz"],"include_headers":true,"separator":";"}"#),
            "[b][c];zz\n1;\n1;\n"
        );
    }
}
