//! What is read of the daemon's answers, which any version of the API from 1.24 on has, or leaves out.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /info`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) docker_root_dir: Option<String>,
}

/// One of `GET /containers/json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: Option<String>,
    pub(super) state: Option<String>,
}

/// `GET /containers/{id}/json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) config: Option<Config>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) mounts: Option<Vec<MountPoint>>,
    pub(super) state: Option<State>,
    pub(super) log_path: Option<String>,
    /// Not there where containerd keeps the images (the default of new installations since 29).
    pub(super) graph_driver: Option<GraphDriver>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) image: Option<String>,
    pub(super) tty: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) log_config: Option<LogConfig>,
    pub(super) tmpfs: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogConfig {
    #[serde(rename = "Type")]
    pub(super) driver: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountPoint {
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: Option<String>,
    pub(super) pid: Option<i64>,
    pub(super) started_at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GraphDriver {
    pub(super) data: Option<LayerDirectories>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LayerDirectories {
    pub(super) upper_dir: Option<String>,
    pub(super) lower_dir: Option<String>,
}
