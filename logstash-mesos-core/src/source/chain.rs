//! The files of a stream: what a look at its directory means. No I/O happens here.
//!
//! Rotation gives the file behind a name another name beside it and begins a new one. Between two looks it
//! may do so several times, copy and cut instead of renaming (`copytruncate`), or compress what it put
//! aside. A look sees names and identities; [`meanings`] says which of them are files that are known, which
//! hold the content of one, and which are generations that nobody has seen yet. The names are those of
//! logrotate, of Docker and of Mesos' logger: `name.1`, `name-20260102`, each also with `.gz`.

use std::cmp::{Ordering, Reverse};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Identity;

/// How old a rotated file is, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// `.1`, `.2`: the higher the older.
    Number(u64),
    /// A date or a time: the lower the older. Counted on where a day has several.
    Date(Vec<u64>),
}

/// What stands at a name of the chain.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `None` for the name of the stream itself.
    pub(super) age: Option<Age>,
    pub(super) identity: Identity,
    /// Of the last change, in nanoseconds since 1970.
    pub(super) modified: i64,
    pub(super) compressed: bool,
    /// All that it holds is in another file that is there: plain, at the beginning of the one behind the name;
    /// compressed, as the whole of one that was cut and has lost its name.
    pub(super) repeats: bool,
    /// It is this one of the files that are known.
    pub(super) same: Option<usize>,
}

/// A file of the stream that is known, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its last change, as it was seen last; or when the directory was understood last, if that is known.
    pub(super) modified: i64,
    /// The name of the stream led to it.
    pub(super) current: bool,
    /// It has been cut, while the program was down perhaps: what was in it is not there, and may be in a copy.
    pub(super) cut: bool,
}

/// What a file that was seen is to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A file that is known.
    Same(usize),
    /// It holds what was in a file that is known.
    Copy(usize),
    /// It holds, so far, nothing but what another file holds that is still there: a copy in the making, or one that
    /// is not needed yet.
    Making,
    /// A part of the stream that nobody has read.
    New,
    /// It was there before the stream was, or has been read.
    Before,
}

/// What speaks for it that a file holds the content of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Likeness {
    /// It is not shorter than the other was.
    pub(super) is_all: bool,
    /// It has the size that the other had in the end.
    pub(super) whole: bool,
    /// So many bytes are the same.
    pub(super) bytes: u32,
}

/// What was looked at before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing, and only the file behind the name is a part of the stream where nothing is known of it.
    First,
    /// Nothing, and the stream is what lies there and was changed then or later.
    FirstSince(i64),
    /// The same directory: what was there then is known.
    Again,
}

/// The age that `name` says, if it is one that rotation gives to the file `base`; and whether that is compressed.
pub(super) fn age(base: &OsStr, name: &OsStr) -> Option<(Age, bool)> {
    let rest = name.as_bytes().strip_prefix(base.as_bytes())?;
    let (rest, compressed) = match rest.strip_suffix(b".gz") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (separator, digits) = rest.split_first()?;
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"-_.:T".contains(byte);
    if !b".-_".contains(separator) || !digits.first()?.is_ascii_digit() || !digits.iter().all(is_part) {
        return None;
    }
    let numbers = digits.split(|byte| !byte.is_ascii_digit()).filter(|part| !part.is_empty());
    let numbers: Vec<u64> =
        numbers.map(|part| std::str::from_utf8(part).ok()?.parse().ok()).collect::<Option<_>>()?;
    // A number of a generation is short; a day has eight digits, a time in seconds ten.
    let age = match numbers[..] {
        [number] if digits.len() < 6 => Age::Number(number),
        _ => Age::Date(numbers),
    };
    Some((age, compressed))
}

/// The names whose files may be called `name` when rotation has put them aside, beside `name` itself.
pub(super) fn bases(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = name.as_bytes();
    let ends = (1..bytes.len()).filter(|at| b".-_".contains(&bytes[*at]));
    ends.map(|at| OsStr::from_bytes(&bytes[..at])).filter(|base| age(base, name).is_some()).chain([name])
}

