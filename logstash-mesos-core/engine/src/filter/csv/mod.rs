//! `csv`: columns of a line.

mod convert;

use std::sync::{Arc, OnceLock};

use convert::Converter;

use crate::compat::ruby::csv;
use crate::event::{EscapeStyle, Event, FieldReference, Text, Value};
use crate::plugin::field::{Failed, Field, reference};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, ParsedLimit, PluginSpec};

pub(crate) static CSV: PluginSpec = PluginSpec {
    name: "csv",
    doc: "Takes a line of comma-separated values apart.",
    settings: &[
        Setting::new("source", Kind::String, "The field with the line.").default(Default::String("message")),
        Setting::new("columns", Kind::Array, "The names of the columns.").default(Default::Strings(&[])),
        Setting::new("separator", Kind::String, "What stands between values.").default(Default::String(",")),
        Setting::new("quote_char", Kind::String, "What stands around values.").default(Default::String("\"")),
        Setting::new(
            "target",
            Kind::FieldReference,
            "Where the columns go; to the top of the event otherwise.",
        ),
        Setting::new(
            "autogenerate_column_names",
            Kind::Boolean,
            "Names columns without name `column1` and so on.",
        )
        .default(Default::Bool(true)),
        Setting::new("skip_header", Kind::Boolean, "Drops lines that are the column names.")
            .default(Default::Bool(false)),
        Setting::new("skip_empty_columns", Kind::Boolean, "Makes no field of an empty value.")
            .default(Default::Bool(false)),
        Setting::new("skip_empty_rows", Kind::Boolean, "Tags empty lines as skipped.")
            .default(Default::Bool(false)),
        Setting::new("convert", Kind::Hash, "Columns and their types."),
        Setting::new("autodetect_column_names", Kind::Boolean, "Takes the names from the first line.")
            .default(Default::Bool(false)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let convert = settings
        .hash("convert")
        .iter()
        .map(|(column, kind)| {
            let kind = kind.to_ruby_text();
            let converter = Converter::named(&kind).ok_or_else(|| {
                BuildError::setting("convert", format!("csv cannot convert to `{kind}`"))
                    .remedy("use integer, float, date, date_time or boolean")
            })?;
            Ok((column.clone(), converter))
        })
        .collect::<Result<_, BuildError>>()?;
    let quote = settings.text("quote_char").unwrap_or_default();
    let target = settings.text("target").map_or_else(String::new, |target| {
        if target.starts_with('[') { target.to_string() } else { format!("[{target}]") }
    });
    let columns: Vec<_> = settings.strings("columns").into_iter().map(Some).collect();
    let naming = Naming { target, convert, style: settings.escape_style() };
    let detected = Arc::new(OnceLock::new());
    if !columns.is_empty() {
        detected.get_or_init(|| Columns::new(columns, &naming));
    }
    Ok(Box::new(Csv {
        source: settings.field_of(&settings.text("source").unwrap_or_default()),
        columns: detected,
        naming,
        generated: Vec::new(),
        separator: settings.text("separator").unwrap_or_default(),
        quote: if quote == "\\x00" { Text::from_static("\0") } else { quote },
        autogenerate: settings.bool("autogenerate_column_names"),
        autodetect: settings.bool("autodetect_column_names"),
        skip_header: settings.bool("skip_header"),
        skip_empty_columns: settings.bool("skip_empty_columns"),
        skip_empty_rows: settings.bool("skip_empty_rows"),
        parsed: Arc::clone(&cx.parsed),
    }))
}

/// The values of the first row of `text`, for the codec of the same name: `Ok(None)` for an empty text,
/// `Err` for one that is malformed.
pub(crate) fn values(text: &Text, separator: &str, quote: &str) -> Result<Option<Vec<Option<Text>>>, ()> {
    csv::first(text, separator, quote).map_err(|_| ())
}

/// Whether `convert` knows the type `kind`.
pub(crate) fn is_type(kind: &str) -> bool {
    Converter::named(kind).is_some()
}

/// `value` as the type `kind`; nothing where that fails.
pub(crate) fn converted(kind: &str, value: Option<Text>) -> Option<Value> {
    Converter::named(kind)?.convert(value).ok()
}

#[derive(Clone, Debug)]
struct Csv {
    source: Field,
    /// As configured, or from the first line; common to all workers.
    columns: Arc<OnceLock<Columns>>,
    naming: Naming,
    /// `column1` and so on, as far as they were needed.
    generated: Vec<Column>,
    separator: Text,
    quote: Text,
    autogenerate: bool,
    autodetect: bool,
    skip_header: bool,
    skip_empty_columns: bool,
    skip_empty_rows: bool,
    parsed: Arc<ParsedLimit>,
}

/// What a value takes: in the row, in the event, in the index of that, and of a name that is made for it.
pub(crate) const FIELD_BYTES: usize = 384;

#[derive(Clone, Debug)]
struct Naming {
    target: String,
    convert: Vec<(Text, Converter)>,
    style: EscapeStyle,
}

#[derive(Debug)]
struct Columns {
    names: Vec<Option<Text>>,
    columns: Vec<Option<Column>>,
}

#[derive(Clone, Debug)]
struct Column {
    field: Result<FieldReference, Failed>,
    converter: Option<Converter>,
}

impl Columns {
    fn new(names: Vec<Option<Text>>, naming: &Naming) -> Self {
        let columns = names.iter().map(|name| name.as_ref().map(|name| naming.column(name))).collect();
        Self { names, columns }
    }
}

impl Naming {
    fn column(&self, name: &str) -> Column {
        let field = if name.starts_with('[') {
            format!("{}{name}", self.target)
        } else {
            format!("{}[{name}]", self.target)
        };
        Column {
            field: reference(&field, self.style).map_err(Failed::from),
            converter: self
                .convert
                .iter()
                .find(|(column, _)| column == name)
                .map(|(_, converter)| *converter),
        }
    }
}

impl Filter for Csv {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event, cx).is_err() {
            event.tag("_csvparsefailure");
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Csv {
    fn apply(&mut self, event: &mut Event, cx: &FilterContext<'_>) -> Result<(), Failed> {
        let line = match event.get(self.source.get()?) {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(()),
            Some(Value::Text(line)) => line.clone(),
            Some(_) => return Err(Failed),
        };
        if !self.parsed.allows(&line, &self.separator, FIELD_BYTES) {
            return Err(Failed);
        }
        let values = csv::first(&line, &self.separator, &self.quote)?;
        if self.autodetect && self.columns.get().is_none() {
            if let Some(values) = values {
                self.columns.get_or_init(|| Columns::new(values, &self.naming));
            }
            event.cancel();
            return Ok(());
        }
        if self.skip_header
            && let (Some(columns), Some(values)) = (self.columns.get(), &values)
            && columns.names == *values
        {
            event.cancel();
            return Ok(());
        }
        let Some(values) = values else {
            if self.skip_empty_rows {
                event.tag("_csvskippedemptyfield");
                return Ok(());
            }
            return Err(Failed);
        };
        while self.autogenerate && self.generated.len() < values.len() {
            self.generated.push(self.naming.column(&format!("column{}", self.generated.len() + 1)));
        }
        for (at, value) in values.into_iter().enumerate() {
            if self.skip_empty_columns && value.as_ref().is_none_or(|value| value.is_empty()) {
                continue;
            }
            let named = self.columns.get().and_then(|columns| columns.columns.get(at)?.as_ref());
            let Some(column) = named.or_else(|| self.generated.get(at)) else { continue };
            let value = match column.converter {
                Some(converter) => converter.convert(value)?,
                None => value.map_or(Value::Null, Value::Text),
            };
            event.set(column.field.as_ref().map_err(|_| Failed)?, value)?;
        }
        if cx.matched(event) { Ok(()) } else { Err(Failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, fields, filtered_json, json_event, run};

    fn csv(settings: &str, line: &str) -> String {
        let event = format!(r#"{{"message":{}}}"#, serde_json::to_string(line).unwrap());
        let got = filtered_json(&CSV, settings, &event);
        let rest = got.strip_prefix(&event[..event.len() - 1]).unwrap_or(&got);
        rest.trim_start_matches(',').strip_suffix('}').unwrap_or(rest).to_owned()
    }

    #[test]
    fn columns_become_fields() {
        assert_eq!(
            csv("{}", "a,\"b,c\",,\"\""),
            r#""column1":"a","column2":"b,c","column3":null,"column4":"""#
        );
        assert_eq!(
            csv(r#"{"columns":["x","[n][y]"],"target":"t"}"#, "1,2,3"),
            r#""t":{"x":"1","n":{"y":"2"},"column3":"3"}"#
        );
        assert_eq!(csv(r#"{"columns":["x"],"autogenerate_column_names":false}"#, "1,2"), r#""x":"1""#);
        assert_eq!(
            csv(r#"{"separator":";","quote_char":"'"}"#, "'a;b';\"c\""),
            r#""column1":"a;b","column2":"\"c\"""#
        );
        assert_eq!(csv(r#"{"skip_empty_columns":true}"#, "a,,\"\""), r#""column1":"a""#);
    }

    #[test]
    fn malformed_lines_are_tagged() {
        for line in ["", "a\"b", "\"open", "\"a\" ,b", "x,\"y\"z"] {
            assert_eq!(csv("{}", line), r#""tags":["_csvparsefailure"]"#, "{line}");
        }
        assert_eq!(csv(r#"{"skip_empty_rows":true}"#, ""), r#""tags":["_csvskippedemptyfield"]"#);
    }

    #[test]
    fn names_come_from_the_first_line() {
        let mut filter = build(&CSV, r#"{"autodetect_column_names":true,"skip_header":true}"#).unwrap();
        let mut results = Vec::new();
        for line in ["h1,h2", "1,2", "h1,h2"] {
            let mut event = json_event(&format!(r#"{{"message":"{line}"}}"#));
            let mut worker = filter.fork();
            std::mem::swap(&mut filter, &mut worker);
            results.push(if run(&mut *filter, &mut event).0 { "dropped".to_owned() } else { fields(&event) });
        }
        assert_eq!(results, ["dropped", r#"{"message":"1,2","h1":"1","h2":"2"}"#, "dropped"]);
    }

    #[test]
    fn values_are_converted() {
        let convert = |kind: &str, value: &str| {
            csv(&format!(r#"{{"columns":["v"],"convert":{{"v":"{kind}"}}}}"#), value)
        };
        assert_eq!(convert("integer", " 12 "), r#""v":12"#);
        assert_eq!(convert("integer", "0x1f"), r#""v":31"#);
        assert_eq!(convert("integer", "1.5"), r#""v":"1.5""#);
        assert_eq!(convert("integer", "1_2_x"), r#""v":12"#);
        assert_eq!(convert("integer", "1_"), r#""v":"1_""#);
        assert_eq!(convert("integer", "0_7"), r#""v":7"#);
        assert_eq!(convert("float", "1e3"), r#""v":1000.0"#);
        assert_eq!(convert("float", "-0x1f"), r#""v":-31.0"#);
        assert_eq!(convert("boolean", " TRUE"), r#""v":true"#);
        assert_eq!(convert("boolean", "yes"), r#""v":"yes""#);
        assert_eq!(convert("date_time", "2024-03-05T06:07:08+01:00"), r#""v":"2024-03-05T05:07:08.000Z""#);
        assert_eq!(convert("date", "nope"), r#""v":"nope""#);
        assert_eq!(convert("date", "2024-02-30"), r#""v":"2024-02-30""#);
        assert!(build(&CSV, r#"{"convert":{"v":"int"}}"#).is_err());
    }
}
