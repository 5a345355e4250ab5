//! `syslog`: messages by RFC 3164 and RFC 5424, over TCP and UDP on one port.

mod frames;
mod rfc5424;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tracing::warn;

use super::accept::Listen;
use super::common::{EXPANSION, InputOptions, unacknowledged};
use super::datagrams::{Datagram, Datagrams, LONGEST};
use super::net::{self, Proxied};
use super::room::{FREE_BYTES, Room};
use crate::event::{Blob, Clock, Event, FieldReference, Text, Value};
use crate::pipeline::plugin::PluginKind;
use crate::pipeline::plugin::settings::{
    Default as Preset, Kind, Setting, SettingValue, Settings, Transport,
};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, Decoration, EcsCompatibility, Filter, FilterContext, Input,
    InputContext, InputError, LineLimit, MakeInput, PluginSpec,
};
use crate::tls::Stream;

pub(crate) static SYSLOG: PluginSpec = PluginSpec {
    name: "syslog",
    doc: "Takes syslog messages over TCP and UDP, by RFC 3164 as Logstash does. Those by RFC 5424 are understood too, where Logstash tags them: by the names of grok's `SYSLOG5424LINE`, without a byte order mark, and `[log][syslog][procid]` where the process is no number. Over TCP a message may have its length before it (octet counting, RFC 6587): the first bytes of each tell.",
    settings: &[
        Setting::new("host", Kind::String, "The address to listen on.").default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port, for TCP and UDP.")
            .default(Preset::Int(514))
            .listens(Transport::TcpAndUdp),
        Setting::new("syslog_field", Kind::String, "The field with the whole message, behind the codec.")
            .default(Preset::String("message")),
        Setting::new(
            "grok_pattern",
            Kind::String,
            "The pattern of a message, in place of the one for RFC 3164.",
        ),
        Setting::new(
            "proxy_protocol",
            Kind::Boolean,
            "Whether a proxy says in a line of its own who connected (version 1).",
        )
        .default(Preset::Bool(false)),
        Setting::new("use_labels", Kind::Boolean, "Adds the names of facility and severity.")
            .default(Preset::Bool(true)),
        Setting::new("facility_labels", Kind::Array, "The names of facilities.").default(Preset::Strings(&[
            "kernel",
            "user-level",
            "mail",
            "system",
            "security/authorization",
            "syslogd",
            "line printer",
            "network news",
            "UUCP",
            "clock",
            "security/authorization",
            "FTP",
            "NTP",
            "log audit",
            "log alert",
            "clock",
            "local0",
            "local1",
            "local2",
            "local3",
            "local4",
            "local5",
            "local6",
            "local7",
        ])),
        Setting::new("severity_labels", Kind::Array, "The names of severities.").default(Preset::Strings(&[
            "Emergency",
            "Alert",
            "Critical",
            "Error",
            "Warning",
            "Notice",
            "Informational",
            "Debug",
        ])),
        Setting::new("timezone", Kind::String, "The time zone of times that do not say one."),
        Setting::new("locale", Kind::String, "The language of month names."),
        Setting::new("service_type", Kind::String, "`[service][type]`, with the names of ECS.")
            .default(Preset::String("system")),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let place =
        Place { listen: Listen::new(settings, true, None)?, proxied: settings.bool("proxy_protocol") };
    Ok(Box::new(Syslog { place, relay: Relay::new(settings, cx)? }))
}

struct Syslog {
    place: Place,
    relay: Relay,
}

/// Most messages of a batch.
const AT_ONCE: usize = 500;

/// Where messages come in.
struct Place {
    listen: Listen,
    proxied: bool,
}

#[async_trait]
impl Input for Syslog {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (Self { place, relay }, cx) = (*self, Arc::new(cx));
        tokio::join!(place.serve_tcp(relay.fork(), &cx), place.serve_udp(relay, &cx));
        Ok(())
    }
}

impl Place {
    async fn serve_udp(&self, mut relay: Relay, cx: &InputContext) {
        let Listen { host, port, .. } = &self.listen;
        let Some(datagrams) = Datagrams::listen(host, *port, LONGEST, cx).await else { return };
        let make = |datagrams: Vec<Datagram>| {
            let (mut events, mut bytes) = (Vec::new(), 0);
            for Datagram { data, sender } in datagrams {
                bytes += data.len();
                relay.decode(&data, &sender, cx.clock, &mut events);
            }
            unacknowledged(events, bytes)
        };
        datagrams.serve(cx, make).await;
    }

