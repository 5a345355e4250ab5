//! Compressed files that a pattern finds without asking for them: no stream of their own follows them, which would take their
//! bytes for lines. What they hold comes with the files that they were put aside from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use tracing::info;

use super::chain;

/// What has been said of them, by pattern.
#[derive(Debug)]
pub(crate) struct Archives<P>(BTreeMap<P, BTreeSet<PathBuf>>);

impl<P> Default for Archives<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Ord + Clone + Display> Archives<P> {
    /// Says how many there are that were not there before.
    pub(crate) fn tell(&mut self, pattern: &P, archives: Vec<PathBuf>) {
        let told = self.0.get(pattern);
        let is_new = |path: &&PathBuf| told.is_none_or(|told| !told.contains(*path));
        let mut new = archives.iter().filter(is_new);
        if let Some(path) = new.next() {
            let (path, count) = (path.display(), 1 + new.count());
            info!(%pattern, %path, count, "Compressed files are not followed: what they hold comes with the files that they were put aside from");
        }
        if told.is_some() || !archives.is_empty() {
            self.0.insert(pattern.clone(), archives.into_iter().collect());
        }
    }
}

/// What `pattern` finds that is to be followed, and the compressed files that it does not ask for.
pub(crate) fn without_archives(pattern: &str, found: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    found.into_iter().partition(|path| !is_found_by_chance(pattern, path))
}

fn is_found_by_chance(pattern: &str, path: &Path) -> bool {
    chain::archive_ending(path.as_os_str()).is_some_and(|ending| !pattern.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gets_compressed_files_where_it_asks_for_them() {
        let found = || {
            ["/l/app.log", "/l/app.log.1", "/l/app.log.2.gz", "/l/app.log.3.xz", "/l/gz"]
                .map(PathBuf::from)
                .to_vec()
        };
        let kept = |pattern: &str| without_archives(pattern, found()).0.len();
        assert_eq!(["/l/*", "/l/app.log*", "/l/*.gz", "/l/*.[12].gz"].map(kept), [3, 3, 4, 4]);
    }
}