/// Whether a name says that its file is compressed.
pub(super) fn is_compressed(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".gz")
}

/// Whether a name says that its file is compressed in a way that is not read.
pub(super) fn is_unreadable_archive(name: &OsStr) -> bool {
    !is_compressed(name) && archive_ending(name).is_some()
}

/// How a name says that its file is compressed.
pub(super) fn archive_ending(name: &OsStr) -> Option<&'static str> {
    const ENDINGS: [&str; 9] = [".gz", ".xz", ".zst", ".bz2", ".lz4", ".lzo", ".Z", ".zip", ".7z"];
    ENDINGS.into_iter().find(|ending| name.as_bytes().ends_with(ending.as_bytes()))
}

/// Puts what was seen in order, oldest first, the name of the stream last. Names decide where they can be
/// compared, times where they cannot.
pub(super) fn sort<T>(found: &mut [T], seen: impl Fn(&T) -> &Seen) {
    let numbered = found.iter().all(|one| !matches!(seen(one).age, Some(Age::Date(_))));
    let dated = found.iter().all(|one| !matches!(seen(one).age, Some(Age::Number(_))));
    found.sort_by(|a, b| match (&seen(a).age, &seen(b).age) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(Age::Number(a)), Some(Age::Number(b))) if numbered => Reverse(a).cmp(&Reverse(b)),
        (Some(Age::Date(a)), Some(Age::Date(b))) if dated => a.cmp(b),
        _ => seen(a).modified.cmp(&seen(b).modified),
    });
}

