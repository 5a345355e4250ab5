//! How a stream waits: who tells it of changes, and how long it sleeps when nobody does.
//!
//! Where inotify tells everything, a look only makes sure, and its pauses grow as long as it has been quiet, up to a
//! minute: ten thousand files at rest cost some hundred looks a second and no more. A change that a look finds and
//! nobody has told shows that inotify does not tell everything there; then looks are frequent again.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::hanging::{Careful, HasFiles};
use super::tail::{LOOK_EVERY, Tail};
use super::watch::{Attended, Sleeper, Watch};
use super::{Identity, Stop};

/// How much of what happens to the files of a stream is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// All of it.
    Everything,
    /// What is written, or what happens to the names, but maybe not both; or maybe only what this machine does.
    Something,
    /// Nothing, and it is asked less often, as others have to answer.
    FromTimeToTime,
    /// Nothing, or the end of a file is waited for, which nobody tells.
    Nothing,
}

/// After reading up to the end of a file, how long to wait before looking again: many small writes then
/// become one batch.
pub(super) const GATHER: Duration = Duration::from_millis(5);
/// Names in a directory change several at a time.
const SETTLE: Duration = Duration::from_millis(1);
/// So many times nothing came after short waits.
const SOON: u32 = 2;
/// A stream rests after so many.
const AT_REST: u32 = 5;
/// A stream without a file is asked at least this often whether it is over.
const WITHOUT_FILE: Duration = Duration::from_secs(2);

impl Told {
    /// How long to sleep when nothing has come so many times.
    fn pause(self, rounds: u32) -> Duration {
        if rounds <= SOON {
            return GATHER;
        }
        let (first, most) = match self {
            Self::Everything => (Duration::from_millis(100), Duration::from_secs(60)),
            Self::Something => (Duration::from_millis(100), Duration::from_secs(2)),
            Self::FromTimeToTime => (Duration::from_millis(50), Duration::from_secs(1)),
            Self::Nothing => (Duration::from_millis(20), Duration::from_millis(250)),
        };
        first.saturating_mul(1 << (rounds - SOON - 1).min(10)).min(most)
    }
}

/// Has waits of seconds end when a second of the clock does, so that one wake-up serves many streams.
fn together(wait: Duration) -> Duration {
    if wait < Duration::from_secs(1) {
        return wait;
    }
    // The clock may jump: then one wait is some milliseconds shorter or longer.
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + wait;
    wait - Duration::from_millis(end.subsec_millis().into())
}

/// The waiting of one stream.
#[derive(Debug)]
pub(super) struct Rest {
    /// How calls are made that are about the files.
    pub(super) careful: Careful,
    watch: Option<Arc<Watch>>,
    sleeper: Arc<Sleeper>,
    attended: Option<Attended>,
    // How often nothing has come, one after the other.
    rounds: u32,
    told: Told,
    // Somebody has told of a change since the last wait.
    woken: bool,
    // A look has found lines that nobody had told of.
    untold: bool,
}

impl Rest {
    pub(super) fn new(watch: Option<Arc<Watch>>, sleeper: Arc<Sleeper>, careful: Careful) -> Self {
        Self {
            careful,
            watch,
            sleeper,
            attended: None,
            rounds: 0,
            told: Told::Nothing,
            woken: false,
            untold: false,
        }
    }

    /// Lines have come.
    pub(super) fn disturbed(&mut self) {
        self.untold |= self.told == Told::Everything && self.is_at_rest() && !self.woken;
        self.anew();
    }

    /// Begins to wait as if something had just come.
    pub(super) fn anew(&mut self) {
        (self.rounds, self.woken) = (0, false);
    }

    /// Whether nothing has come for some time.
    pub(super) fn is_quiet(&self) -> bool {
        self.rounds >= SOON
    }

    /// Whether only long waits follow.
    pub(super) fn is_at_rest(&self) -> bool {
        self.rounds >= AT_REST
    }

