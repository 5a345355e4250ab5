//! What the head of a request says, as fields.

use http::request::Parts;

use crate::event::{Event, FieldReference, Map, Text, Value};
use crate::pipeline::plugin::EcsCompatibility;

/// The head of a request.
pub(super) struct Facts {
    content_type: Text,
    headers: Value,
    // By the Elastic Common Schema.
    fields: Vec<(FieldReference, Value)>,
}

impl Facts {
    /// `length` is that of the unpacked body.
    pub(super) fn new(head: &Parts, length: usize, ecs: EcsCompatibility) -> Self {
        let mut headers = Map::with_capacity(head.headers.len() + 6);
        for (name, value) in &head.headers {
            if name != http::header::AUTHORIZATION {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                headers.insert(name.as_str().replace('-', "_"), Value::from(text));
            }
        }
        if !headers.contains_key("content_length") {
            headers.insert("content_length", Value::from(length.to_string()));
        }
        for (from, to) in
            [("accept", "http_accept"), ("host", "http_host"), ("user_agent", "http_user_agent")]
        {
            let value = headers.remove(from).unwrap_or(Value::Null);
            headers.insert(to, value);
        }
        let version = match head.version {
            http::Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        headers.insert("request_method", Value::from(head.method.as_str().to_owned()));
        headers.insert("request_path", Value::from(head.uri.to_string()));
        headers.insert("http_version", Value::from(version));
        let content_type = headers.get("content_type").and_then(Value::as_text).cloned().unwrap_or_default();
        let fields = if ecs == EcsCompatibility::Disabled { Vec::new() } else { ecs_fields(&headers) };
        Self { content_type, headers: Value::from(headers), fields }
    }

    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// All headers, and the first line.
    pub(super) fn headers(&self) -> &Value {
        &self.headers
    }

    /// Adds the fields of the schema.
    pub(super) fn apply(&self, event: &mut Event) {
        for (field, value) in &self.fields {
            // Where something that is no hash stands in the way, the event keeps what it has.
            let _kept = event.set(field, value.clone());
        }
    }
}

fn ecs_fields(headers: &Map) -> Vec<(FieldReference, Value)> {
    let mut fields = Vec::new();
    let mut add = |field: &str, value: Value| {
        fields.extend(FieldReference::parse(field).map(|field| (field, value)));
    };
    let text = |name: &str| headers.get(name).and_then(Value::as_text).cloned();
    let plain = [
        ("http_version", "[http][version]"),
        ("http_user_agent", "[user_agent][original]"),
        ("request_method", "[http][method]"),
        ("request_path", "[url][path]"),
        ("content_length", "[http][request][body][bytes]"),
        ("content_type", "[http][request][mime_type]"),
    ];
    for (name, field) in plain {
        if let Some(text) = text(name) {
            add(field, Value::Text(text));
        }
    }
    if let Some(host) = text("http_host") {
        let (domain, port) = domain_and_port(&host);
        add("[url][domain]", Value::from(domain.to_owned()));
        if let Some(port) = port {
            add("[url][port]", Value::Int(port));
        }
    }
    fields
}

/// `host:80` and `[::1]:80` in their parts; what looks otherwise is a domain as it is.
fn domain_and_port(host: &str) -> (&str, Option<i64>) {
    let parts = host.rsplit_once(':').and_then(|(domain, port)| {
        let inner = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let plain = Some(domain).filter(|domain| !domain.is_empty() && !domain.contains(':'));
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        Some((inner.or(plain)?, port.parse().ok().filter(|_| digits)?))
    });
    match parts {
        Some((domain, port)) => (domain, Some(port)),
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_ports_or_not() {
        // spec/inputs/http_spec.rb of logstash-input-http, `get_domain_port`.
        let cases = [
            ("127.0.0.1:8080", ("127.0.0.1", Some(8080))),
            ("[2001:db8::8a2e:370:7334]:8080", ("2001:db8::8a2e:370:7334", Some(8080))),
            ("logstash.example", ("logstash.example", None)),
            ("2001:db8::1", ("2001:db8::1", None)),
            (":80", (":80", None)),
            ("host:", ("host:", None)),
        ];
        for (host, parts) in cases {
            assert_eq!(domain_and_port(host), parts, "{host}");
        }
    }
}
