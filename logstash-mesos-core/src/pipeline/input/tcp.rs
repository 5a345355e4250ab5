//! `tcp`: connections, each of which is a stream of events.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::common::InputOptions;
use super::net::{self, MissingFields, Proxied, TLS_SWITCH, refuse_tls, tls};
use crate::event::{Text, Value};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EcsCompatibility, Input, InputContext, PluginSpec,
};
use crate::pipeline::settings::{Default as Preset, Kind, Setting, Settings, Status};

/// The declaration.
pub(crate) static TCP: PluginSpec = PluginSpec {
    name: "tcp",
    doc: "Takes events from TCP connections, by lines unless the codec says otherwise.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How bytes become events.").default(Preset::String("line")),
        Setting::new("host", Kind::String, "The address to listen on, or the host to connect to.")
            .default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port.").required(),
        Setting::new(
            "mode",
            Kind::OneOf(&["server", "client"]),
            "Whether to listen for connections or to make one.",
        )
        .default(Preset::String("server")),
        Setting::new(
            "proxy_protocol",
            Kind::Boolean,
            "Whether a proxy says in a line of its own who connected (version 1).",
        )
        .default(Preset::Bool(false)),
        Setting::new("tcp_keep_alive", Kind::Boolean, "Asks idle peers whether they are still there.")
            .default(Preset::Bool(false)),
        Setting::new("dns_reverse_lookup_enabled", Kind::Boolean, "Looks up the names of peers.")
            .default(Preset::Bool(true))
            .status(Status::Ignored("names are not looked up: the field for the name has the address")),
        TLS_SWITCH,
        tls("ssl_client_authentication", Kind::OneOf(&["none", "optional", "required"])),
        tls("ssl_verification_mode", Kind::OneOf(&["full", "none"])),
        tls("ssl_certificate", Kind::String),
        tls("ssl_key", Kind::String),
        tls("ssl_key_passphrase", Kind::Password),
        tls("ssl_extra_chain_certs", Kind::Array),
        tls("ssl_certificate_authorities", Kind::Array),
        tls("ssl_supported_protocols", Kind::Array),
        tls("ssl_cipher_suites", Kind::Array),
        Setting::new("ssl_enable", Kind::Any, "Removed.").status(Status::Obsolete("use `ssl_enabled`")),
        Setting::new("ssl_verify", Kind::Any, "Removed.")
            .status(Status::Obsolete("use `ssl_client_authentication` or `ssl_verification_mode`")),
        Setting::new("ssl_cert", Kind::Any, "Removed.").status(Status::Obsolete("use `ssl_certificate`")),
    ],
    build: Build::Input(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    refuse_tls(settings, &["ssl_enabled"])?;
    Ok(Box::new(Tcp {
        host: settings.text("host").unwrap_or(Text::from_static("0.0.0.0")),
        port: net::port(settings)?,
        connects: settings.text("mode").as_deref() == Some("client"),
        keep_alive: settings.bool("tcp_keep_alive"),
        connections: Arc::new(Connections {
            proxied: settings.bool("proxy_protocol"),
            codec: Mutex::new(cx.stream_codec(settings, "codec")?),
            options: InputOptions::new(settings),
            ecs: cx.ecs,
        }),
    }))
}

struct Tcp {
    host: Text,
    port: u16,
    connects: bool,
    keep_alive: bool,
    connections: Arc<Connections>,
}

/// What every connection needs.
struct Connections {
    proxied: bool,
    // Only forked; behind a lock so that several tasks may look at it.
    codec: Mutex<Box<dyn Codec>>,
    options: InputOptions,
    ecs: EcsCompatibility,
}

#[async_trait]
impl Input for Tcp {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), String> {
        let cx = Arc::new(cx);
        if self.connects {
            self.connect(&cx).await
        } else {
            self.serve(cx).await
        }
        Ok(())
    }
}

/// Between connections to a server that ends them.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

