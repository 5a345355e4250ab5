//! `beats`: events from beats and other Logstashes. A window is acknowledged when its events have arrived.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use logstash_mesos_engine::compat::ruby;
use logstash_mesos_engine::tools::characters::whole_characters;
use logstash_mesos_engine::tools::seldom::Seldom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tracing::{debug, warn};

use super::accept::Listen;
use super::common::{EVENT_BYTES, InputOptions};
use super::room::{FREE_BYTES, Held, Room};
use crate::event::{
    Ack, Blob, Clock, Event, FieldReference, JsonReader, JsonRules, Map, Outcome, Text, Timestamp, Value,
    awaited_ack, write_json_map,
};
use crate::lumberjack::{Frame, FrameReader, ProtocolError, acknowledgement};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status, Transport};
use crate::pipeline::plugin::{
    Batch, Build, BuildContext, BuildError, Codec, EcsCompatibility, Input, InputContext, InputError,
    LineLimit, MakeInput, PluginSpec,
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
            room: listen.room.clone(),
            lines: Arc::clone(&cx.lines),
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
    room: Room,
    lines: Arc<LineLimit>,
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
        let connections = self.connections;
        let talk = move |stream, peer, cx: Arc<InputContext>| {
            let connections = Arc::clone(&connections);
            async move {
                match Connection::new(&connections, peer, &stream).run(stream, &cx).await {
                    Ok(()) => debug!(%peer, "Connection ended"),
                    Err(error) => warn!(%error, %peer, "Connection ended"),
                }
            }
        };
        self.listen.serve(&Arc::new(cx), talk).await;
        Ok(())
    }
}

/// Windows of one connection that are on their way at a time; then nothing more is read.
const MOST_WINDOWS: usize = 4;
/// Events of a window go on when they need about so much memory, before the window is whole.
const PART_BYTES: usize = 1 << 20;
/// How often a peer that waits is told that its events are on their way.
const STILL_THERE: Duration = Duration::from_secs(5);
/// How long the end of the input waits for acknowledgements.
const LAST_WAIT: Duration = Duration::from_secs(5);
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

/// The connection of one peer, and what it has sent that is not acknowledged.
struct Connection<'c> {
    shared: &'c Connections,
    codec: Box<dyn Codec>,
    json: JsonReader,
    // What is known of the peer, and where events have it.
    from: Vec<(FieldReference, Value)>,
    frames: FrameReader,
    // Of the protocol, as the peer speaks it.
    version: u8,
    // The window that is being read: events announced, come, the last number, those that have not been sent, and who
    // is told what becomes of them all.
    announced: u32,
    come: u32,
    last: u32,
    events: Vec<Event>,
    bytes: usize,
    window: Option<(Ack, oneshot::Receiver<Outcome>)>,
    // Windows on their way.
    sent: VecDeque<Sent>,
    // What came has not been looked at to its end.
    todo: bool,
    // For the long frame that is being read.
    long: Option<Held>,
    // To be written.
    answers: Vec<u8>,
}

/// What a connection waits for beside its peer. Nothing is read meanwhile.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

enum Done {
    /// It may make events.
    Turn(Held),
    /// It may read a long frame.
    Room(Held),
    /// The queue has taken events; or it has ended.
    Sent(bool),
}

struct Sent {
    version: u8,
    last: u32,
    outcome: oneshot::Receiver<Outcome>,
}

impl<'c> Connection<'c> {
    fn new(shared: &'c Connections, peer: SocketAddr, stream: &Stream) -> Self {
        Self {
            shared,
            codec: shared.codec.lock().unwrap_or_else(PoisonError::into_inner).fork(),
            json: JsonReader::new(JsonRules::CODEC),
            from: shared.known_of(peer, stream),
            frames: FrameReader::default(),
            version: b'2',
            announced: 0,
            come: 0,
            last: 0,
            events: Vec::new(),
            bytes: 0,
            window: None,
            sent: VecDeque::new(),
            todo: false,
            long: None,
            answers: Vec::new(),
        }
    }

