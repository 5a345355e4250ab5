use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::testing::{Running, connect, free_port, refused};
use super::connection::{PART_BYTES, STILL_THERE};
use super::*;
use crate::event::Clock;
use crate::lumberjack::testing::window;
use crate::pipeline::plugin::Batch;

async fn read_ack(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> [u8; 6] {
    let mut ack = [0; 6];
    // Zero only says that the peer is at work.
    while ack[2..] == [0; 4] {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut ack)).await;
        read.expect("an acknowledgement in time").expect("the connection is open");
    }
    ack
}

#[tokio::test]
async fn a_window_is_acknowledged_when_its_events_have_arrived() {
    let port = free_port();
    let mut input =
        Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
    let mut stream = connect(port).await;
    let first = r#"{"@timestamp":"2024-03-05T01:02:03.000Z","@metadata":{"beat":"filebeat"},"message":"hi","host":{"name":"h"}}"#;
    stream.write_all(&window(&[first, r#"{"metric":1.5}"#])).await.unwrap();
    let (one, two) = (input.next().await, input.next().await);
    assert_eq!(one.text("message"), "hi");
    assert_eq!(one.json("@timestamp"), "\"2024-03-05T01:02:03.000Z\"");
    assert_eq!((one.text("[@metadata][beat]"), one.text("[host][name]")), ("filebeat".into(), "h".into()));
    assert_eq!(one.text("[@metadata][input][beats][host][ip]"), "127.0.0.1");
    assert_eq!(one.json("tags"), r#"["beats_input_codec_plain_applied"]"#);
    assert_eq!((two.json("metric"), two.json("tags")), ("1.5".into(), r#"["beats_input_raw_event"]"#.into()));
    // Nothing is acknowledged while one of them is on its way; the next window is read meanwhile.
    one.ack.delivered();
    stream.write_all(&window(&[r#"{"message":"next"}"#])).await.unwrap();
    let three = input.next().await;
    three.ack.delivered();
    let mut ack = [0; 6];
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut ack)).await;
    assert!(early.is_err() || ack[2..] == [0; 4], "{ack:?}");
    two.ack.delivered();
    assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x02");
    assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x01");
    input.stop().await;
}

#[tokio::test]
async fn a_quiet_connection_is_ended_though_its_time_is_longer_than_the_keep_alive() {
    let port = free_port();
    let quiet = STILL_THERE + Duration::from_secs(1);
    let settings =
        format!(r#"{{"host":"127.0.0.1","port":{port},"client_inactivity_timeout":{}}}"#, quiet.as_secs());
    let mut input = Running::start(&BEATS, &settings, EcsCompatibility::V8);
    let (mut silent, mut acknowledged, mut half) =
        (connect(port).await, connect(port).await, connect(port).await);
    let whole = window(&[r#"{"message":"x"}"#]);
    acknowledged.write_all(&whole).await.unwrap();
    half.write_all(&whole[..whole.len() - 3]).await.unwrap();
    input.next().await.ack.delivered();
    let mut rest = Vec::new();
    let begun = std::time::Instant::now();
    for stream in [&mut silent, &mut acknowledged, &mut half] {
        let ended = tokio::time::timeout(quiet * 2, stream.read_to_end(&mut rest)).await;
        ended.expect("it is ended in time").unwrap();
    }
    assert!(begun.elapsed() > quiet / 2, "not before its time");
    input.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_goes_on_with_a_tag_and_the_others_too() {
    let port = free_port();
    let mut input =
        Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
    let mut stream = connect(port).await;
    let bad = ["{\"message\":", "[1]", r#"{"message":"good"}"#, r#"{"a":1,"@timestamp":{"x":2}}"#];
    stream.write_all(&window(&bad)).await.unwrap();
    for (message, tagged) in [("{\"message\":", true), ("[1]", true), ("good", false)] {
        let event = input.next().await;
        assert_eq!(event.text("message"), message);
        assert_eq!(event.json("tags").contains(UNREADABLE), tagged, "{message}");
        event.ack.delivered();
    }
    // Whatever becomes of the last one, it is an event.
    input.next().await.ack.delivered();
    assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x04");
    input.stop().await;
}

#[tokio::test]
async fn a_window_of_any_size_is_held_in_parts_and_acknowledged_whole() {
    let port = free_port();
    let mut input =
        Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
    let mut stream = connect(port).await;
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(PART_BYTES / 4));
    let events = vec![long.as_str(); 20];
    stream.write_all(&window(&events)).await.unwrap();
    let mut last = None;
    for _ in 0..20 {
        let received = input.next().await;
        assert!(last.is_none(), "the one before is let go");
        last = Some(received);
        last.take().unwrap().ack.delivered();
    }
    assert_eq!(read_ack(&mut stream).await, *b"2A\0\0\0\x14");
    input.stop().await;
}

/// A queue that takes nothing.
struct Full;

#[async_trait]
impl crate::event::BatchSender for Full {
    async fn send(&self, _: Batch) -> bool {
        std::future::pending().await
    }
}

#[tokio::test]
async fn peers_that_wait_are_told_so_and_those_that_have_gone_are_noticed() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let port = free_port();
    let settings = format!(r#"{{"host":"127.0.0.1","port":{port},"client_inactivity_timeout":1}}"#);
    let cx = logstash_mesos_engine::testing::context(&BEATS, EcsCompatibility::V8);
    let make = MakeInput::of(&BEATS).unwrap();
    let input = make(&logstash_mesos_engine::testing::settings_of(&BEATS, &settings), &cx).unwrap();
    let sends = Arc::new(AtomicUsize::new(0));
    struct Counting(Arc<AtomicUsize>);
    #[async_trait]
    impl crate::event::BatchSender for Counting {
        async fn send(&self, batch: Batch) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            struct Less<'c>(&'c AtomicUsize);
            impl Drop for Less<'_> {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let _held = Less(&self.0);
            Full.send(batch).await
        }
    }
    let shutdown = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(input.run(InputContext {
        events: Arc::new(Counting(Arc::clone(&sends))),
        shutdown: shutdown.clone(),
        clock: Clock::System,
        bus: crate::pipeline::Bus::default(),
        memory: crate::memory::Memory::default(),
        persisted: false,
        tally: Arc::default(),
        host_root: "/".into(),
        sockets: Default::default(),
    }));
    // As a beat that hears nothing and connects again with the same window.
    let whole = window(&[r#"{"message":"x"}"#]);
    let mut streams = Vec::new();
    for _ in 0..60 {
        let mut stream = connect(port).await;
        stream.write_all(&whole).await.unwrap();
        streams.push(stream);
    }
    let mut last = streams.pop().unwrap();
    let mut ack = [0; 6];
    tokio::time::timeout(STILL_THERE * 4, last.read_exact(&mut ack)).await.unwrap().unwrap();
    assert_eq!(ack, *b"2A\0\0\0\0", "it waits, and is told");
    assert!((1..=4).contains(&sends.load(Ordering::SeqCst)), "few hold events: {sends:?}");
    drop((streams, last));
    for _ in 0..2000 {
        if sends.load(Ordering::SeqCst) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sends.load(Ordering::SeqCst), 0, "nothing is held for peers that have gone");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_given_up_is_not_acknowledged() {
    let port = free_port();
    let mut input =
        Running::start(&BEATS, &format!(r#"{{"host":"127.0.0.1","port":{port}}}"#), EcsCompatibility::V8);
    let mut stream = connect(port).await;
    stream.write_all(&window(&[r#"{"message":"hi"}"#])).await.unwrap();
    let event = input.next().await;
    drop(event);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    input.stop().await;
}

#[tokio::test]
async fn version_1_and_the_old_names() {
    let port = free_port();
    let settings =
        format!(r#"{{"host":"127.0.0.1","port":{port},"enrich":["source_metadata"],"add_hostname":true}}"#);
    let mut input = Running::start(&BEATS, &settings, EcsCompatibility::Disabled);
    let mut stream = connect(port).await;
    stream
        .write_all(b"1W\0\0\0\x011D\0\0\0\x01\0\0\0\x02\0\0\0\x04line\0\0\0\x02hi\0\0\0\x04file\0\0\0\x02/a")
        .await
        .unwrap();
    let event = input.next().await;
    assert_eq!((event.text("message"), event.text("file")), ("hi".into(), "/a".into()));
    assert_eq!(
        (event.text("[@metadata][ip_address]"), event.json("tags")),
        ("127.0.0.1".into(), String::new())
    );
    event.ack.delivered();
    assert_eq!(read_ack(&mut stream).await, *b"1A\0\0\0\x01");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // The peer may be told by a reset.
    let _ended = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
    input.stop().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn frames_over_tls_from_a_client_with_a_certificate() {
    let made = crate::tls::testing::Certificates::new();
    made.signed("client", "ca", "/O=Acme/CN=beat", "");
    let port = free_port();
    let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.text(name));
    let settings = format!(
        r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}",
            "ssl_key":"{key}","ssl_certificate_authorities":["{ca}"],"ssl_client_authentication":"optional",
            "enrich":["all"]}}"#
    );
    let mut input = Running::start(&BEATS, &settings, EcsCompatibility::V8);
    connect(port).await.write_all(&window(&[r#"{"message":"plain"}"#])).await.unwrap();
    for (arguments, status, subject) in
        [("-cert client.pem -key client.key", "verified", "CN=beat,O=Acme"), ("", "unverified", "")]
    {
        let mut beat = made.s_client(port, arguments);
        let spoofed = r#"{"message":"hi","@metadata":{"tls_peer":{"status":"verified"}}}"#;
        beat.stdin.as_mut().unwrap().write_all(&window(&[spoofed])).await.unwrap();
        let event = input.next().await;
        assert_eq!(event.text("message"), "hi");
        assert_eq!(event.text("[@metadata][tls_peer][status]"), status);
        assert_eq!(event.text("[@metadata][input][beats][tls][client][subject]"), subject);
        let protocol = event.text("[@metadata][input][beats][tls][version_protocol]");
        assert_eq!(protocol, if subject.is_empty() { "" } else { "TLSv1.3" });
        event.ack.delivered();
        assert_eq!(read_ack(beat.stdout.as_mut().unwrap()).await, *b"2A\0\0\0\x01");
    }
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[test]
fn what_cannot_work_is_refused() {
    let key = r#""ssl_enabled":true,"ssl_certificate":"a","ssl_key":"b""#;
    let none = format!(r#"{{"port":1,{key},"ssl_client_authentication":"required"}}"#);
    assert!(refused(&BEATS, &none).contains("ssl_certificate_authorities"));
    let none = format!(
        r#"{{"port":1,{key},"ssl_client_authentication":"none","ssl_certificate_authorities":["c"]}}"#
    );
    assert!(refused(&BEATS, &none).contains("no use"));

    assert!(refused(&BEATS, r#"{"port":5044,"ssl_enabled":true}"#).contains("ssl_certificate"));
    let multiline = r#"{"port":5044,"codec":{"multiline":{"pattern":"x","what":"next"}}}"#;
    assert!(refused(&BEATS, multiline).contains("multiline"));
}
