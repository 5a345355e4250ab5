//! `udp`: receives datagrams, each with an event or several.

use async_trait::async_trait;
use rustix::net::sockopt;
use tracing::warn;

use super::common::{EVENT_BYTES, InputOptions};
use super::datagrams::{Datagram, Datagrams, LONGEST};
use super::net::{self, MissingFields};
use crate::event::{Batch, Clock, Deferred, Event, Text, Value};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status, Transport};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, Input, InputContext, InputError, MakeInput, PluginSpec,
};

pub(crate) static UDP: PluginSpec = PluginSpec {
    name: "udp",
    doc: "Takes events from UDP datagrams.",
    settings: &[
        Setting::new("host", Kind::String, "The address to listen on.").default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port.").required().listens(Transport::Udp),
        Setting::new("buffer_size", Kind::Number, "The longest datagram in bytes; the rest is cut off.")
            .default(Preset::Int(65_536)),
        Setting::new(
            "receive_buffer_bytes",
            Kind::Number,
            "The size of the socket's buffer; the system has a limit (`net.core.rmem_max`).",
        ),
        Setting::new("workers", Kind::Number, "Threads that decode.")
            .default(Preset::Int(2))
            .status(Status::Ignored("datagrams are taken in batches by one task")),
        Setting::new("queue_size", Kind::Number, "How many datagrams wait to be decoded.")
            .default(Preset::Int(2000))
            .status(Status::Ignored("the queue of the pipeline is bounded in bytes")),
        Setting::new("source_ip_fieldname", Kind::String, "The field for the address of the sender."),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let field = settings
        .text("source_ip_fieldname")
        .unwrap_or(Text::from_static(cx.ecs.select("host", "[host][ip]")));
    Ok(Box::new(Udp {
        host: settings.text("host").unwrap_or(Text::from_static("0.0.0.0")),
        port: net::port(settings)?,
        longest: settings
            .int("buffer_size")
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(LONGEST)
            .clamp(1, LONGEST),
        buffer_bytes: settings.int("receive_buffer_bytes").and_then(|n| usize::try_from(n).ok()),
        field,
        codec: cx.codec(settings, "codec")?,
        options: InputOptions::new(settings),
    }))
}

struct Udp {
    host: Text,
    port: u16,
    longest: usize,
    buffer_bytes: Option<usize>,
    field: Text,
    codec: Box<dyn Codec>,
    options: InputOptions,
}

#[async_trait]
impl Input for Udp {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let Self { host, port, longest, buffer_bytes, .. } = &*self;
        let Some(datagrams) = Datagrams::listen(host, *port, *longest, &cx).await else { return Ok(()) };
        if let Some(wanted) = *buffer_bytes {
            let socket = datagrams.socket();
            let set = sockopt::set_socket_recv_buffer_size(socket, wanted);
            // The system counts twice what it was asked for.
            let got = set.and_then(|()| sockopt::socket_recv_buffer_size(socket)).unwrap_or(0) / 2;
            if got < wanted {
                warn!(
                    wanted,
                    got, port, "The buffer of the socket is smaller than asked for, see net.core.rmem_max"
                );
            }
        }
        let clock = cx.clock;
        let make = move |datagrams: Vec<Datagram>| Batch {
            byte_size: datagrams.iter().map(|datagram| datagram.data.len() + EVENT_BYTES).sum(),
            deferred: Some(self.events(datagrams, clock)),
            ..Batch::default()
        };
        datagrams.serve(&cx, make).await;
        Ok(())
    }
}

impl Udp {
    /// A worker makes them: a datagram may be very many.
    fn events(&self, datagrams: Vec<Datagram>, clock: Clock) -> Deferred {
        let (mut codec, options, field) = (self.codec.fork(), self.options.clone(), self.field.clone());
        let now = Clock::Fixed(clock.now());
        Deferred::new(move |events| {
            for Datagram { data, sender } in datagrams {
                let from = MissingFields::new(vec![(field.as_str(), Value::from(sender))]);
                let mut emit = |mut event: Event| {
                    options.apply(&mut event);
                    from.apply(&mut event);
                    events.push(event);
                };
                codec.decode(data, now, &mut emit);
                codec.flush(now, &mut emit);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::super::testing::{Running, free_port};
    use super::*;
    use crate::pipeline::plugin::EcsCompatibility;

    #[tokio::test]
    async fn a_datagram_is_an_event() {
        for (ecs, codec, field) in
            [(EcsCompatibility::Disabled, "plain", "host"), (EcsCompatibility::V8, "line", "[host][ip]")]
        {
            let port = free_port();
            let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"codec":"{codec}"}}"#);
            let mut input = Running::start(&UDP, &settings, ecs);
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(("127.0.0.1", port)).await.unwrap();
            // Until the input listens, datagrams are lost.
            while input.try_next().await.is_none() {
                let _refused_while_nobody_listens = socket.send(b"probe").await;
            }
            socket.send(b"no line end").await.unwrap();
            loop {
                let event = input.next().await;
                assert_eq!(event.text(field), "127.0.0.1");
                if event.text("message") == "no line end" {
                    break;
                }
                assert_eq!(event.text("message"), "probe");
            }
            input.stop().await;
        }
    }
}
