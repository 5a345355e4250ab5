//! Resources and rules for tests.

use super::{Needs, OnePerAgent, Refusals, Reserver, WantedPorts};
use mesos_v1::proto::resource::{AllocationInfo, ReservationInfo, reservation_info};
use mesos_v1::proto::{Label, Labels, Resource, value};

pub(crate) fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        scalar: Some(value::Scalar { value }),
        allocation_info: Some(AllocationInfo { role: Some("logs".to_owned()) }),
        ..Resource::default()
    }
}

pub(crate) fn mem(value: f64) -> Resource {
    scalar("mem", value)
}

pub(crate) fn ports(ranges: &[(u64, u64)]) -> Resource {
    let range = ranges.iter().map(|(begin, end)| value::Range { begin: *begin, end: *end }).collect();
    let base = scalar("ports", 0.0);
    Resource {
        r#type: value::Type::Ranges.into(),
        scalar: None,
        ranges: Some(value::Ranges { range }),
        ..base
    }
}

pub(crate) fn reserved(resource: Resource, role: &str) -> Resource {
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Static.into()),
        role: Some(role.to_owned()),
        ..ReservationInfo::default()
    };
    Resource { reservations: vec![reservation], ..resource }
}

pub(crate) fn dynamic(resource: Resource, role: &str, name: &str) -> Resource {
    let label = Label { key: "logstash.mesos/reserved-for".to_owned(), value: Some(name.to_owned()) };
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic.into()),
        role: Some(role.to_owned()),
        labels: Some(Labels { labels: vec![label] }),
        ..ReservationInfo::default()
    };
    Resource { reservations: vec![reservation], ..resource }
}

/// Uses what offers to everybody hold, and nothing more.
pub(crate) fn plain_strategy(needs: Needs) -> OnePerAgent {
    OnePerAgent {
        needs,
        ports: WantedPorts::default(),
        roles: vec!["*".to_owned()],
        reserver: Reserver { name: "logstash".to_owned(), principal: None },
        reserve: false,
        revocable: false,
        constraints: vec![],
        excluded: vec![],
        refusals: Refusals::default(),
    }
}
