use proptest::prelude::*;

use super::agents::AgentReader;
use super::*;
use crate::proto::master::response::{GetAgents, GetVersion};
use crate::proto::master::{Call, Response as Answer};
use crate::proto::{AgentId, AgentInfo, VersionInfo};
use crate::scripted::Server;

fn agent(number: usize) -> Agent {
    Agent {
        agent_info: AgentInfo {
            hostname: format!("host{number}"),
            id: Some(AgentId { value: format!("a-S{number}") }),
            ..AgentInfo::default()
        },
        active: true,
        version: "1.11.0".into(),
        ..Agent::default()
    }
}

fn answer(agents: Vec<Agent>) -> Answer {
    let recovered_agents = vec![AgentInfo { hostname: "lost".into(), ..AgentInfo::default() }];
    let get_agents = Some(GetAgents { agents, recovered_agents });
    // A field on either side of the list, to be passed over.
    let version_info = VersionInfo { version: "1".into(), ..VersionInfo::default() };
    Answer { get_version: Some(GetVersion { version_info }), get_agents, ..Answer::default() }
}

fn client(server: &Server) -> OperatorClient {
    OperatorClient {
        request_timeout: Duration::from_secs(2),
        ..OperatorClient::new(vec![server.endpoint.clone()])
    }
}

fn name(agent: Agent) -> String {
    agent.agent_info.hostname
}

proptest! {
    #[test]
    fn any_split_gives_the_same_agents(count in 0usize..20, cuts in prop::collection::vec(1usize..60, 0..60)) {
        let bytes = answer((0..count).map(agent).collect()).encode_to_vec();
        let mut reader = AgentReader::new(1 << 20);
        let mut found = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            reader.push(now, &mut |agent: Agent| found.push(name(agent))).unwrap();
            rest = later;
        }
        let listed = reader.finish().unwrap();
        prop_assert_eq!(found, (0..count).map(|number| format!("host{number}")).collect::<Vec<_>>());
        prop_assert_eq!((listed.registered, listed.recovered.len()), (count, 1));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reader = AgentReader::new(1 << 20);
        let _ = reader.push(&bytes, &mut |_: Agent| {}).and_then(|()| reader.finish().map(drop));
    }

    #[test]
    fn an_answer_that_is_cut_is_no_answer(at in 0usize..400) {
        let bytes = answer((0..10).map(agent).collect()).encode_to_vec();
        let mut reader = AgentReader::new(1 << 20);
        // Where a field of the answer ends, nothing tells that more was to come but the HTTP library.
        let whole = answer(vec![]).get_version.map(|version| version.encoded_len() + 2).unwrap_or_default();
        prop_assume!(at < bytes.len() && at != 0 && at != whole);
        reader.push(&bytes[..at], &mut |_: Agent| {}).unwrap();
        prop_assert!(reader.finish().is_err());
    }
}

