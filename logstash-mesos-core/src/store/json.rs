//! Records as JSON with a schema number.

use super::{Expect, Result, StateKey, StateStore, StoreError, Version};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Records as JSON objects, for every store.
///
/// Each carries the number of its schema (HA-6). A record of a newer schema is not understood and, like
/// everything that cannot be read, left alone.
#[allow(async_fn_in_trait, reason = "not implemented elsewhere")]
pub trait JsonStore: StateStore {
    /// Reads a record of at most this schema.
    ///
    /// # Errors
    ///
    /// Those of [`StateStore::get`], and [`StoreError::Corrupt`] when it is no such record.
    async fn get_json<T: DeserializeOwned>(&self, key: &StateKey) -> Result<Option<(T, Version)>> {
        let Some(record) = self.get(key).await? else { return Ok(None) };
        let corrupt = |problem: String| StoreError::Corrupt {
            key: key.to_string(),
            place: self.name(),
            problem,
            remedy: "start the version that wrote it, or restore the record from a copy".to_owned(),
        };
        let mut object: Map<String, Value> = serde_json::from_slice(&record.value)
            .map_err(|e| corrupt(format!("holds something that is not a JSON object ({e})")))?;
        match object.remove("schema").as_ref().and_then(Value::as_u64) {
            Some(SCHEMA) => {}
            Some(other) => return Err(corrupt(format!("holds schema {other}, this version knows {SCHEMA}"))),
            None => return Err(corrupt("holds no schema number".to_owned())),
        }
        serde_json::from_value(Value::Object(object))
            .map(|value| Some((value, record.version)))
            .map_err(|e| corrupt(format!("holds an unexpected record ({e})")))
    }

    /// Writes `value` as a JSON object with the number of the schema in it.
    ///
    /// # Errors
    ///
    /// Those of [`StateStore::put`].
    async fn put_json<T: Serialize>(&self, key: &StateKey, value: &T, expect: Expect) -> Result<Version> {
        let unusable = |problem: String| StoreError::Unusable { backend: self.name(), problem, source: None };
        let value = serde_json::to_value(value).map_err(|e| unusable(e.to_string()))?;
        let Value::Object(fields) = value else { return Err(unusable("the record is no object".to_owned())) };
        let mut object = Map::from_iter([("schema".to_owned(), SCHEMA.into())]);
        object.extend(fields);
        self.put(key, Value::Object(object).to_string().into_bytes(), expect).await
    }
}

impl<S: StateStore + ?Sized> JsonStore for S {}

const SCHEMA: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use std::collections::BTreeMap;

    #[tokio::test]
    async fn records_of_a_newer_schema_are_named_and_left_alone() {
        let (store, key) = (MemoryStore::default(), StateKey::new("k").expect("a plain name"));
        let value = BTreeMap::from([("a", 1)]);
        store.put_json(&key, &value, Expect::Absent).await.expect("writes");
        let (read, _) =
            store.get_json::<BTreeMap<String, u32>>(&key).await.expect("reads").expect("is there");
        assert_eq!(read["a"], 1);
        for bad in [r#"{"schema":2}"#, "{}", "[]", "", r#"{"schema":1,"a":"x"}"#] {
            store.put(&key, bad.as_bytes().to_vec(), Expect::Any).await.expect("writes");
            let error = store.get_json::<BTreeMap<String, u32>>(&key).await.expect_err(bad);
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }
}
