//! The output against a server that answers as it is told, and against our own input.

use logstash_mesos_engine::testing::{context, settings_of};

use super::super::testing::{batch, output};
use super::*;
use crate::pipeline::input::testing::{Running, connect, free_port};
use crate::pipeline::plugin::{EcsCompatibility, OutputContext};
use crate::sink::Delivered;
use crate::sink::testing::{Seen, Server};

fn ok() -> (u16, &'static str, String) {
    (200, "", "fine".to_owned())
}

/// An output to `server`; `more` are further settings.
fn http(server: &Server, more: &str) -> Box<dyn Output> {
    output(&HTTP, &format!(r#"{{"url":"http://127.0.0.1:{}/a","http_method":"post"{more}}}"#, server.port))
}

async fn deliver(output: &mut dyn Output, events: &[&str]) -> Delivered {
    let records = batch(output, events);
    output.sink().deliver(&records).await.unwrap()
}

fn has(seen: &Seen, line: &str) -> bool {
    seen.head.to_ascii_lowercase().contains(&line.to_ascii_lowercase())
}

#[tokio::test]
async fn bodies_of_every_format() {
    let events = [r#"{"a":1,"b":"x y&ü"}"#, r#"{"a":[1,{"c":null}],"t":1.5}"#];
    let mapping = r#""mapping":{"m":"%{a}!","l":["%{b}",{"k":"c"}]}"#;
    let cases = [
        ("", "application/json", vec![r#"{"a":1,"b":"x y&ü"}"#, r#"{"a":[1,{"c":null}],"t":1.5}"#]),
        (
            r#","format":"json_batch""#,
            "application/json",
            vec![r#"[{"a":1,"b":"x y&ü"},{"a":[1,{"c":null}],"t":1.5}]"#],
        ),
        (
            r#","format":"form""#,
            "application/x-www-form-urlencoded",
            vec!["a=1&b=x+y%26%C3%BC", "a=%5B1%2C+%7B%22c%22+%3D%3E+nil%7D%5D&t=1.5"],
        ),
        (
            r#","format":"message","message":"%{a}-%{b}","content_type":"text/x""#,
            "text/x",
            vec!["1-x y&ü", "1,{c=null}-%{b}"],
        ),
        (
            &format!(",{mapping}"),
            "application/json",
            vec![r#"{"m":"1!","l":["x y&ü",{"k":"c"}]}"#, r#"{"m":"1,{c=null}!","l":["%{b}",{"k":"c"}]}"#],
        ),
        (
            &format!(r#",{mapping},"format":"form""#),
            "application/x-www-form-urlencoded",
            vec![
                "m=1%21&l=%5B%22x+y%26%C3%BC%22%2C+%7B%22k%22+%3D%3E+%22c%22%7D%5D",
                "m=1%2C%7Bc%3Dnull%7D%21&l=%5B%22%25%7Bb%7D%22%2C+%7B%22k%22+%3D%3E+%22c%22%7D%5D",
            ],
        ),
    ];
    for (settings, content_type, bodies) in cases {
        let server = Server::start(None, |_, _| ok());
        let mut output = http(&server, &format!(r#","pool_max":1{settings}"#));
        assert_eq!(deliver(&mut *output, &events).await, Delivered::default());
        let seen = server.seen();
        assert_eq!(seen.iter().map(|seen| seen.body.as_str()).collect::<Vec<_>>(), bodies, "{settings}");
        for seen in &seen {
            assert!(seen.head.starts_with("POST /a HTTP/1.1\r\n"), "{}", seen.head);
            assert!(has(seen, &format!("content-type: {content_type}\r\n")), "{}", seen.head);
        }
    }
}

#[tokio::test]
async fn addresses_and_headers_may_depend_on_the_event() {
    let server = Server::start(None, |_, _| ok());
    let url = format!("http://127.0.0.1:{}/%{{path}}?q=%{{q}}", server.port);
    let settings = format!(
        r#"{{"url":"{url}","http_method":"put","headers":{{"X-A":"%{{a}}","X-B":"b"}},"pool_max":1,
            "user":"u","password":"p","http_compression":true}}"#
    );
    let mut output = output(&HTTP, &settings);
    let delivered = deliver(
        &mut *output,
        &[
            r#"{"path":"one","q":1,"a":"x"}"#,
            r#"{"path":"t w o","q":2,"a":"y"}"#,
            r#"{"path":"three","q":3,"a":"line\nend"}"#,
            r#"{"path":"four","q":4,"a":"z"}"#,
            r#"{"path":"no q"}"#,
        ],
    )
    .await;
    assert_eq!(delivered.rejected.iter().map(|rejection| rejection.record).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(delivered.rejected[0].reason.contains("t w o"), "{:?}", delivered.rejected);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].head.starts_with("PUT /one?q=1 ") && has(&seen[0], "x-a: x\r\n"), "{}", seen[0].head);
    assert!(seen[1].head.starts_with("PUT /four?q=4 ") && has(&seen[1], "x-a: z\r\n"), "{}", seen[1].head);
    for line in ["x-b: b", "authorization: Basic dTpw", "content-encoding: gzip"] {
        assert!(has(&seen[0], line), "{line} in {}", seen[0].head);
    }
    assert_eq!(seen[0].body, r#"{"path":"one","q":1,"a":"x"}"#);
}

#[tokio::test]
async fn what_asks_to_come_again_does_and_what_is_refused_does_not() {
    let server = Server::start(None, |_, seen| match seen.body.as_str() {
        r#"{"s":429}"# => (429, "", String::new()),
        r#"{"s":500}"# => (500, "", String::new()),
        r#"{"s":400}"# => (400, "", "bad event".to_owned()),
        r#"{"s":418}"# => (418, "", String::new()),
        r#"{"s":302}"# => (302, "location: /elsewhere\r\n", String::new()),
        r#"{"s":0}"# => (0, "", String::new()),
        _ => ok(),
    });
    let events = [429, 200, 400, 418, 500, 302, 0].map(|s| format!(r#"{{"s":{s}}}"#));
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let mut output = http(&server, r#","ignorable_codes":[418]"#);
    let delivered = deliver(&mut *output, &events).await;
    let rejected = |delivered: &Delivered| -> Vec<(usize, bool)> {
        let mut list: Vec<_> =
            delivered.rejected.iter().map(|one| (one.record, one.reason.contains("bad event"))).collect();
        list.sort_unstable();
        list
    };
    assert_eq!(delivered.left(), [0, 4, 6]);
    assert_eq!(rejected(&delivered), [(2, true), (5, false)]);

    let mut output = http(&server, r#","retryable_codes":[400],"ignorable_codes":[418]"#);
    let delivered = deliver(&mut *output, &events).await;
    assert_eq!(delivered.left(), [2, 6]);
    assert_eq!(rejected(&delivered), [(0, false), (4, false), (5, false)]);

    let mut output = http(&server, r#","retry_failed":false"#);
    let delivered = deliver(&mut *output, &events).await;
    assert_eq!((delivered.left().len(), delivered.rejected.len()), (0, 6));

    // When nothing gets through, the output says so.
    let mut output = http(&server, r#","format":"json_batch""#);
    let records = batch(&mut *output, &[r#"{"s":1}"#]);
    assert_eq!(output.sink().deliver(&records).await.unwrap(), Delivered::default());
    let mut output = http(&server, "");
    let records = batch(&mut *output, &[r#"{"s":429}"#, r#"{"s":500}"#]);
    let error = output.sink().deliver(&records).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("status"), "{error}");
}

#[tokio::test]
async fn a_record_that_is_refused_does_not_take_its_batch_with_it() {
    let events: Vec<_> =
        (0..20).map(|at| if at % 9 == 4 { r#"{"a":"poison"}"# } else { r#"{"a":1}"# }).collect();
    let refuses = |_: usize, seen: &Seen| match seen.body.contains("poison") {
        true => (400, "", "no".to_owned()),
        false => ok(),
    };
    let server = Server::start(None, refuses);
    let delivered = deliver(&mut *http(&server, r#","format":"json_batch""#), &events).await;
    assert!(delivered.left().is_empty());
    assert_eq!(delivered.rejected.iter().map(|refused| refused.record).collect::<Vec<_>>(), [4, 13]);
    let taken: usize = server.seen().iter().filter(|seen| !seen.body.contains("poison")).count();
    assert!(taken < 10, "{taken} requests");

    // No record is to blame for a wrong password.
    let server = Server::start(None, |_, _: &Seen| (401, "", String::new()));
    let delivered = deliver(&mut *http(&server, r#","format":"json_batch""#), &events).await;
    assert_eq!((delivered.rejected.len(), server.seen().len()), (20, 1));
}

#[tokio::test]
async fn requests_are_repeated_at_once_where_that_is_safe() {
    // Without an answer to the first and the second.
    let script = |number, _: &Seen| if number < 2 { (0, "", String::new()) } else { ok() };
    for (settings, delivered) in [
        (r#""http_method":"put","automatic_retries":2"#, true),
        (r#""http_method":"put","automatic_retries":1"#, false),
        (r#""http_method":"post","automatic_retries":2"#, false),
        (r#""http_method":"post","automatic_retries":2,"retry_non_idempotent":true"#, true),
    ] {
        let server = Server::start(None, script);
        let url = format!("http://127.0.0.1:{}/", server.port);
        let mut output = output(&HTTP, &format!(r#"{{"url":"{url}",{settings},"retry_failed":false}}"#));
        assert_eq!(deliver(&mut *output, &[r#"{"a":1}"#]).await.rejected.is_empty(), delivered, "{settings}");
    }
}

#[tokio::test]
async fn questions_go_where_the_server_says() {
    let script = |_: usize, seen: &Seen| match seen.head.split(' ').nth(1) {
        Some("/a") => (302, "location: /b?c\r\n", String::new()),
        Some("/b?c") => ok(),
        Some("/see") => (303, "location: /b?c\r\n", String::new()),
        _ => (404, "", String::new()),
    };
    let server = Server::start(None, script);
    let get = |path: &str, method: &str, more: &str| {
        let url = format!("http://127.0.0.1:{}/{path}", server.port);
        output(&HTTP, &format!(r#"{{"url":"{url}","http_method":"{method}"{more}}}"#))
    };
    for (path, method, more, arrives) in [
        ("a", "get", "", true),
        ("a", "head", "", true),
        ("a", "post", "", false),
        ("see", "post", "", true),
        ("a", "get", r#","follow_redirects":false"#, false),
    ] {
        let delivered = deliver(&mut *get(path, method, more), &[r#"{"a":1}"#]).await;
        assert_eq!(delivered.rejected.is_empty(), arrives, "{method} {path}{more}");
    }
    let last = server.seen();
    assert!(last.iter().any(|seen| seen.head.starts_with("GET /b?c ") && seen.body.is_empty()));
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_for_ever() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    for timeout in [r#""request_timeout":0.1"#, r#""socket_timeout":0.1,"connect_timeout":0.1"#] {
        let mut output = output(&HTTP, &format!(r#"{{"url":"{url}","http_method":"post",{timeout}}}"#));
        let records = batch(&mut *output, &[r#"{"a":1}"#]);
        let start = std::time::Instant::now();
        let error = output.sink().deliver(&records).await.unwrap_err();
        assert!(error.is_transient() && start.elapsed() < Duration::from_secs(5), "{error}");
    }
}

#[tokio::test]
async fn our_own_input_gets_events_over_tls() {
    let (made, port) = (crate::tls::testing::Certificates::new(), free_port());
    made.signed("client", "ca", "/CN=client", "");
    let [certificate, key, ca, client, client_key] =
        ["server.pem", "server.key", "ca.pem", "client.pem", "client.key"].map(|name| made.text(name));
    let settings = format!(
        r#"{{"host":"127.0.0.1","port":{port},"ssl_enabled":true,"ssl_certificate":"{certificate}","ssl_key":"{key}",
            "ssl_certificate_authorities":["{ca}"],"ssl_client_authentication":"required","user":"u","password":"p"}}"#
    );
    let mut input = Running::start(&crate::pipeline::input::http::HTTP, &settings, EcsCompatibility::V8);
    drop(connect(port).await);
    let to = |more: &str| {
        let url = format!("https://localhost:{port}/");
        output(
            &HTTP,
            &format!(
                r#"{{"url":"{url}","http_method":"post","format":"json_batch","http_compression":true{more}}}"#
            ),
        )
    };
    let mut known = to(&format!(
        r#","ssl_certificate_authorities":["{ca}"],"ssl_certificate":"{client}","ssl_key":"{client_key}","user":"u","password":"p""#
    ));
    let events = [r#"{"a":1}"#, r#"{"a":2}"#];
    assert_eq!(deliver(&mut *known, &events).await, Delivered::default());
    assert_eq!((input.next().await.json("a"), input.next().await.json("a")), ("1".into(), "2".into()));
    // Whom the server does not believe, and who does not believe the server.
    for more in [format!(r#","ssl_certificate_authorities":["{ca}"]"#), String::new()] {
        let mut output = to(&more);
        let records = batch(&mut *output, &events);
        assert!(output.sink().deliver(&records).await.unwrap_err().is_transient());
    }
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[test]
fn what_cannot_work_is_refused() {
    for (settings, said) in [
        (r#"{"url":"ftp://a","http_method":"post"}"#, "ftp"),
        (r#"{"url":"http://a/%{b}","http_method":"post","format":"json_batch"}"#, "of a batch"),
        (r#"{"url":"http://a","http_method":"post","format":"message"}"#, "message"),
        (r#"{"url":"http://a","http_method":"post","user":"u"}"#, "password"),
        (r#"{"url":"http://a","http_method":"post","headers":{"a b":"c"}}"#, "a b"),
        (r#"{"url":"http://a","http_method":"post","ssl_certificate":"x"}"#, "ssl_key"),
    ] {
        let make = MakeOutput::of(&HTTP).expect("an output");
        let error = make
            .make(
                &settings_of(&HTTP, settings),
                &context(&HTTP, EcsCompatibility::V8),
                &OutputContext::default(),
            )
            .err();
        let error = error.unwrap_or_else(|| panic!("{settings} was accepted"));
        assert!(error.message.contains(said), "{settings}: {}", error.message);
    }
}
