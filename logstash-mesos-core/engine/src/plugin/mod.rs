//! What plugins are made of: how they are declared, checked and found, and what filters and codecs have in common.

mod catalog;
pub mod charset;
mod codec;
pub mod common;
mod compiled;
mod context;
mod decorate;
mod error;
pub mod field;
mod filter;
pub(crate) mod json_text;
mod line_limit;
pub mod settings;
mod spec;

pub use catalog::Catalog;
pub use codec::Codec;
pub use compiled::{CompiledPlugin, ListeningPort};
pub use context::{BuildContext, EcsCompatibility};
pub(crate) use context::{Warning, Warnings};
pub use decorate::Decoration;
pub use error::{BuildError, EncodeError};
pub(crate) use filter::PART;
pub use filter::{Emitting, Filter, FilterContext};
pub use line_limit::LineLimit;
pub use spec::{Build, End, Make, PluginSpec};

pub use crate::event::ParsedLimit;
pub use crate::lang::PluginKind;