    async fn run(&mut self, mut stream: Stream, cx: &InputContext) -> std::io::Result<()> {
        let mut block = vec![0; 64 << 10];
        let mut alive = tokio::time::interval_at(tokio::time::Instant::now() + STILL_THERE, STILL_THERE);
        alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Begins anew with what comes and what is acknowledged, and with nothing else.
        let quiet = self.shared.idle;
        let mut idle = pin!(tokio::time::sleep(quiet.unwrap_or_default()));
        let stirred = |idle: Pin<&mut Sleep>| {
            if let Some(quiet) = quiet {
                idle.reset(tokio::time::Instant::now() + quiet);
            }
        };
        let mut work: Option<Work> = None;
        loop {
            if work.is_none() {
                work = self.next_work();
            }
            let reads = work.is_none() && self.sent.len() < MOST_WINDOWS;
            tokio::select! {
                outcome = first_outcome(&mut self.sent) => {
                    if !self.acknowledge(outcome, &mut stream).await? {
                        return Ok(());
                    }
                    alive.reset();
                    stirred(idle.as_mut());
                }
                done = finished(&mut work) => {
                    work = None;
                    stirred(idle.as_mut());
                    match done {
                        Done::Turn(turn) => {
                            work = self.make_events(turn, cx)?;
                            stream.write_all(&std::mem::take(&mut self.answers)).await?;
                        }
                        Done::Room(room) => self.long = Some(room),
                        Done::Sent(true) => {}
                        Done::Sent(false) => return Ok(()),
                    }
                }
                read = stream.read(&mut block), if reads => {
                    let len = read?;
                    if len == 0 {
                        return Ok(());
                    }
                    stirred(idle.as_mut());
                    self.frames.feed(&block[..len]);
                    self.todo = true;
                }
                _ = alive.tick() => {
                    // Also while its events wait for the queue: it would send them again, and a peer that has gone is
                    // noticed by this.
                    if !self.sent.is_empty() || work.is_some() {
                        stream.write_all(&acknowledgement(self.version, 0)).await?;
                    }
                }
                () = &mut idle, if quiet.is_some() && self.sent.is_empty() && work.is_none() => return Ok(()),
                () = cx.shutdown.cancelled() => break,
            }
        }
        drop(work);
        // What is on its way may still arrive; what does not is sent again by the peer.
        let _time_is_up = tokio::time::timeout(LAST_WAIT, async {
            while !self.sent.is_empty() {
                let outcome = first_outcome(&mut self.sent).await;
                if !self.acknowledge(outcome, &mut stream).await? {
                    break;
                }
            }
            stream.shutdown().await
        })
        .await;
        Ok(())
    }

    /// `false` when the peer must send its events again.
    async fn acknowledge(&mut self, outcome: Option<Outcome>, stream: &mut Stream) -> std::io::Result<bool> {
        let Some(sent) = self.sent.pop_front() else { return Ok(true) };
        if outcome != Some(Outcome::Delivered) {
            return Ok(false);
        }
        stream.write_all(&acknowledgement(sent.version, sent.last)).await?;
        Ok(true)
    }

    /// What has to be waited for before more is read.
    fn next_work(&mut self) -> Option<Work> {
        let room = self.shared.room.clone();
        if self.todo {
            return Some(Box::pin(async move { Done::Turn(room.turn().await) }));
        }
        let wants = self.frames.wants();
        if wants <= FREE_BYTES {
            self.long = None;
        } else if self.long.is_none() {
            return Some(Box::pin(async move { Done::Room(room.bytes(wants).await) }));
        }
        None
    }

    /// Makes events of the frames that have come, up to a part of a window, and sends them. They are held in turn with
    /// other connections.
    fn make_events(&mut self, turn: Held, cx: &InputContext) -> std::io::Result<Option<Work>> {
        let Some(batch) = self.next_batch(cx.clock).map_err(std::io::Error::other)? else {
            self.todo = false;
            return Ok(None);
        };
        let events = Arc::clone(&cx.events);
        Ok(Some(Box::pin(async move {
            let taken = events.send(batch).await;
            drop(turn);
            Done::Sent(taken)
        })))
    }

