//! Codecs that join lines, in streams: what comes out, where the position stays, and what a restart reads.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::task::JoinHandle;

use super::super::metadata::Machine;
use super::super::records::{JsonFile, PlainLines};
use super::*;
use crate::event::Ack;
use crate::memory::{Held, Memory};
use crate::pipeline::input::keeping::FREE_BYTES;
use crate::pipeline::queue::Queue;
use crate::pipeline::{CompileOptions, catalog, compile};
use crate::source::{
    Checkpoints, Directories, Ended, Follow, Framer, Framing, HostFile, Readers, Stop, StreamPositions,
    TailSettings, Tally,
};

/// Keeps what was sent, and its acknowledgements until they are let go.
#[derive(Default)]
struct Receiver {
    events: Mutex<Vec<Event>>,
    held: Mutex<Vec<Ack>>,
    holds: bool,
}

#[async_trait]
impl BatchSender for Receiver {
    async fn send(&self, mut batch: Batch) -> bool {
        self.events.lock().unwrap().append(&mut batch.take_events());
        if self.holds {
            self.held.lock().unwrap().push(batch.ack);
        } else {
            batch.ack.delivered();
        }
        true
    }
}

impl Receiver {
    fn holding() -> Arc<Self> {
        Arc::new(Self { holds: true, ..Self::default() })
    }

    /// Says of everything so far that it has arrived.
    fn deliver(&self) {
        std::mem::take(&mut *self.held.lock().unwrap()).into_iter().for_each(Ack::delivered);
    }

    /// Lets go of everything so far.
    fn give_up(&self) {
        std::mem::take(&mut *self.held.lock().unwrap());
    }

    fn messages(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(message).collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        for _ in 0..500 {
            if self.messages().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.messages()
    }
}

fn message(event: &Event) -> String {
    event.fields().get("message").and_then(|value| value.as_text()).unwrap().to_string()
}

/// Lines that begin with a blank belong to the one before.
fn stack(more: &str) -> Arc<StreamInput> {
    input(&format!("codec => multiline {{ pattern => '^ ' what => previous {more} }}"))
}

fn input(settings: &str) -> Arc<StreamInput> {
    let text = format!("input {{ docker {{ {settings} }} }}");
    let compiled = compile(&text, &CompileOptions::new(catalog())).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(StreamInput::of(&compiled.inputs[0]).unwrap().unwrap())
}

fn target(name: &str, input: &Arc<StreamInput>, receiver: &Arc<Receiver>) -> Target {
    Target { name: Arc::from(name), input: Arc::clone(input), sender: Arc::clone(receiver) as _ }
}

fn fan_of(targets: Vec<Target>) -> Arc<Fan> {
    Fan::new(targets, Metadata::of_host(&Machine::default(), "/x"), InFlight::default())
}

fn decoder(fan: &Arc<Fan>, records: Box<dyn Records>) -> FanDecoder {
    let key = StreamKey(Arc::from("s"));
    let kept = Keeping::new(&Memory::default());
    FanDecoder::new(Arc::clone(fan), records, key, Clock::System, Arc::default(), kept)
}

fn lines(text: &str, offset: u64) -> Lines {
    Lines::new(text.as_bytes().to_vec(), Arc::from(*b"\n"), offset)
}

fn from(at: u64) -> Kept {
    Kept { from: Some(at), earlier: false }
}

#[test]
fn what_is_joined_has_the_place_and_the_time_of_its_first_line_and_stays_in_its_channel() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &stack(""), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(JsonFile::new(false, 10 << 20)));
    let entry = |log: &str, stream: &str, second: u32| {
        format!("{{\"log\":\"{log}\\n\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:0{second}Z\"}}\n")
    };
    let parts = [
        entry("a", "stdout", 1),
        entry("e", "stderr", 2),
        entry(" a1", "stdout", 3),
        entry(" e1", "stderr", 4),
        entry("b", "stdout", 5),
    ];
    let mut batch = Batch::default();
    let kept = decoder.decode(lines(&parts.concat(), 1000), &mut batch);
    let second_line = 1000 + parts[0].len() as u64;
    assert_eq!(kept, from(second_line), "standard error still waits for its next line");
    let seconds = |event: &Event| event.timestamp().unwrap().secs() % 60;
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), ["a\n a1"]);
    assert_eq!((seconds(&batch.events[0]), batch.events[0].origin.as_ref().unwrap().offset), (1, 1000));
    let mut batch = Batch::default();
    assert_eq!(decoder.flush(Flush::End, &mut batch), Kept::NOTHING);
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), ["b", "e\n e1"]);
    assert_eq!(seconds(&batch.events[1]), 2);
    let stream = batch.events[1].get_text(&crate::event::FieldReference::field("stream")).unwrap();
    assert_eq!((stream.as_str(), batch.events[1].origin.as_ref().unwrap().offset), ("stderr", second_line));
}

