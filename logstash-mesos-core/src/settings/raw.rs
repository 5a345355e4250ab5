//! What was written, before anybody asks whether it makes sense.

use super::error::SettingError;
use super::file::{of_file, read_file};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

/// Declares a setting. Flag and environment variable follow from the key: `executor.mem_megabytes` is
/// `--executor-mem-megabytes` and `LOGSTASH_MESOS_EXECUTOR_MEM_MEGABYTES`.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    /// Path in a settings file.
    pub key: &'static str,
    /// What its value is called in help texts.
    pub value: &'static str,
    /// Used when nobody says anything; empty for none.
    pub default: &'static str,
    /// How many values it has.
    pub arity: Arity,
    /// One sentence for help and documentation.
    pub help: &'static str,
}

/// How many values a setting has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One value; given twice, the last one counts.
    One,
    /// Any number: the flag is repeated, the file has an array, the environment separates by line breaks.
    Many,
    /// On or off; the flag stands alone.
    Switch,
}

impl SettingSpec {
    /// The flag, without its two dashes.
    pub fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The variable of the environment: `LOGSTASH_MESOS_` and the key in capitals.
    pub fn variable(&self) -> String {
        format!("LOGSTASH_MESOS_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// Where settings come from, first to last. A test passes maps.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Values of flags, by key.
    pub flags: &'a BTreeMap<String, Vec<String>>,
    /// Looks a variable of the environment up.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The settings file, if one was named.
    pub file: Option<&'a Path>,
    /// What an earlier product called things: key and value, with how it was written.
    pub aliases: &'a [(&'static str, String, String)],
}

/// The values of all settings, and who gave them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    values: BTreeMap<&'static str, (Vec<String>, String)>,
}

impl Loaded {
    /// Gathers the values of `table`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or somebody gives what is no setting.
    pub fn load(table: &'static [SettingSpec], sources: Sources<'_>) -> Result<Self, SettingError> {
        for key in sources.flags.keys() {
            known(table, key, || "the settings given".to_owned())?;
        }
        let mut file = BTreeMap::new();
        if let Some(path) = sources.file {
            file = read_file(path)?;
            file.keys().try_for_each(|key| known(table, key, || of_file(path)))?;
        }
        let mut loaded = Self::default();
        for spec in table {
            let from_env = (sources.variable)(&spec.variable()).map(|text| match spec.arity {
                Arity::Many => text.lines().map(str::to_owned).filter(|l| !l.is_empty()).collect(),
                Arity::One | Arity::Switch => vec![text],
            });
            let alias = sources.aliases.iter().rev().find(|(key, ..)| *key == spec.key);
            let found = if let Some(values) = sources.flags.get(spec.key) {
                Some((values.clone(), format!("--{}", spec.flag())))
            } else if let Some(values) = from_env {
                Some((values, spec.variable()))
            } else if let Some((_, value, origin)) = alias {
                Some((vec![value.clone()], origin.clone()))
            } else {
                file.get(spec.key).map(|values| {
                    let path = sources.file.map(|p| p.display().to_string()).unwrap_or_default();
                    (values.clone(), format!("`{}` in {path}", spec.key))
                })
            };
            if let Some(found) = found {
                loaded.values.insert(spec.key, found);
            } else if !spec.default.is_empty() {
                loaded.values.insert(spec.key, (vec![spec.default.to_owned()], format!("--{}", spec.flag())));
            }
        }
        Ok(loaded)
    }

