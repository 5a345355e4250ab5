//! Waiting for something to become true, with a deadline and a reason.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what usually takes a second or two.
///
/// The machine that runs the tests may be busy with other things, so the deadline is generous: it only costs
/// time when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns what `probe` returns once it succeeds.
///
/// # Panics
///
/// After `deadline`, with `what` was waited for and the last reason that `probe` gave.
#[track_caller]
pub fn until<T>(what: &str, deadline: Duration, probe: impl FnMut() -> Result<T, String>) -> T {
    match attempt(deadline, probe) {
        Ok(value) => value,
        Err(reason) => panic!("waited {deadline:?} in vain for {what}: {reason}"),
    }
}

/// Returns what `probe` returns once it succeeds, for destructors, which must not panic.
///
/// # Errors
///
/// After `deadline`, with the last reason that `probe` gave.
pub fn attempt<T>(deadline: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(reason) if began.elapsed() >= deadline => return Err(reason),
            Err(_) => {}
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Watches for `duration` that `probe` keeps succeeding.
///
/// # Panics
///
/// As soon as it does not, with the reason.
#[track_caller]
pub fn throughout(what: &str, duration: Duration, mut probe: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    while began.elapsed() < duration {
        if let Err(reason) = probe() {
            panic!("{what} held only for {:?}: {reason}", began.elapsed());
        }
        thread::sleep(Duration::from_millis(250));
    }
}
