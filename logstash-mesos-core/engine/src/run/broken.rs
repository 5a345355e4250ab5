//! Panics of plugins.

use std::sync::Arc;

use thiserror::Error;

use crate::event::Event;

/// An event on which a plugin panicked.
#[derive(Debug)]
pub struct Broken {
    /// The `id` of the plugin, which is unique in its pipeline.
    pub plugin_id: Arc<str>,
    /// The name of the plugin: `grok`.
    pub plugin: &'static str,
    /// What it said.
    pub panic: Panicked,
    /// The event, as far as the plugin got; none when it panicked while it was flushed.
    pub event: Option<Event>,
    /// Whether the plugin may have held other events back, which are gone with it.
    pub kept_events: bool,
}

/// A panic of a plugin, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Panicked {
    /// What it said; `no message` if it said nothing that is text.
    pub message: String,
}

/// Runs what a plugin does, so that a panic in it ends nothing but this call.
///
/// # Errors
///
/// [`Panicked`] when it did.
pub fn guarded(work: impl FnOnce()) -> Result<(), Panicked> {
    // What `work` leaves behind is thrown away or made anew by whoever hears of the panic.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Panicked { message: text.unwrap_or_else(|| "no message".to_owned()) }
    })
}
