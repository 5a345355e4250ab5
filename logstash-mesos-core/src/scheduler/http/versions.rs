//! What a configuration was before, and how it becomes that again.

use super::super::shared::Shared;
use super::configs::{Refused, Stored, precondition, put_in_force, unknown};
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
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which configuration, and which of its versions.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `docker` if not given.
    #[serde(default = "docker")]
    kind: Kind,
    /// The name of the configuration.
    name: String,
    /// One of those that are told without it.
    version: Option<String>,
}

/// What there was of a configuration.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Versions {
    /// Where no version is asked for: the list of them.
    All(VersionList),
    /// Where one is asked for: its text.
    One(VersionText),
}

/// The versions of a configuration.
#[derive(Serialize, ToSchema)]
struct VersionList {
    name: String,
    kind: Kind,
    /// What is in force; null after it was removed.
    current: Option<Current>,
    /// Newest first, twenty at most.
    past: Vec<PastVersion>,
}

/// The version in force.
#[derive(Serialize, ToSchema)]
struct Current {
    version: String,
    written: Option<ChangeShown>,
}

/// A version that was replaced or removed.
#[derive(Serialize, ToSchema)]
struct PastVersion {
    version: String,
    /// Null of what was written before this was kept.
    written: Option<ChangeShown>,
    ended: Option<ChangeShown>,
    /// It was removed, not replaced.
    removed: bool,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
#[schema(as = Change)]
struct ChangeShown {
    /// A user, or a part of the scheduler.
    by: String,
    /// An address; empty if it did not come over the network.
    from: String,
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// What a configuration was in one of its versions.
#[derive(Serialize, ToSchema)]
struct VersionText {
    name: String,
    kind: Kind,
    /// The text of the configuration, without secrets for those who may not write.
    input: String,
    /// The further conditions that containers had to meet.
    r#match: BTreeMap<String, String>,
}

fn docker() -> Kind {
    Kind::Docker
}

impl Which {
    fn key(&self) -> ConfigKey {
        ConfigKey { kind: self.kind, name: self.name.clone() }
    }
}

/// Who wrote the version of a configuration that is in force, and those before it; with `version` the text of one.
#[utoipa::path(get, path = "/api/versions", tag = "configurations", params(Which), responses((status = 200, body = Versions)))]
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
    let past = match shared.registry().past(&key).await {
        Ok(past) => past,
        Err(e) => return error(StatusCode::SERVICE_UNAVAILABLE, &error_chain(&e)),
    };
    let snapshot = shared.registry().snapshot();
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
        let one = match shared.access().texts(&headers) {
            Texts::Whole => text(found),
            _ => text(&found.without_secrets()),
        };
        return Json(Versions::One(one)).into_response();
    }
    let current = present
        .map(|entry| Current { version: entry.version.clone(), written: entry.change.as_ref().map(change) });
    let past = past.iter().map(told).collect();
    let list = VersionList { name: which.name, kind: which.kind, current, past };
    Json(Versions::All(list)).into_response()
}

/// Puts a version that is past in force again, as a new change.
#[utoipa::path(post, path = "/api/rollback", tag = "configurations", request_body = Which,
    params(("If-Match" = Option<String>, Header, description = "Only over this version of now.")),
    responses(
        (status = 200, body = Stored, headers(("ETag" = String, description = "The version."))),
        (status = 422, body = Refused, description = "Today's checks refuse it."),
    ))]
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
    let found = match shared.registry().past_version(&which.key(), version).await {
        Ok(found) => found,
        Err(e) => return error(StatusCode::SERVICE_UNAVAILABLE, &error_chain(&e)),
    };
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

fn told(past: &Past) -> PastVersion {
    PastVersion {
        version: past.configuration.version(),
        written: past.written.as_ref().map(change),
        ended: Some(change(&past.ended)),
        removed: past.removed,
    }
}

fn change(Change { author, at_ms }: &Change) -> ChangeShown {
    ChangeShown {
        by: author.by.clone().into_owned(),
        from: author.from.clone(),
        at: jiff::Timestamp::from_millisecond(*at_ms).map(|at| at.to_string()).ok(),
    }
}

fn text(Configuration { name, kind, input, matches, .. }: &Configuration) -> VersionText {
    VersionText { name: name.clone(), kind: *kind, input: input.clone(), r#match: matches.clone() }
}
