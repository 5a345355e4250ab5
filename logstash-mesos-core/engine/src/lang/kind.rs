//! The kinds of plugins.

/// The four kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// Produces events.
    Input,
    /// Changes events.
    Filter,
    /// Writes events.
    Output,
    /// Turns bytes into events and events into bytes.
    Codec,
}

impl PluginKind {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Output => "output",
            Self::Codec => "codec",
        }
    }
}
