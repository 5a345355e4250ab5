//! The input against requests written by hand.

use std::io::Write;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::testing::{Running, connect, free_port, refused};
use super::*;

fn start(port: u16, more: &str, ecs: EcsCompatibility) -> Running {
    Running::start(&HTTP, &format!(r#"{{"host":"127.0.0.1","port":{port}{more}}}"#), ecs)
}

/// A request with `body`; `head` are further lines.
fn post(head: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /a/b?c=d HTTP/1.1\r\nHost: logs.example:8080\r\n{head}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The next answer of a connection: its head, and its body.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
        head.push(read.expect("an answer in time").expect("the connection is open"));
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

async fn status(stream: &mut TcpStream, request: &[u8]) -> u16 {
    stream.write_all(request).await.unwrap();
    let (head, _) = answer(stream).await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_body_is_an_event_with_the_fields_of_the_schema() {
    let port = free_port();
    let mut input = start(port, r#","response_headers":{"X-By":"us"}"#, EcsCompatibility::V8);
    let mut stream = connect(port).await;
    let head = "User-Agent: test\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: text/plain\r\n";
    stream.write_all(&post(head, "hé\nho".as_bytes())).await.unwrap();
    let event = input.next().await;
    assert_eq!(event.text("message"), "hé\nho");
    assert_eq!(event.text("[event][original]"), "hé\nho");
    for (field, value) in [
        ("[http][version]", "HTTP/1.1"),
        ("[http][method]", "POST"),
        ("[http][request][body][bytes]", "6"),
        ("[http][request][mime_type]", "text/plain"),
        ("[user_agent][original]", "test"),
        ("[url][domain]", "logs.example"),
        ("[url][path]", "/a/b?c=d"),
        ("[host][ip]", "127.0.0.1"),
        ("[@metadata][input][http][request][headers][x_a]", "2"),
        ("[@metadata][input][http][request][headers][http_host]", "logs.example:8080"),
        ("[@metadata][input][http][request][headers][request_method]", "POST"),
    ] {
        assert_eq!(event.text(field), value, "{field}");
    }
    assert_eq!(event.json("[url][port]"), "8080");
    assert_eq!(event.json("[@metadata][input][http][request][headers][http_accept]"), "null");
    let (head, body) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("x-by: us"), "{head}");
    assert!(head.contains("content-type: text/plain") && body == "ok", "{head}{body}");

    // The connection stays open; documents get the codec of their type, and may be several.
    stream
        .write_all(&post("Content-Type: application/json; charset=utf-8\r\n", br#"[{"a":1},{"a":2}]"#))
        .await
        .unwrap();
    assert_eq!((input.next().await.json("a"), input.next().await.json("a")), ("1".into(), "2".into()));
    answer(&mut stream).await;
    // A line that is not finished is one all the same, and not mixed with the next request.
    input.stop().await;
}

#[tokio::test]
async fn the_old_names_and_other_answers() {
    let port = free_port();
    let more = r#","response_code":204,"codec":"line","additional_codecs":{"x/y":"json"},"tags":["t"]"#;
    let mut input = start(port, more, EcsCompatibility::Disabled);
    let mut stream = connect(port).await;
    assert_eq!(status(&mut stream, &post("Content-Type: application/json\r\n", b"one\ntwo")).await, 204);
    let event = input.next().await;
    assert_eq!((event.text("message"), event.text("host")), ("one".into(), "127.0.0.1".into()));
    assert_eq!(event.text("[headers][request_path]"), "/a/b?c=d");
    assert_eq!((event.json("[http]"), event.json("tags")), (String::new(), r#"["t"]"#.into()));
    assert_eq!(input.next().await.text("message"), "two");
    assert_eq!(status(&mut stream, &post("Content-Type: x/y;z\r\n", br#"{"message":"three"}"#)).await, 204);
    assert_eq!(input.next().await.text("message"), "three");
    // Any method will do, and nothing is no event.
    assert_eq!(status(&mut stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await, 204);
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[tokio::test]
async fn bodies_are_unpacked_and_have_a_limit() {
    let port = free_port();
    let mut input = start(port, r#","max_content_length":1000"#, EcsCompatibility::V8);
    let mut stream = connect(port).await;
    let pack = |text: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(text).unwrap();
        [gzip.finish().unwrap(), zlib.finish().unwrap(), raw.finish().unwrap()]
    };
    for (body, packing) in pack(b"packed text").iter().zip(["gzip", "deflate", "deflate"]) {
        let request = post(&format!("Content-Encoding: {packing}\r\n"), body);
        assert_eq!(status(&mut stream, &request).await, 200, "{packing}");
        let event = input.next().await;
        assert_eq!(event.text("message"), "packed text", "{packing}");
        assert_eq!(event.text("[http][request][body][bytes]"), "11");
        assert_eq!(event.json("[@metadata][input][http][request][headers][content_encoding]"), "");
    }
    assert_eq!(status(&mut stream, &post("Content-Encoding: gzip\r\n", b"no gzip")).await, 400);
    let bomb = &pack(&[b'x'; 100_000])[0];
    assert_eq!(status(&mut connect(port).await, &post("Content-Encoding: gzip\r\n", bomb)).await, 413);
    assert_eq!(status(&mut connect(port).await, &post("", &[b'x'; 1001])).await, 413);
    let chunked =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let mut stream = connect(port).await;
    assert_eq!(status(&mut stream, chunked).await, 200);
    assert_eq!(input.next().await.text("message"), "abcde");
    let latin = post("Content-Type: text/plain; charset=ISO-8859-1\r\n", b"caf\xe9");
    assert_eq!(status(&mut stream, &latin).await, 200);
    assert_eq!(input.next().await.text("message"), "café");
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[tokio::test]
async fn bodies_that_find_no_memory_are_sent_away_and_the_others_pass() {
    // As much as all memory of these tests.
    const LONG: usize = 16 << 20;
    let port = free_port();
    let mut input = start(port, "", EcsCompatibility::V8);
    let body = post("", &vec![b'x'; LONG]);
    let (most, rest) = body.split_at(body.len() - (1 << 20));
    let (mut first, mut second) = (connect(port).await, connect(port).await);
    first.write_all(most).await.unwrap();
    // It goes on without room, or is refused as the first one does.
    let _ = second.write_all(most).await;
    // Nobody does beside them, once they have been read.
    let third = post("", &[b'x'; 20 << 10]);
    loop {
        let mut stream = connect(port).await;
        stream.write_all(&third).await.unwrap();
        let mut head = [0; 12];
        match stream.read_exact(&mut head).await {
            Ok(_) if head.ends_with(b"429") => break,
            Ok(_) => assert_eq!(input.next().await.text("message").len(), 20 << 10),
            // The connection was closed before its answer could be read.
            Err(_) => {}
        }
    }
    assert_eq!(status(&mut connect(port).await, &post("", b"small")).await, 200, "so much is free");
    assert_eq!(input.next().await.text("message"), "small");
    assert_eq!(status(&mut first, rest).await, 200);
    assert_eq!(input.next().await.text("message").len(), LONG);
    drop(second);
    while status(&mut connect(port).await, &third).await != 200 {}
    assert_eq!(input.next().await.text("message").len(), 20 << 10);
    input.stop().await;
}

#[tokio::test]
async fn only_the_user_gets_in() {
    let port = free_port();
    let mut input = start(port, r#","user":"u","password":"p""#, EcsCompatibility::V8);
    let mut stream = connect(port).await;
    stream.write_all(&post("", b"x")).await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 401 ") && head.contains("www-authenticate: basic realm="), "{head}");
    let mut stream = connect(port).await;
    assert_eq!(status(&mut stream, &post("Authorization: Basic dTpx\r\n", b"x")).await, 401);
    let mut stream = connect(port).await;
    assert_eq!(status(&mut stream, &post("Authorization: Basic dTpw\r\n", b"y")).await, 200);
    let event = input.next().await;
    assert_eq!(event.text("message"), "y");
    assert_eq!(event.json("[@metadata][input][http][request][headers][authorization]"), "");
    input.stop().await;
}

/// A queue that is full until it is told otherwise.
struct Full(tokio::sync::Semaphore);

#[async_trait]
impl crate::pipeline::plugin::BatchSender for Full {
    async fn send(&self, _: crate::pipeline::plugin::Batch) -> bool {
        self.0.acquire().await.unwrap().forget();
        true
    }
}

#[tokio::test]
async fn nobody_is_answered_before_the_queue_has_the_event_and_too_many_are_sent_away() {
    let port = free_port();
    let make = MakeInput::of(&HTTP).expect("an input");
    let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"threads":1,"max_pending_requests":1}}"#);
    let settings = logstash_mesos_engine::testing::settings_of(&HTTP, &settings);
    let cx = logstash_mesos_engine::testing::context(&HTTP, EcsCompatibility::V8);
    let queue = Arc::new(Full(tokio::sync::Semaphore::new(0)));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let run = make(&settings, &cx).unwrap().run(InputContext {
        events: Arc::clone(&queue) as _,
        shutdown: shutdown.clone(),
        clock: crate::event::Clock::System,
        bus: crate::pipeline::Bus::default(),
        memory: crate::memory::Memory::default(),
        persisted: false,
        tally: Arc::default(),
        host_root: "/".into(),
        sockets: Default::default(),
    });
    let running = tokio::spawn(run);
    let mut waiting = [connect(port).await, connect(port).await];
    for stream in &mut waiting {
        stream.write_all(&post("", b"x")).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
    }
    assert_eq!(status(&mut connect(port).await, &post("", b"x")).await, 429);
    queue.0.add_permits(2);
    for stream in &mut waiting {
        assert_eq!(answer(stream).await.1, "ok");
    }
    queue.0.add_permits(1);
    assert_eq!(status(&mut connect(port).await, &post("", b"x")).await, 200);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn over_tls() {
    let made = crate::tls::testing::Certificates::new();
    made.signed("client", "ca", "/CN=client", "");
    let port = free_port();
    let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.text(name));
    let more = format!(
        r#","ssl_enabled":true,"ssl_certificate":"{certificate}","ssl_key":"{key}",
           "ssl_certificate_authorities":["{ca}"],"ssl_client_authentication":"required""#
    );
    let mut input = start(port, &more, EcsCompatibility::V8);
    drop(connect(port).await);
    let mut stranger = made.s_client(port, "");
    stranger.stdin.take().unwrap().write_all(&post("", b"stranger")).await.unwrap();
    let mut client = made.s_client(port, "-cert client.pem -key client.key");
    client.stdin.as_mut().unwrap().write_all(&post("", b"over TLS")).await.unwrap();
    assert_eq!(input.next().await.text("message"), "over TLS");
    assert_eq!(answer(client.stdout.as_mut().unwrap()).await.1, "ok");
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[test]
fn what_cannot_work_is_refused() {
    for (settings, said) in [
        (r#"{"response_code":500}"#, "200, 201"),
        (r#"{"user":"u"}"#, "password"),
        (r#"{"additional_codecs":{"a/b":"nonsense"}}"#, "nonsense"),
        (r#"{"response_headers":{"a b":"c"}}"#, "a b"),
        (r#"{"ssl_enabled":true}"#, "ssl_certificate"),
        (r#"{"max_pending_requests":-1}"#, "less than nothing"),
    ] {
        assert!(refused(&HTTP, settings).contains(said), "{settings}: {}", refused(&HTTP, settings));
    }
}
