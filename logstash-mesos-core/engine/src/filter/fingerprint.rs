//! `fingerprint`: a digest of fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::ToPrimitive;
use logstash_mesos_regex::{Regex, Scratch};

use super::uuid;
use crate::compat::ruby;
use crate::compat::ruby::ip::Network;
use crate::event::{Event, Map, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::digest::{Algorithm, murmur3_32, murmur3_128};

pub(crate) static FINGERPRINT: PluginSpec = PluginSpec {
    name: "fingerprint",
    doc: "Computes a digest of fields, to find duplicates or to hide what they say.",
    settings: &[
        Setting::new("source", Kind::Array, "The fields.").default(Default::Strings(&["message"])),
        Setting::new(
            "target",
            Kind::String,
            "Where the digest goes: `[event][hash]`, or `fingerprint` without ECS.",
        ),
        Setting::new(
            "key",
            Kind::Password,
            "The key for an HMAC, or the length of the prefix of IPV4_NETWORK.",
        ),
        Setting::new("base64encode", Kind::Boolean, "Writes the digest in base64, not hexadecimal.")
            .default(Default::Bool(false)),
        Setting::new(
            "method",
            Kind::OneOf(&[
                "SHA1",
                "SHA256",
                "SHA384",
                "SHA512",
                "MD5",
                "MURMUR3",
                "MURMUR3_128",
                "IPV4_NETWORK",
                "UUID",
                "PUNCTUATION",
            ]),
            "How it is computed.",
        )
        .default(Default::String("SHA1")),
        Setting::new("concatenate_sources", Kind::Boolean, "Makes one digest of all the fields.")
            .default(Default::Bool(false)),
        Setting::new("concatenate_all_fields", Kind::Boolean, "Makes one digest of everything in the event.")
            .default(Default::Bool(false)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let key = settings.text("key");
    let method = match settings.text("method").unwrap_or_default().as_str() {
        "MURMUR3" => Method::Murmur3,
        "MURMUR3_128" => Method::Murmur128,
        "UUID" => Method::Uuid,
        "PUNCTUATION" => Method::Punctuation(
            Regex::new(r"[^\p{P}\p{S}]").map_err(|error| BuildError::plugin(error.to_string()))?,
        ),
        "IPV4_NETWORK" => {
            let Some(key) = &key else {
                return Err(BuildError::setting("key", "IPV4_NETWORK needs a prefix length")
                    .remedy("set `key` to the number of bits to keep, such as 24"));
            };
            Method::Network(u32::try_from(ruby::string_to_i64(key)).unwrap_or(u32::MAX))
        }
        name => Method::Digest(
            Algorithm::named(name)
                .ok_or_else(|| BuildError::setting("method", format!("there is no method `{name}`")))?,
        ),
    };
    let target = settings.text("target");
    let target = target.as_deref().unwrap_or(context.ecs.select("fingerprint", "[event][hash]"));
    let mut source = settings.strings("source");
    if settings.bool("concatenate_sources") || matches!(method, Method::Punctuation(_)) {
        source.sort_unstable();
    }
    Ok(Box::new(Fingerprint {
        source: source.into_iter().map(|name| (settings.field_of(&name), name)).collect(),
        target: settings.field_of(target),
        method,
        key,
        base64: settings.bool("base64encode"),
        concatenate: settings.bool("concatenate_sources"),
        everything: settings.bool("concatenate_all_fields"),
    }))
}

#[derive(Clone, Debug)]
struct Fingerprint {
    source: Vec<(Field, Text)>,
    target: Field,
    method: Method,
    key: Option<Text>,
    base64: bool,
    concatenate: bool,
    everything: bool,
}

#[derive(Clone, Debug)]
enum Method {
    Digest(Algorithm),
    Murmur3,
    Murmur128,
    Network(u32),
    Uuid,
    Punctuation(Regex),
}

impl Filter for Fingerprint {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        match self.apply(event) {
            Ok(()) => {
                cx.matched(event);
            }
            // Logstash ends its pipeline here; the event without fingerprint is the lesser evil.
            Err(Failed) => tracing::warn!("Event has a value that cannot be fingerprinted"),
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Fingerprint {
    fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        let target = self.target.get()?;
        match &self.method {
            Method::Uuid => event.set(target, uuid::random())?,
            Method::Punctuation(others) => {
                let mut scratch = Scratch::new();
                for (field, _) in &self.source {
                    let marks = match event.get(field.get()?) {
                        None => continue,
                        Some(Value::Text(text)) if text.is_ascii() => {
                            text.chars().filter(char::is_ascii_punctuation).collect()
                        }
                        Some(Value::Text(text)) => {
                            others.replace_all(text, "", &mut scratch)?.unwrap_or_else(|| text.to_string())
                        }
                        Some(_) => return Err(Failed),
                    };
                    event.set(target, marks)?;
                }
            }
            _ if self.everything => {
                let mut all = String::new();
                let mut entries: Vec<_> = event.fields().iter().collect();
                entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
                for (key, value) in entries {
                    concatenate(key, value, &mut all);
                }
                all.push('|');
                event.set(target, self.of_text(&all)?)?;
            }
            _ if self.concatenate => {
                let mut all = String::new();
                for (field, name) in &self.source {
                    concatenate(name, event.get(field.get()?).unwrap_or(&Value::Null), &mut all);
                }
                all.push('|');
                event.set(target, self.of_text(&all)?)?;
            }
            _ => {
                for (field, _) in &self.source {
                    let print = match event.get(field.get()?) {
                        None => continue,
                        Some(Value::List(items)) => Value::List(
                            items.iter().map(|item| self.of_value(item)).collect::<Result<_, _>>()?,
                        ),
                        Some(value) => self.of_value(value)?,
                    };
                    event.set(target, print)?;
                }
            }
        }
        Ok(())
    }

    fn of_value(&self, value: &Value) -> Result<Value, Failed> {
        let integer = match value {
            Value::Text(text) => return self.of_text(text),
            Value::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_wrap, reason = "the hash is of the lower 64 bits")]
            Value::BigInt(number) => {
                (&**number & num_bigint::BigInt::from(u64::MAX)).to_u64().map(|low| low as i64)
            }
            _ => None,
        };
        match (&self.method, integer) {
            (Method::Murmur3, Some(number)) => {
                Ok(Value::Int(i64::from(murmur3_32(&number.to_le_bytes(), 0))))
            }
            (Method::Murmur128, Some(number)) => Ok(self.written(&match i32::try_from(number) {
                Ok(small) => murmur3_128(&small.to_le_bytes(), 2),
                Err(_) => murmur3_128(&number.to_le_bytes(), 2),
            })),
            _ => {
                let mut text = String::new();
                canonical(value, &mut text);
                self.of_text(&text)
            }
        }
    }

    fn of_text(&self, text: &str) -> Result<Value, Failed> {
        Ok(match &self.method {
            Method::Murmur3 => Value::Int(i64::from(murmur3_32(text.as_bytes(), 0))),
            Method::Murmur128 => self.written(&murmur3_128(text.as_bytes(), 2)),
            Method::Digest(algorithm) => {
                self.written(&algorithm.digest(self.key.as_ref().map(|key| key.as_bytes()), text.as_bytes()))
            }
            Method::Network(prefix) => {
                let network = Network::parse(text).and_then(|address| address.masked(*prefix));
                Value::from(network.ok_or(Failed)?)
            }
            Method::Uuid | Method::Punctuation(_) => return Err(Failed),
        })
    }

    fn written(&self, digest: &[u8]) -> Value {
        Value::from(if self.base64 { STANDARD.encode(digest) } else { hex::encode(digest) })
    }
}

fn concatenate(key: &str, value: &Value, out: &mut String) {
    out.push('|');
    out.push_str(key);
    out.push('|');
    canonical(value, out);
}

/// A value as text, hashes sorted by their keys.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Text(text) => out.push_str(text),
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push('|');
                }
                canonical(item, out);
            }
        }
        Value::Map(map) => canonical_map(map, out),
        other => out.push_str(&ruby::to_s(other)),
    }
}

