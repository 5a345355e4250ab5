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
        let (mut events, _) = self.take_part(usize::MAX);
        while self.deferred.is_some() {
            events.append(&mut self.take_part(usize::MAX).0);
        }
        events
    }

    /// The next events, about `at_most` of them, and whether there may be more. Made a few at a time, they
    /// are gone through while they are still close to the processor.
    pub fn take_part(&mut self, at_most: usize) -> (Vec<Event>, bool) {
        if self.events.len() > at_most {
            let rest = self.events.split_off(at_most);
            return (std::mem::replace(&mut self.events, rest), true);
        }
        let mut events = std::mem::take(&mut self.events);
        if events.is_empty()
            && let Some(Deferred(make)) = &mut self.deferred
            && !make(&mut events, at_most)
        {
            self.deferred = None;
        }
        (events, self.deferred.is_some())
    }
}

/// Makes events later: appends them to a list.
pub struct Deferred(MakeEvents);

type MakeEvents = Box<dyn FnMut(&mut Vec<Event>, usize) -> bool + Send>;

impl Deferred {
    /// From a closure that appends all events.
    pub fn new(make: impl FnOnce(&mut Vec<Event>) + Send + 'static) -> Self {
        let mut make = Some(make);
        Self::in_parts(move |events, _| {
            if let Some(make) = make.take() {
                make(events);
            }
            false
        })
    }

    /// From a closure that appends about as many events as it is told, and returns whether there may be more.
    pub fn in_parts(make: impl FnMut(&mut Vec<Event>, usize) -> bool + Send + 'static) -> Self {
        Self(Box::new(make))
    }
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deferred").finish()
    }
}
