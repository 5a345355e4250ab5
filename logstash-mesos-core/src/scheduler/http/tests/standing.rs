//! How things stand, why, and what changes.

use super::*;

#[tokio::test]
async fn everything_is_explained_and_what_is_not_there_is_said() {
    let server = Server::new("127.0.0.1:9092").await;
    let offer = |id: &str, host: &str| proto::Offer {
        id: proto::OfferId { value: format!("offer-{id}") },
        agent_id: proto::AgentId { value: id.to_owned() },
        hostname: host.to_owned(),
        ..proto::Offer::default()
    };
    let offers = vec![offer("m-S0", "web-1.example"), offer("m-S1", "web-2.example")];
    // They are held for a moment, as others may come; then it is time.
    let now_ms = crate::scheduler::clock::now_ms();
    server.shared.state().apply(Event::Offers(offers), now_ms - 60_000, &mut || 1);
    let (_, held) = server.call("GET", "/api/explain?q=S0", "").await;
    assert_eq!(held["subjects"][0]["state"], "unknown", "{held}");
    server.shared.state().apply(Event::Tick, now_ms, &mut || 1);

    let (status, all) = server.call("GET", "/api/explain", "").await;
    assert_eq!((status, &all["totals"]["agents"], &all["totals"]["problem"]), (200, &json!(2), &json!(2)));
    assert_eq!(
        (&all["subjects"][0]["kind"], &all["subjects"][0]["state"]),
        (&json!("framework"), &json!("problem"))
    );
    let step = &all["subjects"][1]["steps"][0];
    assert_eq!((&all["subjects"][1]["name"], &step["code"]), (&json!("web-1.example"), &json!("too_small")));
    assert_eq!(step["figures"]["wanted_mem_megabytes"], 64.0);
    assert!(step["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{step}");

    let (_, page) = server.call("GET", "/api/explain?limit=1", "").await;
    assert_eq!((page["subjects"].as_array().map(Vec::len), &page["next_offset"]), (Some(2), &json!(1)));
    let (_, page) = server.call("GET", "/api/explain?limit=1&offset=1&only=problem", "").await;
    assert_eq!((&page["subjects"][0]["name"], &page["next_offset"]), (&json!("web-2.example"), &Value::Null));
    for (query, names) in [
        ("m-S1", &["web-2.example"][..]),
        ("S1", &["web-2.example"]),
        ("WEB-1", &["web-1.example"]),
        ("web-1.example", &["web-1.example"]),
        ("m-", &["web-1.example", "web-2.example"]),
    ] {
        let (_, found) = server.call("GET", &format!("/api/explain?q={query}"), "").await;
        let found: Vec<_> =
            found["subjects"].as_array().expect("is there").iter().map(|s| &s["name"]).collect();
        assert_eq!(found, names, "{query}");
    }
    let (status, missing) = server.call("GET", "/api/explain?q=web-3.example", "").await;
    let text = missing["error"].as_str().unwrap_or_default();
    assert_eq!(status, 404);
    assert!(text.contains("close: web-1.example, web-2.example") && text.contains("not listed"), "{text}");
    for wrong in ["only=bad", "limit=0", "limit=x", "what=1"] {
        assert_eq!(server.call("GET", &format!("/api/explain?{wrong}"), "").await.0, 400, "{wrong}");
    }

    let service = crate::scheduler::grpc::ControlService { shared: server.shared.clone() };
    let ask = |query: &str, limit| {
        tonic::Request::new(ExplainRequest { query: query.to_owned(), limit, ..Default::default() })
    };
    let answer = service.explain(ask("", 1)).await.expect("answers").into_inner();
    let shown: Vec<_> =
        answer.subjects.iter().map(|subject| (subject.kind(), subject.name.as_str())).collect();
    assert_eq!(shown, [(SubjectKind::Framework, "logstash"), (SubjectKind::Agent, "web-1.example")]);
    assert_eq!((answer.next_offset, answer.totals.map(|t| t.agents)), (Some(1), Some(2)));
    assert_eq!(service.explain(ask("x", 0)).await.map_err(|e| e.code()).err(), Some(tonic::Code::NotFound));
}

#[tokio::test]
async fn the_event_stream_begins_with_what_one_may_do_and_how_things_stand() {
    for (bind, may_write) in [("127.0.0.1:9092", true), ("0.0.0.0:9092", false)] {
        let server = Server::new(bind).await;
        let request = Request::builder().uri("/api/events").header(header::HOST, "127.0.0.1:9092");
        let request = request.body(Body::empty()).expect("is one");
        let response = server.router.clone().oneshot(request).await.expect("never fails");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut body = response.into_body();
        let mut text = String::new();
        let mut more = async |text: &mut String| {
            let frame = body.frame().await.expect("goes on").expect("reads");
            text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
        };
        while text.matches("\n\n").count() < 2 {
            more(&mut text).await;
        }
        assert!(text.contains(&format!("\"may_write\":{may_write}")), "{text}");
        let overview = text.lines().filter_map(|line| line.strip_prefix("data: ")).nth(1).expect("is there");
        let overview: Value = serde_json::from_str(overview).expect("is JSON");
        // There is no master.
        assert_eq!(
            (&overview["problems_total"], &overview["problems"][0]["code"]),
            (&json!(1), &json!("master"))
        );
        server.shared.show("later".into());
        while !text.contains("data: later") {
            more(&mut text).await;
        }
        server.shared.end_lead();
        assert!(body.frame().await.is_none(), "it ends with the lead");
    }
}

#[tokio::test]
async fn the_status_says_why_an_agent_has_no_shipper() {
    let server = Server::new("127.0.0.1:9092").await;
    let mut offer = proto::Offer { hostname: "host-1".to_owned(), ..proto::Offer::default() };
    offer.agent_id.value = "S1".to_owned();
    let events = [Event::Subscribed { framework_id: "f".into() }, Event::Offers(vec![offer])];
    for event in events {
        server.shared.state().apply(event, 1_000, &mut || 0);
    }
    // For so long another offer might have come.
    server.shared.state().apply(Event::Tick, 5_000, &mut || 0);
    let (_, status) = server.call("GET", "/api/status", "").await;
    let agent = &status["agents"][0];
    assert_eq!(
        (&agent["agent_id"], &agent["hostname"], &agent["executor"]),
        (&json!("S1"), &json!("host-1"), &Value::Null)
    );
    let reason = agent["declined"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("needs 0.1 cpus, largest offer 0 cpus"), "{reason}");
    assert_eq!(agent["declined"][0]["at"], "1970-01-01T00:00:05.000Z");
    assert_eq!(status["framework"]["id"], "f");
    assert_eq!(server.call("GET", "/ready", "").await.0, 503);
}
