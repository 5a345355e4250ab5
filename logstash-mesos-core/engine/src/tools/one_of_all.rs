//! One of all workers, for what they do together once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A worker's part in something that all workers of a filter share and only one may do at a time: giving out
/// what they have gathered.
///
/// The first worker that is asked does it from then on, as long as it lives; at the end the last one does,
/// when the others have brought everything.
#[derive(Debug, Default)]
pub(crate) struct OneOfAll {
    all: Arc<Mutex<All>>,
    me: Arc<()>,
    /// Whether this counts among [`All::running`].
    counted: bool,
}

#[derive(Debug, Default)]
struct All {
    running: usize,
    leader: Weak<()>,
}

impl OneOfAll {
    /// The part of one more worker.
    pub(crate) fn fork(&self) -> Self {
        self.all().running += 1;
        Self { all: Arc::clone(&self.all), me: Arc::default(), counted: true }
    }

    /// Whether it is this worker's turn; `last` when it ends.
    pub(crate) fn acts(&mut self, last: bool) -> bool {
        if last {
            self.end();
            return self.all().running == 0;
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.leader.strong_count() == 0 {
            all.leader = Arc::downgrade(&self.me);
        }
        Weak::ptr_eq(&all.leader, &Arc::downgrade(&self.me))
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.all().running -= 1;
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneOfAll {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acts_and_the_last_one_ends() {
        let made = OneOfAll::default();
        let (mut a, mut b, mut c) = (made.fork(), made.fork(), made.fork());
        assert!(b.acts(false) && !a.acts(false) && b.acts(false) && !c.acts(false));
        assert!(!b.acts(true));
        drop(b);
        assert!(a.acts(false) && !c.acts(false));
        drop(c);
        assert!(a.acts(true));
        // Another run of the same filter.
        let mut again = made.fork();
        assert!(!a.acts(false) || !again.acts(false));
        assert!(again.acts(true));
    }

    #[test]
    fn alone_it_is_always_the_turn() {
        let mut alone = OneOfAll::default();
        assert!(alone.acts(false) && alone.acts(true));
    }
}
