//! What of a stream is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::event::Ack;

/// Counts the batches on their way, so that a stream is begun anew only when its position stands, and the lines that
/// wait until there is room for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// One more; less when the returned acknowledgement ends.
    pub(crate) fn begin(&self) -> Ack {
        self.0.fetch_add(1, Ordering::AcqRel);
        let count = Arc::clone(&self.0);
        Ack::new(move |_| {
            count.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}