#[tokio::test]
async fn a_redirect_leads_to_the_leader() {
    let (mut follower, mut leader) = (Server::start().await, Server::start().await);
    let client = client(&follower);
    let location = format!("//{}/master/api/v1", leader.endpoint.authority());
    let serve = async {
        follower.next().await.status_with(307, &[("location", &location)], "");
        let asked = leader.next().await;
        assert_eq!(
            (asked.path.as_str(), asked.header("accept")),
            ("/api/v1", Some("application/x-protobuf"))
        );
        assert_eq!(asked.decode::<Call>().r#type(), call::Type::GetAgents);
        asked.message(&answer(vec![agent(1), agent(2)]));
    };
    let mut found = Vec::new();
    let (listed, ()) = tokio::join!(client.agents(|agent: Agent| found.push(agent)), serve);
    assert_eq!(found, [agent(1), agent(2)]);
    assert_eq!(listed.unwrap().recovered[0].hostname, "lost");
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_apart_and_asked_for_once() {
    for (status, words) in [(401, "wants other credentials"), (403, "does not permit GET_AGENTS")] {
        let (mut one, other) = (Server::start().await, Server::start().await);
        let mut client = client(&one);
        client.masters.push(other.endpoint.clone());
        let serve = async { one.next().await.status(status, "no") };
        let (result, ()) = tokio::join!(client.agents(|_: Agent| {}), serve);
        let error = result.unwrap_err();
        assert!(error.needs_person() && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn the_next_master_is_asked_where_one_knows_nothing() {
    let (mut one, mut other) = (Server::start().await, Server::start().await);
    let mut client = client(&one);
    client.masters.push(other.endpoint.clone());
    let serve = async {
        one.next().await.status(503, "No leader elected");
        let version_info = VersionInfo { version: "1.11.0".into(), ..VersionInfo::default() };
        other
            .next()
            .await
            .message(&Answer { get_version: Some(GetVersion { version_info }), ..Answer::default() });
    };
    let (version, ()) = tokio::join!(client.version(), serve);
    assert_eq!(version.unwrap(), "1.11.0");
}

// VER-1: a master without the v1 API.
#[tokio::test]
async fn an_old_master_tells_its_version_too() {
    let mut server = Server::start().await;
    let client = client(&server);
    let serve = async {
        server.next().await.status(404, "");
        let asked = server.next().await;
        assert_eq!(asked.path, "/version");
        asked.status(200, r#"{"build_date":"2015-05-05","build_time":1,"version":"0.22.1"}"#);
    };
    let (version, ()) = tokio::join!(client.version(), serve);
    assert_eq!(version.unwrap(), "0.22.1");
}

#[tokio::test]
async fn an_answer_has_limits() {
    let mut server = Server::start().await;
    let short = OperatorClient { max_answer_bytes: 100, ..client(&server) };
    let serve = async { server.next().await.message(&answer((0..100).map(agent).collect())) };
    let (result, ()) = tokio::join!(short.agents(|_: Agent| {}), serve);
    assert!(matches!(result, Err(OperatorError::TooLong { limit: 100, .. })), "{result:?}");

    let quick = OperatorClient { request_timeout: Duration::from_millis(50), ..client(&server) };
    let serve = async { server.next().await.stream(None) };
    let (result, _held_open) = tokio::join!(quick.agents(|_: Agent| {}), serve);
    assert!(matches!(result, Err(OperatorError::Timeout { .. })), "{result:?}");
}

/// 10,000 agents as a big cluster has them.
#[test]
fn a_big_cluster_costs_little() {
    let one = Agent {
        total_resources: vec![crate::proto::Resource { name: "cpus".into(), ..Default::default() }; 8],
        allocated_resources: vec![crate::proto::Resource { name: "mem".into(), ..Default::default() }; 8],
        pid: Some("slave(1)@10.0.0.1:5051".into()),
        ..agent(0)
    };
    let bytes = answer(vec![one; 10_000]).encode_to_vec();
    let mut reader = AgentReader::new(1 << 30);
    let (mut count, mut most) = (0, 0);
    for chunk in bytes.chunks(16 << 10) {
        reader.push(chunk, &mut |_: Agent| count += 1).unwrap();
        most = most.max(reader.capacity());
    }
    assert_eq!(count, 10_000);
    assert!(most < 256 << 10, "{most} bytes were held");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_master_without_tls_is_told_from_one_that_is_not_believed() {
    use crate::tls::Tls;

    // It takes what TLS says for a request, and answers that it is none.
    let server = Server::start().await;
    let mut client = client(&server);
    client.masters = vec![server.endpoint.clone().with_tls(true)];
    let error = client.version().await.unwrap_err();
    assert!(super::chain(&error).contains("nothing was set up for TLS"), "{error}");

    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    client.tls = Tls::new(config.into());
    let error = client.version().await.unwrap_err();
    assert!(error.to_string().contains("write http:// instead"), "{error:?}");
}

// A token that has run out is renewed, once.
#[tokio::test]
async fn credentials_are_renewed_when_they_are_refused() {
    use crate::transport::{Credentials, Renewal};
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Counted(AtomicUsize);
    impl Credentials for Counted {
        fn header(&self) -> Option<String> {
            Some(format!("token={}", self.0.load(Ordering::Relaxed)))
        }
        fn renew(&self) -> Renewal<'_> {
            Box::pin(async {
                match self.0.fetch_add(1, Ordering::Relaxed) {
                    1 => Err("nobody to log in with".into()),
                    _ => Ok(()),
                }
            })
        }
    }

    let mut server = Server::start().await;
    let authorization = Authorization::new(Counted(AtomicUsize::new(0)));
    let client = OperatorClient { authorization, ..client(&server) };
    let serve = async {
        for token in ["token=0", "token=1"] {
            let asked = server.next().await;
            assert_eq!(asked.header("authorization"), Some(token));
            asked.status(401, "expired");
        }
    };
    let (result, ()) = tokio::join!(client.version(), serve);
    assert!(matches!(result, Err(OperatorError::Unauthorized { text, .. }) if text == "expired"));

    let serve = async { server.next().await.status(401, "expired") };
    let (result, ()) = tokio::join!(client.version(), serve);
    assert!(
        matches!(result, Err(OperatorError::Unauthorized { text, .. }) if text == "nobody to log in with")
    );
}
