//! Settings from flags, environment and file, by one name.

mod raw;

pub use raw::{Arity, Loaded, SettingError, SettingSpec, Sources};