impl Tcp {
    async fn serve(&self, cx: Arc<InputContext>) {
        let address = format!("{}:{}", self.host, self.port);
        let bind = || net::listen(&self.host, self.port, self.keep_alive);
        let Some(listener) = net::bound(&address, &cx, bind).await else { return };
        let running = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cx.shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (connections, cx) = (Arc::clone(&self.connections), Arc::clone(&cx));
                    running.spawn(async move { connections.read(stream, peer, &cx).await });
                }
                Err(error) => {
                    warn!(%error, address, "Connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        running.close();
        running.wait().await;
    }

    async fn connect(&self, cx: &InputContext) {
        let mut failed = 0_u32;
        loop {
            let connected = tokio::select! {
                connected = TcpStream::connect((self.host.as_str(), self.port)) => connected,
                () = cx.shutdown.cancelled() => return,
            };
            match connected.and_then(|stream| stream.peer_addr().map(|peer| (stream, peer))) {
                Ok((stream, peer)) => {
                    failed = 0;
                    self.connections.read(stream, peer, cx).await;
                }
                Err(error) => {
                    if failed.is_multiple_of(15) {
                        warn!(%error, host = %self.host, port = self.port, "Server does not answer, trying until it does");
                    }
                    failed += 1;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(CONNECT_AGAIN) => {}
                () = cx.shutdown.cancelled() => return,
            }
        }
    }
}

impl Connections {
    async fn read(&self, mut stream: TcpStream, peer: SocketAddr, cx: &InputContext) {
        let address = peer.ip().to_canonical().to_string();
        let (mut fields, mut first) = (self.fields(&address, &address, peer.port().into(), None), Vec::new());
        if self.proxied {
            let read = tokio::select! {
                read = Proxied::read(&mut stream) => read,
                () = cx.shutdown.cancelled() => return,
            };
            match read {
                Ok((proxied, rest)) => {
                    fields = self.fields(&proxied.client, "", proxied.client_port, Some(&proxied));
                    first = rest;
                }
                Err(error) => return warn!(%error, %peer, "Connection ended"),
            }
        }
        let codec = self.codec.lock().unwrap_or_else(PoisonError::into_inner).fork();
        let finish = |event: &mut crate::event::Event| {
            fields.apply(event);
            self.options.apply(event);
        };
        match net::pump(stream, &first, codec, cx, finish).await {
            Ok(()) => debug!(%peer, "Connection ended"),
            Err(error) => debug!(%error, %peer, "Connection broke"),
        }
    }

    fn fields(&self, name: &str, ip: &str, port: i64, proxied: Option<&Proxied>) -> MissingFields {
        let text = |text: &str| Value::Text(Text::from(text));
        let names = self.ecs.select(
            ["host", "[@metadata][ip_address]", "port", "proxy_host", "proxy_port"],
            [
                "[@metadata][input][tcp][source][name]",
                "[@metadata][input][tcp][source][ip]",
                "[@metadata][input][tcp][source][port]",
                "[@metadata][input][tcp][proxy][ip]",
                "[@metadata][input][tcp][proxy][port]",
            ],
        );
        let mut fields = vec![(names[0], text(name)), (names[1], text(ip)), (names[2], Value::Int(port))];
        if let Some(proxied) = proxied {
            fields.push((names[3], text(&proxied.proxy)));
            fields.push((names[4], Value::Int(proxied.proxy_port)));
        }
        MissingFields::new(fields)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::testing::{Running, connect, free_port, refused};
    use super::*;

    #[tokio::test]
    async fn every_connection_is_a_stream_of_lines() {
        let port = free_port();
        let mut input = Running::start(
            &TCP,
            &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#),
            EcsCompatibility::Disabled,
        );
        let mut one = connect(port).await;
        let mut two = connect(port).await;
        one.write_all(b"fir").await.unwrap();
        two.write_all(b"second\n").await.unwrap();
        let event = input.next().await;
        assert_eq!(event.text("message"), "second");
        assert_eq!(event.text("host"), "127.0.0.1");
        assert_eq!(event.text("[@metadata][ip_address]"), "127.0.0.1");
        assert_eq!(event.json("port"), two.local_addr().unwrap().port().to_string());
        one.write_all(b"st\nthe rest").await.unwrap();
        assert_eq!(input.next().await.text("message"), "first");
        drop(one);
        assert_eq!(input.next().await.text("message"), "the rest");
        input.stop().await;
    }

    #[tokio::test]
    async fn ecs_names_and_a_proxy() {
        let port = free_port();
        let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"proxy_protocol":true}}"#);
        let mut input = Running::start(&TCP, &settings, EcsCompatibility::V8);
        connect(port).await.write_all(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nhi\n").await.unwrap();
        let event = input.next().await;
        assert_eq!(event.text("message"), "hi");
        assert_eq!(event.text("[@metadata][input][tcp][source][name]"), "1.2.3.4");
        assert_eq!(event.json("[@metadata][input][tcp][source][port]"), "1");
        assert_eq!(event.text("[@metadata][input][tcp][proxy][ip]"), "5.6.7.8");
        input.stop().await;
    }

    #[tokio::test]
    async fn codecs_for_documents_read_lines_and_multiline_is_flushed() {
        let port = free_port();
        let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"codec":"json"}}"#);
        let mut input = Running::start(&TCP, &settings, EcsCompatibility::Disabled);
        connect(port).await.write_all(b"{\"a\":1}\n{\"a\":2}\n").await.unwrap();
        assert_eq!((input.next().await.json("a"), input.next().await.json("a")), ("1".into(), "2".into()));
        input.stop().await;

        let port = free_port();
        let codec = r#"{"multiline":{"pattern":"^ ","what":"previous","auto_flush_interval":0.05}}"#;
        let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"codec":{codec}}}"#);
        let mut input = Running::start(&TCP, &settings, EcsCompatibility::Disabled);
        let mut stream = connect(port).await;
        stream.write_all(b"a\n b\n").await.unwrap();
        // The connection is still open.
        assert_eq!(input.next().await.text("message"), "a\n b");
        input.stop().await;
    }

    #[tokio::test]
    async fn a_client_connects_again() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"mode":"client"}}"#);
        let mut input = Running::start(&TCP, &settings, EcsCompatibility::Disabled);
        for text in ["one", "two"] {
            let (mut stream, _) = server.accept().await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            drop(stream);
            assert_eq!(input.next().await.text("message"), text);
        }
        input.stop().await;
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(refused(&TCP, r#"{"port":5000,"ssl_enabled":true}"#).contains("TLS"));
        assert!(refused(&TCP, r#"{"port":70000}"#).contains("70000"));
    }
}