fn canonical_map(map: &Map, out: &mut String) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push('|');
        }
        out.push_str(key);
        out.push('|');
        canonical(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::EcsCompatibility;
    use crate::testing::{build, build_with, fields, json_event, run};

    fn print(settings: &str, event: &str) -> String {
        let mut filter = build_with(&FINGERPRINT, settings, EcsCompatibility::Disabled).unwrap();
        let mut event = json_event(event);
        run(&mut *filter, &mut event);
        let all = fields(&event);
        all.split_once("\"fingerprint\":")
            .map_or(String::new(), |(_, print)| print.trim_end_matches('}').to_owned())
    }

    #[test]
    fn fields_have_digests() {
        assert_eq!(print("{}", r#"{"message":"hello"}"#), "\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\"");
        assert_eq!(
            print(r#"{"method":"SHA1","key":"k","base64encode":true,"source":["a"]}"#, r#"{"a":"hello"}"#),
            "\"C3k40aLNyvqUZFpcNQj3I2rkV6k=\""
        );
        assert_eq!(
            print(r#"{"method":"MD5","source":["a"]}"#, r#"{"a":["x",1]}"#),
            "[\"9dd4e461268c8034f5c8564e155c67a6\",\"c4ca4238a0b923820dcc509a6f75849b\"]"
        );
        assert_eq!(print("{}", r#"{"a":1}"#), "");
    }

    #[test]
    fn fields_are_put_together_in_order() {
        let one = r#"{"method":"MD5","source":["b","a"],"concatenate_sources":true}"#;
        assert_eq!(
            print(one, r#"{"a":"1","b":2}"#),
            format!("\"{}\"", hex::encode(Algorithm::Md5.digest(None, b"|a|1|b|2|")))
        );
        let all = r#"{"method":"MD5","concatenate_all_fields":true}"#;
        assert_eq!(
            print(all, r#"{"b":{"y":null,"x":[1,2.5]},"a":"1"}"#),
            format!("\"{}\"", hex::encode(Algorithm::Md5.digest(None, b"|a|1|b|x|1|2.5|y||")))
        );
    }

    #[test]
    fn other_methods() {
        assert_eq!(print(r#"{"method":"MURMUR3"}"#, r#"{"message":5}"#), "1740791543");
        assert_eq!(
            print(r#"{"method":"IPV4_NETWORK","key":"24"}"#, r#"{"message":"10.1.2.3"}"#),
            "\"10.1.2.0\""
        );
        assert_eq!(print(r#"{"method":"IPV4_NETWORK","key":"24"}"#, r#"{"message":"x"}"#), "");
        assert_eq!(print(r#"{"method":"PUNCTUATION"}"#, r#"{"message":"a-b «ü» $1"}"#), "\"-«»$\"");
        assert_eq!(print(r#"{"method":"UUID"}"#, "{}").len(), 38);
        assert!(build(&FINGERPRINT, r#"{"method":"IPV4_NETWORK"}"#).is_err());
    }
}
