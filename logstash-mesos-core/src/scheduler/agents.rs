//! The agents, as the master knows them: also those that never made an offer (CIT-7).

use super::shared::Shared;
use super::state::ListedAgent;
use crate::ids::AgentId;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use mesos_v1::transport::Authorization;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks every few seconds, while a subscription holds. A master that does not answer, or does not let us
/// see its agents, only costs the knowledge of agents without offers.
pub(super) async fn poll(
    shared: Arc<Shared>,
    authorization: Authorization,
    listing: mpsc::Sender<Vec<ListedAgent>>,
    stop: CancellationToken,
) {
    let mut failed = false;
    let mut wait = Duration::from_millis(500);
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        let (connected, master) = {
            let link = shared.link();
            (link.connected, link.master.clone())
        };
        if !connected {
            continue;
        }
        wait = EVERY;
        match tokio::time::timeout(LIMIT, ask(&master, authorization.header())).await {
            Ok(Ok(agents)) => {
                failed = false;
                if listing.send(agents).await.is_err() {
                    return;
                }
            }
            Ok(Err(error)) if !failed => {
                failed = true;
                tracing::info!(%error, master, "The master does not list its agents");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

async fn ask(
    master: &str,
    authorization: Option<axum::http::HeaderValue>,
) -> Result<Vec<ListedAgent>, Failure> {
    let stream = TcpStream::connect(master).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = axum::http::Request::post("/api/v1")
        .header("host", master)
        .header("content-type", "application/json")
        .header("accept", "application/json");
    if let Some(header) = authorization {
        request = request.header("authorization", header);
    }
    let body = Full::new(Bytes::from_static(br#"{"type":"GET_AGENTS"}"#));
    let response = sender.send_request(request.body(body)?).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes();
    connection.abort();
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        return Err(format!("{status}: {text}").into());
    }
    parse(&body).ok_or_else(|| "the answer is not a list of agents".into())
}

fn parse(body: &[u8]) -> Option<Vec<ListedAgent>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let answer = answer.get("get_agents")?;
    let agents = answer.get("agents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let agent = |agent: &Value| {
        let info = agent.get("agent_info")?;
        let flag = |name| agent.get(name).and_then(Value::as_bool).unwrap_or_default();
        Some(ListedAgent {
            agent_id: AgentId::new(info.get("id")?.get("value")?.as_str()?),
            hostname: info.get("hostname").and_then(Value::as_str).unwrap_or_default().to_owned(),
            active: flag("active") && !flag("deactivated") && agent.get("drain_info").is_none(),
            draining: agent.get("drain_info").is_some(),
            standing: None,
        })
    };
    Some(agents.iter().filter_map(agent).collect())
}

const EVERY: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(20);
const MAX_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_are_drained_or_away_are_not_active() {
        let agent = |id: &str, more: &str| {
            format!(r#"{{"agent_info":{{"id":{{"value":"{id}"}},"hostname":"h"}}{more}}}"#)
        };
        let agents = [
            agent("a", r#","active":true"#),
            agent("b", r#","active":false"#),
            agent("c", r#","active":true,"drain_info":{"state":"DRAINED"}"#),
            agent("d", r#","active":true,"deactivated":true"#),
            r#"{"unknown":1}"#.to_owned(),
        ];
        let body = format!(r#"{{"type":"GET_AGENTS","get_agents":{{"agents":[{}]}}}}"#, agents.join(","));
        let active: Vec<_> = parse(body.as_bytes()).expect("is a list").iter().map(|a| a.active).collect();
        assert_eq!(active, [true, false, false, false]);
        assert_eq!(parse(br#"{"get_agents":{}}"#), Some(vec![]));
        assert_eq!(parse(b"no"), None);
    }
}
