//! `drop`: loses events on purpose.

use crate::event::Event;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static DROP: PluginSpec = PluginSpec {
    name: "drop",
    doc: "Drops every event that reaches it.",
    settings: &[Setting::new("percentage", Kind::Number, "Drops only about so many of a hundred events.")
        .default(Default::Int(100))],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let percentage = settings.float("percentage").unwrap_or(100.0);
    Ok(Box::new(Drop { percentage, random: Random::new() }))
}

#[derive(Debug)]
struct Drop {
    percentage: f64,
    random: Random,
}

impl Filter for Drop {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) {
        if self.percentage >= 100.0 || self.random.below_one() < self.percentage / 100.0 {
            event.cancel();
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self { percentage: self.percentage, random: Random::new() })
    }
}

/// A small random sequence (`SplitMix64`), seeded by the standard library; nothing secret hangs on it.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0))
    }

    fn below_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, run};

    #[test]
    fn all_none_or_a_part_is_dropped() {
        let dropped = |settings: &str| {
            let mut filter = build(&DROP, settings).unwrap();
            (0..4000).filter(|_| run(&mut *filter, &mut Event::empty()).0).count()
        };
        assert_eq!(dropped("{}"), 4000);
        assert_eq!(dropped(r#"{"percentage":0}"#), 0);
        assert!((1500..2500).contains(&dropped(r#"{"percentage":50}"#)));
    }
}
