//! For whom a resource is kept, and which of it is kept for us.

use mesos_v1::proto::resource::{ReservationInfo, reservation_info};
use mesos_v1::proto::{Label, Labels, Resource};

/// How this framework reserves, and knows what it has reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserver {
    /// Written on every reservation; stays the same when the framework gets another id.
    pub name: String,
    /// The framework's principal, which Mesos wants on a reservation if there is one.
    pub principal: Option<String>,
}

impl Reserver {
    /// Whether this framework reserved it.
    pub fn has(&self, resource: &Resource) -> bool {
        resource.reservations.last().is_some_and(|reservation| {
            let labels = reservation.labels.as_ref().map(|l| l.labels.as_slice()).unwrap_or_default();
            is_dynamic(reservation)
                && labels.iter().any(|l| l.key == LABEL && l.value.as_deref() == Some(&self.name))
        })
    }

    /// `resource`, which nobody has reserved, as it is after RESERVE for the role it is offered to.
    pub(super) fn reserved(&self, resource: &Resource) -> Resource {
        let role = resource.allocation_info.as_ref().and_then(|allocation| allocation.role.clone());
        let label = Label { key: LABEL.to_owned(), value: Some(self.name.clone()) };
        let reservation = ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic.into()),
            role,
            principal: self.principal.clone(),
            labels: Some(Labels { labels: vec![label] }),
        };
        Resource { reservations: vec![reservation], ..resource.clone() }
    }
}

/// A resource as it is after UNRESERVE.
pub(super) fn unreserved(resource: &Resource) -> Resource {
    let mut resource = resource.clone();
    resource.reservations.pop();
    resource
}

/// Whether somebody put a label on the reservation: then it is kept for a purpose, and not for whoever has the role.
pub(super) fn is_labelled(resource: &Resource) -> bool {
    let labelled = |r: &ReservationInfo| r.labels.as_ref().is_some_and(|labels| !labels.labels.is_empty());
    resource.reservations.iter().any(|r| is_dynamic(r) && labelled(r))
}

/// The role it is reserved for, in either of Mesos's two formats; `None` if anybody may have it.
pub(super) fn role_of(resource: &Resource) -> Option<&str> {
    match resource.reservations.last() {
        Some(reservation) => Some(reservation.role.as_deref().unwrap_or_default()),
        None => resource.role.as_deref().filter(|role| *role != "*"),
    }
}

fn is_dynamic(reservation: &ReservationInfo) -> bool {
    reservation.r#type == Some(reservation_info::Type::Dynamic.into())
}

/// The key of the label on our reservations; its value names the framework.
const LABEL: &str = "logstash.mesos/reserved-for";
