//! All dead letters of a data directory, as somebody looks at them: over the command line or by way of a scheduler.

use std::io;
use std::path::Path;

use super::letter::Letter;
use super::store::{Damage, Fate, Selection, Store};

/// Which letters are asked for. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only those of this configuration: its kind and name, such as `docker/nginx*`, or the name alone.
    pub configuration: Option<String>,
    /// And only these.
    pub which: Selection,
}

/// Letters, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// No more than were asked for, nor more bytes than one answer should have.
    pub letters: Vec<Letter>,
    /// There are later ones: ask for those after the last.
    pub more: bool,
    /// Lines that are no letters.
    pub damaged: Vec<Damage>,
    /// How many are on their way back to their outputs.
    pub on_their_way: u64,
}

/// Of one answer; a single larger letter still goes, alone.
const MOST_BYTES: usize = 16 << 20;

/// The letters of `data_dir` that are asked for, at most `limit`.
///
/// # Errors
///
/// When the directory cannot be read; that there are none is no error.
pub fn list(data_dir: &Path, query: &Query, limit: usize) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for store in stores(data_dir, query)? {
        let (mut count, mut bytes) = (0, 0);
        let damaged = store.read(&query.which, |letter| {
            count += 1;
            bytes += letter.text().len();
            listing.letters.push(letter);
            // One more than goes into the answer, so that it is known that there are more.
            count <= limit && bytes <= MOST_BYTES
        })?;
        listing.damaged.extend(damaged);
        listing.on_their_way += store.census()?.1.letters;
    }
    listing.letters.sort_by(|a, b| (a.id, &a.configuration).cmp(&(b.id, &b.configuration)));
    let mut bytes = 0;
    let fits = listing.letters.iter().take(limit).enumerate().take_while(|(at, letter)| {
        bytes += letter.text().len();
        *at == 0 || bytes <= MOST_BYTES
    });
    let fitting = fits.count();
    listing.more = fitting < listing.letters.len();
    listing.letters.truncate(fitting);
    Ok(listing)
}

/// Takes out all letters that are asked for, and returns how many: see [`Store::take`].
///
/// # Errors
///
/// When the disk refuses: some may have been taken out then, and the others are as they were.
pub fn take(data_dir: &Path, query: &Query, fate: Fate) -> io::Result<u64> {
    stores(data_dir, query)?.iter().map(|store| store.take(&query.which, fate)).sum()
}

fn stores(data_dir: &Path, query: &Query) -> io::Result<Vec<Store>> {
    let mut stores = Store::all(data_dir)?;
    if let Some(wanted) = &query.configuration {
        stores.retain(|store| {
            let name = store.configuration();
            name == *wanted || name.split_once('/').is_some_and(|(_, name)| name == wanted)
        });
    }
    Ok(stores)
}

#[cfg(test)]
mod tests {
    use super::super::{Appended, DeadLetterSettings, Form};
    use super::*;

    #[test]
    fn letters_of_all_configurations_are_shown_in_pages_by_time() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list(dir.path(), &Query::default(), 10).unwrap(), Listing::default());
        for round in 0..3 {
            for configuration in ["host/a", "docker/b*"] {
                let mut letter = [Letter::new(
                    "o",
                    "null",
                    "no",
                    Form::Record,
                    format!("{configuration} {round}").as_bytes(),
                )];
                let settings = DeadLetterSettings::default();
                let (store, mut done) = (Store::of(dir.path(), configuration), Appended::default());
                store.append(configuration, &mut letter, &settings, &mut done).unwrap();
            }
        }
        let mut query = Query::default();
        let mut seen = Vec::new();
        loop {
            let page = list(dir.path(), &query, 4).unwrap();
            seen.extend(page.letters.iter().map(|letter| letter.text().to_owned()));
            let Some(last) = page.letters.last().filter(|_| page.more) else { break };
            query.which.after = last.id;
        }
        assert_eq!(seen, ["host/a 0", "docker/b* 0", "host/a 1", "docker/b* 1", "host/a 2", "docker/b* 2"]);
        for name in ["b*", "docker/b*"] {
            let of_one = Query { configuration: Some(name.to_owned()), ..Query::default() };
            assert_eq!(list(dir.path(), &of_one, 10).unwrap().letters.len(), 3, "{name}");
        }
        let of_one = Query { configuration: Some("a".to_owned()), ..Query::default() };
        assert_eq!(take(dir.path(), &of_one, Fate::Replay).unwrap(), 3);
        assert_eq!(take(dir.path(), &Query::default(), Fate::Discard).unwrap(), 3);
        let left = list(dir.path(), &Query::default(), 10).unwrap();
        assert_eq!((left.letters.len(), left.on_their_way), (0, 3));
    }
}
