//! `generator`: makes events out of nothing.

use std::io::{BufRead, Read};

use async_trait::async_trait;

use super::common::{InputOptions, SharedField, host_field, unacknowledged};
use crate::event::{Blob, Event, FieldReference, Text, Value};
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, Input, InputContext, InputError, MakeInput, PluginSpec,
};

pub(crate) static GENERATOR: PluginSpec = PluginSpec {
    name: "generator",
    doc: "Makes the same events again and again, for trying things out.",
    settings: &[
        Setting::new("message", Kind::String, "The text of every event; `stdin` takes one line from there.")
            .default(Default::String("Hello world!")),
        Setting::new("lines", Kind::Array, "Several texts, one after the other, in place of `message`."),
        Setting::new("count", Kind::Number, "How often to go through them; 0 never ends.")
            .default(Default::Int(0)),
        Setting::new("threads", Kind::Number, "How many generators run.").default(Default::Int(1)),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let lines = settings.strings("lines");
    Ok(Box::new(Generator {
        lines: if lines.is_empty() { vec![settings.text("message").unwrap_or_default()] } else { lines },
        reads_stdin: !settings.is_given("lines")
            && settings.text("message").is_some_and(|text| text == "stdin"),
        count: u64::try_from(settings.int("count").unwrap_or(0)).unwrap_or(0),
        longest: cx.lines.max_bytes(),
        threads: settings.int("threads").unwrap_or(1).clamp(1, 64),
        maker: Maker {
            codec: cx.codec(settings, "codec")?,
            options: InputOptions::new(settings),
            host: host_field(cx),
            sequence: cx.ecs.select(FieldReference::field("sequence"), sequence_ecs()),
        },
    }))
}

fn sequence_ecs() -> FieldReference {
    FieldReference::parse("[event][sequence]").unwrap_or_else(|_| FieldReference::field("sequence"))
}

struct Generator {
    lines: Vec<Text>,
    reads_stdin: bool,
    count: u64,
    // Of a line from standard input.
    longest: usize,
    threads: i64,
    maker: Maker,
}

struct Maker {
    codec: Box<dyn Codec>,
    options: InputOptions,
    host: SharedField,
    sequence: FieldReference,
}

/// How many events go into a batch.
const AT_ONCE: usize = 500;

#[async_trait]
impl Input for Generator {
    async fn run(mut self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        if self.reads_stdin {
            let longest = self.longest as u64;
            let read = tokio::task::spawn_blocking(move || {
                let mut line = String::new();
                std::io::stdin().lock().take(longest).read_line(&mut line).map(|_| line)
            });
            let line =
                read.await.map_err(InputError::other)?.map_err(InputError::machine("standard input"))?;
            self.lines = vec![Text::from(line)];
        }
        let mut threads = tokio::task::JoinSet::new();
        let cx = std::sync::Arc::new(cx);
        for _ in 0..self.threads {
            let maker = self.maker.fork();
            let (cx, lines, count) = (std::sync::Arc::clone(&cx), self.lines.clone(), self.count);
            threads.spawn(async move { generate(maker, &lines, count, &cx).await });
        }
        while threads.join_next().await.is_some() {}
        Ok(())
    }
}

async fn generate(mut maker: Maker, lines: &[Text], count: u64, cx: &InputContext) {
    let (mut events, mut bytes) = (Vec::with_capacity(AT_ONCE), 0);
    let mut number = 0_u64;
    while (count == 0 || number < count) && !cx.shutdown.is_cancelled() {
        for line in lines {
            bytes += line.len();
            maker.make(line, Some(number), cx, &mut events);
            if events.len() >= AT_ONCE {
                let full = std::mem::replace(&mut events, Vec::with_capacity(AT_ONCE));
                if !cx.events.send(unacknowledged(full, std::mem::take(&mut bytes))).await {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        number += 1;
    }
    let Maker { codec, options, host, .. } = &mut maker;
    codec.flush(cx.clock, &mut |mut event| {
        options.apply(&mut event);
        host.apply(&mut event);
        events.push(event);
    });
    cx.events.send(unacknowledged(events, bytes)).await;
}

impl Maker {
    fn fork(&self) -> Self {
        Self {
            codec: self.codec.fork(),
            options: self.options.clone(),
            host: self.host.clone(),
            sequence: self.sequence.clone(),
        }
    }

    fn make(&mut self, line: &Text, number: Option<u64>, cx: &InputContext, events: &mut Vec<Event>) {
        let Self { codec, options, host, sequence } = self;
        codec.decode(Blob::from(line.as_bytes()), cx.clock, &mut |mut event| {
            options.apply(&mut event);
            host.apply(&mut event);
            if let Some(number) = number {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                let _kept = event.set(sequence, Value::Int(number));
            }
            events.push(event);
        });
    }
}
