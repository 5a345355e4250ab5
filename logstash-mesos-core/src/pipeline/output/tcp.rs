//! `tcp`: connections to a server, or from clients.

use std::sync::Arc;

use super::codec_output::CodecOutput;
use crate::pipeline::input::net::{NO_TLS, port, refuse_tls, tls};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Output, PluginSpec};
use crate::pipeline::settings::{Default, Kind, Setting, Settings, Status};
use crate::sink::{LogSink, TcpClientSink, TcpServerSink};

const NO_TLS_SWITCH: &str = "Whether TLS is spoken; only `false` is taken.";

/// The declaration.
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
        Setting::new("ssl_enabled", Kind::Boolean, NO_TLS_SWITCH).default(Default::Bool(false)),
        Setting::new("ssl_enable", Kind::Boolean, NO_TLS_SWITCH)
            .default(Default::Bool(false))
            .status(Status::Deprecated("use `ssl_enabled`")),
        tls("ssl_verify", Kind::Boolean),
        tls("ssl_verification_mode", Kind::OneOf(&["full", "none"])),
        tls("ssl_client_authentication", Kind::OneOf(&["none", "optional", "required"])),
        tls("ssl_cacert", Kind::String),
        tls("ssl_certificate_authorities", Kind::Array),
        tls("ssl_cert", Kind::String),
        tls("ssl_certificate", Kind::String),
        tls("ssl_key", Kind::String),
        tls("ssl_key_passphrase", Kind::Password),
        tls("ssl_supported_protocols", Kind::Array),
        Setting::new("ssl_cipher_suites", Kind::Array, "For TLS.").status(NO_TLS),
    ],
    build: Build::Output(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    refuse_tls(settings, &["ssl_enabled", "ssl_enable"])?;
    let host = settings.text("host").unwrap_or_default().to_string();
    let port = port(settings)?;
    let sink: Arc<dyn LogSink> = if settings.text("mode").as_deref() == Some("server") {
        Arc::new(TcpServerSink::new(host, port))
    } else {
        Arc::new(TcpClientSink::new(host, port))
    };
    Ok(Box::new(CodecOutput::new(cx.codec(settings, "codec")?, None, sink)))
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

    #[tokio::test]
    async fn every_client_gets_every_event() {
        let port = free_port();
        let mut tcp = output(&TCP, &format!(r#"{{"host":"127.0.0.1","port":{port},"mode":"server"}}"#));
        // Nobody is connected: nothing waits.
        let sink = tcp.sink();
        sink.deliver(&batch(&mut *tcp, &[r#"{"a":1}"#])).await.unwrap();
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
    }
}
