//! What whoever embeds a scheduler brings.

use crate::offer::{OfferStrategy, OnePerAgent};
use crate::store::SharedState;
use std::fmt;
use std::sync::Arc;

/// Makes of the standard strategy the one that decides; leaves it as it is by default.
#[derive(Clone)]
pub(super) struct Judge(pub(super) Arc<dyn Fn(OnePerAgent) -> Arc<dyn OfferStrategy> + Send + Sync>);

impl Judge {
    pub(super) fn strategy(&self, standard: OnePerAgent) -> Arc<dyn OfferStrategy> {
        (self.0)(standard)
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self(Arc::new(|standard| Arc::new(standard)))
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

/// What whoever embeds a scheduler may bring.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// In place of what the settings name.
    pub(super) state: Option<SharedState>,
    pub(super) judge: Judge,
}
