//! Looks at files that nobody reads. They may be on a mount that does not answer.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::asking::{Ask, Asking};

/// What is looked for. The call may not come back.
pub(crate) type Look<A> = Box<dyn FnOnce() -> A + Send>;

/// Looks for `A` at places `K`, directory `D` by directory, and at each of these beside everything else.
#[derive(Debug)]
pub(crate) struct Looks<D, K, A>(Asking<D, Vec<(K, A)>>);

impl<D, K, A> Looks<D, K, A>
where
    D: Ord + Clone + Display + Send + 'static,
    K: Ord + Send + 'static,
    A: Send + 'static,
{
    /// `question` says in the log what is looked for.
    pub(crate) fn new(question: &'static str) -> Self {
        Self(Asking::new(question))
    }

    /// What was found, by these `looks` or those before. What is not there yet comes with a later call, so nothing else of its
    /// directory is looked at meanwhile.
    pub(crate) async fn take(&mut self, looks: Vec<(D, K, Look<A>)>) -> BTreeMap<K, A> {
        let mut of_directory: BTreeMap<D, Vec<_>> = BTreeMap::new();
        for (directory, place, look) in looks {
            of_directory.entry(directory).or_default().push((place, look));
        }
        let directories: Vec<D> = of_directory.keys().cloned().collect();
        let ask = |directory: &D| {
            let looks = of_directory.remove(directory).unwrap_or_default();
            Ask::Look(Box::new(move || looks.into_iter().map(|(place, look)| (place, look())).collect()))
        };
        self.0.ask(&directories, |_| Duration::ZERO, ask).await;
        directories.iter().filter_map(|directory| self.0.take(directory)).flatten().collect()
    }

    /// Waits until a directory has answered that had not at once; for ever while none is due.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped at any time.
    pub(crate) async fn late(&mut self) {
        self.0.late().await;
    }
}
