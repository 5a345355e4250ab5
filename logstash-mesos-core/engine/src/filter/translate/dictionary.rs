//! Where dictionaries come from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use super::lookup::Lookup;
use crate::compat::ruby::csv;
use crate::event::{JsonReader, JsonRules, Map, Text, Value};
use crate::plugin::BuildError;
use crate::plugin::settings::Settings;
use crate::tools::yaml::read_yaml;

/// A dictionary, common to all workers.
#[derive(Debug)]
pub(super) struct Dictionary {
    lookup: RwLock<Arc<Lookup>>,
    file: Option<File>,
    exact: bool,
    regex: bool,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    interval: Duration,
    merge: bool,
    code_points: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: Map,
    modified: Option<SystemTime>,
    looked: Instant,
}

impl Dictionary {
    /// From the settings; reads the file if there is one.
    pub(super) fn new(settings: &Settings) -> Result<Self, BuildError> {
        let (exact, regex) = (settings.bool("exact"), settings.bool("regex"));
        let given = settings.hash("dictionary");
        let limit = settings.int("yaml_dictionary_code_point_limit");
        let Some(path) = settings.text("dictionary_path") else {
            let entries = given.iter().map(|(key, value)| (key.clone(), value.to_value())).collect();
            let lookup = Lookup::new(entries, exact, regex)
                .map_err(|message| BuildError::setting("dictionary", message))?;
            return Ok(Self { lookup: RwLock::new(Arc::new(lookup)), file: None, exact, regex });
        };
        let wrong = |message: String| BuildError::setting("dictionary_path", message);
        if !given.is_empty() {
            return Err(wrong("`dictionary` and `dictionary_path` cannot both be given".to_owned()));
        }
        let path = PathBuf::from(path.as_str());
        if limit.is_some() && Format::of(&path) != Some(Format::Yaml) {
            return Err(BuildError::setting(
                "yaml_dictionary_code_point_limit",
                "the limit is for YAML files only",
            )
            .remedy("remove it"));
        }
        if limit.is_some_and(|limit| limit <= 0) {
            return Err(BuildError::setting(
                "yaml_dictionary_code_point_limit",
                "the limit must be positive",
            ));
        }
        let seconds = u64::try_from(settings.int("refresh_interval").unwrap_or(300)).unwrap_or(0);
        let file = File {
            interval: Duration::from_secs(seconds),
            merge: settings.text("refresh_behaviour").is_none_or(|behaviour| behaviour == "merge"),
            code_points: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(134_217_728),
            state: Mutex::new(State { entries: Map::new(), modified: None, looked: Instant::now() }),
            path,
        };
        let entries = file.read().map_err(|message| {
            wrong(format!("cannot read the dictionary `{}`: {message}", file.path.display())).in_file()
        })?;
        let lookup = Lookup::new(entries.clone().into_iter().collect(), exact, regex)
            .map_err(|message| wrong(message).in_file())?;
        {
            let mut state = file.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.modified = file.modified();
            state.entries = entries;
        }
        Ok(Self { lookup: RwLock::new(Arc::new(lookup)), file: Some(file), exact, regex })
    }

    /// What to search now.
    pub(super) fn lookup(&self) -> Arc<Lookup> {
        Arc::clone(&self.lookup.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether [`Dictionary::refresh`] does anything.
    pub(super) fn refreshes(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !file.interval.is_zero())
    }

    /// Reads the file again when it is time. What cannot be read leaves the dictionary as it was.
    pub(super) fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let mut state = file.state.lock().unwrap_or_else(PoisonError::into_inner);
        if file.interval.is_zero() || state.looked.elapsed() < file.interval {
            return;
        }
        state.looked = Instant::now();
        let modified = file.modified();
        // Logstash looks at the time of the file only where it looks often.
        if file.interval <= Duration::from_secs(300) && modified == state.modified {
            return;
        }
        let entries = match file.read() {
            Ok(entries) if file.merge => {
                let mut merged = std::mem::take(&mut state.entries);
                for (key, value) in entries {
                    merged.insert(key, value);
                }
                merged
            }
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, path = %file.path.display(), "Cannot read the dictionary again, keeping the old one");
                return;
            }
        };
        state.modified = modified;
        match Lookup::new(entries.clone().into_iter().collect(), self.exact, self.regex) {
            Ok(lookup) => *self.lookup.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lookup),
            Err(error) => {
                tracing::warn!(%error, path = %file.path.display(), "Cannot use the new dictionary, keeping the old one");
            }
        }
        state.entries = entries;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
    Csv,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yml" | "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

impl File {
    fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }

    fn read(&self) -> Result<Map, String> {
        let format = Format::of(&self.path).ok_or("its name must end with .yml, .yaml, .json or .csv")?;
        let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string())?;
        let text = Text::from(text.strip_prefix('\u{feff}').unwrap_or(&text));
        let value = match format {
            Format::Yaml if text.chars().count() > self.code_points => {
                return Err(format!("it has more than {} characters", self.code_points));
            }
            Format::Yaml => read_yaml(&text).map_err(|error| error.to_string())?,
            Format::Json => {
                JsonReader::new(JsonRules::FILTER).read(&text).map_err(|error| error.to_string())?
            }
            Format::Csv => {
                let rows = csv::all(&text).map_err(|row| format!("row {row} is malformed"))?;
                let entry = |row: csv::Row| {
                    let mut values = row.into_iter();
                    let key = values.next()??;
                    Some((key, values.next().flatten().map_or(Value::Null, Value::Text)))
                };
                Value::from(rows.into_iter().filter_map(entry).collect::<Map>())
            }
        };
        match value {
            Value::Map(map) => Ok(Arc::unwrap_or_clone(map)),
            Value::Null => Ok(Map::new()),
            other => Err(format!("it holds {}, not keys and values", other.type_name())),
        }
    }
}
