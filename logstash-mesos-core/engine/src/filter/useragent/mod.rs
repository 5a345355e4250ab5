//! `useragent`: what a browser says of itself.

mod regexes;

use std::path::Path;
use std::sync::Arc;

use regexes::{Client, Regexes};

use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, EcsCompatibility, Filter, FilterContext, PluginSpec};
use crate::tools::cache::Cache;

pub(crate) static USERAGENT: PluginSpec = PluginSpec {
    name: "useragent",
    doc: "Finds browser, operating system and device in a user agent.",
    settings: &[
        Setting::new("source", Kind::String, "The field with the user agent.").required(),
        Setting::new(
            "target",
            Kind::String,
            "Where the result goes: `[user_agent]`, or the top without ECS.",
        ),
        Setting::new(
            "regexes",
            Kind::String,
            "A regexes.yaml of uap-core; otherwise the one that is built in.",
        ),
        Setting::new("prefix", Kind::String, "What names of fields begin with, without ECS.")
            .default(Default::String("")),
        Setting::new(
            "lru_cache_size",
            Kind::Number,
            "How many results to keep, at most 4096 for each worker.",
        )
        .default(Default::Int(100_000)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let regexes = match settings.text("regexes") {
        Some(path) => Regexes::open(Path::new(&*path))
            .map_err(|message| BuildError::setting("regexes", message).in_file())?,
        None => Regexes::built_in(),
    };
    let legacy = context.ecs == EcsCompatibility::Disabled;
    let source = settings.text("source").unwrap_or_default();
    let given = settings.text("target");
    let target = match &given {
        Some(target) if target.is_empty() || target.starts_with('[') => target.to_string(),
        Some(target) => format!("[{target}]"),
        None => context.ecs.select("", "[user_agent]").to_owned(),
    };
    let prefix = settings.text("prefix").unwrap_or_default();
    let field = |old: &str, ecs: &str| {
        settings.field_of(&if legacy { format!("{target}[{prefix}{old}]") } else { format!("{target}{ecs}") })
    };
    let version = |old: &str, ecs: &str| {
        settings.field_of(&if legacy {
            format!("{target}[{prefix}{old}]")
        } else {
            format!("[@metadata][filter][user_agent]{ecs}")
        })
    };
    let capacity = usize::try_from(settings.int("lru_cache_size").unwrap_or(0)).unwrap_or(0).min(MAX_CACHE);
    Ok(Box::new(UserAgent {
        remove_source: given.is_some_and(|target| target == source),
        source: settings.field_of(&source),
        fields: Arc::new(Fields {
            name: field("name", "[name]"),
            device: field("device", "[device][name]"),
            version: field("version", "[version]"),
            parts: [
                version("major", "[version][major]"),
                version("minor", "[version][minor]"),
                version("patch", "[version][patch]"),
            ],
            os_full: field("os_full", "[os][full]"),
            os_name: field("os_name", "[os][name]"),
            os: legacy.then(|| field("os", "")),
            os_version: field("os_version", "[os][version]"),
            os_parts: [
                version("os_major", "[os][version][major]"),
                version("os_minor", "[os][version][minor]"),
                version("os_patch", "[os][version][patch]"),
            ],
        }),
        regexes,
        cache: Cache::new(capacity),
    }))
}

/// A cache in front of a thousand expressions helps with few entries already; more would only hold memory.
const MAX_CACHE: usize = 4096;

#[derive(Debug)]
struct UserAgent {
    source: Field,
    remove_source: bool,
    fields: Arc<Fields>,
    regexes: Arc<Regexes>,
    cache: Cache<Arc<Client>>,
}

#[derive(Debug)]
struct Fields {
    name: Field,
    device: Field,
    version: Field,
    parts: [Field; 3],
    os_full: Field,
    os_name: Field,
    os: Option<Field>,
    os_version: Field,
    os_parts: [Field; 3],
}

impl Filter for UserAgent {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).unwrap_or(false) {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            source: self.source.clone(),
            remove_source: self.remove_source,
            fields: Arc::clone(&self.fields),
            regexes: Arc::clone(&self.regexes),
            cache: self.cache.fork(),
        })
    }
}

