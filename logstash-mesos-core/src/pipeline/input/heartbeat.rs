//! `heartbeat`: an event every so many seconds.

use std::time::Duration;

use async_trait::async_trait;

use super::common::{InputOptions, SharedField, host_field, unacknowledged};
use crate::event::{Event, FieldReference, Text, Value};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Input, InputContext, PluginSpec};
use crate::pipeline::settings::{Default as Preset, Kind, Setting, Settings};

/// The declaration.
pub(crate) static HEARTBEAT: PluginSpec = PluginSpec {
    name: "heartbeat",
    doc: "Makes an event at intervals, to see that the way is open.",
    settings: &[
        Setting::new(
            "message",
            Kind::String,
            "The text; `epoch` and `sequence` stand for the time and a count.",
        )
        .default(Preset::String("ok")),
        Setting::new(
            "sequence",
            Kind::OneOf(&["none", "epoch", "sequence"]),
            "Which number every event gets.",
        ),
        Setting::new("interval", Kind::Number, "Seconds between events.").default(Preset::Int(60)),
        Setting::new("count", Kind::Number, "How many events to make; -1 never ends.")
            .default(Preset::Int(-1)),
        Setting::new("threads", Kind::Number, "Accepted; one is enough.").default(Preset::Int(1)),
    ],
    build: Build::Input(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let message = settings.text("message").unwrap_or_default();
    // The message used to say what `sequence` says now.
    let number = match settings.text("sequence").as_deref().unwrap_or(&message) {
        "epoch" => Number::Epoch,
        "sequence" => Number::Sequence,
        _ => Number::None,
    };
    let name = if number == Number::None { "message" } else { "clock" };
    Ok(Box::new(Heartbeat {
        message,
        number,
        field: cx.ecs.select(FieldReference::field(name), ecs_field(number)),
        interval: Duration::from_secs_f64(settings.float("interval").unwrap_or(60.0).clamp(0.001, 1e9)),
        count: u64::try_from(settings.int("count").unwrap_or(-1)).ok(),
        options: InputOptions::new(settings),
        host: host_field(cx),
    }))
}

fn ecs_field(number: Number) -> FieldReference {
    let name = match number {
        Number::None => "message",
        Number::Epoch => "[event][created]",
        Number::Sequence => "[event][sequence]",
    };
    FieldReference::parse(name).unwrap_or_else(|_| FieldReference::field("message"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    None,
    Epoch,
    Sequence,
}

#[derive(Debug)]
struct Heartbeat {
    message: Text,
    number: Number,
    field: FieldReference,
    interval: Duration,
    count: Option<u64>,
    options: InputOptions,
    host: SharedField,
}

#[async_trait]
impl Input for Heartbeat {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), String> {
        let mut beat = tokio::time::interval(self.interval);
        let mut sequence = 0;
        while self.count.is_none_or(|count| sequence < count) {
            tokio::select! {
                _ = beat.tick() => {}
                () = cx.shutdown.cancelled() => return Ok(()),
            }
            let event = self.event(sequence, &cx);
            if !cx.events.send(unacknowledged(vec![event], 0)).await {
                return Ok(());
            }
            sequence += 1;
        }
        Ok(())
    }
}

impl Heartbeat {
    fn event(&self, sequence: u64, cx: &InputContext) -> Event {
        let now = cx.clock.now();
        let mut event = Event::new(now);
        let value = match self.number {
            Number::None => Value::Text(self.message.clone()),
            Number::Epoch => Value::Int(now.secs()),
            Number::Sequence => Value::Int(i64::try_from(sequence).unwrap_or(i64::MAX)),
        };
        let _new_event = event.set(&self.field, value);
        self.host.apply(&mut event);
        self.options.apply(&mut event);
        event
    }
}
