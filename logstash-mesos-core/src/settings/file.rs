//! The settings file: TOML, whose tables are the first parts of keys.

use super::error::SettingError;
use std::collections::BTreeMap;
use std::path::Path;

/// The values of a settings file as they are written, by whole key: `mem_megabytes` of `[executor]` is
/// `executor.mem_megabytes`. An array has several.
///
/// # Errors
///
/// [`SettingError::File`] and [`SettingError::Syntax`].
pub fn read_file(path: &Path) -> Result<BTreeMap<String, Vec<String>>, SettingError> {
    let path_buf = || path.to_owned();
    let text =
        std::fs::read_to_string(path).map_err(|source| SettingError::File { path: path_buf(), source })?;
    let root: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| SettingError::Syntax { path: path_buf(), problem: e.to_string() })?;
    let mut flat = BTreeMap::new();
    let mut pending: Vec<(String, toml::Value)> = root.into_iter().collect();
    while let Some((key, value)) = pending.pop() {
        let values = match value {
            toml::Value::Table(table) => {
                pending.extend(table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
                continue;
            }
            toml::Value::Array(items) => items.into_iter().map(scalar).collect(),
            single => vec![scalar(single)],
        };
        flat.insert(key, values);
    }
    Ok(flat)
}

/// Who gives what stands in it, for messages.
pub fn of_file(path: &Path) -> String {
    format!("the settings file {}", path.display())
}

fn scalar(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Array(_) | toml::Value::Table(_) => String::new(),
    }
}