    fn next_batch(&mut self, clock: Clock) -> Result<Option<Batch>, ProtocolError> {
        while let Some((version, frame)) = self.frames.next()? {
            self.version = version;
            match frame {
                Frame::Window(0) => self.answers.extend_from_slice(&acknowledgement(version, 0)),
                Frame::Window(announced) => {
                    self.announced = announced;
                    self.come = 0;
                    self.events.clear();
                    self.bytes = 0;
                    self.window = None;
                    continue;
                }
                Frame::Json { sequence, payload } => {
                    self.last = sequence;
                    self.bytes += payload.len();
                    self.json(payload, clock);
                    self.come += 1;
                }
                Frame::Data { sequence, fields } => {
                    self.last = sequence;
                    self.bytes += fields
                        .iter()
                        .filter_map(|(_, value)| value.as_text())
                        .map(|text| text.len())
                        .sum::<usize>();
                    self.event(fields, clock);
                    self.come += 1;
                }
            }
            let whole = self.announced > 0 && self.come >= self.announced;
            if whole || self.bytes + self.events.len() * EVENT_BYTES >= PART_BYTES {
                return Ok(Some(self.batch(whole)));
            }
        }
        // What has been made is not held while more is waited for.
        Ok((!self.events.is_empty()).then(|| self.batch(false)))
    }

    /// The events so far; the last ones when the window is `whole`.
    fn batch(&mut self, whole: bool) -> Batch {
        let (ack, outcome) = self.window.take().unwrap_or_else(awaited_ack);
        let part = ack.clone();
        if whole {
            self.announced = 0;
            self.sent.push_back(Sent { version: self.version, last: self.last, outcome });
            // Each part has a duty of its own.
            ack.delivered();
        } else {
            self.window = Some((ack, outcome));
        }
        let events = std::mem::take(&mut self.events);
        let byte_size = std::mem::take(&mut self.bytes) + events.len() * EVENT_BYTES;
        Batch { events, byte_size, ack: part, ..Batch::default() }
    }

    /// The events of a JSON object. Whatever else it is becomes an event too: the window is acknowledged, and the peer
    /// would send it for ever otherwise.
    fn json(&mut self, payload: Blob, clock: Clock) {
        let (text, problem) = match Text::from_utf8(payload) {
            Err(error) => (
                String::from_utf8_lossy(&error.into_bytes()).into_owned().into(),
                "it is not UTF-8".to_owned(),
            ),
            Ok(text) => match self.json.read(&text) {
                Ok(Value::Map(map)) => return self.event(Arc::unwrap_or_clone(map), clock),
                Ok(other) => (text, format!("it is no object, but {}", other.type_name())),
                Err(error) => (text, error.to_string()),
            },
        };
        self.unreadable(text, &problem, clock);
    }

    fn unreadable(&mut self, text: Text, problem: &str, clock: Clock) {
        self.shared.complaints.say(problem);
        let (text, _) = self.cut(text);
        let mut event = Event::from_message(text, clock.now());
        self.finish(&mut event, None);
        event.tag(UNREADABLE);
        self.events.push(event);
    }

    /// The text as far as a line may go, and whether that is not all of it.
    fn cut(&self, text: Text) -> (Text, bool) {
        let limit = &self.shared.lines;
        if text.len() <= limit.max_bytes() {
            return (text, false);
        }
        let kept = whole_characters(text.as_bytes(), limit.max_bytes());
        limit.cut((text.len() - kept) as u64);
        (text.slice(..kept), true)
    }

    /// The events of one that a beat sent: the codec reads the line, and gets the other fields.
    fn event(&mut self, mut fields: Map, clock: Clock) {
        let line = ["message", "line"]
            .into_iter()
            .find(|name| fields.get(name).is_some_and(|v| !matches!(v, Value::Null)))
            .and_then(|name| fields.remove(name));
        let Some(line) = line.map(|line| ruby::to_s(&line)) else {
            // Nothing else is refused, and then nothing is left of the fields.
            let is_refused = fields.get("@metadata").is_some_and(|value| value.as_map().is_none());
            let shown = is_refused.then(|| fields.clone());
            match Event::from_map(fields, clock) {
                Ok(mut event) => {
                    self.finish(&mut event, Some("beats_input_raw_event"));
                    self.events.push(event);
                }
                Err(problem) => {
                    let mut text = Vec::new();
                    write_json_map(&shown.unwrap_or_default(), &mut text);
                    self.unreadable(
                        String::from_utf8_lossy(&text).into_owned().into(),
                        &problem.to_string(),
                        clock,
                    );
                }
            }
            return;
        };
        let (line, cut) = self.cut(line);
        let time = match fields.remove("@timestamp") {
            Some(Value::Text(text)) => Timestamp::parse_iso8601(&text),
            _ => None,
        };
        let mut events = Vec::new();
        self.codec.decode_text(line, clock, &mut |event| events.push(event));
        for mut event in events {
            if cut {
                event.tag(LineLimit::TAG);
            }
            if let Some(time) = time {
                event.fields_mut().insert("@timestamp", time);
            }
            for (name, value) in fields.iter() {
                let _refused_as_in_logstash = event.set(&FieldReference::field(name.clone()), value.clone());
            }
            self.finish(&mut event, self.shared.codec_tag.as_deref());
            self.events.push(event);
        }
    }

