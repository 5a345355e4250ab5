//! Dead letters on their way back: taken from where `dead-letters replay` has put them, a file at a time.
//!
//! What an output refused goes to that output again, as it is configured now, and to no other one. An event that a filter or
//! a condition could not bear goes through the whole pipeline. A file is removed when everything in it has arrived or has
//! become a dead letter again; what ends before, a crash or a stop, is sent again: at least once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use logstash_mesos_engine::run::Graph;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::PipelineCounters;
use super::worker::Slot;
use crate::backoff::Backoff;
use crate::event::{Ack, Outcome, Text, awaited_ack};
use crate::pipeline::dead_letter::{DeadLetters, Form, Letter, letters_in};
use crate::pipeline::plugin::{Batch, BatchSender};

pub(super) struct Replayer {
    letters: Arc<DeadLetters>,
    slots: Vec<Slot>,
    sender: Arc<dyn BatchSender>,
    counters: Arc<PipelineCounters>,
    busy: watch::Sender<bool>,
}

/// How often it is looked for letters.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Replayer {
    pub(super) fn new(
        letters: Arc<DeadLetters>,
        outputs: &Graph<Slot>,
        sender: Arc<dyn BatchSender>,
        counters: Arc<PipelineCounters>,
    ) -> Self {
        let mut slots = Vec::new();
        outputs.for_each(&mut |slot| slots.push(slot.fork()));
        Self { letters, slots, sender, counters, busy: watch::Sender::new(true) }
    }

    /// Whether it may still give something to queue and outputs, before they are closed. It looks at least once, and begins
    /// nothing after it was told to stop.
    pub(super) fn busy(&self) -> watch::Receiver<bool> {
        self.busy.subscribe()
    }

    /// Works until `stop`, and then until what is on its way has ended.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(LOOK_EVERY, Duration::from_secs(60));
        // While it is held no other pipeline with this configuration sends them, such as the one before this.
        let mut right = None;
        loop {
            let worked = match self.next(&mut right) {
                Ok(Some(path)) => self.send(path).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            self.busy.send_replace(false);
            let pause = match worked {
                Ok(()) => {
                    backoff.reset();
                    LOOK_EVERY
                }
                Err(error) => {
                    let pause = backoff.next_wait();
                    warn!(error, retry_in_ms = pause.as_millis(), "Dead letters could not be sent again");
                    pause
                }
            };
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            // In this order: who has stopped it sees that it is busy, or it sees that it was stopped.
            self.busy.send_replace(true);
            if stop.is_cancelled() {
                self.busy.send_replace(false);
                return;
            }
        }
    }

    /// The next file, if there is one and it is ours to send.
    fn next(&self, right: &mut Option<File>) -> io::Result<Option<PathBuf>> {
        let Some(store) = self.letters.store() else { return Ok(None) };
        let Some(path) = store.replays()?.into_iter().next() else { return Ok(None) };
        if right.is_none() {
            *right = store.replayer()?;
        }
        Ok(right.is_some().then_some(path))
    }

    async fn send(&mut self, path: PathBuf) -> Result<(), String> {
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let (ack, told) = awaited_ack();
        let (mut slots, letters) = (std::mem::take(&mut self.slots), Arc::clone(&self.letters));
        let (counters, file, of_outputs) = (Arc::clone(&self.counters), path.clone(), ack.clone());
        // It reads the file, and waits where an output has no room.
        let handed_over = tokio::task::spawn_blocking(move || {
            let result = hand_over(&mut slots, &letters, &counters, &file, of_outputs);
            (slots, result)
        });
        let (slots, result) = handed_over.await.map_err(|error| error.to_string())?;
        self.slots = slots;
        let (events, count) = result.map_err(at)?;
        let byte_size = fs::metadata(&path).map_or(0, |file| usize::try_from(file.len()).unwrap_or(0));
        if events.is_empty() {
            ack.delivered();
        } else if !self.sender.send(Batch { events, ack, byte_size, ..Batch::default() }).await {
            return Err("the pipeline ends".to_owned());
        }
        self.busy.send_replace(false);
        match told.await {
            Ok(Outcome::Delivered) => {
                fs::remove_file(&path).map_err(at)?;
                info!(count, "Dead letters were sent again");
                Ok(())
            }
            _ => Err("they were not delivered".to_owned()),
        }
    }
}

/// Gives the letters of a file to their outputs; returns the events that are for the whole pipeline, and how many
/// letters there were.
fn hand_over(
    slots: &mut [Slot],
    letters: &DeadLetters,
    counters: &PipelineCounters,
    path: &Path,
    ack: Ack,
) -> io::Result<(Vec<crate::event::Event>, usize)> {
    let (found, damaged) = letters_in(path)?;
    if damaged > 0 {
        warn!(count = damaged, path = %path.display(), "Lines are no dead letters and cannot be sent again");
    }
    let (mut events, mut refused, count) = (Vec::new(), Vec::new(), found.len());
    for letter in found {
        let slot = slots
            .iter_mut()
            .find(|slot| *slot.lane().id == *letter.plugin_id && slot.lane().name == letter.plugin);
        match (letter.form, letter.event(), slot) {
            (Form::Record, _, Some(slot)) => {
                slot.add(&letter.record(), letter.route.as_deref().map(|route| Text::from(route.to_owned())));
            }
            (Form::Event, Some(event), Some(slot)) => {
                refused.extend(slot.encode(&event, counters).err().map(|letter| *letter))
            }
            (Form::Event, Some(event), None) => events.push(event),
            (Form::Record, _, None) | (Form::Event, None, _) => refused.push(no_way_back(letter)),
        }
    }
    for slot in slots {
        slot.hand_over_for(&ack);
    }
    letters.keep(refused)?;
    ack.delivered();
    Ok((events, count))
}

/// It is kept, and says why it is still there.
fn no_way_back(mut letter: Letter) -> Letter {
    let before = letter.reason.strip_prefix(NO_WAY_BACK).and_then(|rest| rest.split_once("; before: "));
    let reason = before.map_or(letter.reason.as_str(), |(_, reason)| reason);
    letter.reason = format!(
        "{NO_WAY_BACK}the configuration has no output `{}` with the id `{}` any more; before: {reason}",
        letter.plugin, letter.plugin_id
    );
    letter
}

const NO_WAY_BACK: &str = "cannot be sent again: ";
