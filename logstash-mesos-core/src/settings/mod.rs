//! Settings from flags, environment and file, by one name.

mod error;
mod file;
mod raw;

pub use error::SettingError;
pub use file::{of_file, read_file};
pub use raw::{Arity, Loaded, SettingSpec, Sources};
