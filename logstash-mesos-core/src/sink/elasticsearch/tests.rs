//! The sink against a small server that misbehaves on demand.

use std::net::TcpListener;
use std::time::Instant;

use super::super::testing::{self, Seen};
use super::*;
use crate::event::Ack;

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
    assert_eq!((rejected, delivered.again), (vec![1, 4], vec![]));
    // When every document is refused it is the request that is wrong.
    assert!(!sink.deliver(&batch(&["bad1", "bad2", "bad3"])).await.unwrap_err().is_transient());
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