    async fn serve_tcp(&self, relay: Relay, cx: &Arc<InputContext>) {
        let (relay, proxied, room) = (Arc::new(Mutex::new(relay)), self.proxied, Room::new(&cx.memory));
        let read = move |mut stream: Stream, peer: SocketAddr, cx: Arc<InputContext>| {
            let relay = relay.lock().unwrap_or_else(PoisonError::into_inner).fork();
            let room = room.clone();
            async move {
                let mut client = peer.ip().to_canonical().to_string();
                let mut first = Vec::new();
                if proxied {
                    let read = tokio::select! {
                        read = Proxied::read(&mut stream) => read,
                        () = cx.shutdown.cancelled() => return,
                    };
                    match read {
                        Ok((said, rest)) => (client, first) = (said.client, rest),
                        Err(error) => return warn!(%error, %peer, "Connection ended"),
                    }
                }
                let stream = first.as_slice().chain(stream);
                net::say_ended(read_messages(stream, &client, relay, &room, &cx).await, &peer);
            }
        };
        self.listen.serve(cx, read).await;
    }
}

async fn read_messages(
    stream: impl AsyncRead + Unpin,
    client: &str,
    mut relay: Relay,
    room: &Room,
    cx: &InputContext,
) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(FREE_BYTES, stream);
    // What is whole in the reader's buffer finds room here without asking, and is read while a turn is held.
    let (mut read, mut piece) = (Vec::with_capacity(FREE_BYTES), room.piece());
    let longest = relay.shared.lines.max_bytes();
    let (mut events, mut bytes, mut counted) = (Vec::new(), 0, false);
    // While events are held, with room for them in the queue.
    let mut turn = None;
    let mut last_words = net::LastWords::default();
    loop {
        // Cancelled only at the end: what was read of a message is in `read`.
        let cut = tokio::select! {
            cut = frames::read(&mut reader, &mut read, longest, &mut piece) => cut?,
            () = last_words.over(cx) => 0,
        };
        if read.is_empty() {
            return Ok(());
        }
        if turn.is_none() {
            let turns = room.turn().await;
            let bytes = read.len() + reader.buffer().len();
            turn = Some((turns, cx.events.room(bytes * EXPANSION).await));
        }
        let message = frames::message(&read);
        bytes += message.len();
        // Some end a line that they have counted.
        if !(counted && message == b"\n") {
            // With its end, as in Logstash: a pattern stops there, and `[event][original]` has it.
            let before = events.len();
            relay.decode(message, client, cx.clock, &mut events);
            if cut > 0 {
                relay.shared.lines.cut(cut);
                events[before..].iter_mut().for_each(|event| event.tag(LineLimit::TAG));
            }
        }
        counted = message.len() < read.len();
        read.clear();
        read.shrink_to(FREE_BYTES);
        // Messages that are there already go along.
        if frames::holds_one(reader.buffer()) && events.len() < AT_ONCE {
            continue;
        }
        let batch = unacknowledged(std::mem::take(&mut events), std::mem::take(&mut bytes));
        if let Some((_until_sent, room)) = turn.take()
            && !batch.is_empty()
            && !cx.events.send_into(room, batch).await
        {
            return Ok(());
        }
    }
}

/// Makes events of messages, as a relay would understand them.
struct Relay {
    codec: Box<dyn Codec>,
    grok: Box<dyn Filter>,
    date: Box<dyn Filter>,
    shared: Arc<Shared>,
}

struct Shared {
    lines: Arc<LineLimit>,
    options: InputOptions,
    ecs: EcsCompatibility,
    // Unless there is a pattern of the user's.
    rfc5424: Option<rfc5424::Fields>,
    syslog_field: FieldReference,
    original: FieldReference,
    host: FieldReference,
    priority: FieldReference,
    facility: FieldReference,
    severity: FieldReference,
    facility_label: FieldReference,
    severity_label: FieldReference,
    // Where the text is not empty, with the names of ECS.
    service: Option<(FieldReference, Text)>,
    use_labels: bool,
    facilities: Vec<Text>,
    severities: Vec<Text>,
}

const FAILED: &str = "_grokparsefailure_sysloginput";

