//! Who may see and do what.

use super::*;

#[tokio::test]
async fn who_may_not_write_sees_no_secret() {
    for (bind, sees) in [("127.0.0.1:9092", true), ("0.0.0.0:9092", false)] {
        let server = Server::new(bind).await;
        let secret =
            "output { elasticsearch { hosts => 'http://a:s3cret@h' password => \"s3cret\" user => \"u\" } }";
        for configuration in [Configuration::docker("a", secret), Configuration::host("ui", secret)] {
            server
                .shared
                .registry()
                .put(configuration, Precondition::default(), &Author::part("test"))
                .await
                .expect("stores");
        }
        let version = Configuration::docker("a", secret).version();
        for path in ["/api/configs", "/api/configs/a", "/configs?name=a", "/api/host-config"] {
            let (status, body) = server.call("GET", path, "").await;
            let body = body.to_string();
            assert_eq!(status, 200, "{path}");
            assert_eq!(body.contains("s3cret"), sees, "{bind} {path}: {body}");
            assert!(
                body.contains("elasticsearch") && (sees || body.contains(HIDDEN)),
                "{bind} {path}: {body}"
            );
            assert!(
                path.contains("host") || body.contains(&version),
                "the version is that of the whole: {body}"
            );
        }
        let texts = server.shared.access().texts(&HeaderMap::new());
        let executors = server.shared.sessions().lock();
        let listed = status::configurations(&server.shared, &executors, texts);
        assert_eq!(format!("{listed:?}").contains("s3cret"), sees);
        drop(executors);
        let status = status::cluster(&server.shared, &Default::default());
        assert!(!format!("{status:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn beyond_loopback_everything_can_be_read_and_nothing_written() {
    let server = Server::new("0.0.0.0:9092").await;
    let (status, body) = server.call("PUT", "/api/configs/a", r#"{"input":"filter { }"}"#).await;
    assert_eq!(status, 403);
    assert!(
        body["error"].as_str().is_some_and(|e| e.contains("--auth-file") && e.contains("--no-auth")),
        "{body}"
    );
    for path in ["/api/status", "/api/configs", "/health", "/metrics", "/"] {
        assert_eq!(server.call("GET", path, "").await.0, 200, "{path}");
    }
}
