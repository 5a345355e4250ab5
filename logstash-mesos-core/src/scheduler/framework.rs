//! What the framework says about itself, and which offers it asks the master to keep.

use super::settings::Settings;
use crate::offer::{OnePerAgent, Refusals, Reserver, Unwanted, WantedPorts};
use mesos_v1::proto::offer_filters::MinAllocatableResources;
use mesos_v1::proto::{FrameworkInfo, OfferFilters, framework_info};
use mesos_v1::scheduler::Subscription;

/// The framework without what changes between subscriptions.
pub(super) fn framework_info(settings: &Settings) -> FrameworkInfo {
    use framework_info::capability::Type;
    let mut capabilities = vec![
        Type::MultiRole,
        Type::PartitionAware,
        Type::ReservationRefinement,
        Type::TaskKillingState,
        Type::RegionAware,
    ];
    if settings.placement.revocable {
        capabilities.push(Type::RevocableResources);
    }
    let capability = |kind: Type| framework_info::Capability { r#type: Some(kind.into()) };
    FrameworkInfo {
        name: settings.framework_name.clone(),
        user: settings.user.clone(),
        roles: settings.placement.roles.clone(),
        checkpoint: Some(true),
        capabilities: capabilities.into_iter().map(capability).collect(),
        principal: settings.credentials.principal().map(str::to_owned),
        hostname: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        ..FrameworkInfo::default()
    }
}

/// Which offers to use, as the settings say.
pub(super) fn strategy(settings: &Settings) -> OnePerAgent {
    let placement = &settings.placement;
    OnePerAgent {
        needs: settings.needs,
        ports: WantedPorts::default(),
        roles: placement.roles.clone(),
        reserver: Reserver {
            name: settings.framework_name.clone(),
            principal: settings.credentials.principal().map(str::to_owned),
        },
        reserve: placement.reserve,
        revocable: placement.revocable,
        constraints: placement.constraints.clone(),
        excluded: placement.excluded.clone(),
        refusals: Refusals::default(),
    }
}

/// Which offers a master is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// All of them: reservations that are to be given up come in the smallest offers, and from agents that the
    /// rules do not select.
    pub(super) everything: bool,
    /// Of the agents that the rules select, so far as the master can tell.
    pub(super) constraints: bool,
}

/// Asks the master to keep the offers that are of no use.
pub(super) fn keep_away(subscription: &mut Subscription, unwanted: Unwanted, asked: Asked) {
    let Unwanted { mut filters, constraints } = unwanted;
    if asked.everything {
        // A filter without amounts overrides the master's own.
        let all = OfferFilters { min_allocatable_resources: Some(MinAllocatableResources::default()) };
        filters.values_mut().for_each(|filter| *filter = all.clone());
    }
    subscription.framework.offer_filters = filters;
    subscription.offer_constraints = constraints.filter(|_| asked.constraints && !asked.everything);
}

/// Whether a master of this version knows offer constraints: 1.11 and later.
pub(super) fn knows_constraints(version: Option<&str>) -> bool {
    let mut parts = version.unwrap_or_default().split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => (major, minor) >= (1, 11),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn only_masters_that_are_known_to_know_constraints_get_them() {
        for (version, knows) in [
            (Some("1.11.0"), true),
            (Some("1.11.0-0.9.0"), true),
            (Some("2.0"), true),
            (Some("1.10.3"), false),
            (Some("0.28.2"), false),
            (Some("next"), false),
            (None, false),
        ] {
            assert_eq!(knows_constraints(version), knows, "{version:?}");
        }
    }

    #[test]
    fn nothing_is_kept_away_while_reservations_are_given_up() {
        let unwanted = || Unwanted {
            filters: BTreeMap::from([("logs".to_owned(), OfferFilters::default())]),
            constraints: Some(Default::default()),
        };
        let asked = |everything, constraints| Asked { everything, constraints };
        let mut subscription = Subscription::default();
        keep_away(&mut subscription, unwanted(), asked(false, true));
        assert!(subscription.offer_constraints.is_some());
        keep_away(&mut subscription, unwanted(), asked(true, true));
        let filter = subscription.framework.offer_filters["logs"].min_allocatable_resources.as_ref();
        assert!(filter.is_some_and(|minimum| minimum.quantities.is_empty()));
        assert!(subscription.offer_constraints.is_none());
        keep_away(&mut subscription, unwanted(), asked(false, false));
        assert!(subscription.offer_constraints.is_none());
    }
}
