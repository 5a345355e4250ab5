//! `udp`: sends each event as a datagram.

use std::sync::Arc;
use std::time::Duration;

use super::codec_output::CodecOutput;
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, MakeOutput, Output, PluginSpec};
use crate::sink::UdpSink;

pub(crate) static UDP: PluginSpec = PluginSpec {
    name: "udp",
    doc: "Sends every event as a UDP datagram. One that cannot be sent becomes a dead letter; one that is lost on its way is lost.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How events are written.").default(Default::String("json")),
        Setting::new("host", Kind::String, "The host to send to.").required(),
        Setting::new("port", Kind::String, "The port; may hold `%{field}`.").required(),
        Setting::new("retry_count", Kind::Number, "How often a datagram is tried again.")
            .default(Default::Int(0)),
        Setting::new("retry_backoff_ms", Kind::Number, "Milliseconds between these tries.")
            .default(Default::Int(100)),
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let port = settings.text("port").unwrap_or_default();
    let template = settings.template_of(&port);
    if template.is_constant() && port.trim().parse::<u16>().is_err() {
        return Err(BuildError::setting("port", format!("`{port}` is no port"))
            .remedy("write a number from 1 to 65535, or `%{field}`"));
    }
    let number = |name, default| settings.int(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let sink = UdpSink::new(
        settings.text("host").unwrap_or_default().to_string(),
        number("retry_count", 0),
        Duration::from_millis(number("retry_backoff_ms", 100).into()),
    );
    Ok(Box::new(CodecOutput::new(cx.codec(settings, "codec")?, Some(template), Arc::new(sink))))
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::super::testing::{batch, output};
    use super::*;

    #[tokio::test]
    async fn every_event_is_a_datagram() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut udp = output(&UDP, r#"{"host":"127.0.0.1","port":"%{p}"}"#);
        let good = format!(r#"{{"p":{port}}}"#);
        let long = format!(r#"{{"p":{port},"long":"{}"}}"#, "x".repeat(70_000));
        let records = batch(&mut *udp, &[&good, r#"{"p":"no port"}"#, &long, &good]);
        let delivered = udp.sink().deliver(&records).await.unwrap();
        let rejected: Vec<_> = delivered.rejected.iter().map(|rejection| rejection.record).collect();
        assert_eq!(rejected, [1, 2]);
        for _ in 0..2 {
            let mut datagram = [0; 100];
            let len = socket.recv(&mut datagram).await.unwrap();
            assert_eq!(&datagram[..len], good.as_bytes());
        }
    }
}