#[test]
fn an_event_that_a_rotation_cuts_is_one_event_of_the_first_file() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &stack(""), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(PlainLines));
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines("a\n a1\n", 40), &mut batch), from(40));
    assert_eq!(decoder.flush(Flush::Rotated, &mut batch), Kept { from: None, earlier: true });
    // The next file: its first line belongs to the event, and the position may not pass it.
    assert_eq!(decoder.decode(lines(" a2\n", 0), &mut batch), Kept { from: Some(0), earlier: true });
    assert!(batch.events.is_empty());
    assert_eq!(decoder.decode(lines("b\n", 4), &mut batch), from(4));
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), ["a\n a1\n a2"]);
    assert_eq!(batch.events[0].origin.as_ref().unwrap().offset, 40);
}

#[test]
fn limits_end_an_event_and_tag_it() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &stack("max_lines => 2"), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(PlainLines));
    let mut batch = Batch::default();
    let kept = decoder.decode(lines("a\n 1\n 2\n 3\n 4\nb\n", 0), &mut batch);
    assert_eq!(kept, from(14));
    let found: Vec<_> = batch.events.iter().map(message).collect();
    assert_eq!(found, ["a\n 1\n 2", " 3\n 4"]);
    let tags = |at: usize| batch.events[at].fields().get("tags").map(|tags| format!("{tags:?}")).unwrap();
    assert!(tags(0).contains("multiline_codec_max_lines_reached"), "{}", tags(0));
    let offsets: Vec<_> = batch.events.iter().map(|event| event.origin.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [0, 8]);
}

