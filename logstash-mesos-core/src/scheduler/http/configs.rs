//! The configurations over REST, in today's form and in the predecessor's.

use super::super::access::Access;
use super::super::shared::Shared;
use super::error;
use crate::configs::{
    Author, Complaint, ConfigKey, Configuration, Entry, Kind, Precondition, PutError, RemoveError, Snapshot,
    Source,
};
use crate::protocol::Texts;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What a client may send: as JSON, as a form, or in the query.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ConfigurationGiven)]
pub(super) struct Given {
    /// Image pattern of a configuration for containers; it may stand in the path or the query instead.
    name: Option<String>,
    /// The text of a Logstash configuration: inputs, filters, outputs.
    input: Option<String>,
    /// Further conditions for containers, such as `label.app`.
    #[serde(rename = "match")]
    matches: Option<BTreeMap<String, String>>,
}

/// Behind the question mark, where the predecessor had names.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it is there for the document; `Given` takes what else the predecessor's clients send"
)]
struct ByName {
    /// Of the configuration.
    name: Option<String>,
}

/// Two people who change the same do not overwrite each other's work.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is there for the document; `precondition` reads the headers")]
struct OnlyOver {
    /// Only over this version.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is there for the document; `precondition` reads the headers")]
struct OnlyNew {
    /// `*`: only what is new.
    #[param(rename = "If-None-Match", pattern = "^[*]$")]
    if_none_match: Option<String>,
}

/// A configuration as it is stored.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Configuration)]
struct Shown {
    /// A pattern of images for containers, any name for the machine.
    name: String,
    /// The text of the Logstash configuration, without secrets for those who may not write.
    input: String,
    /// Left out, with what follows, where there is no configuration yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Changes with the content; the same as the ETag.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Who manages it: `rest` or `directory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    /// Further conditions for containers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    r#match: BTreeMap<String, String>,
}

/// A configuration that was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stored {
    #[serde(flatten)]
    configuration: Shown,
    /// There was none before.
    created: bool,
    /// What does not hinder.
    warnings: Vec<Complaint>,
}

/// A list of configurations, or the one whose name was given.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there for the document")]
enum Listed {
    All(Vec<Shown>),
    One(Shown),
}

/// Which configuration was removed.
#[derive(Serialize, ToSchema)]
struct Removed {
    /// Null if there was none.
    #[schema(required)]
    removed: Option<String>,
}

/// What became of a configuration that was sent.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there for the document")]
enum Put {
    Stored(Stored),
    /// A configuration of the host without text is none.
    Removed(Removed),
}

/// A configuration that does not compile, with everything that is wrong with it. The first of that stands above.
#[derive(Serialize, ToSchema)]
pub(super) struct Refused {
    /// What is wrong, where, and what helps, in one sentence.
    error: Option<String>,
    /// Stays the same from version to version.
    code: Option<String>,
    /// The line of the text, the first is 1.
    line: Option<usize>,
    /// The character of the line, the first is 1.
    column: Option<usize>,
    /// What is wrong there.
    message: Option<String>,
    /// What helps against it, where that is known.
    remedy: Option<String>,
    /// All that is wrong, the first of it too.
    diagnostics: Vec<Complaint>,
}

/// All configurations for containers; with `name` the one.
#[utoipa::path(get, path = "/api/configs", tag = "configurations", params(ByName),
    responses((status = 200, body = Listed)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Given>,
) -> Response {
    listed(&shown(shared.access(), &headers, shared.registry().snapshot()), query)
}

/// What who sends `headers` may see: secrets are for those who may write.
pub(super) fn shown(access: &Access, headers: &HeaderMap, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
    match access.texts(headers) {
        Texts::Whole => snapshot,
        _ => Arc::new(snapshot.without_secrets()),
    }
}

pub(super) fn listed(snapshot: &Snapshot, query: Given) -> Response {
    if let Some(name) = query.name {
        return one(snapshot, &name);
    }
    let docker = snapshot.entries.values().filter(|e| e.configuration.kind == Kind::Docker);
    Json(docker.map(Shown::of).collect::<Vec<_>>()).into_response()
}

/// A configuration for containers. Its name may have slashes in it, as they are or as `%2F`.
#[utoipa::path(get, path = "/api/configs/{name}", tag = "configurations",
    params(("name" = String, Path, min_length = 1)),
    responses((status = 200, body = Shown, headers(("ETag" = String, description = "Its version.")))))]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    one(&shown(shared.access(), &headers, shared.registry().snapshot()), &name)
}

pub(super) fn one(snapshot: &Snapshot, name: &str) -> Response {
    match snapshot.entries.get(&ConfigKey::docker(name)) {
        Some(entry) => with_version(entry, Json(Shown::of(entry)).into_response()),
        None => unknown(name),
    }
}

