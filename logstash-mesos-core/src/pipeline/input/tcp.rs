//! `tcp`: connections, each of which is a stream of events.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use super::accept::Listen;
use super::common::InputOptions;
use super::making::Maker;
use super::net::{self, MissingFields, Proxied};
use super::room::Room;
use crate::event::{Event, Text, Value};
use crate::pipeline::filter::dns::Names;
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Transport};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EcsCompatibility, Input, InputContext, InputError, MakeInput,
    PluginSpec,
};
use crate::pipeline::tls;
use crate::tls::{Connector, Stream};

pub(crate) static TCP: PluginSpec = PluginSpec {
    name: "tcp",
    doc: "Takes events from TCP connections, by lines unless the codec says otherwise.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How bytes become events.").default(Preset::String("line")),
        Setting::new("host", Kind::String, "The address to listen on, or the host to connect to.")
            .default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port.").required().listens_unless(
            Transport::Tcp,
            "mode",
            "client",
        ),
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
        Setting::new(
            "tcp_keep_alive",
            Kind::Boolean,
            "Asks idle peers whether they are still there. Unless it is said that it shall not, the input does.",
        )
        .default(Preset::Bool(false)),
        Setting::new(
            "dns_reverse_lookup_enabled",
            Kind::Boolean,
            "Looks up the names of peers, in the hosts file and from the name servers of the system.",
        )
        .default(Preset::Bool(true)),
        tls::ENABLED,
        tls::CLIENT_AUTHENTICATION.default(Preset::String("required")),
        tls::VERIFICATION_MODE,
        tls::CERTIFICATE,
        tls::KEY,
        tls::KEY_PASSPHRASE,
        tls::EXTRA_CHAIN,
        tls::CLIENT_AUTHORITIES,
        tls::PROTOCOLS,
        tls::CIPHERS,
        tls::obsolete("ssl_enable", "use `ssl_enabled`"),
        tls::obsolete("ssl_verify", "use `ssl_client_authentication` or `ssl_verification_mode`"),
        tls::obsolete("ssl_cert", "use `ssl_certificate`"),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let connects = settings.text("mode").as_deref() == Some("client");
    let acceptor = if connects { None } else { tls::acceptor(settings, cx, tls::Rules::Tcp)? };
    Ok(Box::new(Tcp {
        // Peers that have gone without a word would be waited for for ever.
        listen: Listen::new(
            settings,
            settings.bool("tcp_keep_alive") || !settings.is_given("tcp_keep_alive"),
            acceptor,
        )?,
        connects: connects.then(|| tls::connector(settings, cx)).transpose()?,
        connections: Arc::new(Connections {
            proxied: settings.bool("proxy_protocol"),
            connects,
            names: settings
                .bool("dns_reverse_lookup_enabled")
                .then(|| Arc::new(LazyLock::new(Names::of_system as fn() -> Names))),
            believes: settings.text("ssl_verification_mode").as_deref() != Some("none"),
            codec: Mutex::new(cx.stream_codec(settings, "codec")?),
            options: InputOptions::new(settings),
            ecs: cx.ecs,
        }),
    }))
}

struct Tcp {
    listen: Listen,
    // To a server, with TLS or without.
    connects: Option<Option<Connector>>,
    connections: Arc<Connections>,
}

/// What every connection needs.
struct Connections {
    proxied: bool,
    connects: bool,
    // Made with the first connection: until then nothing is read.
    names: Option<Arc<LazyLock<Names>>>,
    // Whether the name in a peer's certificate is to be believed.
    believes: bool,
    // Only forked; behind a lock so that several tasks may look at it.
    codec: Mutex<Box<dyn Codec>>,
    options: InputOptions,
    ecs: EcsCompatibility,
}

#[async_trait]
impl Input for Tcp {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (room, cx) = (Room::new(&cx.memory), Arc::new(cx));
        match &self.connects {
            Some(tls) => self.connect(tls.as_ref(), &room, &cx).await,
            None => {
                let connections = Arc::clone(&self.connections);
                let read = move |stream, peer, cx: Arc<InputContext>| {
                    let connections = Arc::clone(&connections);
                    let room = room.clone();
                    async move { connections.read(stream, peer, &room, &cx).await }
                };
                self.listen.serve(&cx, read).await;
            }
        }
        Ok(())
    }
}

const SUBJECT: &str = "[@metadata][input][tcp][tls][client][subject]";
/// How long events wait for the name of their peer.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);
/// Between connections to a server that ends them.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

