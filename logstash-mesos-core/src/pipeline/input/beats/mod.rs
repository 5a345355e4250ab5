//! `beats`: events from beats and other Logstashes. A window is acknowledged when its events have arrived.

mod connection;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use logstash_mesos_engine::time::Seldom;
use tracing::{debug, warn};

use self::connection::Connection;
use super::accept::Listen;
use super::common::InputOptions;
use super::room::Room;
use crate::event::{FieldReference, Text, Value};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status, Transport};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EcsCompatibility, Input, InputContext, InputError, LineLimit,
    MakeInput, ParsedLimit, PluginSpec,
};
use crate::pipeline::tls;
use crate::tls::Stream;

const ASK_ENRICH: Status = Status::Deprecated("use `enrich`");
const THREADS: Status = Status::Ignored("connections share the threads of the process");

pub(crate) static BEATS: PluginSpec = PluginSpec {
    name: "beats",
    doc: "Takes events from beats (versions 1 and 2 of the lumberjack protocol), and tells them when an event has arrived at its output.",
    settings: &[
        Setting::new("host", Kind::String, "The address to listen on.").default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port.").required().listens(Transport::Tcp),
        Setting::new(
            "client_inactivity_timeout",
            Kind::Number,
            "Ends a connection after so many idle seconds; 0 never does.",
        )
        .default(Preset::Int(60)),
        Setting::new(
            "enrich",
            Kind::List(&Kind::OneOf(&[
                "source_metadata",
                "codec_metadata",
                "ssl_peer_metadata",
                "all",
                "none",
            ])),
            "What is added to events: the address of the peer, a tag that names the codec.",
        ),
        Setting::new("include_codec_tag", Kind::Boolean, "Adds a tag that names the codec.")
            .default(Preset::Bool(true))
            .status(ASK_ENRICH),
        Setting::new("add_hostname", Kind::Boolean, "Copies `[beat][hostname]` to `[@metadata][input][beats][host][name]`, or `host` by the old names.")
            .default(Preset::Bool(false))
            .status(Status::Deprecated("beats name their host in `[host][name]`")),
        Setting::new("executor_threads", Kind::Number, "Threads that decode.").status(THREADS),
        Setting::new("event_loop_threads", Kind::Number, "Threads that read.").status(THREADS),
        tls::ENABLED,
        tls::CERTIFICATE,
        tls::KEY,
        tls::KEY_PASSPHRASE,
        tls::CLIENT_AUTHORITIES,
        tls::CLIENT_AUTHENTICATION.default(Preset::String("none")),
        tls::HANDSHAKE_TIMEOUT,
        tls::PROTOCOLS,
        tls::CIPHERS,
        tls::obsolete("ssl", "use `ssl_enabled`"),
        tls::obsolete("ssl_peer_metadata", "use `enrich`"),
        tls::obsolete("ssl_verify_mode", "use `ssl_client_authentication`"),
        tls::obsolete("cipher_suites", "use `ssl_cipher_suites`"),
        tls::obsolete("tls_min_version", "use `ssl_supported_protocols`"),
        tls::obsolete("tls_max_version", "use `ssl_supported_protocols`"),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let name = settings.plugin("codec").map_or(Text::from_static("plain"), |(name, _)| name.clone());
    if name == "multiline" {
        return Err(BuildError::setting("codec", "`multiline` would mix the streams of a beat")
            .remedy("join lines where they are read, with the `multiline` options of the beat"));
    }
    let enrich = Enrich::new(settings)?;
    let asks = settings.text("ssl_client_authentication").is_some_and(|asks| asks != "none");
    let authenticates =
        settings.bool("ssl_enabled") && (asks || !settings.strings("ssl_certificate_authorities").is_empty());
    if settings.bool("ssl_enabled") && authenticates && enrich.peer && !asks {
        return Err(BuildError::setting("enrich", "`ssl_peer_metadata` needs `ssl_client_authentication`")
            .remedy("set it to `optional` or `required`"));
    }
    let codec = if enrich.codec || settings.is_given("codec") {
        cx.codec(settings, "codec")?
    } else {
        cx.with_ecs(EcsCompatibility::Disabled).codec(settings, "codec")?
    };
    let idle = settings.float("client_inactivity_timeout").filter(|seconds| *seconds > 0.0);
    let listen = Listen::new(settings, true, tls::acceptor(settings, cx, tls::Rules::Beats)?)?;
    Ok(Box::new(Beats {
        connections: Arc::new(Connections {
            idle: idle.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            codec_tag: enrich.codec.then(|| format!("beats_input_codec_{name}_applied")),
            codec: Mutex::new(codec),
            lines: Arc::clone(&cx.lines),
            parsed: Arc::clone(&cx.parsed),
            complaints: Complaints::default(),
            options: InputOptions::new(settings),
            ip_field: enrich
                .source
                .then_some(cx.ecs.select("[@metadata][ip_address]", "[@metadata][input][beats][host][ip]")),
            host_name: settings
                .bool("add_hostname")
                .then(|| ["[beat][hostname]", cx.ecs.select("host", "[@metadata][input][beats][host][name]")])
                .and_then(|fields| {
                    let [from, to] = fields.map(|field| FieldReference::parse(field).ok());
                    Some([from?, to?])
                }),
            peer_fields: (enrich.peer && authenticates).then(|| {
                cx.ecs.select(
                    ["protocol", "subject", "cipher_suite"]
                        .map(|name| format!("[@metadata][tls_peer][{name}]")),
                    ["version_protocol", "client][subject", "cipher"]
                        .map(|name| format!("[@metadata][input][beats][tls][{name}]")),
                )
            }),
        }),
        listen,
    }))
}

struct Enrich {
    source: bool,
    codec: bool,
    peer: bool,
}

impl Enrich {
    fn new(settings: &Settings) -> Result<Self, BuildError> {
        let mut enrich = Self { source: true, codec: true, peer: false };
        if settings.is_given("enrich") {
            let words = settings.strings("enrich");
            if words.len() > 1 && words.iter().any(|word| word == "all" || word == "none") {
                return Err(BuildError::setting("enrich", "`all` and `none` stand alone"));
            }
            let has = |name: &str| words.iter().any(|word| word == name || word == "all");
            enrich = Self {
                source: has("source_metadata"),
                codec: has("codec_metadata"),
                peer: has("ssl_peer_metadata"),
            };
        }
        if settings.is_given("include_codec_tag") {
            if settings.is_given("enrich") {
                return Err(BuildError::setting("include_codec_tag", "stands beside `enrich`")
                    .remedy("leave it out: `enrich` says the same with `codec_metadata`"));
            }
            enrich.codec = settings.bool("include_codec_tag");
        }
        Ok(enrich)
    }
}

struct Beats {
    listen: Listen,
    connections: Arc<Connections>,
}

/// What every connection needs.
struct Connections {
    idle: Option<Duration>,
    codec_tag: Option<String>,
    // Only forked; behind a lock so that several tasks may look at it.
    codec: Mutex<Box<dyn Codec>>,
    lines: Arc<LineLimit>,
    parsed: Arc<ParsedLimit>,
    complaints: Complaints,
    options: InputOptions,
    ip_field: Option<&'static str>,
    // From where to where the name of a host is copied.
    host_name: Option<[FieldReference; 2]>,
    // For the version of TLS, the subject of the client's certificate, and the cipher suite.
    peer_fields: Option<[String; 3]>,
}

impl Connections {
    fn known_of(&self, peer: SocketAddr, stream: &Stream) -> Vec<(FieldReference, Value)> {
        let mut known = Vec::new();
        let mut add = |field: &str, value: String| {
            known.extend(FieldReference::parse(field).map(|field| (field, Value::from(value))));
        };
        if let Some(field) = self.ip_field {
            add(field, peer.ip().to_canonical().to_string());
        }
        if let (Some([protocol, subject, cipher]), Some(tls)) = (&self.peer_fields, stream.peer()) {
            let verified = tls.subject.is_some();
            add("[@metadata][tls_peer][status]", if verified { "verified" } else { "unverified" }.into());
            if let Some(name) = tls.subject {
                add(protocol, tls.protocol);
                add(subject, name);
                add(cipher, tls.cipher);
            }
        }
        known
    }
}

#[async_trait]
impl Input for Beats {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (connections, room) = (self.connections, Room::new(&cx.memory));
        let talk = move |stream, peer, cx: Arc<InputContext>| {
            let (connections, room) = (Arc::clone(&connections), room.clone());
            async move {
                match Connection::new(&connections, room, peer, &stream).run(stream, &cx).await {
                    Ok(()) => debug!(%peer, "Connection ended"),
                    Err(error) => warn!(%error, %peer, "Connection ended"),
                }
            }
        };
        self.listen.serve(&Arc::new(cx), talk).await;
        Ok(())
    }
}

/// The tag of an event that is no JSON object: its text is the message.
const UNREADABLE: &str = "_jsonparsefailure";

/// Says from time to time how many events could not be read.
#[derive(Debug, Default)]
struct Complaints {
    events: AtomicU64,
    said: Seldom,
}

impl Complaints {
    fn say(&self, error: &str) {
        let count = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        if self.said.is_due() {
            warn!(
                error,
                count,
                tag = UNREADABLE,
                "Events of beats are no JSON objects, they go on with a tag"
            );
        }
    }
}

#[cfg(test)]
mod tests;
