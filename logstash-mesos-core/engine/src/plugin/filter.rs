//! What a filter is.

use super::Decoration;
use crate::event::{Clock, Event};

/// A filter at work: it changes events one by one.
///
/// # Contract
///
/// - One instance serves one worker; [`Filter::fork`] makes those for the others. What must be common to
///   all workers (a throttle's counts) lies behind an `Arc` that `fork` shares.
/// - `filter` calls [`FilterContext::matched`] where Logstash's plugin calls `filter_matched`.
/// - Failure tags an event; it never loses it.
pub trait Filter: Send {
    /// Works on one event. New events go to [`FilterContext::emit`] and come after this one.
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>);

    /// A second instance with the same settings, for another worker.
    fn fork(&self) -> Box<dyn Filter>;

    /// Whether [`Filter::flush`] wants to be called.
    fn flushes(&self) -> bool {
        false
    }

    /// Whether it may hold events back and give them out at a flush. The sources of all events that came since
    /// the flush before are then told only after that.
    fn keeps_events(&self) -> bool {
        self.flushes()
    }

    /// Called about every five seconds, and once with `last` when the pipeline ends.
    fn flush(&mut self, cx: &mut FilterContext<'_>, last: bool) {
        let _ = (cx, last);
    }
}

/// So many events that filters have made of one are held: the others are made, or go on, when these have gone.
pub(crate) const PART: usize = 500;

/// Makes events when they are asked for.
pub struct Emitting(pub(crate) Box<dyn Iterator<Item = Event> + Send>);

impl std::fmt::Debug for Emitting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emitting").finish_non_exhaustive()
    }
}

/// What a filter can do beside changing its event.
#[derive(Debug)]
pub struct FilterContext<'a> {
    /// The plugin's common options.
    pub decoration: &'a Decoration,
    /// Events made by the filter, in order.
    pub emitted: &'a mut Vec<Event>,
    /// More of them, which come behind those and are made few at a time.
    pub later: &'a mut Option<Emitting>,
    /// Where the current time comes from.
    pub clock: Clock,
}

impl FilterContext<'_> {
    /// The filter did its work on `event`: applies `add_field`, `remove_field`, `add_tag`, `remove_tag`.
    ///
    /// Returns `false` where Logstash raises an error from there (a field that cannot be set, a bad date
    /// pattern): the options after the offending one are not applied, and plugins that tag their failures
    /// tag this one too.
    pub fn matched(&self, event: &mut Event) -> bool {
        self.decoration.apply(event)
    }

    /// Passes on an event the filter made.
    pub fn emit(&mut self, event: Event) {
        self.emitted.push(event);
    }

    /// Passes on events that the filter makes of the present one. If there are many, all but the first are made later: they
    /// have gone through the filters behind this one, and to the outputs, before the next ones are there.
    pub fn emit_all(&mut self, mut events: impl Iterator<Item = Event> + Send + 'static) {
        self.emitted.extend(events.by_ref().take(PART));
        if self.emitted.len() >= PART {
            *self.later = Some(Emitting(Box::new(events)));
        }
    }
}
