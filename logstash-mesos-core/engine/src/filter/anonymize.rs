//! `anonymize`: replaces values by keyed digests.

use crate::compat::ruby;
use crate::compat::ruby::ip::Network;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::digest::{Algorithm, murmur3_32};

pub(crate) static ANONYMIZE: PluginSpec = PluginSpec {
    name: "anonymize",
    doc: "Replaces values by digests that only the key's owner can make.",
    settings: &[
        Setting::new("fields", Kind::Array, "The fields to replace.").required(),
        Setting::new("key", Kind::String, "The key, or the length of the prefix of IPV4_NETWORK.").required(),
        Setting::new(
            "algorithm",
            Kind::OneOf(&["SHA1", "SHA256", "SHA384", "SHA512", "MD5", "MURMUR3", "IPV4_NETWORK"]),
            "How it is computed.",
        )
        .default(Default::String("SHA1")),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let key = settings.text("key").unwrap_or_default();
    let method = match settings.text("algorithm").unwrap_or_default().as_str() {
        "MURMUR3" => Method::Murmur3,
        "IPV4_NETWORK" => Method::Network(u32::try_from(ruby::string_to_i64(&key)).unwrap_or(u32::MAX)),
        name => Method::Digest(
            Algorithm::named(name)
                .ok_or_else(|| BuildError::setting("algorithm", format!("there is no algorithm `{name}`")))?,
        ),
    };
    let fields = settings.strings("fields").iter().map(|field| settings.field_of(field)).collect();
    Ok(Box::new(Anonymize { fields, key, method }))
}

#[derive(Clone, Debug)]
struct Anonymize {
    fields: Vec<Field>,
    key: Text,
    method: Method,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Digest(Algorithm),
    Murmur3,
    Network(u32),
}

impl Filter for Anonymize {
    // The plugin never says that it did its work: common options have no effect.
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) {
        for field in &self.fields {
            if self.replace(event, field).is_err() {
                tracing::warn!("Event has a value that cannot be anonymized, it is removed");
                if let Ok(field) = field.get() {
                    event.remove(field);
                }
            }
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Anonymize {
    fn replace(&self, event: &mut Event, field: &Field) -> Result<(), Failed> {
        let field = field.get()?;
        let hidden = match event.get(field) {
            None => return Ok(()),
            Some(Value::List(items)) => {
                Value::List(items.iter().map(|item| self.hide(item)).collect::<Result<_, _>>()?)
            }
            Some(value) => self.hide(value)?,
        };
        Ok(event.set(field, hidden)?)
    }

    fn hide(&self, value: &Value) -> Result<Value, Failed> {
        let text = ruby::to_s(value);
        Ok(match self.method {
            Method::Digest(algorithm) => {
                Value::from(hex::encode(algorithm.digest(Some(self.key.as_bytes()), text.as_bytes())))
            }
            Method::Murmur3 => Value::Int(i64::from(match value {
                Value::Int(number) => match i32::try_from(*number) {
                    Ok(small) => murmur3_32(&small.to_le_bytes(), 0),
                    Err(_) => murmur3_32(&number.to_le_bytes(), 0),
                },
                Value::Text(text) => murmur3_32(text.as_bytes(), 0),
                _ => return Ok(Value::Null),
            })),
            Method::Network(prefix) => {
                Value::from(Network::parse(&text).and_then(|address| address.masked(prefix)).ok_or(Failed)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ANONYMIZE;
    use crate::testing::filtered_json;

    #[test]
    fn values_are_hidden() {
        let hide = |settings: &str, event: &str| filtered_json(&ANONYMIZE, settings, event);
        assert_eq!(
            hide(r#"{"fields":["a","b"],"key":"longencryptionkey"}"#, r#"{"a":"123.123.123.123"}"#),
            r#"{"a":"fdc60acc4773dc5ac569ffb78fcb93c9630797f4"}"#
        );
        assert_eq!(
            hide(r#"{"fields":["a"],"key":"24","algorithm":"IPV4_NETWORK"}"#, r#"{"a":["233.255.13.44"]}"#),
            r#"{"a":["233.255.13.0"]}"#
        );
        // What cannot be hidden must not be seen either.
        assert_eq!(
            hide(r#"{"fields":["a"],"key":"24","algorithm":"IPV4_NETWORK"}"#, r#"{"a":"Joe","b":1}"#),
            r#"{"b":1}"#
        );
    }
}