    /// Nothing has come: how long to wait.
    pub(super) fn next_wait(&mut self, tail: &mut Tail) -> Duration {
        if std::mem::take(&mut self.woken) {
            // Changed, yet without new bytes: renamed or removed. What follows is looked for soon.
            self.untold = false;
            self.rounds = self.rounds.min(SOON - 1);
        }
        self.rounds += 1;
        if self.rounds == 1 {
            return GATHER;
        }
        if self.rounds == AT_REST {
            tail.rest_idle();
            if std::mem::take(&mut self.untold)
                && let Some(attended) = &self.attended
            {
                attended.distrust();
            }
        }
        self.told = self.told(tail);
        let most = if tail.holds_nothing() { WITHOUT_FILE } else { Duration::MAX };
        together(self.spread(self.told.pause(self.rounds)).min(most))
    }

    /// Sleeps until something is told, or the stream is to end.
    pub(super) async fn sleep(&mut self, wait: Duration, stop: &Stop) {
        if self.rounds <= 1 {
            // What is written meanwhile is gathered.
            return tokio::select! {
                () = stop.now.cancelled() => {}
                () = stop.at_end.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            };
        }
        tokio::select! {
            () = stop.now.cancelled() => {}
            () = stop.at_end.cancelled() => {}
            () = self.sleeper.written.notified() => self.woken = true,
            () = self.sleeper.moved.notified() => self.woken = true,
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Waits until there may be room for the file, although the source has ended.
    pub(super) async fn wait_for_room(&mut self, stop: &Stop) {
        tokio::select! {
            () = stop.now.cancelled() => {}
            () = self.sleeper.moved.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    /// Keeps looking at the files while something else takes its time.
    pub(super) async fn go_on_during<T>(&mut self, tail: &mut Tail, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut wait = GATHER;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Several changes come together.
                () = self.sleeper.moved.notified() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(wait) => {}
            }
            // Before the look, so that it misses nothing.
            self.attend(tail);
            self.careful.call(tail, |tail| tail.look(Instant::now())).await;
            wait = LOOK_EVERY;
        }
    }

    /// Has the directory of the stream watched. Returns whether it has been all the time.
    pub(super) fn attend(&mut self, tail: &Tail) -> bool {
        // All streams share the watch: a call of it that hangs would hold up them all.
        let watch = self.watch.as_ref().filter(|_| !self.careful.may_hang());
        let Some((directory, watch)) = tail.watched_directory().zip(watch) else { return true };
        if self.attended.as_ref().is_some_and(|attended| attended.is_of(directory)) {
            return true;
        }
        let name = tail.path().file_name().unwrap_or_default();
        self.attended = watch.attend(directory, name, &self.sleeper);
        self.attended.is_none()
    }

    fn told(&mut self, tail: &Tail) -> Told {
        if !self.attend(tail) {
            // What came before is seen by the next look, which is soon.
            self.rounds = SOON;
        }
        if self.careful.may_hang() {
            return Told::FromTimeToTime;
        }
        let Some(watch) = &self.watch else { return Told::Nothing };
        if tail.waits_for_room() {
            return Told::Something;
        }
        if tail.has_failed() {
            // What would help may be done anywhere.
            return Told::Nothing;
        }
        // The end of a file that lies aside is found by looks.
        let draining = tail.is_draining();
        if let Some(attended) =
            self.attended.as_ref().filter(|it| it.is_trusted() && tail.is_understood() && !draining)
        {
            let tells = |(file, notifies): (Identity, bool)| {
                notifies && attended.tells_of(tail.path(), file).unwrap_or(false)
            };
            if tail.current().is_none_or(tells) {
                return Told::Everything;
            }
        }
        if let Some((_, notifies)) = tail.closed() {
            // What was armed is armed until the next change, which opens the file.
            let told = notifies && !draining && (self.attended.is_some() || self.told != Told::Nothing);
            return if told { Told::Something } else { Told::Nothing };
        }
        let mut told = !draining && (self.attended.is_some() || tail.watched().next().is_some());
        for (file, notifies) in tail.watched() {
            told &= notifies && watch.arm(file, &self.sleeper);
        }
        if told { Told::Something } else { Told::Nothing }
    }

    /// Streams that came to rest together do not all look at the same moment.
    fn spread(&self, pause: Duration) -> Duration {
        let place = u32::try_from(Arc::as_ptr(&self.sleeper).addr() / size_of::<Sleeper>() % 64).unwrap_or(0);
        pause - pause * place / 256
    }
}
