//! `http`: requests to any server.

use std::sync::Arc;
use std::time::Duration;

use logstash_mesos_engine::compat::ruby;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::event::{EscapeStyle, Event, SprintfError, Template, Text, write_json_map, write_json_string};
use crate::pipeline::plugin::settings::{Default, Kind, Setting, SettingValue, Settings, Status};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, PluginSpec};
use crate::pipeline::tls;
use crate::sink::http_client::HttpClientSettings;
use crate::sink::{HttpSettings, HttpSink, LogSink, RecordBatch};
use crate::tls::ClientTls;

pub(crate) static HTTP: PluginSpec = PluginSpec {
    name: "http",
    doc: "Sends events as HTTP requests. An event counts as delivered when the server answers with success.",
    settings: &[
        Setting::new("url", Kind::String, "Where requests go; may hold `%{field}`, but not for batches.").required(),
        Setting::new(
            "http_method",
            Kind::OneOf(&["put", "post", "patch", "delete", "get", "head"]),
            "The method of requests.",
        )
        .required(),
        Setting::new(
            "format",
            Kind::OneOf(&["json", "json_batch", "form", "message"]),
            "The body: an event as JSON, an array of events, fields of a form, or `message`.",
        )
        .default(Default::String("json")),
        Setting::new("mapping", Kind::Hash, "What is sent in place of the event; values may hold `%{field}`."),
        Setting::new("message", Kind::String, "The body for the format `message`; may hold `%{field}`."),
        Setting::new("headers", Kind::Hash, "Headers of requests; values may hold `%{field}`, but not for batches."),
        Setting::new("content_type", Kind::String, "The type of the body; that of the format where absent."),
        Setting::new("http_compression", Kind::Boolean, "Compresses bodies with gzip.").default(Default::Bool(false)),
        Setting::new(
            "retry_failed",
            Kind::Boolean,
            "Whether what fails is sent again until it succeeds. Without it, what fails becomes a dead letter.",
        )
        .default(Default::Bool(true)),
        Setting::new(
            "retryable_codes",
            Kind::List(&Kind::Number),
            "Status that asks to come again: 429, 500, 502, 503, 504 where absent. Any other failure makes a dead letter.",
        ),
        Setting::new("ignorable_codes", Kind::List(&Kind::Number), "Status that counts as success, beside 200 to 299."),
        Setting::new("automatic_retries", Kind::Number, "How often a request without answer is repeated at once.")
            .default(Default::Int(1)),
        Setting::new("retry_non_idempotent", Kind::Boolean, "Whether that holds for `post` and `patch`, too.")
            .default(Default::Bool(false)),
        Setting::new("request_timeout", Kind::Number, "Most seconds for a request.").default(Default::Int(60)),
        Setting::new("socket_timeout", Kind::Number, "Most seconds without a word from the server.")
            .default(Default::Int(10)),
        Setting::new("connect_timeout", Kind::Number, "Most seconds for a connection.").default(Default::Int(10)),
        Setting::new("follow_redirects", Kind::Boolean, "Whether `get` and `head` go where a server sends them; 303 is followed with `get`.")
            .default(Default::Bool(true)),
        Setting::new("pool_max", Kind::Number, "Most requests at a time.").default(Default::Int(50)),
        Setting::new("pool_max_per_route", Kind::Number, "Most requests to a server at a time.")
            .default(Default::Int(25)),
        Setting::new("keepalive", Kind::Boolean, "Whether connections serve several requests.")
            .default(Default::Bool(true)),
        Setting::new("validate_after_inactivity", Kind::Number, "After how many milliseconds a connection is checked.")
            .default(Default::Int(200))
            .status(Status::Ignored("a broken one is seen at once")),
        Setting::new("cookies", Kind::Boolean, "Whether cookies are kept.")
            .default(Default::Bool(true))
            .status(Status::Ignored("cookies are not kept; one that is always the same can be set with `headers`")),
        Setting::new("proxy", Kind::Any, "A proxy.")
            .status(Status::Absent("proxies are not spoken to; let the network lead to the server")),
        Setting::new("user", Kind::String, "The user."),
        Setting::new("password", Kind::Password, "Its password."),
        Setting::new("ssl_enabled", Kind::Boolean, "Whether the settings for TLS count; the address says whether it is spoken.")
            .default(Default::Bool(true)),
        tls::AUTHORITIES,
        tls::VERIFICATION_MODE,
        tls::CERTIFICATE,
        tls::KEY,
        tls::PROTOCOLS,
        tls::CIPHERS,
        tls::java("ssl_keystore_path", Kind::Path),
        tls::java("ssl_keystore_password", Kind::Password),
        tls::java("ssl_keystore_type", Kind::OneOf(&["pkcs12", "jks"])),
        tls::java("ssl_truststore_path", Kind::Path),
        tls::java("ssl_truststore_password", Kind::Password),
        tls::java("ssl_truststore_type", Kind::OneOf(&["pkcs12", "jks"])),
        tls::obsolete("cacert", "use `ssl_certificate_authorities`"),
        tls::obsolete("client_cert", "use `ssl_certificate`"),
        tls::obsolete("client_key", "use `ssl_key`"),
        tls::obsolete("keystore", "use `ssl_certificate` and `ssl_key`"),
        tls::obsolete("keystore_type", "use `ssl_certificate` and `ssl_key`"),
        tls::obsolete("keystore_password", "use `ssl_certificate` and `ssl_key`"),
        tls::obsolete("truststore", "use `ssl_certificate_authorities`"),
        tls::obsolete("truststore_type", "use `ssl_certificate_authorities`"),
        tls::obsolete("truststore_password", "use `ssl_certificate_authorities`"),
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let body = Body::new(settings)?;
    let batches = body.is_batch();
    let url = settings.text("url").unwrap_or_default();
    let (constant, changing) = headers(settings, &body)?;
    let url_template = settings.template_of(&url);
    let same_for_all = batches || (url_template.is_constant() && changing.is_empty());
    let route = (!same_for_all).then(|| Route {
        url: url_template.clone(),
        headers: changing.iter().map(|(_, value)| value.clone()).collect(),
    });
    if batches && !url_template.is_constant() {
        return Err(BuildError::setting("url", "cannot depend on the events of a batch")
            .remedy("use the format `json`, or an address without `%{…}`"));
    }
    if url_template.is_constant() {
        let is_http = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        if !url.parse::<http::Uri>().is_ok_and(|uri| is_http(&uri)) {
            return Err(BuildError::setting("url", format!("`{url}` is no address of HTTP"))
                .remedy("write it as `http://host:port/path`"));
        }
    }
    let sink =
        HttpSink::new(sink_settings(settings, cx, url, constant, changing, batches)?).map_err(|error| {
            use crate::sink::http_client::HttpClientError;
            match error {
                HttpClientError::Tls(error) => tls::refused(settings, &error),
                other => BuildError::setting("headers", other.to_string()),
            }
        })?;
    Ok(Box::new(Http { body, route, sink: Arc::new(sink) }))
}

/// Headers that are always the same, and those that are not.
type Headers = (Vec<(String, String)>, Vec<(String, Template)>);

fn headers(settings: &Settings, body: &Body) -> Result<Headers, BuildError> {
    let content_type = settings.text("content_type").unwrap_or(Text::from_static(body.content_type()));
    let mut all: Vec<(String, Text)> = Vec::new();
    for (name, value) in settings.hash("headers") {
        let value = value
            .to_text()
            .ok_or_else(|| BuildError::setting("headers", format!("the value of `{name}` is no text")))?;
        if !name.eq_ignore_ascii_case("content-type") {
            all.push((name.to_string(), value));
        }
    }
    all.push(("Content-Type".to_owned(), content_type));
    let (mut constant, mut changing) = (Vec::new(), Vec::new());
    for (name, value) in all {
        let template = settings.template_of(&value);
        if template.is_constant() || body.is_batch() {
            constant.push((name, value.to_string()));
        } else {
            changing.push((name, template));
        }
    }
    Ok((constant, changing))
}

fn sink_settings(
    settings: &Settings,
    cx: &BuildContext,
    url: Text,
    headers: Vec<(String, String)>,
    changing: Vec<(String, Template)>,
    whole_batches: bool,
) -> Result<HttpSettings, BuildError> {
    let seconds = |name| {
        Duration::try_from_secs_f64(settings.float(name).unwrap_or(60.0))
            .map_err(|_| BuildError::setting(name, "is no number of seconds"))
    };
    let number = |name, default| {
        settings
            .int(name)
            .map_or(Ok(default), usize::try_from)
            .map_err(|_| BuildError::setting(name, "is less than nothing"))
    };
    let codes = |name: &'static str, default: &[u16]| {
        if settings.get(name).is_none() {
            return Ok(default.to_vec());
        }
        let parsed: Result<Vec<u16>, _> = settings.strings(name).iter().map(|code| code.parse()).collect();
        parsed.map_err(|_| BuildError::setting(name, "has something that is no status"))
    };
    let basic_auth = match (settings.text("user"), settings.text("password")) {
        (Some(user), Some(password)) => Some((user.to_string(), password.to_string())),
        (None, None) => None,
        (Some(_), None) => {
            return Err(BuildError::setting("user", "is given without `password`").remedy("give both"));
        }
        (None, Some(_)) => {
            return Err(BuildError::setting("password", "is given without `user`").remedy("give both"));
        }
    };
    let method = settings.text("http_method").unwrap_or_default().to_ascii_uppercase();
    let most = number("pool_max", 50)?.min(number("pool_max_per_route", 25)?).max(1);
    Ok(HttpSettings {
        url: url.to_string(),
        method: http::Method::from_bytes(method.as_bytes())
            .map_err(|error| BuildError::setting("http_method", error.to_string()))?,
        headers,
        record_headers: changing.into_iter().map(|(name, _)| name).collect(),
        whole_batches,
        basic_auth,
        gzip: settings.bool("http_compression"),
        retry_failed: settings.bool("retry_failed"),
        retryable: codes("retryable_codes", &[429, 500, 502, 503, 504])?,
        ignorable: codes("ignorable_codes", &[])?,
        automatic_retries: u32::try_from(number("automatic_retries", 1)?).unwrap_or(u32::MAX),
        retry_non_idempotent: settings.bool("retry_non_idempotent"),
        follow_redirects: settings.bool("follow_redirects"),
        request_timeout: seconds("request_timeout")?,
        socket_timeout: seconds("socket_timeout")?,
        most_requests: most,
        // As many as go through the filters at a time in Logstash: some servers mind.
        most_records: 125,
        client: HttpClientSettings {
            tls: if settings.bool("ssl_enabled") { tls::client(settings, cx)? } else { ClientTls::default() },
            connect_timeout: seconds("connect_timeout")?,
            keep_alive: settings.bool("keepalive"),
            most_idle: most,
        },
    })
}

