//! Events on their way from a source to a pipeline.

use super::{Ack, Event};

/// Events on their way into a pipeline, with the duty to tell their source.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events, in the order of their source.
    pub events: Vec<Event>,
    /// More events, which come after those and are made by the worker that takes the batch: raw lines need
    /// less room in a queue than events, and are decoded by as many threads as there are workers.
    pub deferred: Option<Deferred>,
    /// Told when all of them have arrived. Dropping the batch says that they have not.
    pub ack: Ack,
    /// About how much memory they hold, in bytes: what the queue counts.
    pub byte_size: usize,
}

impl Batch {
    /// Whether there is certainly no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deferred.is_none()
    }

    /// All events, the deferred ones made now. The acknowledgement and the size stay.
    pub fn take_events(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        self.each_part(usize::MAX, &mut |mut events| all.append(&mut events));
        all
    }

    /// Gives all events to `each`, at most `at_most` at a time. Deferred ones are made meanwhile, so that few are held however
    /// many there are, and are gone through while they are still close to the processor.
    pub fn each_part(&mut self, at_most: usize, each: &mut dyn FnMut(Vec<Event>)) {
        let mut events = std::mem::take(&mut self.events);
        while events.len() > at_most {
            let rest = events.split_off(at_most);
            each(std::mem::replace(&mut events, rest));
        }
        if !events.is_empty() {
            each(events);
        }
        if let Some(Deferred(make)) = self.deferred.take() {
            let mut parts = Parts { events: Vec::new(), at_most: at_most.max(1), each };
            make(&mut parts);
            parts.pass_on();
        }
    }
}

/// Makes events later.
pub struct Deferred(MakeEvents);

type MakeEvents = Box<dyn FnOnce(&mut Parts<'_>) + Send>;

impl Deferred {
    /// From a closure that gives all events, one after the other.
    pub fn new(make: impl FnOnce(&mut Parts<'_>) + Send + 'static) -> Self {
        Self(Box::new(make))
    }
}

/// Takes events and passes them on several at a time.
pub struct Parts<'e> {
    events: Vec<Event>,
    at_most: usize,
    each: &'e mut dyn FnMut(Vec<Event>),
}

impl Parts<'_> {
    /// Takes an event, which perhaps is gone through at once, with those before it.
    #[inline]
    pub fn push(&mut self, event: Event) {
        if self.events.capacity() == 0 {
            self.events.reserve(self.at_most.min(1024));
        }
        self.events.push(event);
        if self.events.len() >= self.at_most {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        if !self.events.is_empty() {
            (self.each)(std::mem::take(&mut self.events));
        }
    }
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deferred").finish()
    }
}
