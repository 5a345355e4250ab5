//! Every plugin with its settings, from the engine's own tables: what an editor offers and explains.

use crate::pipeline::catalog;
use crate::pipeline::compatibility::takes;
use crate::pipeline::plugin::common;
use crate::pipeline::settings::{Kind, Setting, Status};
use axum::Json;
use serde_json::{Value, json};
use std::sync::LazyLock;

static PLUGINS: LazyLock<Value> = LazyLock::new(|| {
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
            json!({"kind": kind.word(), "name": spec.name, "doc": spec.doc, "settings": settings})
        })
        .collect();
    json!({ "plugins": plugins })
});

/// Everything that a configuration may name.
pub(super) async fn get() -> Json<&'static Value> {
    Json(&PLUGINS)
}

/// Whether to offer it to somebody who writes.
fn is_of_use(setting: &Setting) -> bool {
    matches!(setting.status, Status::Supported | Status::Deprecated(_))
}

fn setting(setting: &Setting) -> Value {
    let choices: &[&str] = match setting.kind {
        Kind::OneOf(words) => words,
        Kind::Boolean => &["true", "false"],
        _ => &[],
    };
    let deprecated = match setting.status {
        Status::Deprecated(instead) => Some(instead),
        _ => None,
    };
    json!({
        "name": setting.name,
        "takes": takes(&setting.kind),
        "codec": matches!(setting.kind, Kind::Codec),
        "choices": choices,
        "required": setting.required,
        "deprecated": deprecated,
        "doc": setting.doc,
    })
}
