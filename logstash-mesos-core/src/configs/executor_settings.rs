//! What can be set for pipelines, and for an executor as a whole: one table for the scheduler, the executor, `ship` and
//! the `pipeline` commands.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use thiserror::Error;

use super::labels::{LabelRules, RuleError};
use super::policy::{PolicyError, ReadPolicy};
use crate::event::EscapeStyle;
use crate::pipeline::OutputQueue;
use crate::pipeline::dead_letter::{self, DeadLetterSettings};
use crate::pipeline::lang::similar::suggestion;
use crate::pipeline::plugin::{EcsCompatibility, LineLimit};

/// Settings of an executor, by `--executor-setting` of the scheduler or `--setting` of `ship`. What is `None` stays
/// as it was at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorSettings {
    /// `drain_timeout_secs`: how long the files of a removed container are still read.
    pub drain_timeout: Option<Duration>,
    /// `queue_megabytes`: how much memory all that is on its way may take.
    pub queue_bytes: Option<usize>,
    /// `labels.allow`: what containers may say about their logs in their labels. Nothing means any unless it is set.
    pub labels: LabelRules,
    /// `policy`: which configurations may read which containers. All may read all unless it is set.
    pub policy: ReadPolicy,
    /// How pipelines are made.
    pub pipeline: PipelineSettings,
}

/// The part of [`ExecutorSettings`] for which a pipeline has to be made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineSettings {
    /// `pipeline.ecs_compatibility`, for plugins that do not say it themselves.
    pub ecs: Option<EcsCompatibility>,
    /// `pipeline.workers`: threads of each pipeline.
    pub workers: Option<usize>,
    /// `pipeline.batch.size`: most events that go through the filters at a time.
    pub batch_size: Option<usize>,
    /// `pipeline.max_line_bytes`: what is longer of a line is cut. A stream that is being read keeps the limit it began
    /// with.
    pub max_line_bytes: Option<usize>,
    /// `queue.type` and `queue.max_bytes`: where what waits for an output is, and how much of it may be on disk.
    pub output_queue: OutputQueue,
    /// `config.support_escapes`: whether `\n` and its siblings mean something in strings.
    pub support_escapes: Option<bool>,
    /// `config.field_reference.escape_style`: how the name of a field may contain brackets.
    pub escape_style: Option<EscapeStyle>,
    /// `dead_letter_queue.…`: how many dead letters each keeps, and for how long.
    pub dead_letters: DeadLetterSettings,
}

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecutorSettingError {
    /// There is no such setting.
    #[error("there is no setting `{key}`: {remedy}")]
    Unknown {
        /// As it was written.
        key: String,
        /// The nearest name, or all there are.
        remedy: String,
    },
    /// The value cannot be right.
    #[error("`{key}` cannot be `{value}`: it takes {takes}")]
    Value {
        /// The setting whose value it is, such as `drain_timeout_secs`.
        key: &'static str,
        /// As it was written.
        value: String,
        /// What would be right.
        takes: &'static str,
    },
    /// The rules about labels.
    #[error("`{key}` cannot be `{value}`: {problem}", key = LabelRules::SETTING)]
    Labels {
        /// As it was written.
        value: String,
        /// What is wrong with them.
        problem: RuleError,
    },
    /// The policy that says who may read what cannot be read itself.
    #[error("`{key}` cannot be used: {0}", key = ReadPolicy::SETTING)]
    Policy(PolicyError),
}

struct Known<S> {
    key: &'static str,
    takes: &'static str,
    /// Takes the value over, if it can be right.
    set: fn(&mut S, &str) -> Option<()>,
}

