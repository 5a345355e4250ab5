//! A request that fails as a whole, though its server takes others: a record in it may be the reason, one that the server
//! stumbles over, or that something in front of it refuses.
//!
//! It is looked for in smaller requests, one at a time and with the same pauses: halves, until a record fails alone, and
//! larger ones again behind it. When the server has taken others, and not one of those that are left since, these are to blame.
//! While a server is away nothing arrives, so nothing is blamed; when it is back, the first requests are small.

use std::ops::Range;

/// Which records of a batch are sent next.
#[derive(Debug)]
pub(super) struct Pieces {
    // So often all of it may fail before a part is sent.
    patience: u32,
    // Those before have had their turn in this pass.
    from: usize,
    most: usize,
    this_pass: Pass,
    // The server took something in the pass before.
    takes_others: bool,
    // What had arrived of everything by the end of it.
    delivered: u64,
}

#[derive(Debug, Default)]
struct Pass {
    failed: bool,
    arrived: bool,
}

impl Pieces {
    /// `delivered`: how much has arrived of everything.
    pub(super) fn new(patience: u32, delivered: u64) -> Self {
        Self {
            patience,
            from: 0,
            most: usize::MAX,
            this_pass: Pass::default(),
            takes_others: false,
            delivered,
        }
    }

    /// Of a batch with `left` records.
    pub(super) fn next(&self, left: usize) -> Range<usize> {
        self.from..left.min(self.from.saturating_add(self.most))
    }

    /// Nothing is being looked for.
    pub(super) fn is_whole(&self) -> bool {
        self.from == 0 && self.most == usize::MAX
    }

    /// The server answered for a piece, and did not take `left` of its records. Whether it is to be asked on at once.
    pub(super) fn answered(&mut self, piece: &Range<usize>, left: usize) -> bool {
        let arrived = left < piece.len();
        let is_back = arrived && !self.this_pass.arrived && !self.takes_others;
        self.this_pass.arrived |= arrived;
        // Those before failed while it was away. They keep their order.
        self.from = if is_back { 0 } else { self.from + left };
        self.most = self.most.saturating_mul(2);
        arrived && !self.is_whole()
    }

    /// A piece failed. Whether a smaller one is next.
    pub(super) fn failed(&mut self, piece: &Range<usize>) -> bool {
        self.this_pass.failed = true;
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        let is_divided = piece.len() > 1;
        if is_divided {
            self.most = piece.len() / 2;
        } else {
            self.from += 1;
        }
        is_divided
    }

    /// Begins again when all that are `left` have had their turn. Whether these are to blame.
    pub(super) fn are_to_blame(&mut self, left: usize, delivered: u64) -> bool {
        if self.from < left {
            return false;
        }
        let Pass { failed, arrived } = std::mem::take(&mut self.this_pass);
        let are = self.patience == 0 && failed && !arrived && self.takes_others;
        let takes_others = are || arrived || delivered > self.delivered;
        *self = Self { takes_others, ..Self::new(self.patience, delivered) };
        are
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_order_over_an_outage() {
        let mut left: Vec<usize> = (0..100).collect();
        let (mut pieces, mut arrived) = (Pieces::new(2, 0), Vec::new());
        for requests in 0.. {
            let piece = pieces.next(left.len());
            if requests < 30 {
                pieces.failed(&piece);
            } else {
                arrived.extend(left.drain(piece.clone()));
                pieces.answered(&piece, 0);
            }
            pieces.are_to_blame(left.len(), 0);
            if left.is_empty() {
                break;
            }
        }
        // The first that arrives shows that the server is there again.
        assert!(arrived[1..].is_sorted(), "{arrived:?}");
    }

    /// Sends records until all have arrived or are to blame: those that are, and with how many requests. The server is
    /// away for the first `outage` requests.
    fn send(count: usize, poison: &[usize], outage: usize) -> (Vec<usize>, usize) {
        let mut left: Vec<usize> = (0..count).collect();
        let mut pieces = Pieces::new(2, 0);
        for requests in 0..10_000 {
            if left.is_empty() {
                return (left, requests);
            }
            let piece = pieces.next(left.len());
            assert!(!piece.is_empty());
            if requests < outage || left[piece.clone()].iter().any(|record| poison.contains(record)) {
                pieces.failed(&piece);
                if pieces.are_to_blame(left.len(), 0) {
                    return (left, requests + 1);
                }
            } else {
                left.drain(piece.clone());
                pieces.answered(&piece, 0);
                assert!(!pieces.are_to_blame(left.len(), 0));
            }
        }
        panic!("{left:?} are left");
    }

    #[test]
    fn those_that_fail_alone_are_found_and_all_others_arrive() {
        for poison in [&[0][..], &[999], &[500], &[3, 4, 5], &[0, 77, 150, 998, 999]] {
            for outage in [0, 1, 40] {
                let (blamed, requests) = send(1000, poison, outage);
                assert_eq!(blamed, poison);
                assert!(requests < outage + 30 * (poison.len() + 1), "{requests} for {poison:?}");
            }
        }
    }

    #[test]
    fn nobody_is_blamed_for_an_outage() {
        for count in [1, 2, 1000] {
            for outage in [1, 5, 3000] {
                let (blamed, requests) = send(count, &[], outage);
                assert!(blamed.is_empty());
                assert!(requests <= outage + 15, "{requests} for {count} and {outage}");
            }
        }
    }

    #[test]
    fn one_that_is_alone_is_to_blame_when_what_is_behind_it_arrives() {
        let mut pieces = Pieces::new(2, 0);
        for delivered in [0, 0, 0, 0, 9] {
            let piece = pieces.next(1);
            pieces.failed(&piece);
            assert!(!pieces.are_to_blame(1, delivered));
        }
        pieces.failed(&(0..1));
        assert!(pieces.are_to_blame(1, 9));
    }
}