impl UserAgent {
    fn apply(&mut self, event: &mut Event) -> Result<bool, Failed> {
        let source = self.source.get()?;
        let agent = match event.get(source) {
            Some(Value::Text(agent)) => agent,
            Some(Value::List(items)) => match items.first() {
                Some(Value::Text(agent)) => agent,
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        if agent.is_empty() {
            return Ok(false);
        }
        let client =
            self.cache.get_or_make(agent, |agent| Arc::new(self.regexes.find(&Text::from(agent.to_owned()))));
        if self.remove_source {
            event.remove(source);
        }
        self.fields.store(event, &client)?;
        Ok(true)
    }
}

impl Fields {
    fn store(&self, event: &mut Event, client: &Client) -> Result<(), Failed> {
        let mut set = |field: &Field, text: &Text| Ok::<_, Failed>(event.set(field.get()?, text.clone())?);
        set(&self.name, &client.name)?;
        set(&self.device, &client.device)?;
        for (field, part) in self.parts.iter().zip(&client.version) {
            if let Some(part) = part {
                set(field, part)?;
            }
        }
        if let Some(version) = &client.full_version {
            set(&self.version, version)?;
        }
        for (field, part) in self.os_parts.iter().zip(&client.os_version) {
            if let Some(part) = part {
                set(field, part)?;
            }
        }
        if let Some(version) = &client.full_os_version {
            set(&self.os_version, version)?;
        }
        set(&self.os_name, &client.os)?;
        if let Some(os) = &self.os {
            set(os, &client.os)?;
        }
        set(&self.os_full, &client.full_os)
    }
}

impl Client {
    /// Puts together what is made of the parts.
    fn complete(mut self, agent: &str) -> Self {
        self.full_version = full_version(&self.version, agent);
        let os = &self.os_version;
        self.full_os_version = os[0].as_ref().map(|major| {
            let mut full = major.to_string();
            // A word such as `Vista` is followed by a blank, a number by a point.
            let number = ruby::string_to_i(major).to_string() == major.as_str();
            if let Some(minor) = &os[1] {
                full.push(if number { '.' } else { ' ' });
                full.push_str(minor);
                for part in os[2..].iter().map_while(Option::as_ref) {
                    full.push('.');
                    full.push_str(part);
                }
            }
            Text::from(full)
        });
        self.full_os = match &self.full_os_version {
            Some(version) => Text::from(format!("{} {version}", self.os)),
            None => self.os.clone(),
        };
        self
    }
}

fn full_version(parts: &[Option<Text>; 4], agent: &str) -> Option<Text> {
    let [Some(major), minor, patch, last] = parts else { return None };
    let mut version = major.to_string();
    if let Some(minor) = minor {
        version.push('.');
        version.push_str(minor);
        if let Some(patch) = patch {
            version.push('.');
            version.push_str(patch);
            match last {
                Some(last) => {
                    version.push('.');
                    version.push_str(last);
                }
                // The expressions stop at three numbers, agents often do not.
                None => {
                    if let Some(more) = agent
                        .find(&version)
                        .and_then(|at| agent[at + version.len()..].strip_prefix('.'))
                        .and_then(|rest| rest.split_once(' '))
                        .map(|(more, _)| more)
                        .filter(|more| ruby::string_to_i(more).to_string() == **more)
                    {
                        version.push('.');
                        version.push_str(more);
                    }
                }
            }
        }
    }
    Some(Text::from(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, build_with, fields, json_event, run};

    /// A few expressions of our own in the form of uap-core.
    const REGEXES: &str = r#"
user_agent_parsers:
  - regex: '(Edg)/(\d+)\.(\d+)\.(\d+)(?:\.(\d+)|)'
    family_replacement: 'Edge'
  - regex: '(Chrome)/(\d+)\.(\d+)\.(\d+)'
  - regex: 'Spider-([a-z]+)'
    family_replacement: '$1 spider'
    v1_replacement: '7'
os_parsers:
  - regex: '(Windows NT 10\.0)'
    os_replacement: 'Windows'
    os_v1_replacement: '10'
  - regex: '(Windows) (Vista)(?: SP(\d))?'
  - regex: '(Android) (\d+)\.(\d+)'
    os_v1_replacement: '$2'
device_parsers:
  - regex: 'bot|spider'
    regex_flag: 'i'
    device_replacement: 'Spider'
  - regex: '; ([^;]+) Build/(\w+)'
    device_replacement: '$1 ($2$3)'
"#;

    fn parsed(ecs: EcsCompatibility, more: &str, agent: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), REGEXES).unwrap();
        let settings = format!(r#"{{"source":"a","regexes":"{}"{more}}}"#, file.path().display());
        let mut filter = build_with(&USERAGENT, &settings, ecs).unwrap();
        let mut result = String::new();
        // Twice: the second time from the cache.
        for _ in 0..2 {
            let mut event = json_event(&format!(r#"{{"a":"{agent}"}}"#));
            run(&mut *filter, &mut event);
            result = fields(&event);
            if let Some(Value::Map(more)) = event.metadata().and_then(|map| map.get("filter")) {
                let mut out = Vec::new();
                crate::event::write_json_map(more, &mut out);
                result.push_str(&String::from_utf8(out).unwrap());
            }
        }
        result.replacen(&format!(r#"{{"a":"{agent}","#), "{", 1)
    }

    #[test]
    fn agents_are_taken_apart() {
        assert_eq!(
            parsed(EcsCompatibility::V8, "", "X (Windows NT 10.0) Edg/120.0.2210.91"),
            concat!(
                r#"{"user_agent":{"name":"Edge","device":{"name":"Other"},"version":"120.0.2210.91","#,
                r#""os":{"version":"10","name":"Windows","full":"Windows 10"}}}"#,
                r#"{"user_agent":{"version":{"major":"120","minor":"0","patch":"2210"},"os":{"version":{"major":"10"}}}}"#
            )
        );
        assert_eq!(
            parsed(
                EcsCompatibility::Disabled,
                r#","prefix":"p_""#,
                "(Windows Vista SP2) Chrome/9.8.7.65 x; M1 Build/Q ;"
            ),
            concat!(
                r#"{"p_name":"Chrome","p_device":"M1 (Q)","p_major":"9","p_minor":"8","p_patch":"7","p_version":"9.8.7.65","#,
                r#""p_os_major":"Vista","p_os_minor":"2","p_os_version":"Vista 2","p_os_name":"Windows","p_os":"Windows","#,
                r#""p_os_full":"Windows Vista 2"}"#
            )
        );
        assert_eq!(
            parsed(EcsCompatibility::Disabled, r#","target":"t""#, "Spider-big Android 4.2"),
            concat!(
                r#"{"t":{"name":"big spider","device":"Spider","major":"7","version":"7","os_major":"4","os_minor":"2","#,
                r#""os_version":"4.2","os_name":"Android","os":"Android","os_full":"Android 4.2"}}"#
            )
        );
        assert_eq!(parsed(EcsCompatibility::V8, r#","target":"a""#, ""), r#"{"a":""}"#);
    }

    #[test]
    fn expressions_are_built_in() {
        let mut filter = build(&USERAGENT, r#"{"source":"a"}"#).unwrap();
        let mut event = json_event(
            r#"{"a":"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.144 Mobile Safari/537.36"}"#,
        );
        run(&mut *filter, &mut event);
        let found = fields(&event);
        assert!(
            found.ends_with(concat!(
                r#""user_agent":{"name":"Chrome Mobile","device":{"name":"Pixel 8"},"version":"120.0.6099.144","#,
                r#""os":{"version":"14","name":"Android","full":"Android 14"}}}"#
            )),
            "{found}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = build(&USERAGENT, r#"{"source":"a","regexes":"/does/not/exist.yaml"}"#).err().unwrap();
        assert!(error.message.contains("/does/not/exist.yaml"), "{error}");
    }
}