/// What is sent for an event.
#[derive(Clone, Debug)]
enum Body {
    Json { mapping: Option<Mapping>, batch: bool },
    Form(Option<Mapping>),
    Message(Template),
}

/// What is sent in place of an event.
#[derive(Clone, Debug)]
enum Mapping {
    Text(Template),
    List(Vec<Mapping>),
    Hash(Vec<(Text, Mapping)>),
}

/// What `CGI.escape` leaves as it is, beside letters and digits; a space becomes a plus.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b' ');

impl Body {
    fn new(settings: &Settings) -> Result<Self, BuildError> {
        let mapping = settings.get("mapping").map(|mapping| Mapping::new(mapping, settings.escape_style()));
        Ok(match settings.text("format").as_deref() {
            Some("form") => Self::Form(mapping),
            Some("message") => match settings.template("message") {
                Some(message) => Self::Message(message),
                None => return Err(BuildError::setting("format", "`message` needs the setting `message`")),
            },
            format => Self::Json { mapping, batch: format == Some("json_batch") },
        })
    }

    fn is_batch(&self) -> bool {
        matches!(self, Self::Json { batch: true, .. })
    }

    fn content_type(&self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::Message(_) => "text/plain",
        }
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), SprintfError> {
        match self {
            Self::Json { mapping: None, .. } => write_json_map(event.fields(), out),
            Self::Json { mapping: Some(mapping), .. } => mapping.write_json(event, out)?,
            Self::Message(template) => template.render_to(event, out)?,
            Self::Form(None) => {
                write_form(event.fields().iter().map(|(name, value)| (name.clone(), ruby::to_s(value))), out);
            }
            Self::Form(Some(mapping)) => {
                let Mapping::Hash(entries) = mapping else { return Ok(()) };
                let entries: Vec<(Text, Text)> = entries
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.to_s(event)?)))
                    .collect::<Result<_, SprintfError>>()?;
                write_form(entries.into_iter(), out);
            }
        }
        Ok(())
    }
}

