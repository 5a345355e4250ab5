//! `lumberjack`: another Logstash, which acknowledges what it has.

use std::path::PathBuf;
use std::sync::Arc;

use super::codec_output::CodecOutput;
use crate::pipeline::input::net::port;
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings, Status};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, MakeOutput, Output, PluginSpec};
use crate::pipeline::tls;
use crate::sink::LumberjackSink;
use crate::tls::{ClientTls, Connector, Verification};

pub(crate) static LUMBERJACK: PluginSpec = PluginSpec {
    name: "lumberjack",
    doc: "Sends events to another Logstash over TLS, as what the codec makes of them in the field `line`. A window counts as delivered when it is acknowledged.",
    settings: &[
        Setting::new("hosts", Kind::Array, "The servers; any one that answers gets the events.").required(),
        Setting::new("port", Kind::Number, "Their port.").required(),
        Setting::new(
            "ssl_certificate",
            Kind::Path,
            "The certificate of the servers, or of who signed it, in PEM. Names in it are not looked at.",
        )
        .required(),
        Setting::new("flush_size", Kind::Number, "Most events that are acknowledged together.")
            .default(Default::Int(1024)),
        Setting::new("idle_flush_time", Kind::Number, "Seconds until fewer events are sent.")
            .default(Default::Int(1))
            .status(Status::Ignored("what is ready is sent at once")),
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let hosts: Vec<_> = settings.strings("hosts").iter().map(|host| host.to_string()).collect();
    if hosts.is_empty() {
        return Err(BuildError::setting("hosts", "there is no host"));
    }
    let certificate = settings.text("ssl_certificate").unwrap_or_default();
    let tls = Connector::new(&ClientTls {
        authorities: vec![PathBuf::from(certificate.as_str())],
        verification: Verification::Certificate,
        ..ClientTls::default()
    });
    let window = settings
        .int("flush_size")
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| BuildError::setting("flush_size", "is no number of events"))?;
    let sink = LumberjackSink::new(
        hosts,
        port(settings)?,
        tls.map_err(|error| tls::refused(settings, &error))?,
        window,
    );
    Ok(Box::new(CodecOutput::new(cx.codec(settings, "codec")?, None, Arc::new(sink))))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::testing::{batch, output};
    use super::*;
    use crate::pipeline::input::beats::BEATS;
    use crate::pipeline::input::testing::{Running, free_port};
    use crate::pipeline::plugin::EcsCompatibility;
    use crate::tls::testing::Certificates;
    use crate::tls::{Acceptor, ClientAuthentication, Identity, Offer, ServerTls, Stream};

    fn lumberjack(made: &Certificates, port: u16, more: &str) -> Box<dyn Output> {
        let certificate = made.text("ca.pem");
        let settings =
            format!(r#"{{"hosts":["127.0.0.1"],"port":{port},"ssl_certificate":"{certificate}"{more}}}"#);
        output(&LUMBERJACK, &settings)
    }

    #[tokio::test]
    async fn our_own_beats_input_gets_every_event_and_acknowledges_it() {
        let (made, port) = (Certificates::new(), free_port());
        let [certificate, key] = ["server.pem", "server.key"].map(|name| made.text(name));
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}","ssl_key":"{key}"}}"#
        );
        let mut lumberjack = lumberjack(&made, port, r#","codec":"json","flush_size":2"#);
        let records = batch(&mut *lumberjack, &[r#"{"a":1}"#, r#"{"a":"ü"}"#, r#"{"a":3}"#]);
        let error = lumberjack.sink().deliver(&records).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("lumberjack 127.0.0.1"), "{error}");
        let mut input = Running::start(&BEATS, &settings, EcsCompatibility::V8);
        drop(crate::pipeline::input::testing::connect(port).await);
        for round in 0..2 {
            let sink = lumberjack.sink();
            let delivering = async { sink.deliver(&records).await.unwrap() };
            let receiving = async {
                for text in [r#"{"a":1}"#, r#"{"a":"ü"}"#, r#"{"a":3}"#] {
                    let event = input.next().await;
                    assert_eq!(event.text("message"), text, "round {round}");
                    event.ack.delivered();
                }
            };
            let (delivered, ()) = tokio::join!(delivering, receiving);
            assert_eq!(delivered, crate::sink::Delivered::default());
        }
        input.stop().await;
    }

    /// Reads a window byte by byte, as the protocol is written down: `1W`, then a compressed frame of `1D` frames.
    async fn window(stream: &mut Stream) -> Vec<(u32, String, String)> {
        async fn number(stream: &mut Stream) -> u32 {
            stream.read_u32().await.unwrap()
        }
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"1W");
        let count = number(stream).await;
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"1C");
        let mut compressed = vec![0; number(stream).await as usize];
        stream.read_exact(&mut compressed).await.unwrap();
        let mut frames = Vec::new();
        flate2::read::ZlibDecoder::new(&*compressed).read_to_end(&mut frames).unwrap();
        let mut rest = &frames[..];
        let mut take = |len: usize| {
            let (taken, after) = rest.split_at(len);
            rest = after;
            taken.to_vec()
        };
        let events = (0..count)
            .map(|_| {
                let number =
                    |take: &mut dyn FnMut(usize) -> Vec<u8>| u32::from_be_bytes(take(4).try_into().unwrap());
                assert_eq!(take(2), b"1D");
                let sequence = number(&mut take);
                assert_eq!(number(&mut take), 1, "one field");
                let mut text = || {
                    let len = number(&mut take) as usize;
                    String::from_utf8(take(len)).unwrap()
                };
                (sequence, text(), text())
            })
            .collect();
        assert!(rest.is_empty());
        events
    }

    #[tokio::test]
    async fn frames_are_those_of_the_official_output() {
        let made = Certificates::new();
        let acceptor = Acceptor::new(&ServerTls {
            identity: Identity {
                certificate: made.path("server.pem"),
                extra_chain: Vec::new(),
                key: made.path("server.key"),
                passphrase: None,
            },
            client_authentication: ClientAuthentication::None,
            authorities: Vec::new(),
            offer: Offer::default(),
            handshake_timeout: std::time::Duration::from_secs(10),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut lumberjack = lumberjack(&made, port, r#","codec":"json","flush_size":2"#);
        let records = batch(&mut *lumberjack, &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
        let line = |sequence, text: &str| (sequence, "line".to_owned(), text.to_owned());
        let serving = async {
            let accept = async || acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut stream = accept().await;
            assert_eq!(window(&mut stream).await, [line(1, r#"{"a":1}"#), line(2, r#"{"a":2}"#)]);
            // At work, a part, all.
            stream.write_all(b"1A\0\0\0\0").await.unwrap();
            stream.write_all(b"1A\0\0\0\x01").await.unwrap();
            stream.write_all(b"1A\0\0\0\x02").await.unwrap();
            stream.flush().await.unwrap();
            // The numbers go on, over the end of a window; this one is never acknowledged.
            assert_eq!(window(&mut stream).await, [line(3, r#"{"a":3}"#)]);
            drop(stream);
            let mut stream = accept().await;
            assert_eq!(window(&mut stream).await, [line(1, r#"{"a":3}"#)]);
            stream.write_all(b"1A\0\0\0\x01").await.unwrap();
            stream.flush().await.unwrap();
            stream
        };
        let sink = lumberjack.sink();
        let delivering = async {
            let first = sink.deliver(&records).await.unwrap();
            assert_eq!(first.again, [2]);
            sink.deliver(&Arc::new(records.only(&first.again))).await.unwrap()
        };
        let (_open, last) = tokio::join!(serving, delivering);
        assert_eq!(last, crate::sink::Delivered::default());
    }
}
