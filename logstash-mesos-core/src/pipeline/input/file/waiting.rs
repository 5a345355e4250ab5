//! Files for which there was no room: they are looked at again before they are opened, and their file system may not answer.

use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::looks::{Look, Looks};

/// A file that was found, and whether by the first look at its pattern.
pub(super) type Waits = (PathBuf, bool);

/// Those that wait, in turn.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Waits>,
    // Their turn has come, and their directories have not answered yet.
    asked: Vec<Waits>,
    looks: Looks<String, PathBuf, io::Result<Metadata>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { queue: VecDeque::new(), asked: Vec::new(), looks: Looks::new("whether a file is still there") }
    }
}

impl Waiting {
    pub(super) fn push(&mut self, path: PathBuf, first: bool) {
        self.queue.push_back((path, first));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.asked.is_empty()
    }

    /// Whether the turn of one has come, as far as there is room.
    pub(super) fn has_next(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Lets go of those whose turn has not come.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waits> + '_ {
        self.queue.drain(..)
    }

    /// The next ones, at most `room`, with what the system says of each; `look` asks it. Those whose directory does not answer are
    /// left out until it does, and so is what else waits there.
    pub(super) async fn next(
        &mut self,
        room: usize,
        look: impl Fn(PathBuf) -> Look<io::Result<Metadata>>,
    ) -> Vec<(Waits, io::Result<Metadata>)> {
        let asked: HashSet<_> = self.asked.iter().map(|(path, _)| directory(path)).collect();
        let mut passed_over = Vec::new();
        for _ in 0..room {
            let next = loop {
                match self.queue.pop_front() {
                    Some(next) if asked.contains(&directory(&next.0)) => passed_over.push(next),
                    next => break next,
                }
            };
            let Some(next) = next else { break };
            self.asked.push(next);
        }
        passed_over.into_iter().rev().for_each(|next| self.queue.push_front(next));
        let looks = self.asked.iter().map(|(path, _)| (directory(path), path.clone(), look(path.clone())));
        let mut found = self.looks.take(looks.collect()).await;
        let mut next = Vec::new();
        for waits in std::mem::take(&mut self.asked) {
            match found.remove(&waits.0) {
                Some(found) => next.push((waits, found)),
                None => self.asked.push(waits),
            }
        }
        next
    }

    /// Waits until a directory has answered that had not at once.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped at any time.
    pub(super) async fn late(&mut self) {
        self.looks.late().await;
    }
}

fn directory(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    /// The next ones, as soon as there are some: the machine may be slow.
    async fn some(
        waiting: &mut Waiting,
        room: usize,
        look: impl Fn(PathBuf) -> Look<io::Result<Metadata>>,
    ) -> Vec<(PathBuf, bool)> {
        loop {
            let next = waiting.next(room, &look).await;
            if !next.is_empty() {
                return next.into_iter().map(|((path, _), found)| (path, found.is_ok())).collect();
            }
        }
    }

    #[tokio::test]
    async fn a_directory_that_does_not_answer_keeps_what_waits_there_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut waiting = Waiting::default();
        for directory in ["stuck", "good"] {
            std::fs::create_dir(path(directory)).unwrap();
            for name in ["a", "b", "c"] {
                std::fs::write(path(directory).join(name), name).unwrap();
                waiting.push(path(directory).join(name), true);
            }
        }
        std::fs::remove_file(path("good/b")).unwrap();
        // Those that are stuck answer when they are told to.
        let stuck = Arc::new(Barrier::new(2));
        let look = |path: PathBuf| {
            let stuck = Arc::clone(&stuck);
            Box::new(move || {
                if path.ends_with("stuck/a") {
                    stuck.wait();
                }
                std::fs::metadata(path)
            }) as Look<_>
        };
        assert!(waiting.next(2, look).await.is_empty(), "both of its turn are there");
        assert_eq!(some(&mut waiting, 2, look).await, [(path("good/a"), true), (path("good/b"), false)]);
        assert_eq!(some(&mut waiting, 2, look).await, [(path("good/c"), true)]);
        assert!(!waiting.is_empty() && waiting.has_next(), "{waiting:?}");
        let open = Arc::clone(&stuck);
        tokio::task::spawn_blocking(move || open.wait()).await.unwrap();
        waiting.late().await;
        let free = |path: PathBuf| Box::new(move || std::fs::metadata(path)) as Look<_>;
        assert_eq!(some(&mut waiting, 0, free).await, [(path("stuck/a"), true), (path("stuck/b"), true)]);
        assert_eq!(some(&mut waiting, 9, free).await, [(path("stuck/c"), true)]);
        assert!(waiting.is_empty());
    }
}
