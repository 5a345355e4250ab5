//! Ports in the ranges that Mesos offers them in.

use mesos_v1::proto::{Resource, value};

/// Ports that an executor listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedPorts {
    /// Numbers that are given.
    pub fixed: Vec<u16>,
    /// Names of ports that may have any number.
    pub chosen: Vec<String>,
}

/// Some port numbers, as ranges with both ends, sorted and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Those of a resource.
    pub fn of(resource: &Resource) -> Self {
        let ranges = resource.ranges.as_ref().map(|r| r.range.as_slice()).unwrap_or_default();
        let mut all = Self(ranges.iter().filter(|r| r.begin <= r.end).map(|r| (r.begin, r.end)).collect());
        all.tidy();
        all
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
        self.tidy();
    }

    /// Whether `port` is among them.
    pub fn contains(&self, port: u16) -> bool {
        let port = u64::from(port);
        self.0.iter().any(|(begin, end)| (*begin..=*end).contains(&port))
    }

    /// Each of them, in order. There is no port 0.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let last = u64::from(u16::MAX);
        let numbers = self.0.iter().flat_map(move |(begin, end)| (*begin).max(1)..=(*end).min(last));
        numbers.filter_map(|number| u16::try_from(number).ok())
    }

    /// Whether `port` lies between the lowest and the highest.
    pub fn span(&self, port: u16) -> bool {
        let port = u64::from(port);
        matches!((self.0.first(), self.0.last()), (Some((low, _)), Some((_, high))) if (*low..=*high).contains(&port))
    }

    fn tidy(&mut self) {
        self.0.sort_unstable();
        let mut tidy = Vec::<(u64, u64)>::with_capacity(self.0.len());
        for (begin, end) in self.0.drain(..) {
            match tidy.last_mut() {
                Some((_, last)) if begin <= last.saturating_add(1) => *last = (*last).max(end),
                _ => tidy.push((begin, end)),
            }
        }
        self.0 = tidy;
    }

    fn remove(&mut self, port: u16) {
        let port = u64::from(port);
        let without = |(begin, end): (u64, u64)| {
            let below = (begin < port).then(|| (begin, end.min(port - 1)));
            let above = (end > port).then(|| (begin.max(port + 1), end));
            if (begin..=end).contains(&port) { [below, above] } else { [Some((begin, end)), None] }
        };
        self.0 = self.0.drain(..).flat_map(without).flatten().collect();
    }

    fn to_proto(&self) -> value::Ranges {
        let range = |(begin, end): &(u64, u64)| value::Range { begin: *begin, end: *end };
        value::Ranges { range: self.0.iter().map(range).collect() }
    }
}

/// Whether a resource is ports.
pub(super) fn is_ports(resource: &Resource) -> bool {
    resource.name == "ports" && resource.ranges.is_some()
}

/// Takes `port` out of `resource`, and returns it in the form it was offered; `None` if it is not in there.
pub(super) fn take_port(resource: &mut Resource, port: u16) -> Option<Resource> {
    let mut ranges = Ranges::of(resource);
    if !ranges.contains(port) {
        return None;
    }
    ranges.remove(port);
    let taken = Ranges(vec![(u64::from(port), u64::from(port))]);
    let taken = Resource { ranges: Some(taken.to_proto()), ..resource.clone() };
    resource.ranges = Some(ranges.to_proto());
    Some(taken)
}

/// Takes the lowest port out of `resource`, as [`take_port`] does: it is most likely the one that was chosen before.
pub(super) fn take_any_port(resource: &mut Resource) -> Option<(u16, Resource)> {
    let port = Ranges::of(resource).iter().next()?;
    Some((port, take_port(resource, port)?))
}

/// Whether there is no port (any more).
pub(super) fn is_spent(resource: &Resource) -> bool {
    Ranges::of(resource).0.is_empty()
}

/// Port numbers for people: `514, 5044`.
pub(crate) fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(ranges: &[(u64, u64)]) -> Resource {
        let range = ranges.iter().map(|(begin, end)| value::Range { begin: *begin, end: *end }).collect();
        Resource { name: "ports".to_owned(), ranges: Some(value::Ranges { range }), ..Resource::default() }
    }

    #[test]
    fn a_port_is_cut_out_of_its_range() {
        let mut offered = ports(&[(514, 514), (31_000, 31_005)]);
        assert_eq!(take_port(&mut offered, 515), None);
        assert_eq!(take_port(&mut offered, 514), Some(ports(&[(514, 514)])));
        assert_eq!(take_port(&mut offered, 31_002), Some(ports(&[(31_002, 31_002)])));
        assert_eq!(offered, ports(&[(31_000, 31_001), (31_003, 31_005)]));
        assert_eq!(take_port(&mut offered, 31_002), None);
        for port in [31_000, 31_001, 31_003, 31_004, 31_005] {
            assert!(!is_spent(&offered) && take_port(&mut offered, port).is_some());
        }
        assert!(is_spent(&offered));
        assert_eq!(take_any_port(&mut offered), None);
        let mut offered = ports(&[(0, 0), (31_004, 31_005), (70_000, 70_001)]);
        assert_eq!(take_any_port(&mut offered), Some((31_004, ports(&[(31_004, 31_004)]))));
        assert_eq!(Ranges::of(&offered).iter().collect::<Vec<_>>(), [31_005]);
    }

    #[test]
    fn ranges_are_tidied() {
        let mut ranges = Ranges::of(&ports(&[(20, 30), (9, 3), (1, 5), (6, 10)]));
        assert_eq!(ranges, Ranges(vec![(1, 10), (20, 30)]));
        assert!(ranges.span(15) && !ranges.contains(15) && !ranges.span(31));
        ranges.extend(Ranges::of(&ports(&[(11, 19)])));
        assert_eq!(ranges, Ranges(vec![(1, 30)]));
        assert!(!Ranges::default().span(0));
    }
}
