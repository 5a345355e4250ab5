//! The document of the REST API, made from the code that answers, and a page to browse it.

use super::configs;
use super::problem::{self, Problem};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::sync::{Arc, LazyLock};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_swagger_ui::Config;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "logstash-mesos",
        description = "What the console and the command line ask of a scheduler; any of several schedulers will do.\n\n\
            **Errors** have a sentence (`error`), a `code` for programs and a `remedy`.\n\n\
            **Versions**: what can be written comes with an `ETag`. `If-Match` writes only over that version, \
            `If-None-Match: *` only what is new; 412 says that somebody else was quicker.\n\n\
            **Pages**: `limit` says how many entries an answer has. `next` or `next_offset` in it says with which `after` \
            or `offset` the next ones come; it is null in the last.\n\n\
            The predecessor's paths without `/api`, and `?name=` in place of the name in the path, are served, too. Numbers \
            for Prometheus are at `/metrics`."
    ),
    // The names of configurations have slashes in them, sent as they are or encoded, which a route of another form takes.
    paths(configs::get, configs::put, configs::delete),
    components(schemas(Problem))
)]
struct Document;

/// What the routes add to.
pub(super) fn begin() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Serves what has come together: as a file, and, if there is to be a page, for browsers.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    document: utoipa::openapi::OpenApi,
    ui: bool,
) -> Router<S> {
    let text = finish(document).to_json().expect("is made of text and numbers");
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let router =
        Router::new().route("/api/openapi.json", get(move || async move { (json, text).into_response() }));
    if !ui {
        return router;
    }
    router
        // Relative, for a proxy that puts the console below a path.
        .route("/api/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/api/docs/", get(|| async { page("") }))
        .route("/api/docs/{file}", get(|Path(file): Path<String>| async move { page(&file) }))
}

/// Adds what is true of every operation: who may, and how it fails.
fn finish(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    for (name, scheme) in [("password", HttpAuthScheme::Basic), ("token", HttpAuthScheme::Bearer)] {
        components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
    }
    let none: [&str; 0] = [];
    // Where --auth-file is given, one of the two.
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("password", none),
        SecurityRequirement::new("token", none),
    ]);
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let failed = ResponseBuilder::new()
        .description("It was not carried out.")
        .content("application/json", content)
        .build();
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            operation.operation_id = Some([method].into_iter().chain(words).collect::<Vec<_>>().join("_"));
            operation.responses.responses.insert("default".to_owned(), RefOr::T(failed.clone()));
        }
    }
    document
}

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Without the last, it asks a server elsewhere what it thinks of the document.
    Arc::new(Config::new(["../openapi.json"]).validator_url("none"))
});

/// A file of Swagger UI, packed when it was built: every browser unpacks it.
fn page(file: &str) -> Response {
    match utoipa_swagger_ui::serve(file, PAGE.clone()) {
        Ok(Some(file)) => {
            let mut answer = file.bytes.into_owned().into_response();
            let headers = answer.headers_mut();
            if let Ok(kind) = HeaderValue::try_from(file.content_type) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            if file.gzpipped {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            answer
        }
        Ok(None) => problem::error(StatusCode::NOT_FOUND, "there is no such file"),
        Err(failed) => problem::error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
    }
}

/// It sets styles in attributes, and its pictures are in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
