//! Numbers of records, kept as ranges: few, where what is next to each other belongs together.

use std::ops::Range;

/// A set of numbers.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    // In order, with gaps between them.
    all: Vec<Range<u64>>,
}

impl Ranges {
    pub(super) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let from = self.all.partition_point(|range| range.end < new.start);
        let to = self.all.partition_point(|range| range.start <= new.end);
        let touched = &self.all[from..to];
        let start = touched.first().map_or(new.start, |first| first.start.min(new.start));
        let end = touched.last().map_or(new.end, |last| last.end.max(new.end));
        self.all.splice(from..to, std::iter::once(start..end));
    }

    /// Forgets those below `number`.
    pub(super) fn forget_below(&mut self, number: u64) {
        self.all.drain(..self.all.partition_point(|range| range.end <= number));
        if let Some(first) = self.all.first_mut() {
            first.start = first.start.max(number);
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let at = self.all.partition_point(|range| range.end <= number);
        self.all.get(at).is_some_and(|range| range.contains(&number))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.all.iter().map(|range| range.end - range.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(new in prop::collection::vec((0..60_u64, 0..9_u64), 0..20), below in 0..60_u64) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, len) in new {
                ranges.insert(start..start + len);
                set.extend(start..start + len);
                prop_assert!(ranges.all.is_sorted_by(|a, b| a.end < b.start));
            }
            ranges.forget_below(below);
            set.retain(|number| *number >= below);
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert!((0..70).all(|number| ranges.contains(number) == set.contains(&number)));
        }
    }
}