#[test]
fn events_that_there_is_no_memory_for_end_early_and_nothing_is_lost() {
    const FILES: usize = 50;
    const BLOCKS: usize = 10;
    const BLOCK: usize = 32 << 10;
    const MEMORY: usize = 1 << 20;
    let memory = Memory::new(MEMORY);
    let kept = Keeping::new(&memory);
    let input = stack("max_lines => 1000000");
    let (receiver, tally) = (Arc::<Receiver>::default(), Arc::<Tally>::default());
    let status = Arc::new(StreamStatus::one_of(Arc::clone(&tally)));
    let decoder = || {
        let fan = fan_of(vec![target("c#0", &input, &receiver)]);
        let key = StreamKey(Arc::from("s"));
        let (clock, kept) = (Clock::System, kept.clone());
        FanDecoder::new(fan, Box::new(PlainLines), key, clock, Arc::clone(&status), kept)
    };
    let line = format!(" {}\n", "x".repeat(126));
    let block = line.repeat(BLOCK / line.len());
    let mut files: Vec<(FanDecoder, Vec<Event>)> = (0..FILES).map(|_| (decoder(), Vec::new())).collect();
    for nth in 0..BLOCKS {
        for (decoder, events) in &mut files {
            let mut batch = Batch { byte_size: BLOCK, ..Batch::default() };
            let at = decoder.decode(lines(&block, (nth * BLOCK) as u64), &mut batch);
            // What ends early is in the batch, and so is the place behind it.
            assert_eq!(at.is_something(), batch.events.is_empty());
            let given: usize = batch.events.iter().map(|event| message(event).len()).sum();
            assert!(batch.byte_size >= given, "{} for {given}", batch.byte_size);
            events.append(&mut batch.events);
            // One goes on without room.
            let most = MEMORY + 2 * BLOCKS * BLOCK + FILES * FREE_BYTES;
            assert!(memory.used() <= most, "{} of {most}", memory.used());
        }
    }
    let holds_much =
        |decoder: &FanDecoder| decoder.groups.iter().map(Group::kept_bytes).sum::<usize>() > FREE_BYTES;
    let waits = files.iter().filter(|(decoder, _)| decoder.idle_flush().is_some()).count();
    assert_eq!(waits, files.iter().filter(|(decoder, _)| holds_much(decoder)).count());
    let ended_early: usize = files.iter().map(|(_, events)| events.len()).sum();
    assert_eq!(
        (status.snapshot().ended_early, tally.ended_early()),
        (ended_early as u64, ended_early as u64)
    );
    let mut whole = 0;
    for (decoder, events) in &mut files {
        let early = events.len();
        let mut batch = Batch::default();
        assert_eq!(decoder.flush(Flush::End, &mut batch), Kept::NOTHING);
        events.append(&mut batch.events);
        let all: Vec<String> = events.iter().map(message).collect();
        assert_eq!(all.join("\n") + "\n", block.repeat(BLOCKS));
        for (at, event) in events.iter().enumerate() {
            let tags = format!("{:?}", event.fields().get("tags"));
            assert_eq!(tags.contains("multiline_codec_max_bytes_reached"), at < early, "{tags}");
        }
        whole += usize::from(events.len() == 1);
    }
    assert!((1..FILES).contains(&whole), "{whole}");
    drop(files);
    assert_eq!(memory.used(), 0);
}

#[test]
fn a_line_that_is_kept_does_not_hold_what_was_read_with_it() {
    let memory = Memory::new(16 << 20);
    let fan = fan_of(vec![target("c#0", &stack(""), &Arc::default())]);
    let (key, kept) = (StreamKey(Arc::from("s")), Keeping::new(&memory));
    let mut decoder = FanDecoder::new(fan, Box::new(PlainLines), key, Clock::System, Arc::default(), kept);
    let line = format!("{}\n", "x".repeat(99));
    let block = line.repeat(1000);
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines(&block, 0), &mut batch), from(99_900));
    assert_eq!(batch.events.len(), 999);
    assert!((1..1000).contains(&memory.used()), "{}", memory.used());
    // And goes on to be what it was.
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines(" more\nb\n", 100_000), &mut batch), from(100_006));
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), [format!("{}\n more", line.trim_end())]);
    assert_eq!(batch.events[0].origin.as_ref().unwrap().offset, 99_900);
}