fn write_form(entries: impl Iterator<Item = (Text, Text)>, out: &mut Vec<u8>) {
    let escape = |text: &str, out: &mut Vec<u8>| {
        for part in utf8_percent_encode(text, FORM) {
            out.extend(part.bytes().map(|byte| if byte == b' ' { b'+' } else { byte }));
        }
    };
    for (at, (name, value)) in entries.enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        escape(&name, out);
        out.push(b'=');
        escape(&value, out);
    }
}

impl Mapping {
    fn new(value: &SettingValue, style: EscapeStyle) -> Self {
        let part = |value: &SettingValue| Self::new(value, style);
        match value {
            SettingValue::Array(items) => Self::List(items.iter().map(part).collect()),
            SettingValue::Hash(entries) => {
                Self::Hash(entries.iter().map(|(name, value)| (name.clone(), part(value))).collect())
            }
            scalar => Self::Text(Template::parse_with(&scalar.to_text().unwrap_or_default(), style)),
        }
    }

    fn write_json(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), SprintfError> {
        match self {
            Self::Text(template) => write_json_string(&template.render(event)?, out),
            Self::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write_json(event, out)?;
                }
                out.push(b']');
            }
            Self::Hash(entries) => {
                out.push(b'{');
                for (at, (name, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_json_string(name, out);
                    out.push(b':');
                    value.write_json(event, out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn value(&self, event: &Event) -> Result<crate::event::Value, SprintfError> {
        Ok(match self {
            Self::Text(template) => template.render(event)?.into(),
            Self::List(items) => crate::event::Value::List(
                items.iter().map(|item| item.value(event)).collect::<Result<_, _>>()?,
            ),
            Self::Hash(entries) => {
                let mut map = crate::event::Map::with_capacity(entries.len());
                for (name, value) in entries {
                    map.insert(name.clone(), value.value(event)?);
                }
                map.into()
            }
        })
    }

    fn to_s(&self, event: &Event) -> Result<Text, SprintfError> {
        self.value(event).map(|value| ruby::to_s(&value))
    }
}

/// Where an event goes, where that depends on it.
#[derive(Clone, Debug)]
struct Route {
    url: Template,
    headers: Vec<Template>,
}

impl Route {
    fn render(&self, event: &Event) -> Result<Text, SprintfError> {
        let mut out = self.url.render(event)?.to_string();
        for header in &self.headers {
            out.push('\0');
            // A zero byte would end the value, and cannot be sent anyway.
            out.push_str(&header.render(event)?.replace('\0', "\u{fffd}"));
        }
        Ok(Text::from(out))
    }
}

struct Http {
    body: Body,
    route: Option<Route>,
    sink: Arc<HttpSink>,
}

impl Output for Http {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let route = self.route.as_ref().map(|route| route.render(event)).transpose()?;
        if let Err(error) = self.body.write(event, &mut batch.body) {
            batch.undo_unfinished();
            return Err(error.into());
        }
        batch.finish_record(route);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self { body: self.body.clone(), route: self.route.clone(), sink: Arc::clone(&self.sink) })
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.sink) as _
    }
}

#[cfg(test)]
mod tests;