    fn finish(&self, event: &mut Event, tag: Option<&str>) {
        for (field, value) in &self.from {
            // Whatever a peer says of itself there, this is what we saw.
            let _kept_where_no_hash = event.set(field, value.clone());
        }
        if let Some([from, to]) = &self.shared.host_name
            && let Some(name) = event.get(from).cloned()
            && matches!(event.get(to), None | Some(Value::Null))
        {
            let _kept_where_no_hash = event.set(to, name);
        }
        self.shared.options.apply(event);
        if self.shared.codec_tag.is_some()
            && let Some(tag) = tag
        {
            event.tag(tag);
        }
    }
}

/// What was waited for.
async fn finished(work: &mut Option<Work>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// How the oldest window ended, once it has; `None` when nobody will say.
async fn first_outcome(sent: &mut VecDeque<Sent>) -> Option<Outcome> {
    match sent.front_mut() {
        Some(front) => (&mut front.outcome).await.ok(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {

    use super::super::testing::{Running, connect, free_port, refused};
    use super::*;
    use crate::lumberjack::testing::window;

    async fn read_ack(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> [u8; 6] {
        let mut ack = [0; 6];
        // Zero only says that the peer is at work.
        while ack[2..] == [0; 4] {
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut ack)).await;
            read.expect("an acknowledgement in time").expect("the connection is open");
        }
        ack
    }

    #[tokio::test]
    async fn a_window_is_acknowledged_when_its_events_have_arrived() {
        let port = free_port();
        let mut input =
            Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
        let mut stream = connect(port).await;
        let first = r#"{"@timestamp":"2024-03-05T01:02:03.000Z","@metadata":{"beat":"filebeat"},"message":"hi","host":{"name":"h"}}"#;
        stream.write_all(&window(&[first, r#"{"metric":1.5}"#])).await.unwrap();
        let (one, two) = (input.next().await, input.next().await);
        assert_eq!(one.text("message"), "hi");
        assert_eq!(one.json("@timestamp"), "\"2024-03-05T01:02:03.000Z\"");
        assert_eq!(
            (one.text("[@metadata][beat]"), one.text("[host][name]")),
            ("filebeat".into(), "h".into())
        );
        assert_eq!(one.text("[@metadata][input][beats][host][ip]"), "127.0.0.1");
        assert_eq!(one.json("tags"), r#"["beats_input_codec_plain_applied"]"#);
        assert_eq!(
            (two.json("metric"), two.json("tags")),
            ("1.5".into(), r#"["beats_input_raw_event"]"#.into())
        );
        // Nothing is acknowledged while one of them is on its way; the next window is read meanwhile.
        one.ack.delivered();
        stream.write_all(&window(&[r#"{"message":"next"}"#])).await.unwrap();
        let three = input.next().await;
        three.ack.delivered();
        let mut ack = [0; 6];
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut ack)).await;
        assert!(early.is_err() || ack[2..] == [0; 4], "{ack:?}");
        two.ack.delivered();
        assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x02");
        assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x01");
        input.stop().await;
    }

    #[tokio::test]
    async fn a_quiet_connection_is_ended_though_its_time_is_longer_than_the_keep_alive() {
        let port = free_port();
        let quiet = STILL_THERE + Duration::from_secs(1);
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"client_inactivity_timeout":{}}}"#,
            quiet.as_secs()
        );
        let mut input = Running::start(&BEATS, &settings, EcsCompatibility::V8);
        let (mut silent, mut acknowledged, mut half) =
            (connect(port).await, connect(port).await, connect(port).await);
        let whole = window(&[r#"{"message":"x"}"#]);
        acknowledged.write_all(&whole).await.unwrap();
        half.write_all(&whole[..whole.len() - 3]).await.unwrap();
        input.next().await.ack.delivered();
        let mut rest = Vec::new();
        let begun = std::time::Instant::now();
        for stream in [&mut silent, &mut acknowledged, &mut half] {
            let ended = tokio::time::timeout(quiet * 2, stream.read_to_end(&mut rest)).await;
            ended.expect("it is ended in time").unwrap();
        }
        assert!(begun.elapsed() > quiet / 2, "not before its time");
        input.stop().await;
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_read_goes_on_with_a_tag_and_the_others_too() {
        let port = free_port();
        let mut input =
            Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
        let mut stream = connect(port).await;
        let bad = ["{\"message\":", "[1]", r#"{"message":"good"}"#, r#"{"a":1,"@timestamp":{"x":2}}"#];
        stream.write_all(&window(&bad)).await.unwrap();
        for (message, tagged) in [("{\"message\":", true), ("[1]", true), ("good", false)] {
            let event = input.next().await;
            assert_eq!(event.text("message"), message);
            assert_eq!(event.json("tags").contains(UNREADABLE), tagged, "{message}");
            event.ack.delivered();
        }
        // Whatever becomes of the last one, it is an event.
        input.next().await.ack.delivered();
        assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x04");
        input.stop().await;
    }

    #[tokio::test]
    async fn a_window_of_any_size_is_held_in_parts_and_acknowledged_whole() {
        let port = free_port();
        let mut input =
            Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
        let mut stream = connect(port).await;
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(PART_BYTES / 4));
        let events = vec![long.as_str(); 20];
        stream.write_all(&window(&events)).await.unwrap();
        let mut last = None;
        for _ in 0..20 {
            let received = input.next().await;
            assert!(last.is_none(), "the one before is let go");
            last = Some(received);
            last.take().unwrap().ack.delivered();
        }
        assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x14");
        input.stop().await;
    }

    /// A queue that takes nothing.
    struct Full;

    #[async_trait]
    impl crate::event::BatchSender for Full {
        async fn send(&self, _: Batch) -> bool {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn peers_that_wait_are_told_so_and_those_that_have_gone_are_noticed() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let port = free_port();
        let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"client_inactivity_timeout":1}}"#);
        let cx = logstash_mesos_engine::testing::context(&BEATS, EcsCompatibility::V8);
        let make = MakeInput::of(&BEATS).unwrap();
        let input = make(&logstash_mesos_engine::testing::settings_of(&BEATS, &settings), &cx).unwrap();
        let sends = Arc::new(AtomicUsize::new(0));
        struct Counting(Arc<AtomicUsize>);
        #[async_trait]
        impl crate::event::BatchSender for Counting {
            async fn send(&self, batch: Batch) -> bool {
                self.0.fetch_add(1, Ordering::SeqCst);
                struct Less<'c>(&'c AtomicUsize);
                impl Drop for Less<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                let _held = Less(&self.0);
                Full.send(batch).await
            }
        }
        let shutdown = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(input.run(InputContext {
            events: Arc::new(Counting(Arc::clone(&sends))),
            shutdown: shutdown.clone(),
            clock: Clock::System,
            bus: crate::pipeline::Bus::default(),
            persisted: false,
            tally: Arc::default(),
            host_root: "/".into(),
        }));
        // As a beat that hears nothing and connects again with the same window.
        let whole = window(&[r#"{"message":"x"}"#]);
        let mut streams = Vec::new();
        for _ in 0..60 {
            let mut stream = connect(port).await;
            stream.write_all(&whole).await.unwrap();
            streams.push(stream);
        }
        let mut last = streams.pop().unwrap();
        let mut ack = [0; 6];
        tokio::time::timeout(STILL_THERE * 4, last.read_exact(&mut ack)).await.unwrap().unwrap();
        assert_eq!(ack, *b"2A\0\0\0\0", "it waits, and is told");
        assert!((1..=4).contains(&sends.load(Ordering::SeqCst)), "few hold events: {sends:?}");
        drop((streams, last));
        for _ in 0..2000 {
            if sends.load(Ordering::SeqCst) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(sends.load(Ordering::SeqCst), 0, "nothing is held for peers that have gone");
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_was_given_up_is_not_acknowledged() {
        let port = free_port();
        let mut input =
            Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
        let mut stream = connect(port).await;
        stream.write_all(&window(&[r#"{"message":"hi"}"#])).await.unwrap();
        let event = input.next().await;
        drop(event);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        input.stop().await;
    }

    #[tokio::test]
    async fn version_1_and_the_old_names() {
        let port = free_port();
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"enrich":["source_metadata"],"add_hostname":true}}"#
        );
        let mut input = Running::start(&BEATS, &settings, EcsCompatibility::Disabled);
        let mut stream = connect(port).await;
        stream
            .write_all(
                b"1W\0\0\0\x011D\0\0\0\x01\0\0\0\x02\0\0\0\x04line\0\0\0\x02hi\0\0\0\x04file\0\0\0\x02/a",
            )
            .await
            .unwrap();
        let event = input.next().await;
        assert_eq!((event.text("message"), event.text("file")), ("hi".into(), "/a".into()));
        assert_eq!(
            (event.text("[@metadata][ip_address]"), event.json("tags")),
            ("127.0.0.1".into(), String::new())
        );
        event.ack.delivered();
        assert_eq!(read_ack(&mut stream).await, *b"1A\0\0\0\x01");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // The peer may be told by a reset.
        let _ended = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
        input.stop().await;
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn frames_over_tls_from_a_client_with_a_certificate() {
        let made = crate::tls::testing::Certificates::new();
        made.signed("client", "ca", "/O=Acme/CN=beat", "");
        let port = free_port();
        let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.text(name));
        let settings = format!(
            r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}",
                "ssl_key":"{key}","ssl_certificate_authorities":["{ca}"],"ssl_client_authentication":"optional",
                "enrich":["all"]}}"#
        );
        let mut input = Running::start(&BEATS, &settings, EcsCompatibility::V8);
        connect(port).await.write_all(&window(&[r#"{"message":"plain"}"#])).await.unwrap();
        for (arguments, status, subject) in
            [("-cert client.pem -key client.key", "verified", "CN=beat,O=Acme"), ("", "unverified", "")]
        {
            let mut beat = made.s_client(port, arguments);
            let spoofed = r#"{"message":"hi","@metadata":{"tls_peer":{"status":"verified"}}}"#;
            beat.stdin.as_mut().unwrap().write_all(&window(&[spoofed])).await.unwrap();
            let event = input.next().await;
            assert_eq!(event.text("message"), "hi");
            assert_eq!(event.text("[@metadata][tls_peer][status]"), status);
            assert_eq!(event.text("[@metadata][input][beats][tls][client][subject]"), subject);
            let protocol = event.text("[@metadata][input][beats][tls][version_protocol]");
            assert_eq!(protocol, if subject.is_empty() { "" } else { "TLSv1.3" });
            event.ack.delivered();
            assert_eq!(read_ack(beat.stdout.as_mut().unwrap()).await, *b"2A\0\0\0\x01");
        }
        assert!(input.try_next().await.is_none());
        input.stop().await;
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let key = r#""ssl_enabled":true,"ssl_certificate":"a","ssl_key":"b""#;
        let none = format!(r#"{{"port":1,{key},"ssl_client_authentication":"required"}}"#);
        assert!(refused(&BEATS, &none).contains("ssl_certificate_authorities"));
        let none = format!(
            r#"{{"port":1,{key},"ssl_client_authentication":"none","ssl_certificate_authorities":["c"]}}"#
        );
        assert!(refused(&BEATS, &none).contains("no use"));

        assert!(refused(&BEATS, r#"{"port":5044,"ssl_enabled":true}"#).contains("ssl_certificate"));
        let multiline = r#"{"port":5044,"codec":{"multiline":{"pattern":"x","what":"next"}}}"#;
        assert!(refused(&BEATS, multiline).contains("multiline"));
    }
}
