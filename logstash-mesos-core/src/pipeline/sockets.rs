//! Sockets that inputs listen on, handed over from one run of a pipeline to the next: while its configuration changes nothing
//! is refused, and what waits in a socket is not lost with it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The sockets of one run of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    shared: Shared,
    pipeline_id: Arc<str>,
    run: u64,
    // Those of the run before, which may end before the inputs of this one begin.
    before: Arc<Mutex<Vec<Arc<dyn Any + Send + Sync>>>>,
}

/// The sockets of pipelines that run beside each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: AtomicU64,
    open: Mutex<HashMap<(Arc<str>, String), Open>>,
}

#[derive(Debug)]
struct Open {
    run: u64,
    // Its inputs hold it.
    socket: Weak<dyn Any + Send + Sync>,
}

impl Shared {
    /// For a new run of a pipeline. What it has not inherited is let go by [`Sockets::let_go`].
    pub(crate) fn of(&self, pipeline_id: &str) -> Sockets {
        let run = self.0.runs.fetch_add(1, Ordering::Relaxed);
        let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = open.iter().filter(|((id, _), _)| **id == *pipeline_id);
        let before = of_it.filter_map(|(_, open)| open.socket.upgrade()).collect();
        Sockets {
            shared: self.clone(),
            pipeline_id: Arc::from(pipeline_id),
            run,
            before: Arc::new(Mutex::new(before)),
        }
    }
}

impl Sockets {
    /// Which run of the pipeline it is: one that starts later has a higher number.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    /// The pipeline that it is a run of.
    pub(crate) fn pipeline_id(&self) -> &Arc<str> {
        &self.pipeline_id
    }

    /// The socket of this pipeline at `address`, if the run before this one has one. Both take what comes until that ends.
    pub(crate) fn inherit<T: Send + Sync + 'static>(&self, address: &str) -> Option<Arc<T>> {
        let mut open = self.shared.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, open| open.socket.strong_count() > 0);
        let there = open.get_mut(&(Arc::clone(&self.pipeline_id), address.to_owned()))?;
        // Two inputs of one configuration may not share a socket.
        let socket = there.socket.upgrade().filter(|_| there.run != self.run)?.downcast().ok()?;
        // An input may begin later than its successor.
        there.run = there.run.max(self.run);
        Some(socket)
    }

    /// What no input has asked for at its start is closed with the run before.
    pub(crate) fn let_go(&self) {
        let before = std::mem::take(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner));
        drop(before);
    }

    /// For the run after this one.
    pub(crate) fn keep<T: Send + Sync + 'static>(&self, address: &str, socket: &Arc<T>) {
        let socket: Arc<dyn Any + Send + Sync> = Arc::clone(socket) as _;
        let open = Open { run: self.run, socket: Arc::downgrade(&socket) };
        let mut all = self.shared.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((Arc::clone(&self.pipeline_id), address.to_owned()), open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_to_the_next_run_of_its_pipeline_and_to_nobody_else() {
        let shared = Shared::default();
        let (first, socket) = (shared.of("a"), Arc::new(7_u16));
        first.keep("udp :1", &socket);
        assert_eq!(first.inherit::<u16>("udp :1"), None, "two inputs of one configuration");
        let (second, other) = (shared.of("a"), shared.of("b"));
        assert_eq!((second.inherit::<u16>("udp :2"), other.inherit::<u16>("udp :1")), (None, None));
        // The run before may have ended when the next one begins.
        drop(socket);
        let inherited = second.inherit::<u16>("udp :1").unwrap();
        second.let_go();
        let third = shared.of("a");
        drop(inherited);
        third.let_go();
        first.let_go();
        other.let_go();
        assert_eq!(shared.of("a").inherit::<u16>("udp :1"), None, "nobody has it any more");
    }
}
