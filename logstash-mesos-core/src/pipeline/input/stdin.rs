//! `stdin`: standard input.

use std::io::Read;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::common::{InputOptions, SharedField, unacknowledged};
use crate::event::{Blob, Event, Value};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, Input, InputContext, InputError, MakeInput, PluginSpec,
};

pub(crate) static STDIN: PluginSpec = PluginSpec {
    name: "stdin",
    doc: "Reads standard input, by lines unless the codec says otherwise.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How bytes become events.").default(Preset::String("line"))
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let codec = cx.stream_codec(settings, "codec")?;
    Ok(Box::new(Stdin {
        codec,
        options: InputOptions::new(settings),
        host: cx.ecs.select(
            SharedField::new(&["host"], Value::Text(super::common::host_name())),
            SharedField::new(&["host", "hostname"], Value::Text(super::common::host_name())),
        ),
    }))
}

struct Stdin {
    codec: Box<dyn Codec>,
    options: InputOptions,
    host: SharedField,
}

const BLOCK: usize = 64 << 10;

#[async_trait]
impl Input for Stdin {
    async fn run(mut self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (blocks, mut received) = mpsc::channel::<Vec<u8>>(4);
        // Reading cannot be interrupted; at the end the thread is left behind.
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                let mut input = std::io::stdin().lock();
                loop {
                    let mut block = vec![0; BLOCK];
                    match input.read(&mut block) {
                        Ok(0) | Err(_) => return,
                        Ok(len) => block.truncate(len),
                    }
                    if blocks.blocking_send(block).is_err() {
                        return;
                    }
                }
            })
            .map_err(InputError::machine("no thread to read standard input"))?;
        let Self { codec, options, host } = &mut *self;
        let finish = |event: &mut Event| {
            options.apply(event);
            host.apply(event);
        };
        loop {
            let block = tokio::select! {
                block = received.recv() => block,
                () = cx.shutdown.cancelled() => None,
            };
            let (mut events, mut bytes) = (Vec::new(), 0);
            let mut emit = |mut event: Event| {
                finish(&mut event);
                events.push(event);
            };
            let Some(block) = block else {
                codec.flush(cx.clock, &mut emit);
                cx.events.send(unacknowledged(events, bytes)).await;
                return Ok(());
            };
            bytes += block.len();
            codec.decode(Blob::from(block), cx.clock, &mut emit);
            if !events.is_empty() && !cx.events.send(unacknowledged(events, bytes)).await {
                return Ok(());
            }
        }
    }
}