impl Relay {
    fn new(settings: &Settings, cx: &BuildContext) -> Result<Self, BuildError> {
        let field = |old, ecs| {
            FieldReference::parse(cx.ecs.select(old, ecs))
                .map_err(|error| BuildError::plugin(error.to_string()))
        };
        let syslog_field = settings.text("syslog_field").unwrap_or(Text::from_static("message"));
        let own_pattern = settings.text("grok_pattern");
        let has_own_pattern = own_pattern.is_some();
        let patterns = own_pattern.map_or_else(|| patterns(cx.ecs), |pattern| vec![pattern]);
        let whole = FieldReference::parse_with(&syslog_field, settings.escape_style())
            .map_err(|error| BuildError::setting("syslog_field", error.to_string()))?;
        let list =
            |texts: Vec<Text>| SettingValue::Array(texts.into_iter().map(SettingValue::String).collect());
        let text = |text: &'static str| SettingValue::String(Text::from_static(text));
        let grok = Settings::default()
            .with_escape_style(settings.escape_style())
            .with("match", SettingValue::Hash(vec![(syslog_field.clone(), list(patterns))]))
            .with("overwrite", list(vec![syslog_field.clone()]))
            .with("tag_on_failure", list(vec![Text::from_static(FAILED)]))
            .with("named_captures_only", SettingValue::Bool(true))
            .with("break_on_match", SettingValue::Bool(true))
            .with("patterns_files_glob", text("*"))
            .with("timeout_millis", SettingValue::Int(30_000))
            .with("tag_on_timeout", text("_groktimeout"));
        let formats = ["timestamp", "MMM dd HH:mm:ss", "MMM  d HH:mm:ss", "MMM d HH:mm:ss", "ISO8601"];
        let mut date = Settings::default()
            .with("match", list(formats.map(Text::from_static).to_vec()))
            .with("target", text("@timestamp"))
            .with("precision", text("ms"))
            .with("tag_on_failure", list(vec![Text::from_static("_dateparsefailure")]));
        for name in ["timezone", "locale"] {
            if let Some(value) = settings.text(name) {
                date = date.with(name, SettingValue::String(value));
            }
        }
        Ok(Self {
            codec: cx.codec(settings, "codec")?,
            grok: filter("grok", &grok, cx)?,
            date: filter("date", &date, cx)?,
            shared: Arc::new(Shared {
                lines: Arc::clone(&cx.lines),
                options: InputOptions::new(settings),
                ecs: cx.ecs,
                rfc5424: (!has_own_pattern)
                    .then(|| rfc5424::Fields::new(cx.ecs, &whole))
                    .transpose()
                    .map_err(|error| BuildError::plugin(error.to_string()))?,
                syslog_field: whole,
                original: field("[event][original]", "[event][original]")?,
                host: field("host", "[host][ip]")?,
                priority: field("priority", "[log][syslog][priority]")?,
                facility: field("facility", "[log][syslog][facility][code]")?,
                severity: field("severity", "[log][syslog][severity][code]")?,
                facility_label: field("facility_label", "[log][syslog][facility][name]")?,
                severity_label: field("severity_label", "[log][syslog][severity][name]")?,
                service: settings
                    .text("service_type")
                    .filter(|text| !text.is_empty() && cx.ecs != EcsCompatibility::Disabled)
                    .map(|text| Ok((field("", "[service][type]")?, text)))
                    .transpose()?,
                use_labels: settings.bool("use_labels"),
                facilities: settings.strings("facility_labels"),
                severities: settings.strings("severity_labels"),
            }),
        })
    }

    fn fork(&self) -> Self {
        Self {
            codec: self.codec.fork(),
            grok: self.grok.fork(),
            date: self.date.fork(),
            shared: Arc::clone(&self.shared),
        }
    }

    fn decode(&mut self, data: &[u8], client: &str, clock: Clock, events: &mut Vec<Event>) {
        let Self { codec, grok, date, shared } = self;
        codec.decode(Blob::from(data), clock, &mut |mut event| {
            shared.options.apply(&mut event);
            set(&mut event, &shared.host, Value::Text(Text::from(client)));
            relay(&mut event, &mut **grok, &mut **date, shared, clock);
            events.push(event);
        });
    }
}

/// RFC 3164, then what is nearly RFC 5424.
fn patterns(ecs: EcsCompatibility) -> Vec<Text> {
    let patterns = ecs.select(
        ["<%{POSINT:priority}>%{SYSLOGLINE}", "(?=<%{NONNEGINT:priority}>)%{SYSLOG5424LINE}"],
        ["<%{POSINT:[log][syslog][priority]:int}>%{SYSLOGLINE}", "%{SYSLOG5424LINE}"],
    );
    patterns.map(Text::from_static).to_vec()
}

