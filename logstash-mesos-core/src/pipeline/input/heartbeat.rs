//! `heartbeat`: an event every so many seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::common::{InputOptions, SharedField, host_field, unacknowledged};
use crate::event::{Event, FieldReference, Text, Value};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, EcsCompatibility, Input, InputContext, InputError, MakeInput, PluginSpec,
};

pub(crate) static HEARTBEAT: PluginSpec = PluginSpec {
    name: "heartbeat",
    doc: "Makes an event at intervals, to see that the way is open.",
    settings: &[
        Setting::new(
            "message",
            Kind::String,
            "The text. By the old names, `epoch` and `sequence` mean what they mean for `sequence`.",
        )
        .default(Preset::String("ok")),
        Setting::new(
            "sequence",
            Kind::OneOf(&["none", "epoch", "sequence"]),
            "Which number every event gets: seconds since 1970, or a count from 1.",
        ),
        Setting::new("interval", Kind::Number, "Seconds between events.").default(Preset::Int(60)),
        Setting::new("count", Kind::Number, "How many events to make; -1 never ends.")
            .default(Preset::Int(-1)),
        Setting::new("threads", Kind::Number, "How many hearts beat.").default(Preset::Int(1)),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let mut message = settings.text("message");
    let mut number = settings.text("sequence");
    let is_magic = message.as_deref().is_some_and(|text| matches!(text, "epoch" | "sequence"));
    if is_magic && number.is_none() && cx.ecs == EcsCompatibility::Disabled {
        (number, message) = (message, None);
    }
    let field = FieldReference::parse(cx.ecs.select("clock", "[event][sequence]"))
        .map_err(|error| BuildError::plugin(error.to_string()))?;
    Ok(Box::new(Heartbeat {
        message,
        number: match number.as_deref() {
            Some("epoch") => Number::Epoch,
            Some("sequence") => Number::Sequence,
            _ => Number::None,
        },
        field,
        interval: Duration::from_secs_f64(settings.float("interval").unwrap_or(60.0).clamp(0.001, 1e9)),
        count: u64::try_from(settings.int("count").unwrap_or(-1)).ok().filter(|count| *count > 0),
        threads: settings.int("threads").unwrap_or(1).clamp(1, 64),
        options: InputOptions::new(settings),
        host: host_field(cx),
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    None,
    Epoch,
    Sequence,
}

#[derive(Debug)]
struct Heartbeat {
    message: Option<Text>,
    number: Number,
    field: FieldReference,
    interval: Duration,
    count: Option<u64>,
    threads: i64,
    options: InputOptions,
    host: SharedField,
}

#[async_trait]
impl Input for Heartbeat {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (heart, cx) = (Arc::new(*self), Arc::new(cx));
        let mut hearts = tokio::task::JoinSet::new();
        for _ in 0..heart.threads {
            let (heart, cx) = (Arc::clone(&heart), Arc::clone(&cx));
            hearts.spawn(async move { heart.beat(&cx).await });
        }
        while hearts.join_next().await.is_some() {}
        Ok(())
    }
}

impl Heartbeat {
    async fn beat(&self, cx: &InputContext) {
        let mut beat = tokio::time::interval(self.interval);
        let mut sequence = 0;
        while self.count.is_none_or(|count| sequence < count) {
            tokio::select! {
                _ = beat.tick() => {}
                () = cx.shutdown.cancelled() => return,
            }
            sequence += 1;
            if !cx.events.send(unacknowledged(vec![self.event(sequence, cx)], 0)).await {
                return;
            }
        }
    }

    fn event(&self, sequence: u64, cx: &InputContext) -> Event {
        let now = cx.clock.now();
        let mut event = Event::new(now);
        let number = match self.number {
            Number::None => None,
            Number::Epoch => Some(now.secs()),
            Number::Sequence => Some(i64::try_from(sequence).unwrap_or(i64::MAX)),
        };
        if let Some(number) = number {
            let _new_event = event.set(&self.field, Value::Int(number));
        }
        if let Some(message) = &self.message {
            event.fields_mut().insert("message", Value::Text(message.clone()));
        }
        self.host.apply(&mut event);
        self.options.apply(&mut event);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Running;
    use super::*;

    #[tokio::test]
    async fn numbers_and_texts_are_those_of_logstash() {
        // spec/inputs/heartbeat_spec.rb, and generate_message of the plugin.
        let cases = [
            (r#"{"count":1}"#, EcsCompatibility::V8, "ok", "", ""),
            (r#"{"count":1,"sequence":"sequence"}"#, EcsCompatibility::V8, "ok", "1", ""),
            (r#"{"count":1,"sequence":"epoch","message":"m"}"#, EcsCompatibility::V8, "m", "1709618828", ""),
            (r#"{"count":1,"message":"epoch"}"#, EcsCompatibility::V8, "epoch", "", ""),
            (r#"{"count":1,"message":"epoch"}"#, EcsCompatibility::Disabled, "", "", "1709618828"),
            (r#"{"count":1,"message":"sequence"}"#, EcsCompatibility::Disabled, "", "", "1"),
            (
                r#"{"count":1,"sequence":"none","message":"epoch"}"#,
                EcsCompatibility::Disabled,
                "epoch",
                "",
                "",
            ),
        ];
        for (settings, ecs, message, ecs_number, clock) in cases {
            let mut input = Running::start(&HEARTBEAT, settings, ecs);
            let event = input.next().await;
            let found = (event.text("message"), event.json("[event][sequence]"), event.json("clock"));
            assert_eq!(found, (message.into(), ecs_number.into(), clock.into()), "{settings}");
            let host = ecs.select("host", "[host][name]");
            assert!(!event.text(host).is_empty());
            assert!(input.try_next().await.is_none());
            input.stop().await;
        }
        let two = r#"{"count":2,"threads":2,"interval":0.01,"sequence":"sequence"}"#;
        let mut input = Running::start(&HEARTBEAT, two, EcsCompatibility::V8);
        let mut numbers = Vec::new();
        for _ in 0..4 {
            numbers.push(input.next().await.json("[event][sequence]"));
        }
        numbers.sort();
        assert_eq!(numbers, ["1", "1", "2", "2"]);
        input.stop().await;
    }
}