/// What each of the files is to the stream; `seen` as [`sort`] leaves it, `known` oldest first. `alike(k, s)` says
/// how much speaks for it that the file that was seen holds the content of the known one.
pub(super) fn meanings(
    known: &[Known],
    seen: &[Seen],
    look: Look,
    mut alike: impl FnMut(usize, usize) -> Option<Likeness>,
) -> Vec<Meaning> {
    let stays = |seen: &Seen| seen.age.is_none() && seen.same.is_some_and(|k| known[k].current);
    // A file that is renamed leaves its name. Where it has not, what appears beside it is copied from it.
    let copies = look == Look::First || seen.iter().any(stays);
    let is_making = |file: &Seen| match file.compressed {
        true => file.repeats || seen.iter().any(|other| !other.compressed && other.age == file.age),
        false => file.repeats && copies,
    };
    let is_there = |k: usize| seen.iter().any(|seen| seen.same == Some(k));
    let mut meanings: Vec<Meaning> = Vec::with_capacity(seen.len());
    for (s, file) in seen.iter().enumerate() {
        let meaning = match file.same {
            Some(k) => Meaning::Same(k),
            None if file.age.is_some() && is_making(file) => Meaning::Making,
            // Rotation copies in two cases: to compress, which removes the original, and to cut it.
            None => (0..known.len())
                .filter(|k| file.age.is_some() && (known[*k].cut || (file.compressed && !is_there(*k))))
                // What was cut has one copy; a younger file that begins in the same way is another one.
                .filter(|k| !known[*k].cut || !meanings.contains(&Meaning::Copy(*k)))
                .filter_map(|k| {
                    let likeness = alike(k, s)?;
                    // What is shorter is the copy if no other file is more like it.
                    let mut others = (s + 1..seen.len()).filter(|other| seen[*other].same.is_none());
                    let is_it = likeness.is_all || !others.any(|other| alike(k, other) > Some(likeness));
                    is_it.then_some((likeness, k))
                })
                .max()
                .map_or(Meaning::New, |(_, k)| Meaning::Copy(k)),
        };
        meanings.push(meaning);
    }
    // The file behind the name may have been copied and cut before anything was read of it.
    let counts = |s: usize| look != Look::Again || seen[s].age.is_some();
    let is_known = |s: usize| !matches!(meanings[s], Meaning::New | Meaning::Making);
    let youngest = (0..seen.len()).rfind(|s| is_known(*s) && counts(*s));
    let last_change = known.iter().map(|known| known.modified).max();
    for (s, meaning) in meanings.iter_mut().enumerate() {
        if *meaning != Meaning::New || seen[s].age.is_none() {
            continue;
        }
        let is_part = match (youngest, last_change) {
            // What is younger than a known file came after it, and so did what has changed since: a copy of what was
            // written after the last look, before the file was cut.
            (Some(youngest), Some(last)) => s > youngest || seen[s].modified > last,
            // Nothing that was known lies aside. What has not changed since is older.
            (None, Some(last)) => seen[s].modified >= last,
            (_, None) => match look {
                Look::First => false,
                Look::FirstSince(then) => seen[s].modified >= then,
                Look::Again => true,
            },
        };
        if !is_part {
            *meaning = Meaning::Before;
        }
    }
    meanings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age_of(name: &str) -> Option<(Age, bool)> {
        age(OsStr::new("app.log"), OsStr::new(name))
    }

    #[test]
    fn names_of_rotation_are_told_from_others() {
        assert_eq!(age_of("app.log.1"), Some((Age::Number(1), false)));
        assert_eq!(age_of("app.log.12.gz"), Some((Age::Number(12), true)));
        assert_eq!(age_of("app.log-20260102"), Some((Age::Date(vec![20_260_102]), false)));
        assert_eq!(age_of("app.log.2026-01-02.3.gz"), Some((Age::Date(vec![2026, 1, 2, 3]), true)));
        assert_eq!(
            age_of("app.log-2026-01-02T03:04:05"),
            Some((Age::Date(vec![2026, 1, 2, 3, 4, 5]), false))
        );
        for other in ["app.log", "app.log.gz", "app.log.bak", "app.log.1.bz2", "app.log2", "app.log.", "b.1"]
        {
            assert_eq!(age_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_may_be_a_rotated_one_of_several() {
        let bases = |name| bases(OsStr::new(name)).collect::<Vec<_>>();
        assert_eq!(bases("app.log"), ["app.log"]);
        assert_eq!(bases("app.log.1"), ["app.log", "app.log.1"]);
        assert_eq!(bases("app-1.log-20260102.gz"), ["app-1.log", "app-1.log-20260102.gz"]);
        assert_eq!(
            bases("app.log.2026-01.2"),
            ["app.log", "app.log.2026", "app.log.2026-01", "app.log.2026-01.2"]
        );
    }

    fn seen(name: &str, ino: u64, modified: i64, same: Option<usize>) -> Seen {
        let (age, compressed) = age_of(name).map_or((None, false), |(age, gz)| (Some(age), gz));
        let identity = Identity { dev: 1, ino, born: 0 };
        Seen { age, identity, modified, compressed, repeats: false, same }
    }

    const ALIKE: Option<Likeness> = Some(Likeness { is_all: true, whole: false, bytes: 9 });
    const READ: Known = Known { modified: 10, current: true, cut: false };

    #[test]
    fn the_order_is_that_of_the_names_and_of_the_times_where_names_differ_in_kind() {
        fn order(names: &[(&'static str, i64)]) -> Vec<&'static str> {
            let mut all: Vec<Seen> = names
                .iter()
                .enumerate()
                .map(|(at, (name, time))| seen(name, at as u64, *time, None))
                .collect();
            sort(&mut all, |seen| seen);
            all.iter().map(|seen| names[usize::try_from(seen.identity.ino).unwrap()].0).collect()
        }
        assert_eq!(
            order(&[("app.log", 1), ("app.log.1", 9), ("app.log.10.gz", 8), ("app.log.9", 7)]),
            ["app.log.10.gz", "app.log.9", "app.log.1", "app.log"]
        );
        assert_eq!(
            order(&[("app.log-20260103", 1), ("app.log-20260102.1", 3), ("app.log-20260102", 2)]),
            ["app.log-20260102", "app.log-20260102.1", "app.log-20260103"]
        );
        assert_eq!(
            order(&[("app.log-20260103", 5), ("app.log.1", 6), ("app.log-20260102", 4)]),
            ["app.log-20260102", "app.log-20260103", "app.log.1"]
        );
    }

    #[test]
    fn what_is_younger_than_a_known_file_is_new_and_what_is_older_is_not() {
        use Meaning::{Before, New, Same};
        // All have changed before the known one has.
        let chain = [
            seen("app.log.4.gz", 1, 1, None),
            seen("app.log.3", 2, 2, Some(0)),
            seen("app.log.2", 3, 3, None),
            seen("app.log.1", 4, 4, None),
            seen("app.log", 5, 5, None),
        ];
        let found = meanings(&[READ], &chain, Look::First, |_, _| None);
        assert_eq!(found, [Before, Same(0), New, New, New]);
        // At first sight only the name counts, unless all that lies there is the stream.
        let strangers: Vec<Seen> = chain.iter().map(|seen| Seen { same: None, ..seen.clone() }).collect();
        let found = meanings(&[], &strangers, Look::First, |_, _| None);
        assert_eq!(found, [Before, Before, Before, Before, New]);
        assert_eq!(meanings(&[], &strangers, Look::FirstSince(i64::MIN), |_, _| None), [New; 5]);
        let found = meanings(&[], &strangers, Look::FirstSince(3), |_, _| None);
        assert_eq!(found, [Before, Before, New, New, New]);
        // The known one was rotated away: times tell.
        let known = Known { modified: 3, ..READ };
        let found = meanings(&[known], &strangers, Look::First, |_, _| None);
        assert_eq!(found, [Before, Before, New, New, New]);
    }

    #[test]
    fn a_plain_copy_is_believed_only_of_a_file_that_stays_where_it_is() {
        use Meaning::{Before, Copy, Making, New, Same};
        const CUT: Known = Known { cut: true, ..READ };
        let copied = [seen("app.log.1", 2, 12, None), seen("app.log", 1, 10, Some(0))];
        assert_eq!(meanings(&[CUT], &copied, Look::Again, |_, _| ALIKE), [Copy(0), Same(0)]);
        // Not cut yet: it may not be whole.
        let making = [Seen { repeats: true, ..copied[0].clone() }, copied[1].clone()];
        assert_eq!(meanings(&[READ], &making, Look::Again, |_, _| ALIKE), [Making, Same(0)]);
        // Renamed: a file that begins in the same way is another one.
        let renamed = [
            seen("app.log.2", 1, 10, Some(0)),
            Seen { repeats: true, ..seen("app.log.1", 2, 12, None) },
            seen("app.log", 3, 12, None),
        ];
        assert_eq!(meanings(&[READ], &renamed, Look::Again, |_, _| ALIKE), [Same(0), New, New]);
        // Copied and cut before anything was read: it was not there at the last look.
        assert_eq!(meanings(&[READ], &copied, Look::Again, |_, _| None), [New, Same(0)]);
        assert_eq!(meanings(&[READ], &copied, Look::First, |_, _| None), [New, Same(0)]);
        let older = [seen("app.log.1", 2, 9, None), copied[1].clone()];
        assert_eq!(meanings(&[READ], &older, Look::First, |_, _| None), [Before, Same(0)]);
    }

    #[test]
    fn a_compressed_copy_counts_when_the_file_it_was_made_of_is_gone() {
        use Meaning::{Copy, Making, New, Same};
        let compressed = [seen("app.log.1.gz", 2, 10, None), seen("app.log", 3, 12, None)];
        assert_eq!(meanings(&[READ], &compressed, Look::First, |_, _| ALIKE), [Copy(0), New]);
        let beside = [seen("app.log.1", 1, 10, Some(0)), compressed[0].clone(), compressed[1].clone()];
        assert_eq!(meanings(&[READ], &beside, Look::Again, |_, _| None), [Same(0), Making, New]);
    }
}
