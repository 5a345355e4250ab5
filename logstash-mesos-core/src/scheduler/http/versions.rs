//! What a configuration was before, and how it becomes that again.

use super::super::shared::Shared;
use super::configs::{precondition, put_in_force, unknown};
use super::{error, read};
use crate::configs::{Author, Change, ConfigKey, Configuration, Kind, Past, Source};
use crate::error_chain;
use crate::protocol::Texts;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which configuration, and which of its versions.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(default = "docker")]
    kind: Kind,
    name: String,
    version: Option<String>,
}

fn docker() -> Kind {
    Kind::Docker
}

impl Which {
    fn key(&self) -> ConfigKey {
        ConfigKey { kind: self.kind, name: self.name.clone() }
    }
}

/// `GET /api/versions?name=…`: who wrote the one in force, and those before it; with `version` the text of one.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let which = match which {
        Ok(Query(which)) => which,
        Err(rejection) => return error(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let key = which.key();
    let past = match shared.registry.past(&key).await {
        Ok(past) => past,
        Err(e) => return error(StatusCode::SERVICE_UNAVAILABLE, &error_chain(&e)),
    };
    let snapshot = shared.registry.snapshot();
    let present = snapshot.entries.get(&key);
    if present.is_none() && past.is_empty() {
        return unknown(&which.name);
    }
    if let Some(version) = which.version {
        let present = present.map(|entry| &entry.configuration);
        let found = present.into_iter().chain(past.iter().map(|past| &past.configuration));
        let Some(found) = found.into_iter().find(|one| one.version() == version) else {
            return no_version(&which.name, &version);
        };
        return Json(match shared.access.texts(&headers) {
            Texts::Whole => text(found),
            _ => text(&found.without_secrets()),
        })
        .into_response();
    }
    let current =
        present.map(|entry| json!({"version": entry.version, "written": change(entry.change.as_ref())}));
    let past: Vec<_> = past.iter().map(told).collect();
    Json(json!({"name": which.name, "kind": which.kind, "current": current, "past": past})).into_response()
}

/// `POST /api/rollback`: a version that is past is in force again, as a new change.
pub(super) async fn roll_back(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let example = r#"{"kind": "docker", "name": "nginx:1.27", "version": "<one of GET /api/versions>"}"#;
    let which: Which = match read(&body, example) {
        Ok(which) => which,
        Err(response) => return *response,
    };
    let Some(version) = &which.version else {
        return error(StatusCode::BAD_REQUEST, &format!("which version? send {example}"));
    };
    let expect = match precondition(&headers) {
        Ok(expect) => expect,
        Err(text) => return error(StatusCode::BAD_REQUEST, text),
    };
    let past = match shared.registry.past(&which.key()).await {
        Ok(past) => past,
        Err(e) => return error(StatusCode::SERVICE_UNAVAILABLE, &error_chain(&e)),
    };
    let found = past.into_iter().map(|past| past.configuration).find(|one| one.version() == *version);
    match found {
        // Whoever managed it then, now somebody asked for it here.
        Some(found) => {
            put_in_force(&shared, Configuration { source: Source::Rest, ..found }, expect, &author).await
        }
        None => no_version(&which.name, version),
    }
}

fn no_version(name: &str, version: &str) -> Response {
    error(StatusCode::NOT_FOUND, &format!("`{name}` has no version {version}; see GET /api/versions"))
}

fn told(past: &Past) -> Value {
    json!({
        "version": past.configuration.version(),
        "written": change(past.written.as_ref()),
        "ended": change(Some(&past.ended)),
        "removed": past.removed,
    })
}

fn change(change: Option<&Change>) -> Value {
    let Some(Change { author, at_ms }) = change else { return Value::Null };
    let at = jiff::Timestamp::from_millisecond(*at_ms).map(|at| at.to_string()).ok();
    json!({"by": author.by, "from": author.from, "at": at})
}

fn text(Configuration { name, kind, input, matches, .. }: &Configuration) -> Value {
    json!({"name": name, "kind": kind, "input": input, "match": matches})
}
