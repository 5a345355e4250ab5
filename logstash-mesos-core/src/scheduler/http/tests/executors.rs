//! What executors get: their program, and their session.

use super::*;

#[tokio::test]
async fn the_executors_program_is_served_whole_under_its_hash() {
    let server = Server::new("127.0.0.1:9092").await;
    let path = server.shared.binary().expect("is there").path();
    let (status, body) = server.raw(Method::GET, &path, &[], "").await;
    assert_eq!((status, body), (StatusCode::OK, vec![7; 1_000_000]));
    assert_eq!(server.call("GET", "/executor/other/logstash-mesos-executor", "").await.0, 404);
}

/// An executor that talks to the server over a real port.
struct Peer {
    say: tokio::sync::mpsc::Sender<ExecutorMessage>,
    heard: tonic::Streaming<SchedulerMessage>,
}

impl Peer {
    async fn open(url: &str, token: &str) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).expect("a URL");
        let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
        let (say, said) = tokio::sync::mpsc::channel(4);
        let hello = Hello {
            framework_id: "f".to_owned(),
            agent_id: "S1".to_owned(),
            executor_id: "e".to_owned(),
            hostname: "host-1".to_owned(),
            token: token.to_owned(),
            ..Hello::default()
        };
        let first = ExecutorMessage { message: Some(executor_message::Message::Hello(hello)) };
        say.send(first).await.expect("is open");
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let heard = client.session(said).await.expect("is served").into_inner();
        Self { say, heard }
    }

    async fn next_look(&mut self) -> Look {
        loop {
            if let scheduler_message::Message::Look(look) = self.next().await {
                return look;
            }
        }
    }

    async fn next(&mut self) -> scheduler_message::Message {
        self.heard.message().await.expect("is open").and_then(|m| m.message).expect("says something")
    }
}

