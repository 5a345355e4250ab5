//! The sink against a small server that misbehaves on demand.

use std::net::TcpListener;
use std::time::Instant;

use super::super::testing::{self, Seen};
use super::*;
use crate::event::Ack;
use crate::tls::{Acceptor, ClientAuthentication, Identity, Offer, ServerTls};

/// Answers bulk requests: `script` gets the number of the request and the documents.
struct Server(testing::Server);

impl Server {
    fn start(script: impl Fn(usize, &[String]) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self(testing::Server::start(None, move |number, request| {
            let (status, answer) = script(number, &documents(request));
            (status, "", answer)
        }))
    }

    fn node(&self) -> Node {
        Node::parse(&format!("http://127.0.0.1:{}", self.0.port), false).unwrap()
    }

    fn requests(&self) -> usize {
        self.0.seen().len()
    }
}

fn documents(request: &Seen) -> Vec<String> {
    request.body.lines().skip(1).step_by(2).map(str::to_owned).collect()
}

fn ok() -> (u16, String) {
    (200, r#"{"errors":false,"items":[]}"#.to_owned())
}

fn sink(nodes: Vec<Node>, change: impl FnOnce(&mut ElasticsearchSettings)) -> ElasticsearchSink {
    let mut settings = ElasticsearchSettings { nodes, ..ElasticsearchSettings::default() };
    change(&mut settings);
    ElasticsearchSink::new(settings).unwrap()
}

fn batch(documents: &[&str]) -> Arc<RecordBatch> {
    let mut batch = RecordBatch { ack: Ack::none(), ..RecordBatch::default() };
    for document in documents {
        batch.body.extend_from_slice(format!("{{\"index\":{{}}}}\n{document}\n").as_bytes());
        batch.finish_record(None);
    }
    Arc::new(batch)
}

#[tokio::test]
async fn requests_carry_what_the_settings_say() {
    let server = Server::start(|_, _| ok());
    let sink = sink(vec![server.node()], |settings| {
        settings.basic_auth = Some(("user".into(), "pass".into()));
        settings.headers = vec![("X-Team".into(), "a".into())];
        settings.query = "timeout=1m".into();
        settings.bulk_path = "/es/_bulk".into();
        settings.compression_level = 1;
    });
    assert_eq!(sink.deliver(&batch(&["1", "2"])).await.unwrap(), Delivered::default());
    let seen = &server.0.seen()[0];
    let head = seen.head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /es/_bulk?filter_path=errors,items.*.error,items.*.status&timeout=1m "),
        "{head}"
    );
    for part in ["authorization: basic dxnlcjpwyxnz", "x-team: a", "content-type: application/x-ndjson"] {
        assert!(head.contains(part), "{part} in {head}");
    }
    assert_eq!(documents(seen), ["1", "2"]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let server = Server::start(|_, documents| if documents.len() > 2 { (413, String::new()) } else { ok() });
    let delivered =
        sink(vec![server.node()], |_| {}).deliver(&batch(&["1", "2", "3", "4", "5"])).await.unwrap();
    assert_eq!(delivered, Delivered::default());
    let mut arrived: Vec<String> =
        server.0.seen().iter().map(documents).filter(|d| d.len() <= 2).flatten().collect();
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_document_that_spoils_requests_is_found() {
    let server = Server::start(|_, documents| {
        if documents.iter().any(|d| d.starts_with("bad")) { (400, "illegal".to_owned()) } else { ok() }
    });
    let sink = sink(vec![server.node()], |_| {});
    let delivered = sink.deliver(&batch(&["1", "bad", "3", "4", "bad2"])).await.unwrap();
    let mut rejected: Vec<usize> = delivered.rejected.iter().map(|rejection| rejection.record).collect();
    rejected.sort_unstable();
    assert_eq!((rejected, delivered.left()), (vec![1, 4], vec![]));
    // Also when it is alone, or all of them are.
    for documents in [&["bad1"][..], &["bad1", "bad2", "bad3"]] {
        let delivered = sink.deliver(&batch(documents)).await.unwrap();
        assert_eq!((delivered.rejected.len(), delivered.left().len()), (documents.len(), 0));
        assert!(delivered.rejected[0].reason.contains("illegal"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_request_or_the_index_costs_no_document() {
    let wrong = r#"{"error":{"type":"illegal_argument_exception","reason":"request [/_bulk] contains unrecognized parameter: [x]"},"status":400}"#;
    let full = r#"{"error":{"type":"cluster_block_exception","reason":"index [a] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"},"status":403}"#;
    for (status, body, transient) in [(400, wrong, false), (403, full, true)] {
        for documents in [&["1"][..], &["1", "2", "3"]] {
            let server = Server::start(move |_, _| (status, body.to_owned()));
            let sink = sink(vec![server.node()], |_| {});
            let error = sink.deliver(&batch(documents)).await.unwrap_err();
            assert_eq!((error.is_transient(), server.requests()), (transient, 1), "{error}");
        }
    }
}

#[tokio::test]
async fn another_node_takes_over() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(|_, _| ok());
    let dead = Node::parse(&format!("127.0.0.1:{closed}"), false).unwrap();
    let sink = sink(vec![dead, server.node()], |_| {});
    for _ in 0..4 {
        sink.deliver(&batch(&["1"])).await.unwrap();
    }
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn trouble_is_told_apart() {
    let server = Server::start(|number, _| match number {
        0 => (401, "who".to_owned()),
        1 => (429, "later".to_owned()),
        2 => (503, "down".to_owned()),
        3 => (200, "not json".to_owned()),
        _ => (0, String::new()),
    });
    let sink = sink(vec![server.node()], |_| {});
    let transient = [false, true, true, true, true];
    for (at, transient) in transient.into_iter().enumerate() {
        let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "request {at}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_waited_for_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = Node::parse(&silent.local_addr().unwrap().to_string(), false).unwrap();
    let sink = sink(vec![node], |settings| settings.timeout = Duration::from_millis(100));
    let start = Instant::now();
    assert!(sink.deliver(&batch(&["1"])).await.unwrap_err().is_transient());
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn secured(made: &crate::tls::testing::Certificates, clients: ClientAuthentication) -> Acceptor {
    let identity = |name: &str| Identity {
        certificate: made.path(&format!("{name}.pem")),
        extra_chain: Vec::new(),
        key: made.path(&format!("{name}.key")),
        passphrase: None,
    };
    Acceptor::new(&ServerTls {
        identity: identity("server"),
        client_authentication: clients,
        authorities: vec![made.path("ca.pem")],
        offer: Offer::default(),
        handshake_timeout: Duration::from_secs(10),
    })
    .unwrap()
}

#[tokio::test]
async fn a_cluster_behind_tls_that_asks_who_is_there() {
    let made = crate::tls::testing::Certificates::new();
    made.authority("other");
    made.signed("client", "ca", "/CN=client", "");
    // An API key, a user, or nobody; compared without case.
    let script = |_: usize, request: &Seen| {
        let head = request.head.to_ascii_lowercase();
        let known =
            head.contains("authorization: apikey atpr\r\n") || head.contains("authorization: basic dtpw\r\n");
        if known { (200, "", ok().1) } else { (401, "", "who are you".to_owned()) }
    };
    let server = testing::Server::start(Some(secured(&made, ClientAuthentication::None)), script);
    let node = Node::parse(&format!("https://localhost:{}", server.port), false).unwrap();
    let with = |change: &dyn Fn(&mut ElasticsearchSettings)| {
        sink(vec![node.clone()], |settings| {
            settings.tls.authorities = vec![made.path("ca.pem")];
            change(settings);
        })
    };
    let one = batch(&["1"]);
    for (api_key, user) in [(Some("i:k"), None), (Some("aTpr"), None), (None, Some("u"))] {
        let sink = with(&|settings| {
            settings.api_key = api_key.map(str::to_owned);
            settings.basic_auth = user.map(|user: &str| (user.to_owned(), "p".to_owned()));
            settings.compression_level = 1;
        });
        assert_eq!(sink.deliver(&one).await.unwrap(), Delivered::default(), "{api_key:?}");
    }
    let error =
        with(&|settings| settings.basic_auth = Some(("u".into(), "wrong".into()))).deliver(&one).await;
    let error = error.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("check `user` and `password`"), "{error}");
    let error = with(&|settings| settings.tls.authorities = vec![made.path("other.pem")]).deliver(&one).await;
    let error = error.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("certificate"), "{error}");
    with(&|settings| {
        settings.tls.authorities = Vec::new();
        settings.tls.verification = crate::tls::Verification::None;
        settings.api_key = Some("i:k".into());
    })
    .deliver(&one)
    .await
    .unwrap();

    let server = testing::Server::start(Some(secured(&made, ClientAuthentication::Required)), script);
    let node = Node::parse(&format!("https://localhost:{}", server.port), false).unwrap();
    for shows in [true, false] {
        let sink = sink(vec![node.clone()], |settings| {
            settings.tls.authorities = vec![made.path("ca.pem")];
            settings.tls.identity = shows.then(|| Identity {
                certificate: made.path("client.pem"),
                extra_chain: Vec::new(),
                key: made.path("client.key"),
                passphrase: None,
            });
            settings.basic_auth = Some(("u".into(), "p".into()));
        });
        assert_eq!(sink.deliver(&one).await.is_ok(), shows);
    }
}

#[tokio::test]
async fn a_template_is_installed_once_before_the_first_document() {
    let there = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&there);
    let server = testing::Server::start(None, move |number, request| {
        let is_there = || flag.load(std::sync::atomic::Ordering::Relaxed);
        match request.head.split(' ').next() {
            // The first question finds a server that is starting.
            Some("HEAD") if number == 0 => (503, "", String::new()),
            Some("HEAD") if !is_there() => (404, "", String::new()),
            Some("PUT") => {
                flag.store(true, std::sync::atomic::Ordering::Relaxed);
                (200, "", "{}".to_owned())
            }
            _ => (200, "", ok().1),
        }
    });
    let node = || vec![Node::parse(&format!("http://127.0.0.1:{}", server.port), false).unwrap()];
    let template = |overwrite| IndexTemplate {
        name: "my logs".to_owned(),
        body: r#"{"index_patterns":["a-*"],"template":{}}"#.to_owned(),
        api: TemplateApi::Composable,
        overwrite,
    };
    let first = sink(node(), |settings| {
        settings.template = Some(template(false));
        settings.path = "/es".to_owned();
    });
    let one = batch(&["1"]);
    assert!(first.deliver(&one).await.unwrap_err().is_transient());
    for _ in 0..2 {
        first.deliver(&one).await.unwrap();
    }
    let lines = || -> Vec<String> {
        let first_line = |seen: &Seen| seen.head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
        let all = server.seen();
        all.iter().map(first_line).map(|line| line.split('?').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(
        lines(),
        [
            "HEAD /es/_index_template/my%20logs",
            "HEAD /es/_index_template/my%20logs",
            "PUT /es/_index_template/my%20logs",
            "POST /_bulk",
            "POST /_bulk"
        ]
    );
    assert_eq!(server.seen()[2].body, template(false).body);
    // It is there now.
    sink(node(), |settings| settings.template = Some(template(false))).deliver(&one).await.unwrap();
    assert_eq!(lines()[5..], ["HEAD /_index_template/my%20logs", "POST /_bulk"]);
    sink(node(), |settings| {
        settings.template = Some(IndexTemplate { api: TemplateApi::Legacy, ..template(true) })
    })
    .deliver(&one)
    .await
    .unwrap();
    assert_eq!(lines()[7..], ["PUT /_template/my%20logs", "POST /_bulk"]);
}

#[test]
fn templates_are_of_one_of_two_kinds() {
    let kind = |text| TemplateApi::of(&serde_json::from_str(text).unwrap());
    for (text, expected) in [
        (r#"{"index_patterns":["a"],"template":{"settings":{}},"priority":5}"#, TemplateApi::Composable),
        (r#"{"index_patterns":["a"],"composed_of":["b"]}"#, TemplateApi::Composable),
        (r#"{"index_patterns":["a"]}"#, TemplateApi::Composable),
        (r#"{"index_patterns":["a"],"settings":{},"mappings":{}}"#, TemplateApi::Legacy),
        // The form of version 5.
        (r#"{"template":"a-*","mappings":{}}"#, TemplateApi::Legacy),
    ] {
        assert_eq!(kind(text), expected, "{text}");
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn keeps_the_contract() {
    use crate::testing::log_sink::{Destination, conformance};

    struct Documents(Server, Arc<ElasticsearchSink>);

    impl Destination for Documents {
        fn sink(&self) -> Arc<dyn LogSink> {
            Arc::clone(&self.1) as _
        }

        fn record(&self, text: &str) -> Vec<u8> {
            format!("{{\"index\":{{}}}}\n{text}\n").into_bytes()
        }

        fn arrived(&self) -> Vec<String> {
            self.0.0.seen().iter().flat_map(documents).collect()
        }
    }

    conformance(async || {
        let server = Server::start(|_, _| ok());
        let sink = Arc::new(sink(vec![server.node()], |_| {}));
        Documents(server, sink)
    })
    .await;
}