/// Creates or replaces a configuration for containers.
#[utoipa::path(method(put, post), path = "/api/configs", tag = "configurations", params(ByName, OnlyOver, OnlyNew),
    request_body(content((Given = "application/json"), (Given = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = Stored, headers(("ETag" = String, description = "The new version."))),
        (status = 422, body = Refused, description = "It does not compile."),
    ))]
pub(super) async fn put_by_query(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Query(query): Query<Given>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match parse(&headers, &body, query) {
        Ok(given) => store(&shared, Kind::Docker, given, &headers, &author).await,
        Err(response) => *response,
    }
}

/// Creates or replaces a configuration for containers.
#[utoipa::path(method(put, post), path = "/api/configs/{name}", tag = "configurations", params(
        ("name" = String, Path, min_length = 1), OnlyOver, OnlyNew),
    request_body(content((Given = "application/json"), (Given = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = Stored, headers(("ETag" = String, description = "The new version."))),
        (status = 422, body = Refused, description = "It does not compile."),
    ))]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Path(name): Path<String>,
    Query(query): Query<Given>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The predecessor took the name from the query, whatever the path said.
    let by_query = query.name.clone();
    let given = match parse(&headers, &body, query) {
        Ok(given) => given,
        Err(response) => return *response,
    };
    let name = by_query.unwrap_or(name);
    if let Some(other) = given.name.as_ref().filter(|other| **other != name) {
        let text = format!("the path names `{name}` and the body `{other}`; leave the name out of the body");
        return error(StatusCode::BAD_REQUEST, &text);
    }
    store(&shared, Kind::Docker, Given { name: Some(name), ..given }, &headers, &author).await
}

/// Removes a configuration for containers.
#[utoipa::path(delete, path = "/api/configs/{name}", tag = "configurations", params(
        ("name" = String, Path, min_length = 1), OnlyOver),
    responses((status = 200, body = Removed)))]
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Path(name): Path<String>,
    Query(query): Query<Given>,
    headers: HeaderMap,
) -> Response {
    let by_query = query.name.is_some();
    remove(&shared, ConfigKey::docker(query.name.unwrap_or(name)), by_query, &headers, &author).await
}

/// Removes the configuration whose name is given, if there is one.
#[utoipa::path(delete, path = "/api/configs", tag = "configurations", params(ByName, OnlyOver),
    responses((status = 200, body = Removed)))]
pub(super) async fn delete_by_query(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Query(query): Query<Given>,
    headers: HeaderMap,
) -> Response {
    match query.name {
        Some(name) => remove(&shared, ConfigKey::docker(name), true, &headers, &author).await,
        None => error(StatusCode::BAD_REQUEST, "which one? DELETE /api/configs/{name}"),
    }
}

/// What applies to every agent: the configuration `ui`, or another by its name.
#[utoipa::path(get, path = "/api/host-config", tag = "configurations", params(ByName),
    responses((status = 200, body = Shown, description = "With an ETag, its version, if there is one.")))]
pub(super) async fn get_host(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Given>,
) -> Response {
    host(&shown(shared.access(), &headers, shared.registry().snapshot()), query)
}

/// The one that the predecessor had, or another one by its name.
pub(super) fn host(snapshot: &Snapshot, query: Given) -> Response {
    let name = query.name.unwrap_or_else(|| HOST.to_owned());
    match snapshot.entries.get(&ConfigKey::host(&name)) {
        Some(entry) => with_version(entry, Json(Shown::of(entry)).into_response()),
        None if name != HOST => unknown(&name),
        None => Json(Shown { name: HOST.to_owned(), ..Shown::default() }).into_response(),
    }
}

/// Creates or replaces what applies to every agent. Without text it is removed.
#[utoipa::path(method(put, post), path = "/api/host-config", tag = "configurations", params(ByName, OnlyOver, OnlyNew),
    request_body(content((Given = "application/json"), (Given = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = Put),
        (status = 422, body = Refused, description = "It does not compile."),
    ))]
pub(super) async fn put_host(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Query(query): Query<Given>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // Only the query names another one: the predecessor's bodies may have any name.
    let name = query.name.clone().unwrap_or_else(|| HOST.to_owned());
    let given = match parse(&headers, &body, query) {
        Ok(given) => Given { name: Some(name.clone()), ..given },
        Err(response) => return *response,
    };
    if given.input.as_deref().is_some_and(|input| input.trim().is_empty()) {
        return remove(&shared, ConfigKey::host(name), true, &headers, &author).await;
    }
    store(&shared, Kind::Host, given, &headers, &author).await
}