#[test]
fn a_line_that_is_too_long_marks_the_event_it_is_in_and_is_counted_once() {
    let long = |max_line_bytes| Framing { max_line_bytes, ..Framing::default() };
    let framed = |text: &str, max| {
        let mut framer = Framer::new(long(max), 0);
        framer.push(text.as_bytes().to_vec());
        framer.take().unwrap()
    };
    let text = "a\n 12345678\nb\nc12345678\n";
    let joins = |what: &str, pattern: &str| {
        input(&format!("codec => multiline {{ pattern => '{pattern}' what => {what} multiline_tag => '' }}"))
    };
    for (input, expected) in [
        (input(""), vec![("a", false), (" 12345", true), ("b", false), ("c12345", true)]),
        (joins("previous", "^ "), vec![("a\n 12345", true), ("b", false), ("c12345", true)]),
        (joins("next", "^a"), vec![("a\n 12345", true), ("b", false), ("c12345", true)]),
        (joins("next", "^b"), vec![("a", false), (" 12345", true), ("b\nc12345", true)]),
    ] {
        let receiver = Arc::<Receiver>::default();
        let fan = fan_of(vec![target("c#0", &input, &receiver)]);
        let mut decoder = decoder(&fan, Box::new(PlainLines));
        let status = Arc::clone(&decoder.status);
        // The second time it is read again.
        for _ in 0..2 {
            let mut batch = Batch::default();
            decoder.decode(framed(text, 6), &mut batch);
            let mut events = batch.take_events();
            let mut batch = Batch::default();
            decoder.flush(Flush::End, &mut batch);
            events.append(&mut batch.take_events());
            let marked = |event: &Event| {
                event.fields().get("tags").is_some_and(|tags| format!("{tags:?}").contains(LineLimit::TAG))
            };
            let found: Vec<_> = events.iter().map(|event| (message(event), marked(event))).collect();
            let expected: Vec<_> = expected.iter().map(|(text, cut)| ((*text).to_owned(), *cut)).collect();
            assert_eq!(found, expected);
            decoder.reset();
        }
        assert_eq!(status.snapshot().lost, [(Lost::LineTooLong, 6)].into());
    }
}

#[test]
fn a_line_that_docker_split_is_no_longer_than_others() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &input(""), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(JsonFile::new(false, 20_000)));
    let part = "x".repeat(16 << 10);
    let entry = |log: &str, stream: &str| {
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:00Z\"}}\n")
    };
    let mut text = entry("short\\n", "stderr");
    for _ in 0..100 {
        text += &entry(&part, "stdout");
    }
    text += &(entry("end\\n", "stdout") + &entry("next\\n", "stdout"));
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines(&text, 0), &mut batch), Kept::NOTHING);
    let found: Vec<_> = batch.events.iter().map(|event| message(event).len()).collect();
    assert_eq!(found, ["short".len(), 20_000, "next".len()]);
    let left_out = 100 * part.len() as u64 + 3 - 20_000;
    assert_eq!(decoder.status.snapshot().lost, [(Lost::LineTooLong, left_out)].into());
}

#[test]
fn a_change_of_the_configuration_loses_no_line_that_waits() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &stack(""), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(PlainLines));
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines("a\n a1\n", 0), &mut batch), from(0));
    // Lines with `+` belong to the one before now, those with a blank do not any more.
    let other = input("codec => multiline { pattern => '^\\+' what => previous }");
    fan.set_targets(vec![target("c#0", &other, &receiver)]);
    assert_eq!(decoder.decode(lines("+1\nb\n", 6), &mut batch), from(9));
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), ["a", " a1\n+1"]);
    fan.set_targets(vec![target("c#0", &input(""), &receiver)]);
    let mut batch = Batch::default();
    assert_eq!(decoder.decode(lines("c\n", 11), &mut batch), Kept::NOTHING);
    assert_eq!(batch.events.iter().map(message).collect::<Vec<_>>(), ["b", "c"]);
}

/// A file and what reads it.
struct Bed {
    dir: tempfile::TempDir,
    readers: Readers,
}

