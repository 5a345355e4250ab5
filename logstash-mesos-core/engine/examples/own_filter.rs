//! A filter of one's own in a Logstash configuration.
//!
//! `cargo run -p logstash-mesos-engine --example own_filter`

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{Event, FieldReference, Text, Timestamp, Value};
use logstash_mesos_engine::plugin::settings::{Default, Kind, Setting, Settings};
use logstash_mesos_engine::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use logstash_mesos_engine::registry::catalog;

/// The declaration: its settings are checked, converted and documented from here.
static REDACT: PluginSpec = PluginSpec {
    name: "redact",
    doc: "Writes stars over a field.",
    settings: &[
        Setting::new("field", Kind::FieldReference, "The field.").required(),
        Setting::new("keep", Kind::Number, "So many characters at its end stay readable.")
            .default(Default::Int(0)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let field = settings.field("field").ok_or_else(|| BuildError::setting("field", "it is empty"))?;
    let keep = usize::try_from(settings.int("keep").unwrap_or(0))
        .map_err(|_| BuildError::setting("keep", "it is negative").remedy("write 0 or more"))?;
    Ok(Box::new(Redact { field, keep }))
}

#[derive(Clone)]
struct Redact {
    field: FieldReference,
    keep: usize,
}

impl Filter for Redact {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let Some(text) = event.get_text(&self.field) else { return };
        let hidden = text.chars().count().saturating_sub(self.keep);
        let starred: String =
            text.chars().enumerate().map(|(at, c)| if at < hidden { '*' } else { c }).collect();
        // `add_tag` and its siblings apply only where the filter did its work.
        if event.set(&self.field, Value::from(starred)).is_ok() {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

/// Compiles a configuration that uses the filter, and sends one event through it.
pub(crate) fn redacted(card: &str) -> Result<String, Box<dyn std::error::Error>> {
    let compiled = compile(
        r#"filter { if [card] { redact { field => "card" keep => 4 add_tag => "redacted" } } }"#,
        &CompileOptions::new(catalog().with([&REDACT])),
    )?;
    let mut event = Event::new(Timestamp::now());
    let field = FieldReference::field("card");
    event.set(&field, Text::from(card))?;
    let results = compiled.filters.fork().run(vec![event]);
    Ok(results.iter().filter_map(|event| event.get_text(&field)).map(ToString::to_string).collect())
}

#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "an example speaks to its reader; the tests include this file"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", redacted("4111111111111111")?);
    Ok(())
}
