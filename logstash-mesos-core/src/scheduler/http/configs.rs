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
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client may send: as JSON, as a form, or in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    name: Option<String>,
    input: Option<String>,
    #[serde(rename = "match")]
    matches: Option<BTreeMap<String, String>>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Given>,
) -> Response {
    listed(&shown(&shared.access, &headers, shared.registry.snapshot()), query)
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
    Json(docker.map(to_json).collect::<Vec<_>>()).into_response()
}

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    one(&shown(&shared.access, &headers, shared.registry.snapshot()), &name)
}

pub(super) fn one(snapshot: &Snapshot, name: &str) -> Response {
    match snapshot.entries.get(&ConfigKey::docker(name)) {
        Some(entry) => with_version(entry, Json(to_json(entry)).into_response()),
        None => unknown(name),
    }
}

pub(super) async fn post(
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

pub(super) async fn put_by_query(
    state: State<Arc<Shared>>,
    author: Extension<Author>,
    query: Query<Given>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(state, author, query, headers, body).await
}

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

pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Path(name): Path<String>,
    Query(query): Query<Given>,
) -> Response {
    let by_query = query.name.is_some();
    remove(&shared, ConfigKey::docker(query.name.unwrap_or(name)), by_query, &author).await
}

pub(super) async fn delete_by_query(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Query(query): Query<Given>,
) -> Response {
    match query.name {
        Some(name) => remove(&shared, ConfigKey::docker(name), true, &author).await,
        None => error(StatusCode::BAD_REQUEST, "which one? DELETE /api/configs/{name}"),
    }
}

pub(super) async fn get_host(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Given>,
) -> Response {
    host(&shown(&shared.access, &headers, shared.registry.snapshot()), query)
}

/// The one that the predecessor had, or another one by its name.
pub(super) fn host(snapshot: &Snapshot, query: Given) -> Response {
    let name = query.name.unwrap_or_else(|| HOST.to_owned());
    match snapshot.entries.get(&ConfigKey::host(&name)) {
        Some(entry) => with_version(entry, Json(to_json(entry)).into_response()),
        None if name != HOST => unknown(&name),
        None => Json(json!({"name": HOST, "input": ""})).into_response(),
    }
}

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
        return remove(&shared, ConfigKey::host(name), true, &author).await;
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
    match shared.registry.put(configuration, expect, author).await {
        Ok(stored) => {
            let snapshot = shared.registry.snapshot();
            let mut body = snapshot.entries.get(&key).map(to_json).unwrap_or_default();
            body["created"] = stored.created.into();
            body["warnings"] = json!(stored.warnings);
            ([(header::ETAG, format!("\"{}\"", stored.version))], Json(body)).into_response()
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

async fn remove(shared: &Shared, key: ConfigKey, unknown_is_fine: bool, author: &Author) -> Response {
    match shared.registry.remove(&key, author).await {
        Ok(true) => Json(json!({"removed": key.name})).into_response(),
        Ok(false) if unknown_is_fine => Json(json!({"removed": Value::Null})).into_response(),
        Ok(false) => unknown(&key.name),
        Err(e @ RemoveError::Managed { .. }) => error(StatusCode::CONFLICT, &e.to_string()),
        Err(e) => error(StatusCode::SERVICE_UNAVAILABLE, &crate::error_chain(&e)),
    }
}

/// A configuration that does not compile, with everything that is wrong with it.
pub(super) fn refused(complaints: &[Complaint]) -> Response {
    let first = complaints.first();
    let body = json!({
        "error": first.map(ToString::to_string),
        "code": first.map(|c| &c.code),
        "line": first.map(|c| c.line),
        "column": first.map(|c| c.column),
        "message": first.map(|c| &c.message),
        "remedy": first.map(|c| &c.remedy),
        "diagnostics": complaints,
    });
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

fn to_json(entry: &Entry) -> Value {
    let Configuration { name, kind, input, matches, source } = &entry.configuration;
    let mut body = json!({
        "name": name,
        "input": input,
        "kind": kind.name(),
        "version": entry.version,
        "source": source.name(),
    });
    if !matches.is_empty() {
        body["match"] = json!(matches);
    }
    body
}

fn with_version(entry: &Entry, response: Response) -> Response {
    ([(header::ETAG, format!("\"{}\"", entry.version))], response).into_response()
}

pub(super) fn unknown(name: &str) -> Response {
    error(StatusCode::NOT_FOUND, &format!("there is no configuration `{name}`"))
}

/// What the predecessor called its only host configuration.
const HOST: &str = "ui";
