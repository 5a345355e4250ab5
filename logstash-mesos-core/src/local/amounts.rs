//! How much of each resource, in thousandths, as Mesos keeps three decimals.

use std::ops::{Add, Sub};

use mesos_v1::proto::{Resource, resource, value};

/// An amount of everything the local agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amounts {
    cpus: i64,
    mem: i64,
    disk: i64,
}

impl Amounts {
    pub(super) fn of_agent(cpus_milli: u64, mem_megabytes: u64, disk_megabytes: u64) -> Self {
        let milli = |value: u64| i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(1000);
        Self {
            cpus: i64::try_from(cpus_milli).unwrap_or(i64::MAX),
            mem: milli(mem_megabytes),
            disk: milli(disk_megabytes),
        }
    }

    /// Adds resources up, or names one that this agent does not have.
    pub(super) fn of(resources: &[Resource]) -> Result<Self, String> {
        let mut sum = Self::default();
        for resource in resources {
            let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
            // Out of range values saturate, and then do not fit.
            let milli = (value * 1000.0).round() as i64;
            if !value.is_finite() || milli < 0 {
                return Err(format!("resource {} has no amount", resource.name));
            }
            let part = match resource.name.as_str() {
                "cpus" => Self { cpus: milli, ..Self::default() },
                "mem" => Self { mem: milli, ..Self::default() },
                "disk" => Self { disk: milli, ..Self::default() },
                name => return Err(format!("resource {name} is not offered")),
            };
            sum = sum + part;
        }
        Ok(sum)
    }

    pub(super) fn fits(self, inside: Self) -> bool {
        self.cpus <= inside.cpus && self.mem <= inside.mem && self.disk <= inside.disk
    }

    /// Enough to be worth an offer: what Mesos itself takes as the least.
    pub(super) fn is_worth_offering(self) -> bool {
        self.cpus >= 10 || self.mem >= 32_000
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn to_resources(self, role: Option<&str>) -> Vec<Resource> {
        [("cpus", self.cpus), ("mem", self.mem), ("disk", self.disk)]
            .into_iter()
            .filter(|(_, milli)| *milli > 0)
            .map(|(name, milli)| Resource {
                name: name.to_owned(),
                r#type: value::Type::Scalar.into(),
                scalar: Some(value::Scalar { value: milli as f64 / 1000.0 }),
                allocation_info: role.map(|role| resource::AllocationInfo { role: Some(role.to_owned()) }),
                ..Resource::default()
            })
            .collect()
    }
}

impl Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpus: self.cpus.saturating_add(other.cpus),
            mem: self.mem.saturating_add(other.mem),
            disk: self.disk.saturating_add(other.disk),
        }
    }
}

impl Sub for Amounts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { cpus: self.cpus - other.cpus, mem: self.mem - other.mem, disk: self.disk - other.disk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_go_there_and_back() {
        let all = Amounts::of_agent(2500, 1024, 10);
        assert_eq!(Amounts::of(&all.to_resources(Some("logs"))), Ok(all));
        assert_eq!(all.to_resources(Some("logs"))[0].allocation_info.as_ref().unwrap().role(), "logs");
        assert!(Amounts::of_agent(1, 0, 0).fits(all) && !Amounts::of_agent(2501, 0, 0).fits(all));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let ports = Resource { name: "ports".into(), ..Resource::default() };
        assert!(Amounts::of(&[ports]).unwrap_err().contains("ports"));
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            let scalar = Some(value::Scalar { value });
            assert!(Amounts::of(&[Resource { name: "cpus".into(), scalar, ..Resource::default() }]).is_err());
        }
    }
}
