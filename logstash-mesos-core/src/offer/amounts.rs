//! Amounts of what Mesos counts, in the thousandths that it keeps.

use mesos_v1::proto::{Resource, value};
use std::fmt;

/// What a launch needs on an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Thousandths of a processor.
    pub cpus_milli: u64,
    /// Megabytes of memory, as Mesos counts them (1 MB is 2²⁰ bytes).
    pub mem_megabytes: u64,
    /// Space in the sandbox.
    pub disk_megabytes: u64,
}

impl Needs {
    /// The same in the thousandths that offers are compared by.
    pub fn amounts(self) -> Amounts {
        let [mem_milli, disk_milli] =
            [self.mem_megabytes, self.disk_megabytes].map(|mb| mb.saturating_mul(1000));
        Amounts { cpus_milli: self.cpus_milli, mem_milli, disk_milli }
    }
}

/// So much of each resource that has an amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a processor.
    pub cpus_milli: u64,
    /// Thousandths of a megabyte of memory.
    pub mem_milli: u64,
    /// Thousandths of a megabyte of disk.
    pub disk_milli: u64,
}

/// A resource that has an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `cpus`, counted in processors.
    Cpus,
    /// `mem`, counted in megabytes.
    Mem,
    /// `disk`, the space of sandboxes, counted in megabytes.
    Disk,
}

impl Kind {
    /// Every kind, in the order in which shortages are told.
    pub const ALL: [Self; 3] = [Self::Cpus, Self::Mem, Self::Disk];

    /// As Mesos calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Disk => "disk",
        }
    }

    /// The setting that says how much of it an executor gets.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Cpus => "--executor-cpus",
            Self::Mem => "--executor-mem-megabytes",
            Self::Disk => "--executor-disk-megabytes",
        }
    }

    /// An amount of it in words: `0.1 cpus`, `64 MB of mem`.
    pub fn words(self, milli: u64) -> impl fmt::Display {
        let amount = decimal(milli);
        match self {
            Self::Cpus => format!("{amount} cpus"),
            Self::Mem => format!("{amount} MB of mem"),
            Self::Disk => format!("{amount} MB of disk"),
        }
    }

    /// The kind of a resource, if it is a plain amount of one: no volume, no disk of its own, not shared.
    pub fn of(resource: &Resource) -> Option<Self> {
        let plain = resource.scalar.is_some() && resource.shared.is_none() && resource.disk.is_none();
        Self::ALL.into_iter().find(|kind| plain && kind.name() == resource.name)
    }
}

impl Amounts {
    /// How much of one of them.
    pub fn get(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpus => self.cpus_milli,
            Kind::Mem => self.mem_milli,
            Kind::Disk => self.disk_milli,
        }
    }

    /// Adds so much of one.
    pub fn add(&mut self, kind: Kind, milli: u64) {
        let amount = match kind {
            Kind::Cpus => &mut self.cpus_milli,
            Kind::Mem => &mut self.mem_milli,
            Kind::Disk => &mut self.disk_milli,
        };
        *amount = amount.saturating_add(milli);
    }

    /// Whether there is none of anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The amount of a resource. Mesos keeps three decimals; a float next to them is meant to be them, and odd ones
/// count as nothing.
pub(super) fn milli(resource: &Resource) -> u64 {
    let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    if value.is_finite() && value > 0.0 { (value * 1000.0).round() as u64 } else { 0 }
}

/// The same resource, in everything but its amount.
pub(super) fn with_amount(resource: &Resource, milli: u64) -> Resource {
    let scalar = Some(value::Scalar { value: milli as f64 / 1000.0 });
    Resource { scalar, ..resource.clone() }
}

/// Thousandths as a decimal number without zeros at its end: 1500 is `1.5`.
pub(super) fn decimal(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
