//! A position never passes what the outputs have, whatever ends a pipeline.

use super::*;
use crate::source::Tracker;
use std::sync::atomic::AtomicU64;

const BATCHES: u64 = 60;
/// Sent with each batch; the names of the others contain its number.
const EACH: [&str; 3] = ["a", "bad", "poison"];

/// Small, fast, and the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What ends a run.
#[derive(Clone, Copy, Debug)]
enum End {
    Shutdown,
    NoGrace,
    Dropped,
    RuntimeGone,
}

#[test]
fn a_position_never_passes_what_the_outputs_have() {
    let mut arrived = false;
    for seed in 0..16 {
        let mut random = Random(seed);
        let end =
            [End::Shutdown, End::NoGrace, End::Dropped, End::RuntimeGone][usize::try_from(seed % 4).unwrap()];
        let dir = tempfile::tempdir().unwrap();
        let (chaos, calm) = (format!("chaos-{seed}"), format!("ok-chaos-{seed}"));
        let position = Arc::new(AtomicU64::new(0));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(&mut random, end, dir.path(), [&chaos, &calm], &position));
        runtime.shutdown_background();
        // Threads that are still at work may still move the position, but not past what the sinks have by then.
        for _ in 0..5 {
            check(seed, position.load(Ordering::SeqCst), dir.path(), [&chaos, &calm]);
            std::thread::sleep(Duration::from_millis(5));
        }
        arrived |= position.load(Ordering::SeqCst) > 0;
    }
    assert!(arrived, "no position has moved: the test shows nothing");
}

/// Sends batches, some of whose sending is cut off, until the pipeline is ended.
async fn run(random: &mut Random, end: End, dir: &Path, names: [&String; 2], position: &Arc<AtomicU64>) {
    let [chaos, calm] = names;
    let config = format!(
        "filter {{ buggy {{ }} }} output {{ probe {{ name => '{chaos}' }} probe {{ name => '{calm}' }} }}"
    );
    let pipeline = start(&config, Some(dir), 2);
    let reached = Arc::clone(position);
    let tracker = Tracker::new(move |end| reached.store(end, Ordering::SeqCst));
    let stop_after = random.below(BATCHES);
    for n in 0..BATCHES {
        let messages: Vec<String> = EACH.iter().map(|each| message(each, n)).collect();
        let events = messages
            .iter()
            .map(|m| Event::from_message(Text::from(m.as_str()), Timestamp::new(0, 0)))
            .collect();
        let batch = Batch { events, ack: tracker.begin(n + 1), byte_size: 300, ..Batch::default() };
        let sending = pipeline.sender();
        // Now and then the sender loses its patience, or goes away before it has begun.
        match random.below(40) {
            0 => drop(sending.send(batch)),
            1 => drop(tokio::time::timeout(Duration::ZERO, sending.send(batch)).await),
            _ => drop(tokio::time::timeout(Duration::from_millis(200), sending.send(batch)).await),
        }
        if n == stop_after && !matches!(end, End::Shutdown) {
            break;
        }
    }
    match end {
        End::Shutdown => drop(pipeline.shutdown(GRACE).await),
        End::NoGrace => drop(pipeline.shutdown(Duration::from_millis(random.below(20))).await),
        End::Dropped => drop(pipeline),
        End::RuntimeGone => std::mem::forget(pipeline),
    }
}

fn message(each: &str, n: u64) -> String {
    // With a space it is a bad one for the sink or the filter.
    if n % 10 == 3 { format!("{each} {n}") } else { format!("{each}{n}") }
}

/// Every event below `reached` is with both sinks, or a dead letter.
fn check(seed: u64, reached: u64, dir: &Path, names: [&String; 2]) {
    let files = std::fs::read_dir(dir.join("dead-letters/main")).into_iter().flatten();
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let letters: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for name in names {
        let lines = sink(name).lines.lock().unwrap().clone();
        for n in 0..reached {
            for each in EACH {
                let message = message(each, n);
                // A dead letter of a filter is JSON within JSON.
                let letter = [format!("{message}\""), format!("{message}\\\"")];
                let there = lines.contains(&message) || letter.iter().any(|l| letters.contains(l));
                assert!(there, "seed {seed}: position {reached}, but {name} does not have {message:?}");
            }
        }
    }
}