fn filter(name: &str, settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    match cx.catalog.find(PluginKind::Filter, name).map(|spec| &spec.build) {
        Some(Build::Filter(make)) => make(settings, cx).map_err(|mut error| {
            error.setting = match error.setting {
                Some("match") => Some("grok_pattern"),
                other => other,
            };
            error
        }),
        _ => Err(BuildError::plugin(format!("there is no filter `{name}`"))),
    }
}

/// Where something that is no hash stands in the way, the event keeps what it has.
fn set(event: &mut Event, field: &FieldReference, value: Value) {
    let _kept = event.set(field, value);
}

fn relay(event: &mut Event, grok: &mut dyn Filter, date: &mut dyn Filter, shared: &Shared, clock: Clock) {
    let decoration = Decoration::default();
    let mut emitted = Vec::new();
    let mut run = |filter: &mut dyn Filter, event: &mut Event| {
        filter.filter(
            event,
            &mut FilterContext { decoration: &decoration, emitted: &mut emitted, later: &mut None, clock },
        );
    };
    let ecs = shared.ecs != EcsCompatibility::Disabled;
    if ecs && let Some(original) = event.get(&shared.syslog_field).cloned() {
        set(event, &shared.original, original);
    }
    match shared.rfc5424.as_ref().and_then(|fields| fields.fill(event)) {
        Some(priority) => set(event, &shared.priority, Value::Int(priority)),
        None => run(grok, event),
    }
    if let Some((field, kind)) = &shared.service
        && !event.contains(field)
    {
        set(event, field, Value::Text(kind.clone()));
    }
    // Logstash means to give unknown messages the priority 13, as RFC 3164 says, and gives them 0: it looks for a list
    // among the tags.
    let priority = priority(event.get(&shared.priority));
    set(event, &shared.priority, Value::Int(priority));
    set(event, &shared.severity, Value::Int(priority & 7));
    set(event, &shared.facility, Value::Int(priority >> 3));
    if !ecs {
        for name in ["timestamp8601", "syslog5424_ts"] {
            if let Some(time) = event.fields().get(name).cloned() {
                event.fields_mut().insert("timestamp", time);
            }
        }
    }
    run(date, event);
    if ecs {
        event.fields_mut().remove("timestamp");
    }
    if shared.use_labels {
        let label = |labels: &[Text], code: i64| {
            usize::try_from(code).ok().and_then(|code| labels.get(code).cloned())
        };
        if let Some(name) = label(&shared.facilities, priority >> 3) {
            set(event, &shared.facility_label, Value::Text(name));
        }
        if let Some(name) = label(&shared.severities, priority & 7) {
            set(event, &shared.severity_label, Value::Text(name));
        }
    }
}

