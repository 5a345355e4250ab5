//! Taking an amount out of offered resources.

use mesos_v1::proto::{Resource, value};

/// What a launch needs on an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Thousandths of a processor.
    pub cpus_milli: u64,
    /// Memory.
    pub mem_megabytes: u64,
    /// Space in the sandbox.
    pub disk_megabytes: u64,
}

impl Needs {
    /// Name and amount, in thousandths as Mesos keeps them.
    fn amounts(self) -> [(&'static str, u64); 3] {
        let [mem, disk] = [self.mem_megabytes, self.disk_megabytes].map(|mb| mb.saturating_mul(1000));
        [("cpus", self.cpus_milli), ("mem", mem), ("disk", disk)]
    }
}

/// What an offer lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Each resource that is short, as `0.1 cpus wanted, 0.05 offered`.
    pub lacking: Vec<String>,
}

/// Takes `needs` out of `offered`, and returns it in the very form it was offered: role, reservations
/// and allocation stay (CIT-3). What is reserved goes first, as nobody else can use it. Revocable and
/// shared resources and disks with a source or a volume are left alone.
///
/// # Errors
///
/// [`Shortage`] with everything that is short; nothing is taken then.
pub fn take(offered: &mut [Resource], needs: Needs) -> Result<Vec<Resource>, Shortage> {
    let mut lacking = Vec::new();
    for (name, wanted) in needs.amounts() {
        let there: u64 = offered.iter().filter(|r| usable(r, name)).map(milli).sum();
        if there < wanted {
            lacking.push(format!("{} {name} wanted, {} offered", decimal(wanted), decimal(there)));
        }
    }
    if !lacking.is_empty() {
        return Err(Shortage { lacking });
    }
    let mut taken = Vec::new();
    for (name, mut wanted) in needs.amounts() {
        for reserved in [true, false] {
            for resource in offered.iter_mut().filter(|r| usable(r, name) && is_reserved(r) == reserved) {
                let part = milli(resource).min(wanted);
                if part > 0 {
                    taken.push(with_amount(resource, part));
                    *resource = with_amount(resource, milli(resource) - part);
                    wanted -= part;
                }
            }
        }
    }
    Ok(taken)
}

fn usable(resource: &Resource, name: &str) -> bool {
    resource.name == name
        && resource.scalar.is_some()
        && resource.revocable.is_none()
        && resource.shared.is_none()
        && resource.disk.is_none()
}

fn is_reserved(resource: &Resource) -> bool {
    !resource.reservations.is_empty()
        || resource.reservation.is_some()
        || resource.role.as_deref().is_some_and(|role| role != "*")
}

fn milli(resource: &Resource) -> u64 {
    let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    // Mesos keeps three decimals; a float next to them is meant to be them.
    if value.is_finite() && value > 0.0 { (value * 1000.0).round() as u64 } else { 0 }
}

fn with_amount(resource: &Resource, milli: u64) -> Resource {
    let scalar = Some(value::Scalar { value: milli as f64 / 1000.0 });
    Resource { scalar, ..resource.clone() }
}

fn decimal(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_v1::proto::resource::{AllocationInfo, DiskInfo, ReservationInfo, RevocableInfo};

    fn resource(name: &str, value: f64) -> Resource {
        Resource {
            name: name.to_owned(),
            scalar: Some(value::Scalar { value }),
            allocation_info: Some(AllocationInfo { role: Some("logs".to_owned()) }),
            ..Resource::default()
        }
    }

    const NEEDS: Needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 };

    #[test]
    fn reserved_resources_go_first_and_keep_their_form() {
        let reserved = Resource {
            reservations: vec![ReservationInfo { role: Some("logs".to_owned()), ..Default::default() }],
            ..resource("cpus", 0.05)
        };
        let mut offered = vec![resource("cpus", 1.0), reserved.clone(), resource("mem", 64.0)];
        let taken = take(&mut offered, NEEDS).expect("fits");
        assert_eq!(taken, [reserved, resource("cpus", 0.05), resource("mem", 64.0)]);
        assert_eq!(offered[0], resource("cpus", 0.95));
    }

    #[test]
    fn what_others_may_take_back_is_left_alone() {
        let revocable = Resource { revocable: Some(RevocableInfo::default()), ..resource("cpus", 4.0) };
        let volume = Resource { disk: Some(DiskInfo::default()), ..resource("disk", 900.0) };
        let mut offered = vec![revocable, volume, resource("mem", 63.5)];
        let shortage =
            take(&mut offered, Needs { disk_megabytes: 1, ..NEEDS }).expect_err("does not fit").lacking;
        let expected =
            ["0.1 cpus wanted, 0 offered", "64 mem wanted, 63.5 offered", "1 disk wanted, 0 offered"];
        assert_eq!(shortage, expected);
    }

    #[test]
    fn odd_numbers_neither_panic_nor_count() {
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(take(&mut [resource("cpus", value), resource("mem", 64.0)], NEEDS).is_err(), "{value}");
        }
        let mut offered = [resource("cpus", 0.1 + 1e-12), resource("mem", 64.0)];
        take(&mut offered, NEEDS).expect("a float next to the amount is the amount");
    }
}
