//! Who may have a file open: a process has so many descriptors and no more.
//!
//! The file behind the name of a stream takes a [`Slot`]. When all are taken, the one that has been quiet for longest,
//! and of which everything has arrived, is closed for another one (`tail/closed.rs`). What rotation has put aside is
//! limited by `holdings`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use logstash_mesos_engine::time::Seldom;
use tracing::warn;

use super::HoldLimits;
use super::watch::Sleeper;

/// The part that a set of readers has in the descriptors of the process.
#[derive(Clone, Debug)]
pub(super) struct Room {
    process: Arc<Process>,
    here: Arc<Here>,
}

/// All that may be open in a process.
#[derive(Debug)]
struct Process {
    most: usize,
    state: Mutex<State>,
    said: Seldom,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    next: u64,
    // Those that may be closed, the one that has been quiet for longest first.
    spare: BTreeMap<u64, Claim>,
    waiting: VecDeque<Claim>,
}

/// A stream, and the set of readers that it belongs to.
#[derive(Debug)]
struct Claim {
    sleeper: Arc<Sleeper>,
    here: Arc<Here>,
}

impl Claim {
    /// Its stream has not ended.
    fn is_alive(&self) -> bool {
        Arc::strong_count(&self.sleeper) > 1
    }
}

/// What a set of readers has. It changes while the state of the process is locked.
#[derive(Debug)]
struct Here {
    most: usize,
    open: AtomicUsize,
}

/// The right of a stream to have the file behind its name open.
#[derive(Debug)]
pub(super) struct Slot {
    room: Room,
    sleeper: Arc<Sleeper>,
    // While it is spare.
    number: Option<u64>,
}

impl Room {
    /// `most` of the descriptors that all readers of this process share.
    pub(super) fn of_process(most: usize) -> Self {
        // Descriptors are the process's: the system counts them over all shippers in it.
        static PROCESS: LazyLock<Arc<Process>> = LazyLock::new(|| Process::new(HoldLimits::default().open));
        Self { process: Arc::clone(&PROCESS), here: Here::new(most) }
    }

    /// So many descriptors for these readers alone.
    #[cfg(test)]
    pub(super) fn new(most: usize) -> Self {
        Self { process: Process::new(most), here: Here::new(most) }
    }

    /// Room for one more file, if there is any that nobody waits for.
    pub(super) fn take(&self, sleeper: &Arc<Sleeper>) -> Option<Slot> {
        let mut state = self.process.lock();
        let is_waited_for = state.waiting.iter().any(Claim::is_alive);
        let is_free = !is_waited_for && state.open < self.process.most && !self.here.is_full();
        is_free.then(|| self.slot(&mut state, sleeper))
    }

    /// Room for one more file, which has something to be read. Without it another one is asked to make some, and
    /// `sleeper` is told (as of a change of names) when there may be.
    pub(super) fn demand(&self, sleeper: &Arc<Sleeper>) -> Option<Slot> {
        let mut state = self.process.lock();
        let full_here = self.here.is_full();
        if full_here || state.open >= self.process.most {
            if sleeper.begins_to_wait() {
                let helps = |claim: &Claim| !full_here || Arc::ptr_eq(&claim.here, &self.here);
                let oldest = state.spare.iter().find(|(_, claim)| helps(claim)).map(|(number, _)| *number);
                if let Some(oldest) = oldest.and_then(|number| state.spare.remove(&number)) {
                    oldest.sleeper.leave();
                }
                let (sleeper, here) = (Arc::clone(sleeper), Arc::clone(&self.here));
                state.waiting.push_back(Claim { sleeper, here });
            }
            if self.process.said.is_due() {
                warn!(
                    count = state.waiting.len(),
                    open = state.open,
                    "Files wait, as no more may be open at a time: quiet ones are closed, and opened again when they \
                     change; a higher limit of descriptors (`ulimit -n`, `LimitNOFILE`) keeps them open"
                );
            }
            return None;
        }
        if sleeper.stops_waiting() {
            state.waiting.retain(|claim| !Arc::ptr_eq(&claim.sleeper, sleeper));
        }
        Some(self.slot(&mut state, sleeper))
    }

    fn slot(&self, state: &mut State, sleeper: &Arc<Sleeper>) -> Slot {
        state.open += 1;
        self.here.open.fetch_add(1, Ordering::Relaxed);
        Slot { room: self.clone(), sleeper: Arc::clone(sleeper), number: None }
    }
}

impl Slot {
    /// Nothing is left to be read or to arrive. Returns whether somebody else needs the room now; later, its sleeper
    /// is told, see [`Sleeper::leaves`].
    pub(super) fn is_spare(&mut self) -> bool {
        if self.number.is_some() {
            return self.sleeper.leaves();
        }
        let mut state = self.room.process.lock();
        let here = &self.room.here;
        let is_full = state.open >= self.room.process.most;
        let wants = |claim: &Claim| claim.is_alive() && (is_full || Arc::ptr_eq(&claim.here, here));
        if state.waiting.iter().any(wants) {
            return true;
        }
        let number = state.next;
        state.next += 1;
        let (sleeper, here) = (Arc::clone(&self.sleeper), Arc::clone(here));
        state.spare.insert(number, Claim { sleeper, here });
        self.number = Some(number);
        false
    }

    /// There is something to read again.
    pub(super) fn is_needed(&mut self) {
        if let Some(number) = self.number.take() {
            self.room.process.lock().spare.remove(&number);
            self.sleeper.stay();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.is_needed();
        let mut state = self.room.process.lock();
        state.open -= 1;
        self.room.here.open.fetch_sub(1, Ordering::Relaxed);
        while let Some(at) = state.waiting.iter().position(|claim| !claim.here.is_full())
            && let Some(next) = state.waiting.remove(at)
        {
            if next.is_alive() {
                next.sleeper.has_room();
                break;
            }
        }
    }
}

impl Process {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), said: Seldom::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: AtomicUsize::new(0) })
    }

    fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_has_been_quiet_for_longest_makes_room() {
        let room = Room::new(2);
        let sleepers: [Arc<Sleeper>; 3] = Default::default();
        let mut slots: Vec<Slot> = sleepers[..2].iter().map(|sleeper| room.take(sleeper).unwrap()).collect();
        // Nobody can make room while all are busy.
        assert!(room.demand(&sleepers[2]).is_none());
        assert!(sleepers.iter().all(|sleeper| !sleeper.leaves()));
        assert!(slots[1].is_spare(), "somebody waits");
        drop(slots.pop());
        let third = room.demand(&sleepers[2]).unwrap();
        // Nobody waits: it stays, until somebody does.
        assert!(!slots[0].is_spare());
        assert!(room.demand(&sleepers[1]).is_none());
        assert!(sleepers[0].leaves() && !sleepers[2].leaves());
        // Meanwhile it has got something to do.
        slots[0].is_needed();
        assert!(!sleepers[0].leaves());
        drop(third);
        assert!(room.demand(&sleepers[1]).is_some());
    }

    #[test]
    fn a_set_of_readers_makes_room_for_itself() {
        let one = Room::new(10);
        let other = Room { process: Arc::clone(&one.process), here: Here::new(1) };
        let sleepers: [Arc<Sleeper>; 3] = Default::default();
        let mut first = one.take(&sleepers[0]).unwrap();
        let mut second = other.take(&sleepers[1]).unwrap();
        assert!(!first.is_spare() && !second.is_spare());
        assert!(other.demand(&sleepers[2]).is_none());
        assert!(!sleepers[0].leaves() && sleepers[1].leaves());
    }
}