/// Ruby's `to_i` of what grok found; nothing is 0.
fn priority(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Int(number)) => *number,
        Some(Value::Text(text)) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UdpSocket;

    use super::super::testing::{Running, connect, free_port};
    use super::*;

    const ASA: &str = "<164>Oct 26 15:19:25 1.2.3.4 %ASA-4-106023: Deny udp src DRAC:10.1.2.3/43434";

    fn settings(port: u16, more: &str) -> String {
        format!(r#"{{"host":"127.0.0.1","port":{port},"timezone":"UTC"{more}}}"#)
    }

    #[tokio::test]
    async fn messages_over_tcp_by_their_old_names() {
        let port = free_port();
        let mut input = Running::start(&SYSLOG, &settings(port, ""), EcsCompatibility::Disabled);
        let mut stream = connect(port).await;
        stream.write_all(format!("{ASA}\nno syslog at all\n").as_bytes()).await.unwrap();
        let event = input.next().await;
        // As in Logstash, the end of the line belongs to it.
        assert_eq!(event.text("message"), "Deny udp src DRAC:10.1.2.3/43434\n");
        assert_eq!(
            (event.json("priority"), event.json("severity"), event.json("facility")),
            ("164".into(), "4".into(), "20".into())
        );
        assert_eq!(
            (event.text("severity_label"), event.text("facility_label")),
            ("Warning".into(), "local4".into())
        );
        assert_eq!(
            (event.text("program"), event.text("timestamp")),
            ("%ASA-4-106023".into(), "Oct 26 15:19:25".into())
        );
        assert!(event.json("@timestamp").contains("-10-26T15:19:25.000Z"), "{}", event.json("@timestamp"));
        let event = input.next().await;
        assert_eq!(event.text("message"), "no syslog at all\n");
        assert_eq!((event.json("priority"), event.json("tags")), ("0".into(), format!("[\"{FAILED}\"]")));
        assert_eq!(event.text("severity_label"), "Emergency");
        assert_eq!(event.text("host"), "127.0.0.1");
        assert_eq!(event.json("[service]"), "");
        input.stop().await;
    }

    #[tokio::test]
    async fn messages_over_udp_by_their_ecs_names() {
        let port = free_port();
        let mut input = Running::start(&SYSLOG, &settings(port, ""), EcsCompatibility::V8);
        // Listens on TCP and UDP at about the same time.
        drop(connect(port).await);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let event = loop {
            let _refused_while_nobody_listens = socket.send_to(ASA.as_bytes(), ("127.0.0.1", port)).await;
            if let Some(event) = input.try_next().await {
                break event;
            }
        };
        assert_eq!(event.text("message"), "Deny udp src DRAC:10.1.2.3/43434");
        assert_eq!(event.text("[event][original]"), ASA);
        assert_eq!(event.text("[service][type]"), "system");
        assert_eq!(event.text("[host][ip]"), "127.0.0.1");
        assert_eq!(
            event.json("[log][syslog]"),
            r#"{"priority":164,"severity":{"code":4,"name":"Warning"},"facility":{"code":20,"name":"local4"}}"#
        );
        assert_eq!(event.json("timestamp"), "");
        input.stop().await;
    }

    #[tokio::test]
    async fn rfc_5424_counted_or_by_line() {
        let first = "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su 77 ID47 - failed\nfor lonvick";
        let second = "<13>1 2024-03-05T11:23:07.046641+02:00 - - x1 - [a b=\"\\\"]\"][c] \u{feff}<34>Oct 11 22:14:15 m su: x";
        let third = "<13>1 - - - - - -";
        let stream = format!(
            "{} {first}{} {second}\n{second}\n{ASA}\n{} {third}",
            first.len(),
            second.len(),
            third.len()
        );
        for ecs in [EcsCompatibility::V8, EcsCompatibility::Disabled] {
            let text =
                |event: &super::super::testing::Received| event.text(ecs.select("syslog5424_msg", "message"));
            let priority = ecs.select("priority", "[log][syslog][priority]");
            let port = free_port();
            let mut input = Running::start(&SYSLOG, &settings(port, ""), ecs);
            connect(port).await.write_all(stream.as_bytes()).await.unwrap();
            let event = input.next().await;
            assert_eq!(event.json("@timestamp"), "\"2003-10-11T22:14:15.003Z\"");
            assert_eq!((text(&event).as_str(), event.json(priority)), ("failed\nfor lonvick", "34".into()));
            assert_eq!(event.json(ecs.select("severity", "[log][syslog][severity][code]")), "2");
            assert_eq!(
                event.json(ecs.select("syslog5424_proc", "[process][pid]")),
                ecs.select("\"77\"", "77")
            );
            for _ in 0..2 {
                let event = input.next().await;
                assert_eq!(event.json("@timestamp"), "\"2024-03-05T09:23:07.046Z\"");
                assert_eq!(text(&event), "<34>Oct 11 22:14:15 m su: x");
                let data = event.text(ecs.select("syslog5424_sd", "[system][syslog][structured_data]"));
                assert_eq!(data, "[a b=\"\\\"]\"][c]");
                assert_eq!(event.text(ecs.select("syslog5424_proc", "[log][syslog][procid]")), "x1");
                assert_eq!((event.json(priority), event.json("tags")), ("13".into(), String::new()));
            }
            assert_eq!(input.next().await.text("message"), "Deny udp src DRAC:10.1.2.3/43434\n");
            let event = input.next().await;
            assert_eq!((text(&event), event.json(priority)), (String::new(), "13".into()));
            assert_eq!(event.json("tags"), "");
            input.stop().await;
        }
    }

    #[tokio::test]
    async fn a_pattern_of_ones_own() {
        let port = free_port();
        let own = r#","grok_pattern":"PRI %{POSINT:priority} %{GREEDYDATA:message}","use_labels":false,"proxy_protocol":true"#;
        let mut input = Running::start(&SYSLOG, &settings(port, own), EcsCompatibility::Disabled);
        connect(port).await.write_all(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nPRI 165 hi\r\n").await.unwrap();
        let event = input.next().await;
        assert_eq!(
            (event.text("message"), event.json("facility"), event.text("host")),
            ("hi\r\n".into(), "20".into(), "1.2.3.4".into())
        );
        assert_eq!(event.json("severity_label"), "");
        input.stop().await;
    }
}
