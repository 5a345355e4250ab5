//! All configurations of one executor.

use super::{Configuration, digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything an executor needs in order to work. Replaces what it had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSet {
    /// Equal for equal content; opaque.
    pub version: String,
    /// At most one of each key.
    pub configurations: Vec<Configuration>,
    /// Logstash configuration text with the `output` section for configurations that have none.
    #[serde(default)]
    pub default_output: String,
    /// Settings of the executor by their key.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl ConfigSet {
    /// A set with the version that its content gives.
    pub fn new(
        configurations: Vec<Configuration>,
        default_output: impl Into<String>,
        settings: BTreeMap<String, String>,
    ) -> Self {
        let default_output = default_output.into();
        let versions: Vec<_> = configurations.iter().map(Configuration::version).collect();
        let versions = versions.iter().map(String::as_str);
        let pairs = settings.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        let version = digest(versions.chain([default_output.as_str()]).chain(pairs));
        Self { version, configurations, default_output, settings }
    }
}
