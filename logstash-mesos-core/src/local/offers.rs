//! Offers: what is free, who is told, and who does not want it.

use std::time::Duration;

use mesos_v1::proto::scheduler::{Event, event};
use mesos_v1::proto::{AgentId, Attribute, ExecutorId, FrameworkId, Offer, OfferId, resource, value};
use tokio::time::Instant;

use super::amounts::Amounts;
use super::state::{Filter, Outstanding, State, event_of};

/// Longest refusal of an offer that is believed.
const REFUSE_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const REFUSE_DEFAULT: Duration = Duration::from_secs(5);

impl State {
    /// What nobody has, and nobody is offered.
    fn free(&self) -> Amounts {
        let executors = self.executors.values().map(|executor| executor.amounts);
        let tasks = self.frameworks.values().flat_map(|framework| framework.tasks.values());
        let tasks = tasks.filter(|task| !task.is_terminal()).map(|task| task.amounts);
        let offers = self.offers.values().map(|offer| offer.amounts);
        executors.chain(tasks).chain(offers).fold(self.total, |free, used| free - used)
    }

    pub(super) fn allocate(&mut self) {
        let free = self.free();
        if self.closing || !self.agent_is_reached() || !free.is_worth_offering() {
            return;
        }
        let now = Instant::now();
        let chosen = self.frameworks.iter_mut().find_map(|(id, framework)| {
            framework.filters.retain(|filter| filter.until > now);
            framework.stream.as_ref()?;
            let wants = |role: &String| {
                let filtered = |filter: &Filter| filter.role == *role && free.fits(filter.amounts);
                !framework.suppressed.contains(role) && !framework.filters.iter().any(filtered)
            };
            framework.roles().into_iter().find(wants).map(|role| (id.clone(), role))
        });
        let Some((id, role)) = chosen else { return };
        let number = self.next();
        let offer_id = format!("{}-O{number}", self.master_id);
        let executor_ids = self.executors.keys().filter(|(framework, _)| *framework == id);
        let offer = Offer {
            id: OfferId { value: offer_id.clone() },
            framework_id: FrameworkId { value: id.clone() },
            agent_id: AgentId { value: self.agent_id.clone() },
            hostname: self.hostname.clone(),
            resources: free.to_resources(Some(&role)),
            executor_ids: executor_ids.map(|(_, executor)| ExecutorId { value: executor.clone() }).collect(),
            attributes: self.attributes(),
            allocation_info: Some(resource::AllocationInfo { role: Some(role.clone()) }),
            ..Offer::default()
        };
        if let Some(framework) = self.frameworks.get(&id) {
            let offers = Some(event::Offers { offers: vec![offer] });
            framework.send(&Event { offers, ..event_of(event::Type::Offers) });
        }
        self.offers.insert(offer_id, Outstanding { framework: id, role, amounts: free });
    }

    fn attributes(&self) -> Vec<Attribute> {
        let attribute = |(name, text): (&String, &String)| Attribute {
            name: name.clone(),
            r#type: value::Type::Text.into(),
            text: Some(value::Text { value: text.clone() }),
            ..Attribute::default()
        };
        self.attributes.iter().map(attribute).collect()
    }

    /// Ends offers at the framework's wish; unknown ones are of no interest.
    pub(super) fn take_back(&mut self, id: &str, offer_ids: &[OfferId], refuse_seconds: f64) {
        for offer_id in offer_ids {
            let known = self.offers.get(&offer_id.value).is_some_and(|offer| offer.framework == id);
            if let Some(offer) = self.offers.remove(&offer_id.value).filter(|_| known) {
                self.filter(id, offer.role, offer.amounts, refuse_seconds);
            }
        }
    }

    pub(super) fn filter(&mut self, id: &str, role: String, amounts: Amounts, refuse_seconds: f64) {
        let refuse =
            Duration::try_from_secs_f64(refuse_seconds).unwrap_or(REFUSE_DEFAULT).min(REFUSE_LONGEST);
        if !refuse.is_zero() && !amounts.is_empty() {
            let until = Instant::now() + refuse;
            self.with_framework(id, |framework| framework.filters.push(Filter { role, amounts, until }));
        }
    }

    /// All offers of a framework, without a word: its stream is replaced or gone.
    pub(super) fn rescind_all(&mut self, id: &str) {
        self.offers.retain(|_, offer| offer.framework != id);
    }

    /// All offers of everybody, since the agent is gone.
    pub(super) fn rescind_because_agent_is_gone(&mut self) {
        for (offer_id, offer) in std::mem::take(&mut self.offers) {
            if let Some(framework) = self.frameworks.get(&offer.framework) {
                let rescind = Some(event::Rescind { offer_id: OfferId { value: offer_id } });
                framework.send(&Event { rescind, ..event_of(event::Type::Rescind) });
            }
        }
    }
}