impl Tcp {
    async fn connect(&self, tls: Option<&Connector>, room: &Room, cx: &InputContext) {
        let Listen { host, port, keep_alive, .. } = &self.listen;
        let mut failed = 0_u32;
        loop {
            let connected = tokio::select! {
                connected = net::connect(host, *port, *keep_alive, tls) => connected,
                () = cx.shutdown.cancelled() => return,
            };
            match connected {
                Ok((stream, peer)) => {
                    failed = 0;
                    self.connections.read(stream, peer, room, cx).await;
                }
                Err(error) => {
                    if failed.is_multiple_of(15) {
                        warn!(%error, %host, port, "Server does not answer, trying until it does");
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
    async fn read(self: &Arc<Self>, mut stream: Stream, peer: SocketAddr, room: &Room, cx: &InputContext) {
        let subject = stream.peer().and_then(|peer| peer.subject).filter(|_| self.believes);
        let (mut ip, mut port) = (peer.ip().to_canonical().to_string(), Value::Int(peer.port().into()));
        let (mut proxy, mut first) = (None, Vec::new());
        if self.proxied {
            let read = tokio::select! {
                read = Proxied::read(&mut stream) => read,
                () = cx.shutdown.cancelled() => return,
            };
            match read {
                Ok((said, rest)) => {
                    // As they stand in the line of the proxy.
                    (ip, port) = (said.client.clone(), Value::from(said.client_port.to_string()));
                    (proxy, first) = (Some(said), rest);
                }
                Err(error) => return warn!(%error, %peer, "Connection ended"),
            }
        }
        let name = self.name(&ip).await;
        // A connection that we made ourselves has no address of its own then.
        let shown_ip = if self.connects && proxy.is_some() { "" } else { &ip };
        let mut fields = self.fields(&name, shown_ip, port, proxy.as_ref());
        if let Some(subject) = subject {
            fields.push((self.ecs.select("sslsubject", SUBJECT), Value::from(subject)));
        }
        let fields = MissingFields::new(fields);
        let codec = self.codec.lock().unwrap_or_else(PoisonError::into_inner).fork();
        let connections = Arc::clone(self);
        let finish = Arc::new(move |event: &mut Event| {
            fields.apply(event);
            connections.options.apply(event);
        });
        let maker = Maker { codec, finish, room: room.clone() };
        net::say_ended(net::pump(stream, &first, None, maker, cx).await, &peer);
    }

    /// The name of an address, or the address where there is none, or nobody answers in time.
    async fn name(&self, ip: &str) -> String {
        let name = match &self.names {
            None => None,
            Some(names) => {
                let (names, ip) = (Arc::clone(names), ip.to_owned());
                let looking = tokio::task::spawn_blocking(move || names.of(&ip));
                // What comes later is known for the next connection.
                tokio::time::timeout(NAME_TIMEOUT, looking).await.ok().and_then(Result::ok).flatten()
            }
        };
        name.unwrap_or_else(|| ip.to_owned())
    }

    fn fields(
        &self,
        name: &str,
        ip: &str,
        port: Value,
        proxied: Option<&Proxied>,
    ) -> Vec<(&'static str, Value)> {
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
        let mut fields = vec![(names[0], text(name)), (names[1], text(ip)), (names[2], port)];
        if let Some(proxied) = proxied {
            fields.push((names[3], text(&proxied.proxy)));
            fields.push((names[4], Value::from(proxied.proxy_port.to_string())));
        }
        fields
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
            &format!(r#"{{"host":"127.0.0.1","port":{port},"dns_reverse_lookup_enabled":false}}"#),
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
        connect(port).await.write_all(b"PROXY TCP4 127.0.0.1 5.6.7.8 1 2\r\nhi\n").await.unwrap();
        let event = input.next().await;
        assert_eq!(event.text("message"), "hi");
        assert_eq!(event.text("[@metadata][input][tcp][source][name]"), "localhost");
        assert_eq!(event.text("[@metadata][input][tcp][source][ip]"), "127.0.0.1");
        assert_eq!(event.json("[@metadata][input][tcp][source][port]"), "\"1\"");
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

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn tls_with_client_certificates_beside_peers_that_speak_something_else() {
        let made = crate::tls::testing::Certificates::new();
        made.signed("client", "ca", "/O=Acme/CN=shipper", "");
        let port = free_port();
        let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.text(name));
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}",
                "ssl_key":"{key}","ssl_certificate_authorities":["{ca}"]}}"#
        );
        let mut input = Running::start(&TCP, &settings, EcsCompatibility::V8);
        // Plain text, and nobody's certificate: neither comes through, and neither stops the others.
        connect(port).await.write_all(b"plain\n").await.unwrap();
        let mut nobody = made.s_client(port, "");
        nobody.stdin.take().unwrap().write_all(b"nobody\n").await.unwrap();
        let mut known = made.s_client(port, "-cert client.pem -key client.key");
        known.stdin.as_mut().unwrap().write_all(b"over TLS\n").await.unwrap();
        let event = input.next().await;
        assert_eq!(event.text("message"), "over TLS");
        assert_eq!(event.text("[@metadata][input][tcp][tls][client][subject]"), "CN=shipper,O=Acme");
        assert!(input.try_next().await.is_none());

        // And the other way round: this input connects to a server that writes to its clients.
        let output = crate::pipeline::output::Serving::new(&certificate, &key);
        let client = format!(
            r#"{{"host":"localhost","port":{},"mode":"client","ssl_enabled":true,"ssl_certificate_authorities":["{ca}"]}}"#,
            output.port
        );
        let mut connected = Running::start(&TCP, &client, EcsCompatibility::Disabled);
        let event = loop {
            output.write(r#"{"message":"from a server"}"#).await;
            if let Some(event) = connected.try_next().await {
                break event;
            }
        };
        assert_eq!(event.text("message"), r#"{"message":"from a server"}"#);
        assert_eq!(event.text("sslsubject"), "CN=localhost");
        connected.stop().await;
        input.stop().await;
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(refused(&TCP, r#"{"port":5000,"ssl_enabled":true}"#).contains("ssl_certificate"));
        let client = r#"{"port":1,"mode":"client","ssl_enabled":true,"ssl_client_authentication":"none"}"#;
        assert!(refused(&TCP, client).contains("clients"));
        assert!(refused(&TCP, r#"{"port":70000}"#).contains("70000"));
        for codec in ["plain", "line", "json", "json_lines"] {
            let settings = format!(r#"{{"port":1,"codec":{{"{codec}":{{"charset":"UTF-16LE"}}}}}}"#);
            assert!(refused(&TCP, &settings).contains("`UTF-16LE` cannot be cut into lines at"), "{codec}");
        }
    }
}