const OF_EXECUTORS: [Known<ExecutorSettings>; 4] = [
    Known {
        key: "drain_timeout_secs",
        takes: "a whole number of seconds, at most a year",
        set: |settings, text| {
            let secs = text.parse().ok().filter(|secs| *secs <= 366 * 86_400)?;
            settings.drain_timeout = Some(Duration::from_secs(secs));
            Some(())
        },
    },
    Known {
        key: "queue_megabytes",
        takes: "a whole number from 1 to 65536",
        set: |settings, text| {
            let megabytes: usize = text.parse().ok().filter(|megabytes| (1..=65_536).contains(megabytes))?;
            settings.queue_bytes = Some(megabytes << 20);
            Some(())
        },
    },
    Known {
        key: LabelRules::SETTING,
        takes: "rules about labels",
        set: |settings, text| {
            settings.labels = text.parse().ok()?;
            Some(())
        },
    },
    Known {
        key: ReadPolicy::SETTING,
        takes: "rules about who reads what",
        set: |settings, text| {
            settings.policy = text.parse().ok()?;
            Some(())
        },
    },
];

const OF_PIPELINES: [Known<PipelineSettings>; 11] = [
    Known {
        key: EcsCompatibility::SETTING,
        takes: "disabled, v1 or v8",
        set: |settings, text| {
            settings.ecs = Some(EcsCompatibility::named(text)?);
            Some(())
        },
    },
    Known {
        key: "pipeline.workers",
        takes: "a whole number from 1 to 1024",
        set: |settings, text| {
            settings.workers = Some(text.parse().ok().filter(|n| (1..=1024).contains(n))?);
            Some(())
        },
    },
    Known {
        key: "pipeline.batch.size",
        takes: "a whole number above 0",
        set: |settings, text| {
            settings.batch_size = Some(text.parse::<NonZeroUsize>().ok()?.get());
            Some(())
        },
    },
    Known {
        key: LineLimit::SETTING,
        takes: "a whole number of bytes from 64 to 1073741824",
        set: |settings, text| {
            settings.max_line_bytes = Some(LineLimit::parse(text)?);
            Some(())
        },
    },
    Known {
        key: OutputQueue::TYPE,
        takes: "memory or persisted",
        set: |settings, text| {
            settings.output_queue.persisted = OutputQueue::is_persisted(text)?;
            Some(())
        },
    },
    Known {
        key: OutputQueue::MAX_BYTES,
        takes: "a whole number above 0 of bytes, or with a unit: 64mb, 1gb",
        set: |settings, text| {
            settings.output_queue.most_bytes = OutputQueue::parse_bytes(text)?;
            Some(())
        },
    },
    Known {
        key: "config.support_escapes",
        takes: "true or false",
        set: |settings, text| {
            settings.support_escapes = Some(text.parse().ok()?);
            Some(())
        },
    },
    Known {
        key: EscapeStyle::SETTING,
        takes: "none, percent or ampersand",
        set: |settings, text| {
            settings.escape_style = Some(EscapeStyle::named(text)?);
            Some(())
        },
    },
    Known {
        key: dead_letter::SETTINGS[0].0,
        takes: dead_letter::SETTINGS[0].1,
        set: |settings, text| settings.dead_letters.set(dead_letter::SETTINGS[0].0, text),
    },
    Known {
        key: dead_letter::SETTINGS[1].0,
        takes: dead_letter::SETTINGS[1].1,
        set: |settings, text| settings.dead_letters.set(dead_letter::SETTINGS[1].0, text),
    },
    Known {
        key: dead_letter::SETTINGS[2].0,
        takes: dead_letter::SETTINGS[2].1,
        set: |settings, text| settings.dead_letters.set(dead_letter::SETTINGS[2].0, text),
    },
];

