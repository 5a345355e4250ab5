//! `tcp`: connections to a server, or from clients.

use std::sync::Arc;

use super::codec_output::CodecOutput;
use crate::pipeline::input::net::port;
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings, Status};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, MakeOutput, Output, PluginSpec};
use crate::pipeline::tls;
use crate::sink::{LogSink, TcpClientSink, TcpServerSink};

pub(crate) static TCP: PluginSpec = PluginSpec {
    name: "tcp",
    doc: "Writes events to a TCP connection: as JSON without line ends unless the codec says otherwise, as in Logstash.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How events are written.").default(Default::String("json")),
        Setting::new("host", Kind::String, "The host to connect to, or the address to listen on.").required(),
        Setting::new("port", Kind::Number, "The port.").required(),
        Setting::new(
            "mode",
            Kind::OneOf(&["server", "client"]),
            "Whether to connect to a server, or to write to every client that connects.",
        )
        .default(Default::String("client")),
        Setting::new("reconnect_interval", Kind::Number, "Seconds between tries to connect.")
            .default(Default::Int(10))
            .status(Status::Ignored("pauses grow from a tenth of a second to thirty seconds")),
        tls::ENABLED,
        tls::CLIENT_AUTHENTICATION.default(Default::String("none")),
        tls::VERIFICATION_MODE,
        tls::AUTHORITIES,
        tls::CERTIFICATE,
        tls::KEY,
        tls::KEY_PASSPHRASE,
        tls::PROTOCOLS,
        tls::CIPHERS,
        tls::obsolete("ssl_enable", "use `ssl_enabled`"),
        tls::obsolete("ssl_verify", "use `ssl_client_authentication` or `ssl_verification_mode`"),
        tls::obsolete("ssl_cacert", "use `ssl_certificate_authorities`"),
        tls::obsolete("ssl_cert", "use `ssl_certificate`"),
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let host = settings.text("host").unwrap_or_default().to_string();
    let port = port(settings)?;
    let sink: Arc<dyn LogSink> = if settings.text("mode").as_deref() == Some("server") {
        Arc::new(TcpServerSink::new(host, port, tls::acceptor(settings, cx, tls::Rules::Tcp)?))
    } else {
        Arc::new(TcpClientSink::new(host, port, tls::connector(settings, cx)?))
    };
    Ok(Box::new(CodecOutput::new(cx.codec(settings, "codec")?, None, sink)))
}

/// An output that writes to its clients over TLS, for tests elsewhere.
#[cfg(all(test, feature = "tls"))]
pub(crate) struct Serving {
    output: std::sync::Mutex<Box<dyn Output>>,
    pub(crate) port: u16,
}

#[cfg(all(test, feature = "tls"))]
impl Serving {
    pub(crate) fn new(certificate: &str, key: &str) -> Self {
        let port = crate::pipeline::input::testing::free_port();
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"mode":"server","codec":"json_lines","ssl_enabled":true,
                "ssl_certificate":"{certificate}","ssl_key":"{key}"}}"#
        );
        Self { output: std::sync::Mutex::new(super::testing::output(&TCP, &settings)), port }
    }

    pub(crate) async fn write(&self, event: &str) {
        let (sink, records) = {
            let mut output = self.output.lock().expect("no panic");
            (output.sink(), super::testing::batch(&mut **output, &[event]))
        };
        sink.deliver(&records).await.expect("it listens");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::super::testing::{batch, output};
    use super::*;
    use crate::pipeline::input::testing::{connect, free_port};

    #[tokio::test]
    async fn a_server_gets_every_event_and_a_broken_connection_is_made_again() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let mut tcp = output(&TCP, &format!(r#"{{"host":"127.0.0.1","port":{port},"codec":"json_lines"}}"#));
        let records = batch(&mut *tcp, &[r#"{"a":1}"#, r#"{"a":2}"#]);
        for _ in 0..2 {
            assert_eq!(tcp.sink().deliver(&records).await.unwrap(), crate::sink::Delivered::default());
            let (stream, _) = server.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut lines = String::new();
            stream.read_line(&mut lines).await.unwrap();
            stream.read_line(&mut lines).await.unwrap();
            assert_eq!(lines, "{\"a\":1}\n{\"a\":2}\n");
            drop(stream);
            // Until the other side has heard of the end.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        drop(server);
        let error = tcp.sink().deliver(&records).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("tcp 127.0.0.1"), "{error}");
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn a_server_gets_events_over_tls_if_it_is_believed() {
        let made = crate::tls::testing::Certificates::new();
        let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.text(name));
        let port = free_port();
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}",
                "ssl_key":"{key}","ssl_client_authentication":"none"}}"#
        );
        let mut input = crate::pipeline::input::testing::Running::start(
            &crate::pipeline::input::tcp::TCP,
            &settings,
            crate::pipeline::plugin::EcsCompatibility::V8,
        );
        drop(connect(port).await);
        let secured = |more: &str| {
            let settings = format!(
                r#"{{"host":"127.0.0.1","port":{port},"codec":"json_lines","ssl_enabled":true{more}}}"#
            );
            output(&TCP, &settings)
        };
        let mut tcp = secured(&format!(r#","ssl_certificate_authorities":["{ca}"]"#));
        let records = batch(&mut *tcp, &[r#"{"a":1}"#]);
        for _ in 0..2 {
            tcp.sink().deliver(&records).await.unwrap();
            assert_eq!(input.next().await.text("message"), r#"{"a":1}"#);
        }
        let error = secured("").sink().deliver(&records).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        secured(r#","ssl_verification_mode":"none""#).sink().deliver(&records).await.unwrap();
        assert_eq!(input.next().await.text("message"), r#"{"a":1}"#);
        input.stop().await;
    }

    #[tokio::test]
    async fn every_client_gets_every_event() {
        let port = free_port();
        let mut tcp = output(&TCP, &format!(r#"{{"host":"127.0.0.1","port":{port},"mode":"server"}}"#));
        // Nobody is connected: nothing waits, and it is known what is gone.
        let sink = tcp.sink();
        let delivered = sink.deliver(&batch(&mut *tcp, &[r#"{"a":1}"#, r#"{"a":1}"#])).await.unwrap();
        assert_eq!(delivered.dropped, [0, 1]);
        let mut clients = [connect(port).await, connect(port).await];
        let records = batch(&mut *tcp, &[r#"{"a":2}"#]);
        for client in &mut clients {
            let mut begin = [0; 7];
            loop {
                sink.deliver(&records).await.unwrap();
                let read = client.read_exact(&mut begin);
                if tokio::time::timeout(std::time::Duration::from_millis(100), read).await.is_ok() {
                    break;
                }
            }
            assert_eq!(&begin, br#"{"a":2}"#);
        }
        assert!(sink.deliver(&records).await.unwrap().dropped.is_empty());
    }
}