struct Stream {
    task: JoinHandle<Ended>,
    stop: Stop,
    positions: StreamPositions,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), readers: Readers::new(1).unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("app.log")
    }

    fn append(&self, text: &str) {
        append(&self.path(), text);
    }

    fn follow(&self, input: &Arc<StreamInput>, receiver: &Arc<Receiver>) -> Stream {
        let positions = Checkpoints::open(&self.dir.path().join("data")).unwrap().stream("app.log");
        let fan = fan_of(vec![target("c#0", input, receiver)]);
        let stop = Stop::default();
        let task = self.readers.follow(Follow {
            opener: Arc::new(HostFile::new(self.path(), &Directories::default())),
            settings: TailSettings { rotate_wait: Duration::from_millis(50), ..TailSettings::default() },
            positions: positions.clone(),
            decoder: Box::new(decoder(&fan, Box::new(PlainLines))),
            sender: fan,
            status: Arc::default(),
            stop: stop.clone(),
            close_after: None,
        });
        Stream { task, stop, positions }
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

impl Stream {
    async fn stop(self) {
        self.stop.now.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Stopped);
    }

    async fn arrived(&self, at: u64) {
        for _ in 0..300 {
            if self.positions.arrived() == Some(at) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.positions.arrived(), Some(at));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_an_event_reads_it_from_its_first_line() {
    let bed = Bed::new();
    let first = Arc::<Receiver>::default();
    bed.append("a\n a1\nb\n b1\n");
    let stream = bed.follow(&stack(""), &first);
    assert_eq!(first.wait_for(1).await, ["a\n a1"]);
    // Delivered, and no further than the first line of what is kept.
    stream.arrived(6).await;
    stream.stop().await;
    bed.append(" b2\nc\n");
    let second = Arc::<Receiver>::default();
    let stream = bed.follow(&stack(""), &second);
    assert_eq!(second.wait_for(1).await, ["b\n b1\n b2"]);
    stream.arrived(16).await;
    // The container ends: what is kept is an event.
    stream.stop.at_end.cancel();
    assert_eq!(stream.task.await.unwrap(), Ended::Finished);
    assert_eq!(second.messages(), ["b\n b1\n b2", "c"]);
    assert_eq!(stream.positions.arrived(), Some(18));
    let ids = |receiver: &Receiver| -> Vec<_> {
        receiver.events.lock().unwrap().iter().map(|event| event.origin.clone().unwrap().offset).collect()
    };
    assert_eq!((ids(&first), ids(&second)), (vec![0], vec![6, 16]));
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_ends_an_event_only_where_the_codec_says_so() {
    let bed = Bed::new();
    let (waits, flushes) = (Arc::<Receiver>::default(), Arc::<Receiver>::default());
    bed.append("a\n a1\n");
    let stream = bed.follow(&stack("auto_flush_interval => 0.4"), &flushes);
    let begun = Instant::now();
    assert_eq!(flushes.wait_for(1).await, ["a\n a1"]);
    assert!(begun.elapsed() >= Duration::from_millis(350), "{:?}", begun.elapsed());
    stream.arrived(6).await;
    stream.stop().await;
    let other = Bed::new();
    other.append("a\n a1\n");
    let stream = other.follow(&stack(""), &waits);
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(waits.messages().is_empty());
    assert_eq!(stream.positions.arrived(), Some(0));
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_a_rotated_file_waits_for_the_end_of_its_last_event() {
    let bed = Bed::new();
    let receiver = Receiver::holding();
    bed.append("a\nb\n");
    let stream = bed.follow(&stack(""), &receiver);
    assert_eq!(receiver.wait_for(1).await, ["a"]);
    let rotated = bed.dir.path().join("app.log.1");
    std::fs::rename(bed.path(), &rotated).unwrap();
    bed.append(" b1\nc\n");
    assert_eq!(receiver.wait_for(2).await, ["a", "b\n b1"]);
    // Killed before that was delivered: the first batch arrived, the second did not.
    let mut acks = std::mem::take(&mut *receiver.held.lock().unwrap()).into_iter();
    acks.next().unwrap().delivered();
    stream.stop().await;
    drop(acks);
    let again = Arc::<Receiver>::default();
    let stream = bed.follow(&stack(""), &again);
    assert_eq!(again.wait_for(1).await, ["b\n b1"]);
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_a_pipeline_gives_up_are_read_again() {
    let bed = Bed::new();
    let receiver = Receiver::holding();
    bed.append("a\nb\n");
    let stream = bed.follow(&input(""), &receiver);
    receiver.wait_for(2).await;
    receiver.give_up();
    assert_eq!(receiver.wait_for(4).await, ["a", "b", "a", "b"]);
    assert_eq!(stream.positions.arrived(), Some(0));
    receiver.deliver();
    stream.arrived(4).await;
    bed.append("c\n");
    assert_eq!(receiver.wait_for(5).await, ["a", "b", "a", "b", "c"]);
    receiver.deliver();
    stream.arrived(6).await;
    // Also what is given up after the end has been read.
    bed.append("d\n");
    receiver.wait_for(6).await;
    stream.stop.at_end.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stream.task.is_finished());
    receiver.give_up();
    assert_eq!(receiver.wait_for(7).await.last().unwrap(), "d");
    receiver.deliver();
    assert_eq!(stream.task.await.unwrap(), Ended::Finished);
    assert_eq!(stream.positions.arrived(), Some(8));
}

#[test]
fn lines_that_a_pipeline_decodes_come_a_few_at_a_time() {
    let receiver = Arc::<Receiver>::default();
    let fan = fan_of(vec![target("c#0", &input(""), &receiver)]);
    let mut decoder = decoder(&fan, Box::new(PlainLines));
    let mut batch = Batch::default();
    let text: String = (0..25).map(|number| format!("{number}\n")).collect();
    assert_eq!(decoder.decode(lines(&text, 0), &mut batch), Kept::NOTHING);
    let mut parts = Vec::new();
    batch.each_part(10, &mut |events| parts.push(events.iter().map(message).collect::<Vec<_>>()));
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(parts.concat(), (0..25).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn configurations_with_old_and_new_names_share_a_stream() {
    let (new, old) = (Arc::<Receiver>::default(), Arc::<Receiver>::default());
    let text = "input { docker { } }";
    let options = CompileOptions::new(catalog()).with(|options| options.ecs = EcsCompatibility::Disabled);
    let compiled = compile(text, &options).unwrap_or_else(|e| panic!("{e}"));
    let by_old_names = Arc::new(StreamInput::of(&compiled.inputs[0]).unwrap().unwrap());
    let targets = vec![target("n#0", &input(""), &new), target("o#0", &by_old_names, &old)];
    let fan = fan_of(targets);
    let mut decoder = decoder(&fan, Box::new(PlainLines));
    let mut batch = Batch::default();
    decoder.decode(lines("a\n", 0), &mut batch);
    assert!(fan.send(batch).await);
    let has_path = |receiver: &Receiver| -> Vec<bool> {
        receiver.events.lock().unwrap().iter().map(|event| event.fields().contains_key("path")).collect()
    };
    assert_eq!((has_path(&new), has_path(&old)), (vec![false], vec![true]));
}

/// A stream that waits for a full pipeline takes nothing from the others meanwhile.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_in_one_pipeline_holds_none_in_another() {
    let memory = Memory::new(40);
    let (full, free) = (Arc::new(Queue::new(&memory)), Arc::new(Queue::new(&memory)));
    let of = |queue: &Arc<Queue>| Target {
        name: Arc::from("c#0"),
        input: input(""),
        sender: Arc::clone(queue) as _,
    };
    let fan = fan_of(vec![of(&free), of(&full)]);
    assert!(full.send(Batch { byte_size: 1000, ..Batch::default() }).await);
    let waiting = tokio::spawn({
        let fan = Arc::clone(&fan);
        async move { fan.room(20).await.bytes() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished() && memory.used() == 1000, "{}", memory.used());
    assert!(!fan.in_flight.is_settled(), "its lines wait, it is not quiet");
    drop(full.try_pop());
    assert_eq!(waiting.await.unwrap(), 20);
    assert!(fan.in_flight.is_settled());
    // A line that is longer than all memory.
    assert!(full.send(Batch { byte_size: 1000, ..Batch::default() }).await);
    let waiting = tokio::spawn({
        let fan = Arc::clone(&fan);
        async move { fan.room_for(500).await.0.iter().map(Held::bytes).collect::<Vec<_>>() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished() && memory.used() == 1000, "{}", memory.used());
    drop(full.try_pop());
    assert_eq!(waiting.await.unwrap(), [500, 500]);
}