    /// The one value as it was written.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|(values, _)| values.last()).map(String::as_str)
    }

    /// All values as they were written.
    pub fn list(&self, key: &str) -> &[String] {
        self.values.get(key).map(|(values, _)| values.as_slice()).unwrap_or_default()
    }

    /// Who gave the value, for messages.
    pub fn origin(&self, key: &str) -> String {
        let of_flag = || format!("--{}", key.replace(['.', '_'], "-"));
        self.values.get(key).map_or_else(of_flag, |(_, origin)| origin.clone())
    }

    /// An error about a value, which names who gave it.
    pub fn invalid(&self, key: &str, problem: impl Display) -> SettingError {
        let value = without_credentials(self.text(key).unwrap_or_default());
        SettingError::Invalid { origin: self.origin(key), value, problem: problem.to_string() }
    }

    /// The one value, parsed.
    ///
    /// # Errors
    ///
    /// [`SettingError::Invalid`] with the words of the parser.
    pub fn parse<T>(&self, key: &str) -> Result<Option<T>, SettingError>
    where
        T: FromStr<Err: Display>,
    {
        self.text(key).map(|text| text.trim().parse().map_err(|e| self.invalid(key, e))).transpose()
    }

    /// A number within bounds.
    ///
    /// # Errors
    ///
    /// [`SettingError::Invalid`] for anything else.
    pub fn number(&self, key: &str, least: u64, most: u64) -> Result<u64, SettingError> {
        let text = self.text(key).unwrap_or_default();
        let number = text.trim().parse::<u64>().ok().filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| self.invalid(key, format!("is not a whole number from {least} to {most}")))
    }

    /// On or off.
    ///
    /// # Errors
    ///
    /// [`SettingError::Invalid`] for another word.
    pub fn switch(&self, key: &str) -> Result<bool, SettingError> {
        match self.text(key).map(|t| t.trim().to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0" | "no" | "off" | "") => Ok(false),
            Some("true" | "1" | "yes" | "on") => Ok(true),
            Some(_) => Err(self.invalid(key, "is neither true nor false")),
        }
    }
}

/// A URL as it may stand in a message.
fn without_credentials(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, after))) => format!("{scheme}://{after}"),
        _ => text.to_owned(),
    }
}

fn known(table: &[SettingSpec], key: &str, origin: impl Fn() -> String) -> Result<(), SettingError> {
    if table.iter().any(|spec| spec.key == key) {
        return Ok(());
    }
    Err(SettingError::unknown_key(origin(), key, table.iter().map(|spec| spec.key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[SettingSpec] = &[
        SettingSpec {
            key: "executor.mem_megabytes",
            value: "N",
            default: "64",
            arity: Arity::One,
            help: "Memory.",
        },
        SettingSpec { key: "state", value: "URL", default: "", arity: Arity::One, help: "State." },
        SettingSpec {
            key: "executor.env",
            value: "NAME=VALUE",
            default: "",
            arity: Arity::Many,
            help: "More.",
        },
        SettingSpec { key: "no_ui", value: "", default: "", arity: Arity::Switch, help: "No page." },
    ];

    fn load(flags: &[(&str, &str)], env: &[(&str, &str)], file: &str) -> Result<Loaded, SettingError> {
        let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])).collect();
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), file).expect("writes");
        let variable = |name: &str| env.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
        let sources = Sources { flags: &flags, variable: &variable, file: Some(path.path()), aliases: &[] };
        Loaded::load(TABLE, sources)
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let key = "executor.mem_megabytes";
        let env = [("LOGSTASH_MESOS_EXECUTOR_MEM_MEGABYTES", "3")];
        let file = "no_ui = true\n[executor]\nmem_megabytes = 2\nenv = [\"A=1\", \"B=2\"]";
        let loaded = load(&[(key, "4")], &env, file).expect("loads");
        assert_eq!(loaded.text(key), Some("4"));
        assert_eq!(load(&[], &env, file).expect("loads").text(key), Some("3"));
        let loaded = load(&[], &[], file).expect("loads");
        assert_eq!(loaded.number(key, 1, 100).expect("is one"), 2);
        assert_eq!(loaded.list("executor.env"), ["A=1", "B=2"]);
        assert!(loaded.switch("no_ui").expect("is one"));
        assert_eq!(load(&[], &[], "").expect("loads").text(key), Some("64"));
    }

    #[test]
    fn mistakes_name_their_place() {
        let error = load(&[], &[], "[executor]\nmem_megabyte = 1").expect_err("unknown").to_string();
        assert!(error.contains("`executor.mem_megabyte`; did you mean `executor.mem_megabytes`?"), "{error}");
        assert!(load(&[], &[], "a = ").expect_err("no TOML").to_string().contains("line 1"));
        let loaded = load(&[], &[("LOGSTASH_MESOS_EXECUTOR_MEM_MEGABYTES", "much")], "").expect("loads");
        let error = loaded.number("executor.mem_megabytes", 1, 9).expect_err("no number").to_string();
        assert_eq!(error, "LOGSTASH_MESOS_EXECUTOR_MEM_MEGABYTES: `much` is not a whole number from 1 to 9");
    }
}