/// From the body, whose values win, and the query.
fn parse(headers: &HeaderMap, body: &[u8], query: Given) -> Result<Given, Box<Response>> {
    let wrong = |text: String| Box::new(error(StatusCode::BAD_REQUEST, &text));
    let of = |name| headers.get(name).and_then(|v: &header::HeaderValue| v.to_str().ok()).unwrap_or_default();
    let form = of(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    let looks_like_json = body.trim_ascii_start().starts_with(b"{");
    let given = if body.trim_ascii().is_empty() {
        Given::default()
    } else if form && !looks_like_json {
        serde_urlencoded::from_bytes(body).map_err(|e| wrong(format!("the form cannot be read: {e}")))?
    } else {
        serde_json::from_slice(body).map_err(|e| {
            let example = r#"{"name": "nginx:1.27", "input": "<Logstash configuration>"}"#;
            wrong(format!("the body is not the JSON that is expected here ({e}); send {example}"))
        })?
    };
    Ok(Given {
        name: given.name.or(query.name),
        input: given.input.or(query.input),
        matches: given.matches.or(query.matches),
    })
}

async fn store(shared: &Shared, kind: Kind, given: Given, headers: &HeaderMap, author: &Author) -> Response {
    let (Some(name), Some(input)) = (given.name, given.input) else {
        return error(StatusCode::BAD_REQUEST, "both `name` and `input` are needed");
    };
    let expect = match precondition(headers) {
        Ok(expect) => expect,
        Err(text) => return error(StatusCode::BAD_REQUEST, text),
    };
    let matches = given.matches.unwrap_or_default();
    let configuration = Configuration { name, kind, input, matches, source: Source::Rest };
    put_in_force(shared, configuration, expect, author).await
}

/// Stores a configuration, and answers with what is in force then.
pub(super) async fn put_in_force(
    shared: &Shared,
    configuration: Configuration,
    expect: Precondition,
    author: &Author,
) -> Response {
    let key = configuration.key();
    match shared.registry().put(configuration, expect, author).await {
        Ok(stored) => {
            let snapshot = shared.registry().snapshot();
            let version = [(header::ETAG, format!("\"{}\"", stored.version))];
            let configuration = snapshot.entries.get(&key).map(Shown::of).unwrap_or_default();
            let stored = Stored { configuration, created: stored.created, warnings: stored.warnings };
            (version, Json(stored)).into_response()
        }
        Err(PutError::Refused(complaints)) => refused(&complaints),
        Err(error) => {
            let status = match error {
                PutError::Managed { .. } => StatusCode::CONFLICT,
                PutError::Precondition(_) => StatusCode::PRECONDITION_FAILED,
                PutError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                PutError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            super::error(status, &crate::error_chain(&error))
        }
    }
}

async fn remove(
    shared: &Shared,
    key: ConfigKey,
    unknown_is_fine: bool,
    headers: &HeaderMap,
    author: &Author,
) -> Response {
    let version = match precondition(headers) {
        Ok(Precondition { version, only_create: false }) => version,
        Ok(_) => return error(StatusCode::PRECONDITION_FAILED, "what is to be removed cannot be new"),
        Err(text) => return error(StatusCode::BAD_REQUEST, text),
    };
    match shared.registry().remove(&key, version.as_deref(), author).await {
        Ok(true) => Json(Removed { removed: Some(key.name) }).into_response(),
        Ok(false) if unknown_is_fine => Json(Removed { removed: None }).into_response(),
        Ok(false) => unknown(&key.name),
        Err(e @ RemoveError::Managed { .. }) => error(StatusCode::CONFLICT, &e.to_string()),
        Err(e @ RemoveError::Precondition(_)) => error(StatusCode::PRECONDITION_FAILED, &e.to_string()),
        Err(e) => error(StatusCode::SERVICE_UNAVAILABLE, &crate::error_chain(&e)),
    }
}

/// A configuration that does not compile, with everything that is wrong with it.
pub(super) fn refused(complaints: &[Complaint]) -> Response {
    let first = complaints.first();
    let body = Refused {
        error: first.map(ToString::to_string),
        code: first.map(|c| c.code.clone()),
        line: first.map(|c| c.line),
        column: first.map(|c| c.column),
        message: first.map(|c| c.message.clone()),
        remedy: first.map(|c| c.remedy.clone()),
        diagnostics: complaints.to_vec(),
    };
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, &'static str> {
    let text = |name| headers.get(name).and_then(|v: &header::HeaderValue| v.to_str().ok());
    let only_create = match text(header::IF_NONE_MATCH) {
        None => false,
        Some("*") => true,
        Some(_) => return Err("If-None-Match takes only * here"),
    };
    let version = text(header::IF_MATCH).filter(|v| *v != "*").map(|v| v.trim_matches('"').to_owned());
    Ok(Precondition { only_create, version })
}

impl Shown {
    fn of(entry: &Entry) -> Self {
        let Configuration { name, kind, input, matches, source } = entry.configuration.clone();
        Self {
            name,
            input,
            kind: Some(kind),
            version: Some(entry.version.clone()),
            source: Some(source.name()),
            r#match: matches,
        }
    }
}

fn with_version(entry: &Entry, response: Response) -> Response {
    ([(header::ETAG, format!("\"{}\"", entry.version))], response).into_response()
}

pub(super) fn unknown(name: &str) -> Response {
    error(StatusCode::NOT_FOUND, &format!("there is no configuration `{name}`"))
}

/// What the predecessor called its only host configuration.
const HOST: &str = "ui";
