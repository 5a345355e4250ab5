//! The document of the interface, and what holds for all of it.

use super::*;

#[tokio::test]
async fn every_operation_of_the_document_is_served() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, document) = server.call("GET", "/api/openapi.json", "").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for (method, operation) in item.as_object().expect("has methods") {
            ids.push(operation["operationId"].to_string());
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            let path = path.replace("{name}", "a%2Fb");
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
            let request = request.header(header::HOST, "127.0.0.1:9092").body(Body::empty()).expect("is one");
            // The head is enough: one of the answers never ends.
            let response = server.router.clone().oneshot(request).await.expect("never fails");
            assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if response.status() == StatusCode::NOT_FOUND {
                let body = response.into_body().collect().await.expect("reads").to_bytes();
                let body = String::from_utf8_lossy(&body);
                assert!(!body.contains("nothing at this path"), "{method} {path}: {body}");
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(all > 20 && ids.len() == all, "{ids:?}");
    // What is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_error_has_a_sentence_a_code_and_a_remedy() {
    let server = Server::new("127.0.0.1:9092").await;
    let large = "x".repeat(super::super::MAX_BODY_BYTES + 1);
    for (method, path, body, status, code) in [
        ("GET", "/api/nothing", "", 404, "not_found"),
        ("GET", "/api/configs/none", "", 404, "not_found"),
        ("PATCH", "/api/configs", "", 405, "method_not_allowed"),
        ("GET", "/api/streams?limit=x", "", 400, "invalid_request"),
        ("GET", "/api/streams?limit=0", "", 400, "invalid_request"),
        ("GET", "/api/explain?what=x", "", 400, "invalid_request"),
        ("GET", "/api/configs/%ff", "", 400, "invalid_request"),
        ("POST", "/api/check", "{", 400, "invalid_request"),
        ("POST", "/api/try", &large, 413, "too_large"),
        ("GET", "/api/dead-letters?agent=none", "", 404, "not_found"),
        ("GET", "/api/dead-letters?ids=x", "", 400, "invalid_request"),
        ("GET", "/api/dead-letters?limit=0", "", 400, "invalid_request"),
        ("GET", "/ready", "", 503, "unavailable"),
    ] {
        let (found, problem) = server.call(method, path, body).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{method} {path}: {problem}");
        let said = |name: &str| problem[name].as_str().is_some_and(|text| text.len() > 5);
        assert!(said("error") && said("remedy"), "{method} {path}: {problem}");
    }
}

#[tokio::test]
async fn the_page_of_the_document_comes_whole_and_asks_nobody_else() {
    let server = Server::new("127.0.0.1:9092").await;
    let get = async |path: &str| {
        let (status, body) = server.raw(Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut text);
        read.map_or_else(|_| String::from_utf8(body).expect("is text"), |_| text)
    };
    let page = get("/api/docs/").await;
    let mut files = 0;
    for part in page.split("src=\"").chain(page.split("href=\"")).filter_map(|part| part.strip_prefix("./")) {
        let file = part.split('"').next().unwrap_or_default();
        if !file.ends_with(".png") {
            assert!(get(&format!("/api/docs/{file}")).await.len() > 50, "{file}");
            files += 1;
        }
    }
    assert!(files >= 4, "{page}");
    let starts = get("/api/docs/swagger-initializer.js").await;
    assert!(starts.contains("\"../openapi.json\"") && !starts.contains("https://"), "{starts}");
}