impl ExecutorSettings {
    /// Checks what was written.
    ///
    /// # Errors
    ///
    /// [`ExecutorSettingError`] for the first key that nobody knows, and for the first value that cannot be right.
    pub fn parse(written: &BTreeMap<String, String>) -> Result<Self, ExecutorSettingError> {
        let mut settings = Self::default();
        for (key, value) in written {
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// The names of all of them.
    pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
        OF_EXECUTORS.iter().map(|known| known.key).chain(PipelineSettings::KEYS)
    }

    /// Takes over one more.
    ///
    /// # Errors
    ///
    /// [`ExecutorSettingError`] when nobody knows the key, or the value cannot be right.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ExecutorSettingError> {
        if key == LabelRules::SETTING
            && let Err(problem) = value.trim().parse::<LabelRules>()
        {
            return Err(ExecutorSettingError::Labels { value: value.to_owned(), problem });
        }
        if key == ReadPolicy::SETTING
            && let Err(problem) = value.parse::<ReadPolicy>()
        {
            return Err(ExecutorSettingError::Policy(problem));
        }
        if let Some(known) = known(&OF_EXECUTORS, key) {
            return known.take(self, value);
        }
        match known(&OF_PIPELINES, key) {
            Some(known) => known.take(&mut self.pipeline, value),
            None => Err(unknown(key, Self::keys())),
        }
    }
}

impl PipelineSettings {
    /// The names of all of them.
    pub const KEYS: [&'static str; OF_PIPELINES.len()] = {
        let mut keys = [""; OF_PIPELINES.len()];
        let mut i = 0;
        while i < keys.len() {
            keys[i] = OF_PIPELINES[i].key;
            i += 1;
        }
        keys
    };

    /// Takes over one.
    ///
    /// # Errors
    ///
    /// [`ExecutorSettingError`] when it is none of a pipeline, or the value cannot be right.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ExecutorSettingError> {
        match known(&OF_PIPELINES, key) {
            Some(known) => known.take(self, value),
            None => Err(unknown(key, Self::KEYS)),
        }
    }
}

fn known<'a, S>(table: &'a [Known<S>], key: &str) -> Option<&'a Known<S>> {
    table.iter().find(|known| known.key == key)
}

impl<S> Known<S> {
    fn take(&self, settings: &mut S, value: &str) -> Result<(), ExecutorSettingError> {
        (self.set)(settings, value.trim()).ok_or_else(|| ExecutorSettingError::Value {
            key: self.key,
            value: value.to_owned(),
            takes: self.takes,
        })
    }
}

fn unknown(key: &str, keys: impl IntoIterator<Item = &'static str> + Clone) -> ExecutorSettingError {
    let all = || format!("there are {}", keys.clone().into_iter().collect::<Vec<_>>().join(", "));
    let remedy = suggestion(key, keys.clone()).unwrap_or_else(all);
    ExecutorSettingError::Unknown { key: key.to_owned(), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<ExecutorSettings, String> {
        let written = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        ExecutorSettings::parse(&written).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_of_the_table_means_something() {
        for (key, value) in [
            ("drain_timeout_secs", "300"),
            ("queue_megabytes", "8"),
            ("pipeline.ecs_compatibility", "disabled"),
            ("labels.allow", "codec; role=web: paths"),
            ("policy", "deny docker/* role=secret"),
            ("pipeline.workers", "2"),
            ("pipeline.batch.size", "1"),
            ("pipeline.max_line_bytes", "4096"),
            ("queue.type", "persisted"),
            ("queue.max_bytes", "64mb"),
            ("config.support_escapes", "true"),
            ("config.field_reference.escape_style", "percent"),
            ("dead_letter_queue.max_bytes", "512mb"),
            ("dead_letter_queue.storage_policy", "drop_older"),
            ("dead_letter_queue.retain.age", "7d"),
        ] {
            assert_ne!(parse(key, value).unwrap(), ExecutorSettings::default(), "{key}");
            let error = parse(key, "much").unwrap_err();
            assert!(error.contains(key) && error.contains("`much`"), "{error}");
        }
        assert_eq!(parse("drain_timeout_secs", "300").unwrap().drain_timeout, Some(Duration::from_secs(300)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let error = parse("drain_timeout_sec", "300").unwrap_err();
        assert!(error.contains("did you mean `drain_timeout_secs`?"), "{error}");
        assert!(parse("colour", "blue").unwrap_err().contains("pipeline.workers"));
        assert!(parse("labels.allow", "codek").unwrap_err().contains("did you mean `codec`?"));
    }
}
