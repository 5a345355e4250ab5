//! Looks at files that nobody reads. They may be on a mount that does not answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::state::{Pattern, StreamId};
use crate::source::asking::{Ask, Asking};

/// What is looked for at the place of a stream. The call may not come back.
pub(super) type Look<A> = Box<dyn FnOnce() -> A + Send>;

/// Looks for `A`, directory by directory, and at each beside everything else.
#[derive(Debug)]
pub(super) struct Looks<A>(Asking<Pattern, Vec<(StreamId, A)>>);

impl<A: Send + 'static> Looks<A> {
    /// `question` says in the log what is looked for.
    pub(super) fn new(question: &'static str) -> Self {
        Self(Asking::new(question))
    }

    /// What was found, by these `looks` or those before. What is not there yet comes with a later call, so nothing else of its
    /// directory is looked at meanwhile.
    pub(super) async fn take(&mut self, looks: Vec<(StreamId, Look<A>)>) -> BTreeMap<StreamId, A> {
        let mut of_directory: BTreeMap<Pattern, Vec<_>> = BTreeMap::new();
        for (id, look) in looks {
            let directory = id.place.path().and_then(Path::parent).unwrap_or(Path::new("/"));
            let (container, pattern) = (id.container().cloned(), directory.display().to_string());
            of_directory.entry(Pattern { container, pattern }).or_default().push((id, look));
        }
        let directories: Vec<Pattern> = of_directory.keys().cloned().collect();
        let ask = |directory: &Pattern| {
            let looks = of_directory.remove(directory).unwrap_or_default();
            Ask::Look(Box::new(move || looks.into_iter().map(|(id, look)| (id, look())).collect()))
        };
        self.0.ask(&directories, |_| Duration::ZERO, ask).await;
        directories.iter().filter_map(|directory| self.0.take(directory)).flatten().collect()
    }
}
