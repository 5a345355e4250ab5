//! Offers: made with every allocation, used, refused and taken back.

use std::time::Duration;

use mesos_v1::proto::resource::AllocationInfo;
use mesos_v1::proto::scheduler::{Event, call, event};
use mesos_v1::proto::{AgentId, Attribute, FrameworkId, Offer, OfferId, Resource, offer, value};
use tokio::time::Instant;

use crate::cluster::{Agent, Cluster, Presence, of};

/// What is free on an agent: thousandths of a processor, and megabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Free {
    cpus_milli: u64,
    mem_megabytes: u64,
}

/// Longest time for which an offer is refused.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Agent {
    fn free(&self) -> Free {
        let used = self.tasks.len() as u64;
        Free {
            cpus_milli: 4_000_u64.saturating_sub(100 * used),
            mem_megabytes: 8_192_u64.saturating_sub(64 * used),
        }
    }

    /// What is refused is not offered; more than that is.
    fn is_refused(&self, now: Instant) -> bool {
        let free = self.free();
        self.refused.is_some_and(|(refused, until)| {
            now < until
                && free.cpus_milli <= refused.cpus_milli
                && free.mem_megabytes <= refused.mem_megabytes
        })
    }
}

impl Cluster {
    /// Offers everything that is free and wanted.
    pub(crate) fn allocate(&mut self) {
        if self.suppressed || !self.is_connected() {
            return;
        }
        let Some((framework_id, role)) = self.framework.as_ref().map(|f| (f.id.clone(), f.role.clone()))
        else {
            return;
        };
        let now = Instant::now();
        let wanted = self.agents.iter().filter(|(_, agent)| {
            agent.presence == Presence::Here && agent.offer.is_none() && !agent.is_refused(now)
        });
        let wanted: Vec<_> = wanted.map(|(id, _)| id.clone()).collect();
        let mut offers = Vec::new();
        for agent_id in wanted {
            let offer_id = format!("11111111-2222-3333-4444-555555555555-O{}", self.next());
            let Some(agent) = self.agents.get_mut(&agent_id) else { continue };
            agent.offer = Some(offer_id.clone());
            offers.push(Offer {
                id: OfferId { value: offer_id.clone() },
                framework_id: FrameworkId { value: framework_id.clone() },
                agent_id: AgentId { value: agent_id.clone() },
                hostname: agent.hostname.clone(),
                resources: resources(agent.free(), &role),
                attributes: vec![text_attribute("rack", "r1"), text_attribute("os", "debian")],
                allocation_info: Some(AllocationInfo { role: Some(role.clone()) }),
                ..Offer::default()
            });
            self.offers.insert(offer_id, agent_id);
        }
        self.counted.offers += offers.len() as u64;
        // As a master does, which makes all offers of an allocation one event.
        if !offers.is_empty() {
            self.send(Event { offers: Some(event::Offers { offers }), ..of(event::Type::Offers) });
        }
    }

    pub(crate) fn accept(&mut self, accept: call::Accept) {
        let seconds = accept.filters.unwrap_or_default().refuse_seconds();
        let ids: Vec<_> = accept.offer_ids.into_iter().map(|id| id.value).collect();
        let agents: Vec<_> = ids.iter().filter_map(|id| self.offers.get(id).cloned()).collect();
        let valid = agents.len() == ids.len() && agents.windows(2).all(|pair| pair[0] == pair[1]);
        for operation in
            accept.operations.into_iter().filter(|o| o.r#type() == offer::operation::Type::Launch)
        {
            for task in operation.launch.unwrap_or_default().task_infos {
                if valid {
                    self.launch(task);
                } else {
                    self.counted.stale += 1;
                    self.drop_task(&task);
                }
            }
        }
        for id in ids {
            self.take_back(&id, seconds);
        }
    }

    /// An offer is used or declined; what is left is not offered for a while.
    pub(crate) fn take_back(&mut self, offer_id: &str, refuse_seconds: f64) {
        let Some(agent_id) = self.offers.remove(offer_id) else { return };
        let Some(agent) = self.agents.get_mut(&agent_id) else { return };
        agent.offer = None;
        let wait = Duration::try_from_secs_f64(refuse_seconds).unwrap_or(Duration::from_secs(5)).min(LONGEST);
        agent.refused = Some((agent.free(), Instant::now() + wait));
    }

    /// The offer of an agent is valid no longer.
    pub(crate) fn rescind(&mut self, agent_id: &str) {
        let Some(offer_id) = self.agents.get_mut(agent_id).and_then(|a| a.offer.take()) else { return };
        self.offers.remove(&offer_id);
        let rescind = event::Rescind { offer_id: OfferId { value: offer_id } };
        self.send(Event { rescind: Some(rescind), ..of(event::Type::Rescind) });
    }

    /// All offers end together with their stream, without a word.
    pub(crate) fn drop_offers(&mut self) {
        for agent_id in std::mem::take(&mut self.offers).into_values() {
            if let Some(agent) = self.agents.get_mut(&agent_id) {
                agent.offer = None;
            }
        }
    }
}

fn resources(free: Free, role: &str) -> Vec<Resource> {
    let scalar = |(name, value): (&str, f64)| Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        allocation_info: Some(AllocationInfo { role: Some(role.to_owned()) }),
        ..Resource::default()
    };
    let amounts =
        [("cpus", free.cpus_milli as f64 / 1000.0), ("mem", free.mem_megabytes as f64), ("disk", 10_000.0)];
    amounts.map(scalar).to_vec()
}

fn text_attribute(name: &str, text: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        r#type: value::Type::Text.into(),
        text: Some(value::Text { value: text.to_owned() }),
        ..Attribute::default()
    }
}
