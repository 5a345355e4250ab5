//! Every plugin with its settings, from the engine's own tables: what an editor offers and explains.

use crate::pipeline::catalog;
use crate::pipeline::compatibility::takes;
use crate::pipeline::plugin::common;
use crate::pipeline::settings::{Kind, Setting, Status};
use axum::Json;
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// What a configuration may name.
#[derive(Serialize, ToSchema)]
pub(super) struct Plugins {
    plugins: Vec<Plugin>,
}

/// A plugin that configurations may name.
#[derive(Serialize, ToSchema)]
struct Plugin {
    /// `input`, `filter`, `output` or `codec`.
    kind: &'static str,
    name: &'static str,
    /// What it does, in one sentence.
    doc: &'static str,
    settings: Vec<PluginSetting>,
}

/// A setting of a plugin.
#[derive(Serialize, ToSchema)]
struct PluginSetting {
    name: &'static str,
    /// What values it has, in words: `a number`, `an array of text`.
    takes: String,
    /// Whether it takes a codec.
    codec: bool,
    /// All values, where there are only these.
    choices: &'static [&'static str],
    required: bool,
    /// What to use instead, of one that should no longer be used.
    deprecated: Option<&'static str>,
    /// What it is for, in one sentence.
    doc: &'static str,
}

static PLUGINS: LazyLock<Plugins> = LazyLock::new(|| {
    let all = catalog();
    let plugins: Vec<_> = all
        .all()
        .map(|spec| {
            let kind = spec.build.kind();
            let own = spec.settings.iter();
            let common = common::settings(kind).iter();
            let common = common.filter(|setting| spec.settings.iter().all(|own| own.name != setting.name));
            let settings: Vec<_> =
                own.chain(common).filter(|setting| is_of_use(setting)).map(setting).collect();
            Plugin { kind: kind.word(), name: spec.name, doc: spec.doc, settings }
        })
        .collect();
    Plugins { plugins }
});

/// Every plugin with its settings, what they take and what they are for.
#[utoipa::path(get, path = "/api/plugins", tag = "configurations", responses((status = 200, body = Plugins)))]
pub(super) async fn get() -> Json<&'static Plugins> {
    Json(&PLUGINS)
}

/// Whether to offer it to somebody who writes.
fn is_of_use(setting: &Setting) -> bool {
    matches!(setting.status, Status::Supported | Status::Deprecated(_))
}

fn setting(setting: &'static Setting) -> PluginSetting {
    let choices: &'static [&'static str] = match setting.kind {
        Kind::OneOf(words) => words,
        Kind::Boolean => &["true", "false"],
        _ => &[],
    };
    let deprecated = match setting.status {
        Status::Deprecated(instead) => Some(instead),
        _ => None,
    };
    PluginSetting {
        name: setting.name,
        takes: takes(&setting.kind),
        codec: matches!(setting.kind, Kind::Codec),
        choices,
        required: setting.required,
        deprecated,
        doc: setting.doc,
    }
}
