//! Configurations are written, read, checked and tried.

use super::*;

#[tokio::test]
async fn configurations_are_created_read_replaced_and_removed() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, _) =
        server.call("POST", "/api/configs", r#"{"name":"nginx:1.27","input":"filter { }"}"#).await;
    assert_eq!(status, 200);
    let name = "/api/configs/library%2Fnginx";
    let body = r#"{"input":"filter { drop { } }","match":{"label.app":"web"}}"#;
    assert_eq!(server.call("PUT", name, body).await.0, 200);
    let (status, read) = server.call("GET", name, "").await;
    assert_eq!(
        (status, &read["input"], &read["match"]),
        (200, &json!("filter { drop { } }"), &json!({"label.app": "web"}))
    );
    let (_, list) = server.call("GET", "/api/configs", "").await;
    let names: Vec<_> = list.as_array().expect("a list").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["library/nginx", "nginx:1.27"]);
    let (_, replaced) = server.call("PUT", name, r#"{"input":"filter { drop { } }"}"#).await;
    assert_eq!(replaced.get("match"), None, "a PUT without match clears it");
    assert_eq!(server.call("DELETE", name, "").await.0, 200);
    assert_eq!(server.call("GET", name, "").await.0, 404);
    assert_eq!(server.call("DELETE", name, "").await.0, 404);
    assert_eq!(server.call("PUT", name, r#"{"name":"other","input":""}"#).await.0, 400);
    assert_eq!(server.call("PUT", name, "{").await.0, 400);
    assert_eq!(server.call("POST", "/api/configs", r#"{"name":"x"}"#).await.0, 400);
}

#[tokio::test]
async fn versions_are_told_and_brought_back() {
    let server = Server::new("127.0.0.1:9092").await;
    let put = async |input: &str| {
        let body = json!({"input": input}).to_string();
        let (status, stored) = server.call("PUT", "/api/configs/web", &body).await;
        assert_eq!(status, 200, "{stored}");
        stored["version"].clone()
    };
    let first = put("filter { drop { } }").await;
    let second = put("filter { }").await;
    let (_, told) = server.call("GET", "/api/versions?name=web", "").await;
    assert_eq!((&told["current"]["version"], &told["past"][0]["version"]), (&second, &first));
    assert_eq!(told["past"][0]["ended"], told["current"]["written"]);
    assert_eq!(told["current"]["written"]["by"], "anybody");
    assert!(told["current"]["written"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    let one = format!("/api/versions?name=web&version={}", first.as_str().expect("a text"));
    assert_eq!(server.call("GET", &one, "").await.1["input"], "filter { drop { } }");

    let back = json!({"name": "web", "version": first}).to_string();
    let (status, stored) = server.call("POST", "/api/rollback", &back).await;
    assert_eq!((status, &stored["input"]), (200, &json!("filter { drop { } }")), "{stored}");
    // Also what was removed comes back.
    server.call("DELETE", "/api/configs/web", "").await;
    let (_, told) = server.call("GET", "/api/versions?name=web", "").await;
    assert_eq!((&told["current"], &told["past"][0]["removed"]), (&Value::Null, &json!(true)));
    assert_eq!(told["past"].as_array().map(Vec::len), Some(3));
    let (status, _) = server.call("POST", "/api/rollback", &back).await;
    assert_eq!((status, server.call("GET", "/api/configs/web", "").await.0), (200, 200));

    for (path, body, expected) in [
        ("/api/rollback", json!({"name": "web", "version": "none"}), 404),
        ("/api/rollback", json!({"name": "web"}), 400),
        ("/api/rollback", json!({}), 400),
    ] {
        let (status, said) = server.call("POST", path, &body.to_string()).await;
        assert!(status == expected && said["error"].is_string(), "{status} {said}");
    }
    assert_eq!(server.call("GET", "/api/versions?name=other", "").await.0, 404);
    assert_eq!(server.call("GET", "/api/versions", "").await.0, 400);
}

#[tokio::test]
async fn the_predecessors_forms_work_too() {
    let server = Server::new("127.0.0.1:9092").await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (status, _) = server.raw(Method::POST, "/configs", &form, "name=a%3A1&input=filter+%7B+%7D").await;
    assert_eq!(status, 200);
    assert_eq!(server.call("PUT", "/api/configs/whatever?name=b&input=filter%20%7B%20%7D", "").await.0, 200);
    assert_eq!(server.call("GET", "/configs/a%3A1", "").await.1["input"], "filter { }");
    assert_eq!(server.call("GET", "/api/configs?name=b", "").await.1["name"], "b");
    assert_eq!(server.call("DELETE", "/api/configs?name=b", "").await.0, 200);
    assert_eq!(server.call("DELETE", "/api/configs?name=b", "").await.0, 200, "as it was");
    let (status, _) = server.raw(Method::PUT, "/host-config", &form, "input=filter+%7B+%7D").await;
    assert_eq!(status, 200);
    assert_eq!(server.call("GET", "/api/host-config", "").await.1["input"], "filter { }");
    assert_eq!(server.call("PUT", "/api/host-config", r#"{"input":""}"#).await.0, 200);
    assert_eq!(server.call("GET", "/api/host-config", "").await.1, json!({"name": "ui", "input": ""}));
}

#[tokio::test]
async fn a_host_configuration_of_another_name_is_named_in_the_query() {
    let server = Server::new("127.0.0.1:9092").await;
    let path = "/api/host-config?name=sample";
    assert_eq!(server.call("PUT", path, r#"{"input":"filter { }"}"#).await.1["name"], "sample");
    assert_eq!(server.call("GET", path, "").await.1["input"], "filter { }");
    assert_eq!(server.call("GET", "/api/host-config", "").await.1["input"], "");
    assert_eq!(server.call("PUT", path, r#"{"input":""}"#).await.1["removed"], "sample");
    assert_eq!(server.call("GET", path, "").await.0, 404);
}

#[tokio::test]
async fn a_configuration_is_checked_and_not_stored() {
    let server = Server::new("127.0.0.1:9092").await;
    let draft = r#"{"name":"a","kind":"docker","input":"filter {\n  grokk { }\n}"}"#;
    let (status, body) = server.call("POST", "/api/check", draft).await;
    let first = &body["diagnostics"][0];
    assert_eq!(
        (status, &first["severity"], &first["line"], &first["column"]),
        (200, &json!("error"), &json!(2), &json!(3))
    );
    assert!(first["remedy"].as_str().is_some_and(|remedy| remedy.contains("grok")), "{body}");
    let (_, fine) = server.call("POST", "/api/check", r#"{"input":"filter { }"}"#).await;
    assert_eq!(fine["diagnostics"], json!([]));
    for wrong in ["x", r#"{"input":"","kind":"all"}"#, r#"{"text":""}"#] {
        assert_eq!(server.call("POST", "/api/check", wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(server.call("GET", "/api/configs", "").await.1, json!([]));
}

#[tokio::test]
async fn what_does_not_compile_is_refused_with_its_place_and_a_remedy() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, body) =
        server.call("PUT", "/api/configs/a", r#"{"input":"filter {\n  grokk { }\n}"}"#).await;
    assert_eq!((status, &body["line"], &body["column"]), (422, &json!(2), &json!(3)));
    assert!(body["remedy"].as_str().is_some_and(|r| r.contains("grok")), "{body}");
    assert!(body["code"].as_str().is_some_and(|c| c.starts_with('E')), "{body}");
    assert_eq!(server.call("GET", "/api/configs", "").await.1, json!([]));
}

#[tokio::test]
async fn preconditions_directories_and_sizes_have_their_own_answers() {
    let server = Server::new("127.0.0.1:9092").await;
    let put = async |headers: &[(&str, &str)]| {
        server.raw(Method::PUT, "/api/configs/a", headers, r#"{"input":"filter { }"}"#).await.0.as_u16()
    };
    assert_eq!(put(&[("if-none-match", "*")]).await, 200);
    assert_eq!(put(&[("if-none-match", "*")]).await, 412);
    assert_eq!(put(&[("if-match", "\"other\"")]).await, 412);
    let large = json!({"input": "#".repeat(270_000)}).to_string();
    assert_eq!(server.call("PUT", "/api/configs/a", &large).await.0, 413);
    let content = Configuration {
        name: "d".to_owned(),
        kind: Kind::Docker,
        input: "filter { }".to_owned(),
        matches: BTreeMap::new(),
        source: Source::Directory,
    };
    let path = "/c/docker/d.conf".into();
    let found =
        crate::configs::directory::Found { kind: Kind::Docker, name: "d".into(), path, content: Ok(content) };
    server.shared.registry().sync(&[Source::Directory], vec![found]).await.expect("syncs");
    assert_eq!(server.call("PUT", "/api/configs/d", r#"{"input":"filter { }"}"#).await.0, 409);
    assert_eq!(server.call("DELETE", "/api/configs/d", "").await.0, 409);
    assert_eq!(server.call("GET", "/api/configs/d", "").await.1["source"], "directory");
}

#[tokio::test]
async fn a_configuration_can_be_tried_on_lines() {
    let server = Server::new("127.0.0.1:9092").await;
    let trial = json!({
        "input": "filter { if [message] == \"x\" { drop { } } mutate { add_field => { \"a\" => \"%{message}!\" } } }",
        "lines": ["x", "y"],
    });
    let (status, body) = server.call("POST", "/api/try", &trial.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let events = body["events"].as_array().expect("a list");
    assert_eq!((events.len(), &events[0]["a"]), (1, &json!("y!")));
    // Line by line, after each filter.
    let after: Vec<_> =
        body["lines"][1].as_array().expect("steps").iter().map(|step| &step["after"]).collect();
    assert_eq!(after, ["if … drop", "mutate"]);
    assert_eq!(
        (&body["lines"][0][0]["events"], &body["lines"][1][0]["events"][0]["a"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(body["lines"][1][1]["events"][0]["a"], "y!");
    assert_eq!(server.call("POST", "/api/try", r#"{"input":"filter {"}"#).await.0, 422);
    assert_eq!(server.call("POST", "/api/try", "x").await.0, 400);
}

#[tokio::test]
async fn an_editor_is_told_every_plugin_with_its_settings() {
    let server = Server::new("127.0.0.1:9092").await;
    let (_, body) = server.call("GET", "/api/plugins", "").await;
    let all = body["plugins"].as_array().expect("a list");
    let find = |kind: &str, name: &str| {
        all.iter().find(|one| one["kind"] == kind && one["name"] == name).expect(name)
    };
    let setting = |plugin: &Value, name: &str| {
        plugin["settings"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let grok = find("filter", "grok");
    assert!(grok["doc"].as_str().is_some_and(|doc| doc.len() > 10));
    assert_eq!(
        (&setting(grok, "match")["takes"], &setting(grok, "add_tag")["takes"]),
        (&json!("hash"), &json!("array"))
    );
    assert_eq!(setting(grok, "break_on_match")["choices"], json!(["true", "false"]));
    assert_eq!(setting(grok, "type"), Value::Null, "what is refused is not offered");
    assert_eq!(setting(find("input", "docker"), "codec")["codec"], true);
}

#[tokio::test]
async fn what_is_removed_is_the_version_that_was_read() {
    let server = Server::new("127.0.0.1:9092").await;
    for (path, method, body) in [
        ("/api/configs/a", Method::DELETE, ""),
        ("/api/configs?name=a", Method::DELETE, ""),
        ("/api/host-config", Method::PUT, r#"{"input": ""}"#),
    ] {
        let place = path.replace("?name=a", "/a");
        let (_, stored) = server.call("PUT", &place, r#"{"input": "filter { }"}"#).await;
        let version = format!("\"{}\"", stored["version"].as_str().unwrap_or_default());
        for (expected, status) in [("\"old\"", StatusCode::PRECONDITION_FAILED), (&version, StatusCode::OK)] {
            let (found, said) = server.raw(method.clone(), path, &[("if-match", expected)], body).await;
            assert_eq!(found, status, "{method} {path} {expected}: {}", String::from_utf8_lossy(&said));
        }
    }
}
