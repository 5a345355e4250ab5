//! What a plugin is: a declaration of its settings, and a maker of its working part.
//!
//! Embedders declare plugins of their own with the same types.

use std::any::Any;

use super::compiled::CompiledPlugin;
use super::context::BuildContext;
use super::settings::{Setting, Settings};
use super::{BuildError, Codec, Filter};
use crate::lang::PluginKind;

/// A plugin as the compiler knows it.
#[derive(Debug)]
pub struct PluginSpec {
    /// The name in a configuration.
    pub name: &'static str,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// Its own settings; the common ones of its kind come on top.
    pub settings: &'static [Setting],
    /// Makes the working part.
    pub build: Build,
}

/// Makes a plugin from its checked settings.
pub type Make<P> = fn(&Settings, &BuildContext) -> Result<Box<P>, BuildError>;

/// How a plugin of each kind is made from its checked settings.
///
/// A maker checks what the declaration cannot express and returns [`BuildError`] for what Logstash
/// refuses at start. It is also called just to check a configuration, perhaps on another machine and outside
/// of any runtime: it opens no socket, writes nothing, starts nothing, and reads no file but those its
/// settings name (complaints about what is in them say so with [`BuildError::in_file`]). Everything else
/// waits until the plugin works.
pub enum Build {
    /// A filter, and the function that makes it.
    Filter(Make<dyn Filter>),
    /// A codec, and the function that makes it.
    Codec(Make<dyn Codec>),
    /// An input; who makes it is known to the pipeline.
    Input(&'static dyn End),
    /// An output; who makes it is known to the pipeline.
    Output(&'static dyn End),
}

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Filter(_) => "Filter",
            Self::Codec(_) => "Codec",
            Self::Input(_) => "Input",
            Self::Output(_) => "Output",
        })
    }
}

impl Build {
    /// The kind of plugin this makes.
    #[must_use]
    pub fn kind(&self) -> PluginKind {
        match self {
            Self::Filter(_) => PluginKind::Filter,
            Self::Codec(_) => PluginKind::Codec,
            Self::Input(_) => PluginKind::Input,
            Self::Output(_) => PluginKind::Output,
        }
    }
}

/// The maker of an input or an output: of a pipeline's ends, where events come in and go out.
///
/// Filters and codecs are made here. What an input or an output does is the business of whoever runs pipelines: here it
/// is only known whether it can be made. Whoever makes it finds his own type behind this again, by [`Any`].
pub trait End: Any + Sync {
    /// Makes the plugin and throws it away, so that what its maker refuses is said of the configuration.
    ///
    /// # Errors
    ///
    /// What the maker says.
    fn check(&self, plugin: &CompiledPlugin) -> Result<(), BuildError>;
}