#[tokio::test]
async fn an_executor_is_admitted_by_the_token_that_mesos_brought_and_gets_every_change() {
    let server = Server::new("127.0.0.1:9092").await;
    let address = "127.0.0.1:0".parse().expect("an address");
    let stop = CancellationToken::new();
    let port = listener::Listener::bind(address, Duration::ZERO, &stop).await.expect("binds");
    let url = format!("http://{}", port.address());
    let tls = PortTls::new(&HttpTls::default());
    tokio::spawn(listener::serve(port, tls, server.router.clone(), stop.clone()));
    let shared = &server.shared;

    // A task runs on the agent.
    let resource = |(name, value): (&str, f64)| proto::Resource {
        name: name.to_owned(),
        scalar: Some(proto::value::Scalar { value }),
        ..proto::Resource::default()
    };
    let mut offer = proto::Offer { hostname: "host-1".to_owned(), ..proto::Offer::default() };
    offer.agent_id.value = "S1".to_owned();
    offer.resources = [("cpus", 1.0), ("mem", 100.0)].map(resource).to_vec();
    {
        let mut state = shared.state();
        state.apply(Event::Subscribed { framework_id: "f".into() }, 1, &mut || 0);
        state.apply(Event::Offers(vec![offer]), 1, &mut || 0);
        let task_id = state.tasks().next().expect("is launched").task_id.clone();
        let running = proto::TaskStatus {
            task_id: (&task_id).into(),
            state: proto::TaskState::TaskRunning.into(),
            ..proto::TaskStatus::default()
        };
        state.apply(Event::Update(Box::new(running)), 1, &mut || 0);
        shared.sessions().expect(&"S1".into(), state.tasks());
    }

    // Who was not woken gets nothing but a refusal.
    for token in ["", "guessed"] {
        let refusal = Peer::open(&url, token).await.next().await;
        assert!(matches!(refusal, scheduler_message::Message::Rejected(r) if r.token_invalid), "{token:?}");
    }
    let wakes = shared.sessions().wakes_due(&url, "", 1);
    let [(_, wake)] = &wakes[..] else { panic!("{wakes:?}") };
    assert!(shared.sessions().wakes_due(&url, "", 2).is_empty(), "not at once again");
    let again = shared.sessions().wakes_due(&url, "", 10_000);
    assert_eq!(again[0].1.token, wake.token, "repeated until it is used");

    let mut peer = Peer::open(&url, &wake.token).await;
    assert!(matches!(peer.next().await, scheduler_message::Message::Welcome(_)));
    assert!(
        matches!(peer.next().await, scheduler_message::Message::ConfigSet(set) if set.configurations.is_empty())
    );
    assert!(shared.sessions().wakes_due(&url, "", 1_000_000).is_empty(), "it was used");

    assert_eq!(server.call("PUT", "/api/configs/nginx", r#"{"input":"filter { }"}"#).await.0, 200);
    let set = config_set(&shared.registry().snapshot(), "", &BTreeMap::new());
    shared.sessions().set.send_replace(Arc::new(set));
    let scheduler_message::Message::ConfigSet(set) = peer.next().await else { panic!("no set") };
    assert_eq!(set.configurations[0].name, "nginx");

    // What it says is shown, and its complaint stands beside the configuration.
    let stream = StreamStatus {
        id: "1".to_owned(),
        name: "web".to_owned(),
        container_id: "c0ffee0123".to_owned(),
        configurations: vec!["nginx".to_owned()],
        method: "proc-root".to_owned(),
        path: "/var/log/a".to_owned(),
        source: SourceKind::Path.into(),
        lost: [("truncated".to_owned(), 3)].into(),
        ..StreamStatus::default()
    };
    let reason = "did you mean `codec`?".to_owned();
    let refused = RefusedLabels {
        container_id: "decade0123".to_owned(),
        name: "db".to_owned(),
        labels: vec![RefusedLabel { label: "logstash.mesos/codc".to_owned(), reason }],
        ..RefusedLabels::default()
    };
    let status =
        Status { streams: vec![stream], events_in: 7, refused_labels: vec![refused], ..Status::default() };
    let result = ConfigResult {
        name: "nginx".to_owned(),
        kind: ConfigKind::Docker.into(),
        version: set.configurations[0].version.clone(),
        error: "no such plugin there".to_owned(),
    };
    let applied = Applied { set_version: set.set_version, results: vec![result] };
    for message in [executor_message::Message::Status(status), executor_message::Message::Applied(applied)] {
        peer.say.send(ExecutorMessage { message: Some(message) }).await.expect("is open");
    }
    let shown = async || server.call("GET", "/api/status", "").await.1;
    while shown().await["configurations"][0]["error"].is_null() {
        tokio::task::yield_now().await;
    }
    let status = shown().await;
    assert!(
        status["configurations"][0]["error"].as_str().is_some_and(|e| e.contains("no such plugin there"))
    );
    assert_eq!(status["agents"][0]["executor"]["connected"], true);
    assert_eq!(
        (&status["streams"][0]["path"], &status["streams"][0]["lost"]["truncated"]),
        (&json!("/var/log/a"), &json!(3))
    );

    // It is found, listed and explained.
    let (_, streams) = server.call("GET", "/api/streams?q=lost:%3E2%20name:web&sort=-lost", "").await;
    assert_eq!(
        (&streams["total"], &streams["agents"], &streams["streams"][0]["hostname"]),
        (&json!(1), &json!(1), &json!("host-1"))
    );
    assert_eq!(
        (&streams["streams"][0]["state"], &streams["streams"][0]["lost_text"]),
        (&json!("problem"), &json!("3 (truncated)"))
    );
    assert_eq!(server.call("GET", "/api/streams?q=other", "").await.1["total"], 0);
    for wrong in ["sort=colour", "limit=0", "what=1"] {
        assert_eq!(server.call("GET", &format!("/api/streams?{wrong}"), "").await.0, 400, "{wrong}");
    }
    let (_, found) = server.call("GET", "/api/find?q=WEB", "").await;
    assert_eq!(found["containers"][0]["container_id"], "c0ffee0123");
    assert_eq!(server.call("GET", "/api/find?q=nginx", "").await.1["configurations"][0]["name"], "nginx");
    assert_eq!(server.call("GET", "/api/find?q=hots-1", "").await.1["close"], json!(["host-1"]));
    let (_, way) = server.call("GET", "/api/explain?q=c0ffee", "").await;
    let way = &way["subjects"][0];
    assert_eq!(
        (&way["kind"], &way["name"], &way["state"]),
        (&json!("container"), &json!("web"), &json!("problem"))
    );
    let steps: Vec<_> =
        way["steps"].as_array().expect("a list").iter().map(|s| (&s["code"], &s["state"])).collect();
    let (ok, problem) = (json!("ok"), json!("problem"));
    let codes = ["configurations", "container", "matched", "read"].map(|code| json!(code));
    assert_eq!(steps, [(&codes[0], &problem), (&codes[1], &ok), (&codes[2], &ok), (&codes[3], &problem)]);
    // One of which nothing is read is known by what it says.
    let found = server.call("GET", "/api/find?q=DB", "").await.1;
    assert_eq!(
        (&found["containers"][0]["container_id"], &found["containers"][0]["hostname"], &found["close"]),
        (&json!("decade0123"), &json!("host-1"), &json!([]))
    );
    let (_, way) = server.call("GET", "/api/explain?q=db", "").await;
    let steps = way["subjects"][0]["steps"].as_array().expect("a list");
    let step = steps.iter().find(|step| step["code"] == "labels").expect("it is named");
    assert_eq!(step["state"], problem);
    assert!(
        step["text"]
            .as_str()
            .is_some_and(|text| text.contains("logstash.mesos/codc") && text.contains("codec"))
    );
    let refused = &shown().await["agents"][0]["executor"]["refused_labels"][0];
    assert_eq!(
        (&refused["name"], refused["labels"].as_object().map(|all| all.len())),
        (&json!("db"), Some(1))
    );
    let (_, overview) = server.call("GET", "/api/overview", "").await;
    let kinds: Vec<_> = overview["problems"].as_array().expect("a list").iter().map(|p| &p["kind"]).collect();
    assert_eq!(kinds, ["framework", "configuration", "agent", "stream"], "{overview}");
    assert_eq!(shown().await["configurations"][0]["refused_by"], 1);

    // Events are asked of it while somebody looks, and no longer.
    let endpoint = tonic::transport::Endpoint::from_shared(url.clone()).expect("a URL");
    let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
    let question = |query: &str| TailRequest { query: query.to_owned(), ..TailRequest::default() };
    assert_eq!(
        client.tail(question("nobody")).await.expect_err("is not there").code(),
        tonic::Code::NotFound
    );
    let mut seen = client.tail(question("web")).await.expect("is there").into_inner();
    let look = peer.next_look().await;
    assert_eq!((look.streams.as_str(), look.end), ("container:c0ffee0123:", false));
    let mut next = async || seen.message().await.expect("goes on").expect("goes on").message;
    let Some(tail_response::Message::Subject(subject)) = next().await else { panic!("no subject") };
    assert_eq!((subject.kind.as_str(), subject.places[0].hostname.as_str()), ("container", "host-1"));
    let sight =
        Sight { look_id: look.look_id, events: vec![LiveEvent::default()], left_out: 3, ..Sight::default() };
    let message = Some(executor_message::Message::Sight(sight));
    peer.say.send(ExecutorMessage { message }).await.expect("is open");
    let Some(tail_response::Message::Events(events)) = next().await else { panic!("no events") };
    assert_eq!((events.hostname.as_str(), events.events.len(), events.left_out), ("host-1", 1, 3));
    drop(seen);
    let ended = peer.next_look().await;
    assert_eq!((ended.look_id, ended.end), (look.look_id, true));

    // A second process with the same token takes the place of the first.
    let mut second = Peer::open(&url, &wake.token).await;
    assert!(matches!(second.next().await, scheduler_message::Message::Welcome(_)));
    // What was on its way before may still come.
    while let Ok(Some(_)) = peer.heard.message().await {}
    stop.cancel();
}
