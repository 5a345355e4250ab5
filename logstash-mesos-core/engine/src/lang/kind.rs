//! The kinds of plugins.

/// The four kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// A plugin of a section `input`: it produces events.
    Input,
    /// A plugin of a section `filter`: it changes events.
    Filter,
    /// A plugin of a section `output`: it writes events somewhere.
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
