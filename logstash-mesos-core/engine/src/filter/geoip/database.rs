//! Databases in memory, and what they say of an address.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::address::java_address;
use super::fields::{COUNTRY, Kind, LATITUDE, LONGITUDE, Read, SUBDIVISION, kind};
use crate::event::{Map, Text, Value};

/// A database of a kind we know.
#[derive(Debug)]
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    pub(super) kind: &'static Kind,
}

/// A file as it was when it was read.
type Version = (PathBuf, Option<SystemTime>, u64);

/// The databases in use: they are large, and the same for all filters and pipelines that name them.
static OPEN: LazyLock<Mutex<HashMap<Version, Weak<Database>>>> = LazyLock::new(Mutex::default);

impl Database {
    /// Reads a file, unless another filter has it already; the error names it.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, String> {
        let unreadable =
            |error: std::io::Error| format!("cannot read the database `{}`: {error}", path.display());
        let about = std::fs::metadata(path).map_err(unreadable)?;
        let version = (path.to_owned(), about.modified().ok(), about.len());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, database| database.strong_count() > 0);
        if let Some(database) = open.get(&version).and_then(Weak::upgrade) {
            return Ok(database);
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let reader = Reader::from_source(bytes)
            .map_err(|error| format!("`{}` is not a valid MaxMind database: {error}", path.display()))?;
        let found = &reader.metadata().database_type;
        let Some(kind) = kind(found) else {
            return Err(format!(
                "`{}` is a database of the type `{found}`, of which nothing is known",
                path.display()
            ));
        };
        let database = Arc::new(Self { reader, kind });
        open.insert(version, Arc::downgrade(&database));
        Ok(database)
    }

    /// The values of `fields` for an address, with their numbers. Empty when there is no record.
    pub(super) fn find(
        &self,
        address: IpAddr,
        fields: &[Read],
    ) -> Result<Vec<(usize, Value)>, MaxMindDbError> {
        let record = Record { address, result: self.reader.lookup(address)? };
        if !record.result.has_data()
            || (self.kind.needs_location
                && record.float(LATITUDE)?.is_none()
                && record.float(LONGITUDE)?.is_none())
        {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(fields.len());
        for (at, field) in fields.iter().enumerate() {
            if let Some(value) = record.read(*field)? {
                values.push((at, value));
            }
        }
        Ok(values)
    }
}

struct Record<'r> {
    address: IpAddr,
    result: LookupResult<'r, Vec<u8>>,
}

impl Record<'_> {
    fn read(&self, what: Read) -> Result<Option<Value>, MaxMindDbError> {
        Ok(match what {
            Read::Address => Some(Value::from(java_address(self.address))),
            Read::Network => {
                let network = self.result.network()?;
                Some(Value::from(format!("{}/{}", java_address(network.ip()), network.prefix())))
            }
            Read::Text(path) => self.text(path)?.map(Value::from),
            Read::TextOrNull(path) => Some(self.text(path)?.map_or(Value::Null, Value::from)),
            Read::Number(path) => match self.scalar(path)? {
                None => None,
                Some(number @ Value::Int(_)) => Some(number),
                Some(other) => return Err(wrong("an integer", &other)),
            },
            Read::Float(path) => self.float(path)?.map(Value::Float),
            Read::Flag(path) => Some(Value::Bool(self.result.decode_path(path)?.unwrap_or(false))),
            Read::Region => {
                let (country, region) = (self.text(COUNTRY)?, self.text(SUBDIVISION)?);
                country.zip(region).map(|(country, region)| Value::from(format!("{country}-{region}")))
            }
            Read::Location => self.float(LATITUDE)?.zip(self.float(LONGITUDE)?).map(|(lat, lon)| {
                Value::from(Map::from_iter([("lat", Value::Float(lat)), ("lon", Value::Float(lon))]))
            }),
        })
    }

    fn text(&self, path: &[PathElement<'_>]) -> Result<Option<Text>, MaxMindDbError> {
        // A copy: the value outlives the record.
        Ok(self.result.decode_path::<&str>(path)?.map(Text::from))
    }

    fn float(&self, path: &[PathElement<'_>]) -> Result<Option<f64>, MaxMindDbError> {
        match self.scalar(path)? {
            None => Ok(None),
            Some(Value::Float(number)) => Ok(Some(number)),
            Some(other) => Err(wrong("a decimal number", &other)),
        }
    }

    fn scalar(&self, path: &[PathElement<'_>]) -> Result<Option<Value>, MaxMindDbError> {
        Ok(self.result.decode_path::<Number>(path)?.map(|Number(value)| value))
    }
}

fn wrong(wanted: &str, found: &Value) -> MaxMindDbError {
    MaxMindDbError::decoding(format!("expected {wanted}, got {}", found.type_name()))
}

/// A number of any width: databases differ in that.
struct Number(Value);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(Value::Int(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
        i64::try_from(number).map(|number| Number(Value::Int(number))).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Value::Float(number)))
    }
}
