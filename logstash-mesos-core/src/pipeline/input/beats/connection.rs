//! The connection of one beat: windows come in, acknowledgements go out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use logstash_mesos_engine::compat::ruby;
use logstash_mesos_engine::tools::characters::whole_characters;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::super::common::EVENT_BYTES;
use super::super::net::overdue;
use super::super::room::{FREE_BYTES, Piece, Room, Turn};
use super::{Connections, UNREADABLE};
use crate::event::{
    Ack, Blob, Clock, Event, FieldReference, JsonReader, JsonRules, Map, Outcome, Text, Timestamp, Value,
    awaited_ack, write_json_map,
};
use crate::lumberjack::{Frame, FrameReader, ProtocolError, acknowledgement};
use crate::memory;
use crate::pipeline::plugin::{Batch, Codec, InputContext, LineLimit};
use crate::tls::Stream;

/// Windows of one connection that are on their way at a time; then nothing more is read.
const MOST_WINDOWS: usize = 4;
/// Events of a window go on when they need about so much memory, before the window is whole.
pub(super) const PART_BYTES: usize = 1 << 20;
/// How often a peer that waits is told that its events are on their way.
pub(super) const STILL_THERE: Duration = Duration::from_secs(5);
/// How long the end of the input waits for acknowledgements.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The connection of one peer, and what it has sent that is not acknowledged.
pub(super) struct Connection<'c> {
    shared: &'c Connections,
    room: Room,
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
    // What came has not been looked at to its end, or has no whole frame any more: of this, what is left is held.
    todo: bool,
    torn: bool,
    // What is held; `None` while it waits for room.
    piece: Option<Piece>,
    // To be written.
    answers: Vec<u8>,
}

/// What a connection waits for beside its peer. Nothing is read meanwhile.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

enum Done {
    /// It may make events, for which the queue has room.
    Turn(Turn, memory::Room),
    /// It may hold what it has of a frame, and read more.
    Piece(Piece),
    /// The queue has taken events; or it has ended.
    Sent(bool),
}

struct Sent {
    version: u8,
    last: u32,
    outcome: oneshot::Receiver<Outcome>,
}

impl<'c> Connection<'c> {
    pub(super) fn new(shared: &'c Connections, room: Room, peer: SocketAddr, stream: &Stream) -> Self {
        Self {
            shared,
            piece: Some(room.piece()),
            room,
            codec: shared.codec.lock().unwrap_or_else(PoisonError::into_inner).fork(),
            json: JsonReader::new(JsonRules::CODEC).within(&shared.parsed),
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
            torn: false,
            answers: Vec::new(),
        }
    }

    pub(super) async fn run(&mut self, mut stream: Stream, cx: &InputContext) -> std::io::Result<()> {
        let mut block = vec![0; FREE_BYTES];
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
                work = self.next_work(cx);
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
                        Done::Turn(turn, room) => {
                            work = self.make_events(turn, room, cx)?;
                            stream.write_all(&std::mem::take(&mut self.answers)).await?;
                        }
                        Done::Piece(piece) => self.piece = Some(piece),
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
                    (self.todo, self.torn) = (true, false);
                }
                () = overdue_of(self.piece.as_ref()), if reads => return Err(overdue()),
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
    fn next_work(&mut self, cx: &InputContext) -> Option<Work> {
        let held = self.frames.held_bytes();
        if self.torn
            && let Some(mut piece) = self.piece.take_if(|piece| !piece.try_resize(held))
        {
            return Some(Box::pin(async move {
                piece.resize(held).await;
                Done::Piece(piece)
            }));
        }
        let (room, queue) = (self.room.clone(), Arc::clone(&cx.events));
        self.todo.then(|| {
            Box::pin(async move { Done::Turn(room.turn().await, queue.room(PART_BYTES).await) }) as Work
        })
    }

    /// Makes events of the frames that have come, up to a part of a window, and sends them. They are held in turn with
    /// other connections.
    fn make_events(
        &mut self,
        turn: Turn,
        room: memory::Room,
        cx: &InputContext,
    ) -> std::io::Result<Option<Work>> {
        let most = room.bytes().min(PART_BYTES);
        let Some(batch) = self.next_batch(most, cx.clock).map_err(std::io::Error::other)? else {
            (self.todo, self.torn) = (self.frames.unpacks(), true);
            return Ok(None);
        };
        let events = Arc::clone(&cx.events);
        Ok(Some(Box::pin(async move {
            let taken = events.send_into(room, batch).await;
            drop(turn);
            Done::Sent(taken)
        })))
    }

    fn next_batch(&mut self, most: usize, clock: Clock) -> Result<Option<Batch>, ProtocolError> {
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
            if whole || self.bytes + self.events.len() * EVENT_BYTES >= most {
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

/// When the frame that has begun has taken too long.
async fn overdue_of(piece: Option<&Piece>) {
    match piece {
        Some(piece) => piece.overdue().await,
        None => std::future::pending().await,
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
