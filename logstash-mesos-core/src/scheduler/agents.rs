//! The agents, as the master knows them: also those that never made an offer (CIT-7).

use super::shared::Shared;
use super::state::ListedAgent;
use crate::error_chain;
use crate::ids::AgentId;
use crate::offer::{AgentView, OfferStrategy};
use mesos_v1::operator::{Agent, OperatorClient, OperatorError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Asks the leading master again and again while a subscription holds, with the credentials and limits of
/// `client`; `strategy` judges each agent. A master that does not answer, or does not let us see its agents, only costs the knowledge of
/// agents without offers.
pub(super) async fn poll(
    shared: Arc<Shared>,
    client: OperatorClient,
    strategy: Arc<dyn OfferStrategy>,
    listing: mpsc::Sender<Vec<ListedAgent>>,
    stop: CancellationToken,
) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.relist_asked() => {}
            () = stop.cancelled() => return,
        }
        let Some(leader) = shared.link().leader.clone() else {
            wait = SOON;
            continue;
        };
        let client = client.clone().with(|client| client.masters = vec![leader]);
        let mut agents = Vec::new();
        let asked = client.agents(|agent| agents.extend(listed(agent, &*strategy))).await;
        let count = agents.len();
        let error = asked.as_ref().err().map(|error| error_chain(error)).unwrap_or_default();
        let is_news = shared.link().listed(&error);
        match asked {
            Ok(_) if listing.send(agents).await.is_err() => return,
            Err(OperatorError::Unauthorized { .. } | OperatorError::Forbidden { .. }) if is_news => {
                tracing::warn!(
                    error,
                    "The master does not let us see its agents: those without offers stay unknown"
                );
            }
            Err(_) if is_news => tracing::info!(error, "The master does not list its agents"),
            _ => {}
        }
        // Many losses in a row are one question.
        tokio::select! {
            () = tokio::time::sleep(SOON) => {}
            () = stop.cancelled() => return,
        }
        wait = interval(count, shared.state().is_suppressed());
    }
}

fn listed(agent: Agent, strategy: &dyn OfferStrategy) -> Option<ListedAgent> {
    let info = agent.agent_info;
    let agent_id = info.id?.value;
    let view = AgentView {
        agent_id: &agent_id,
        hostname: &info.hostname,
        attributes: &info.attributes,
        domain: info.domain.as_ref(),
    };
    let standing = strategy.standing(&view, &agent.total_resources, &agent.allocated_resources);
    let draining = agent.drain_info.is_some();
    Some(ListedAgent {
        active: agent.active && !agent.deactivated.unwrap_or_default() && !draining,
        draining,
        standing: Some(standing),
        agent_id: AgentId::new(agent_id),
        hostname: info.hostname,
    })
}

/// How long to wait between two lists of `agents` agents. A list costs master and scheduler time for each
/// agent on it, so a big cluster is asked less often, at rest least of all.
fn interval(agents: usize, at_rest: bool) -> Duration {
    let per_agent = if at_rest { Duration::from_micros(2500) } else { Duration::from_millis(1) };
    (per_agent * u32::try_from(agents).unwrap_or(u32::MAX)).clamp(SHORTEST, LONGEST)
}

const SOON: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::testing::plain_strategy;
    use crate::offer::{Needs, OnePerAgent};
    use mesos_v1::proto::{AgentId, AgentInfo, DrainInfo, Resource, value};

    fn mem(megabytes: f64) -> Resource {
        Resource {
            name: "mem".to_owned(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value: megabytes }),
            ..Resource::default()
        }
    }

    #[test]
    fn agents_that_are_drained_or_away_are_not_active_and_all_are_judged() {
        let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 };
        let strategy = OnePerAgent { excluded: vec!["h".to_owned()], ..plain_strategy(needs) };
        let info = AgentInfo {
            hostname: "h".to_owned(),
            id: Some(AgentId { value: "a".to_owned() }),
            ..AgentInfo::default()
        };
        let fine = Agent {
            agent_info: info,
            active: true,
            total_resources: vec![mem(1024.0)],
            allocated_resources: vec![mem(1000.0)],
            ..Agent::default()
        };
        let listed = |agent: Agent| listed(agent, &strategy);
        let active = |agent: Agent| listed(agent).map(|agent| (agent.active, agent.draining));
        assert_eq!(active(fine.clone()), Some((true, false)));
        assert_eq!(active(Agent { active: false, ..fine.clone() }), Some((false, false)));
        assert_eq!(
            active(Agent { drain_info: Some(DrainInfo::default()), ..fine.clone() }),
            Some((false, true))
        );
        assert_eq!(active(Agent { deactivated: Some(true), ..fine.clone() }), Some((false, false)));
        assert_eq!(active(Agent { agent_info: AgentInfo::default(), ..fine.clone() }), None);
        let standing = listed(fine).and_then(|agent| agent.standing).expect("is judged");
        assert!(standing.excluded.is_some() && standing.capacity.is_some());
    }

    #[test]
    fn a_big_cluster_is_asked_less_often() {
        let secs = |agents, at_rest| interval(agents, at_rest).as_secs();
        assert_eq!(
            [secs(10, true), secs(2_000, true), secs(10_000, true), secs(1_000_000, true)],
            [5, 5, 25, 60]
        );
        assert_eq!([secs(10, false), secs(10_000, false)], [5, 10]);
    }
}
