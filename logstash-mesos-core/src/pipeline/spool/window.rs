//! Which of the records that were read out of a queue have arrived: the queue ends where the first has not.

use std::collections::VecDeque;
use std::ops::Range;

use super::segment::Place;

/// Batches of one queue that are on their way, in its order.
#[derive(Debug, Default)]
pub(crate) struct Window {
    sent: VecDeque<Sent>,
    // Of the first in `sent`.
    first: u64,
}

#[derive(Debug)]
struct Sent {
    begin: u64,
    end: Place,
    arrived: bool,
}

/// A batch on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Window {
    /// The next batch is on its way: the records from `begin` to `end`.
    pub(crate) fn begin(&mut self, begin: u64, end: Place) -> Ticket {
        self.sent.push_back(Sent { begin, end, arrived: false });
        Ticket(self.first + self.sent.len() as u64 - 1)
    }

    /// It has arrived: its records, and up to where everything has, if that has moved. Nothing, for one of before the queue
    /// was wound back.
    pub(crate) fn arrived(&mut self, ticket: Ticket) -> Option<(Range<u64>, Option<Place>)> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let sent = self.sent.get_mut(at)?;
        sent.arrived = true;
        let records = sent.begin..sent.end.number;
        let mut moved = None;
        while self.sent.front().is_some_and(|sent| sent.arrived)
            && let Some(sent) = self.sent.pop_front()
        {
            self.first += 1;
            moved = Some(sent.end);
        }
        Some((records, moved))
    }

    /// Whether everything before it has arrived.
    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        ticket.0 == self.first
    }

    /// The queue is read from its beginning again.
    pub(crate) fn wind_back(&mut self) {
        self.first += self.sent.len() as u64;
        self.sent.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        Place { number, offset: 0 }
    }

    #[test]
    fn the_queue_moves_along_what_has_arrived_without_a_gap() {
        let mut window = Window::default();
        let tickets: Vec<Ticket> = (1..=4).map(|number| window.begin(number - 1, place(number))).collect();
        assert_eq!(window.arrived(tickets[1]), Some((1..2, None)));
        assert!(window.is_first(tickets[0]) && !window.is_first(tickets[2]));
        assert_eq!(window.arrived(tickets[0]), Some((0..1, Some(place(2)))));
        window.wind_back();
        let again = window.begin(2, place(3));
        assert_eq!(window.arrived(tickets[3]), None, "it is sent again with what is before it");
        assert_eq!(window.arrived(again), Some((2..3, Some(place(3)))));
    }
}
