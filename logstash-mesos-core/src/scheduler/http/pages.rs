//! The console: the files of `web/`, inside the program as they are.
//!
//! A table and a macro do what a crate for embedding would, and the crates for compression that we have pack the
//! files when the first browser asks.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::LazyLock;

macro_rules! files {
    ($($path:literal),* $(,)?) => { &[$(($path, include_bytes!(concat!("../../../web/", $path)))),*] };
}

/// Every file of the console, by its path in `web/`.
static FILES: &[(&str, &[u8])] = files![
    "index.html",
    "icon.svg",
    "main.js",
    "examples.json",
    "style/base.css",
    "style/shell.css",
    "style/parts.css",
    "style/table.css",
    "style/editor.css",
    "style/live.css",
    "lib/api.js",
    "lib/clipboard.js",
    "lib/completion.js",
    "lib/difference.js",
    "lib/dom.js",
    "lib/format.js",
    "lib/language.js",
    "lib/router.js",
    "lib/stream.js",
    "lib/tail.js",
    "components/area-chart.js",
    "components/code-editor.js",
    "components/combobox.js",
    "components/completion-list.js",
    "components/conditions.js",
    "components/data-table.js",
    "components/dialog.js",
    "components/event-view.js",
    "components/last-lines.js",
    "components/line-diff.js",
    "components/notice.js",
    "components/passing-event.js",
    "components/problem-list.js",
    "components/problem-pane.js",
    "components/search-box.js",
    "components/sign-in.js",
    "components/state-mark.js",
    "components/time-ago.js",
    "components/try-pane.js",
    "components/version-list.js",
    "components/way-steps.js",
    "views/agent.js",
    "views/agents.js",
    "views/configurations.js",
    "views/dead-letters.js",
    "views/editor.js",
    "views/live.js",
    "views/overview.js",
    "views/streams.js",
    "views/why.js",
];

/// One file, ready to be sent.
struct File {
    kind: &'static str,
    plain: Bytes,
    packed: Bytes,
    etag: HeaderValue,
}

static READY: LazyLock<Vec<File>> =
    LazyLock::new(|| FILES.iter().map(|(path, content)| File::of(path, content)).collect());

impl File {
    fn of(path: &'static str, content: &'static [u8]) -> Self {
        let kind = match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/json",
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // A Vec takes everything.
        let packed = encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default();
        // Weak, as it stands for both forms of the content.
        let etag = format!("W/\"{}\"", &hex::encode(Sha256::digest(content))[..16]);
        Self {
            kind,
            plain: Bytes::from_static(content),
            packed: packed.into(),
            etag: HeaderValue::from_str(&etag).expect("is of hex digits"),
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let given =
            |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let common = [
            (header::ETAG, self.etag.clone()),
            // Another scheduler may have another version: always ask, mostly in vain.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        if self.etag.to_str().is_ok_and(|etag| given(header::IF_NONE_MATCH).contains(etag)) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(self.kind))];
        let packs =
            given(header::ACCEPT_ENCODING).split(',').any(|one| one.trim().split(';').next() == Some("gzip"));
        if packs && !self.packed.is_empty() {
            let packed = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            return (common, kind, packed, self.packed.clone()).into_response();
        }
        (common, kind, self.plain.clone()).into_response()
    }
}

/// Whether the console has something at this path.
pub(super) fn has(path: &str) -> bool {
    PLACES.contains(&path) || FILES.iter().any(|(file, _)| path.strip_prefix('/') == Some(file))
}

/// The console at `/` and where the predecessor had pages, and the files that it asks for.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for (n, (path, _)) in FILES.iter().enumerate() {
        let serve = move |headers: HeaderMap| async move { READY[n].answer(&headers) };
        router = router.route(&format!("/{path}"), get(serve));
        if *path == "index.html" {
            for place in PLACES {
                router = router.route(place, get(serve));
            }
        }
    }
    router
}

/// Where the console is: here, and where the predecessor had pages.
const PLACES: [&str; 4] = ["/", "/dashboard", "/config", "/nodes"];
/// Nothing from anywhere else, and no code or style but that of our files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::plugin::EcsCompatibility;
    use crate::scheduler::trying::run;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use std::path::Path;
    use tower::ServiceExt;

    async fn ask(path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("is one");
        let response = router::<()>().with_state(()).oneshot(request).await.expect("never fails");
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, body.collect().await.expect("reads").to_bytes().to_vec())
    }

    #[tokio::test]
    async fn files_are_packed_tagged_and_kept_to_themselves() {
        let (status, headers, plain) = ask("/dashboard", &[]).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &HeaderValue::from_static("text/html; charset=utf-8"))
        );
        let policy = headers["content-security-policy"].to_str().expect("is text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(plain).expect("is text");
        assert!(
            !page.contains("<style") && !page.contains("style=\"") && !page.contains("onclick"),
            "no code in the page"
        );
        assert!(!page.contains("src=\"/") && !page.contains("href=\"/"), "relative links only");

        let (_, headers, packed) = ask("/main.js", &[("accept-encoding", "br, gzip;q=0.8")]).await;
        assert_eq!(headers["content-encoding"], "gzip");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text)
            .expect("unpacks");
        assert_eq!(text.as_bytes(), ask("/main.js", &[("accept-encoding", "identity")]).await.2);
        let etag = headers["etag"].to_str().expect("is text").to_owned();
        let (status, _, nothing) = ask("/main.js", &[("if-none-match", &etag)]).await;
        assert_eq!((status, nothing.len()), (304, 0));
    }

    #[test]
    fn no_file_is_forgotten_and_none_is_long() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut folders = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("is there") {
                let path = entry.expect("is readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&root).expect("lies below").display().to_string());
                }
            }
        }
        found.sort_unstable();
        let mut known: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        known.sort_unstable();
        assert_eq!(found, known);
        for (path, content) in FILES {
            let lines = content.iter().filter(|byte| **byte == b'\n').count();
            assert!(lines < 300, "{path} has {lines} lines");
        }
    }

    #[test]
    fn every_example_takes_its_own_lines_apart() {
        let (_, content) = FILES.iter().find(|(path, _)| *path == "examples.json").expect("is there");
        let examples: Vec<serde_json::Value> = serde_json::from_slice(content).expect("is JSON");
        assert!(examples.len() >= 7);
        for example in examples {
            let texts = |name: &str| -> Vec<String> {
                serde_json::from_value(example[name].clone()).expect("is a list of lines")
            };
            let (input, lines) = (texts("input").join("\n"), texts("lines"));
            let tried = run(&input, &lines, EcsCompatibility::V8)
                .unwrap_or_else(|wrong| panic!("{example}: {wrong:?}"));
            assert_eq!(tried.events.len(), lines.len(), "{example}");
            for event in tried.events {
                assert!(!event.get().contains("failure\""), "{example}: {event}");
            }
            assert!(tried.warnings.is_empty(), "{example}: {:?}", tried.warnings);
        }
    }
}
