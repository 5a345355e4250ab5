//! Offers that are neither used nor given back yet.

use super::super::shard::shard_of;
use crate::ids::{AgentId, OfferId};
use mesos_v1::proto::Offer;
use std::collections::{BTreeMap, BTreeSet};

/// One agent, and the role that its offers are made to: what one ACCEPT can take together.
pub(super) type Place = (AgentId, String);

/// Held offers, for a few seconds each: nobody else can use what we hold (CIT-1).
///
/// Places get their turn by the shard in which their agent is stored, so that launches at a time are few writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    groups: BTreeMap<Place, Group>,
    places: BTreeMap<OfferId, Place>,
    /// To be decided about.
    fresh: BTreeSet<(u8, Place)>,
    /// Good for a launch that is not allowed yet, in the order of their turns.
    turns: BTreeSet<(u8, Place)>,
    /// The same, by when they came.
    waiting: BTreeSet<(u64, Place)>,
    /// Too small alone, by when they came.
    short: BTreeSet<(u64, Place)>,
}

/// What offers are held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Another launch to be allowed.
    Turn,
    /// More offers of the same place.
    More,
}

#[derive(Clone, Debug)]
struct Group {
    offers: Vec<Offer>,
    since_ms: u64,
}

impl Held {
    pub(super) fn add(&mut self, offer: Offer, now_ms: u64) {
        let role = offer.allocation_info.as_ref().and_then(|info| info.role.clone()).unwrap_or_default();
        let place = (AgentId::from(&offer.agent_id), role);
        self.places.insert(OfferId::from(&offer.id), place.clone());
        self.fresh.insert((shard_of(&place.0), place.clone()));
        let new = || Group { offers: vec![], since_ms: now_ms };
        self.groups.entry(place).or_insert_with(new).offers.push(offer);
    }

    /// The master takes an offer back.
    pub(super) fn rescind(&mut self, offer_id: &OfferId) {
        let Some(place) = self.places.remove(offer_id) else { return };
        let Some(group) = self.groups.get_mut(&place) else { return };
        group.offers.retain(|o| OfferId::from(&o.id) != *offer_id);
        if group.offers.is_empty() {
            self.take(&place);
        }
    }

    /// Whether any offer of an agent is held.
    pub(super) fn has(&self, agent_id: &AgentId) -> bool {
        let first = (agent_id.clone(), String::new());
        self.groups.range(first..).next().is_some_and(|(place, _)| place.0 == *agent_id)
    }

    /// All offers are void.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A place with offers that nobody looked at yet.
    pub(super) fn next_fresh(&mut self) -> Option<Place> {
        self.fresh.pop_first().map(|(_, place)| place)
    }

    /// The place whose turn is next.
    pub(super) fn next_waiting(&self) -> Option<Place> {
        self.turns.first().map(|(_, place)| place.clone())
    }

    /// A place that has been waiting since before `ms`.
    pub(super) fn waiting_since_before(&self, ms: u64) -> Option<Place> {
        self.waiting.first().filter(|(since, _)| *since < ms).map(|(_, place)| place.clone())
    }

    /// A place that has been short since before `ms`.
    pub(super) fn short_since_before(&self, ms: u64) -> Option<Place> {
        self.short.first().filter(|(since, _)| *since < ms).map(|(_, place)| place.clone())
    }

    /// How many places wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the offers of a place, and since when they are held.
    pub(super) fn take(&mut self, place: &Place) -> Option<(Vec<Offer>, u64)> {
        let Group { offers, since_ms } = self.groups.remove(place)?;
        for offer in &offers {
            self.places.remove(&OfferId::from(&offer.id));
        }
        let turn = (shard_of(&place.0), place.clone());
        self.fresh.remove(&turn);
        self.turns.remove(&turn);
        self.waiting.remove(&(since_ms, place.clone()));
        self.short.remove(&(since_ms, place.clone()));
        Some((offers, since_ms))
    }

    /// Puts offers back, to wait for something.
    pub(super) fn wait(&mut self, place: Place, offers: Vec<Offer>, since_ms: u64, what: For) {
        for offer in &offers {
            self.places.insert(OfferId::from(&offer.id), place.clone());
        }
        let queue = match what {
            For::Turn => {
                self.turns.insert((shard_of(&place.0), place.clone()));
                &mut self.waiting
            }
            For::More => &mut self.short,
        };
        queue.insert((since_ms, place.clone()));
        self.groups.insert(place, Group { offers, since_ms });
    }
}
