//! `elasticsearch`: documents for Elasticsearch and OpenSearch.

mod action;
mod cloud;
mod data_stream;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use action::{Action, Encoder};
use data_stream::DataStream;

use crate::event::{Event, Text};
use crate::pipeline::plugin::settings::{SettingValue, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, OutputContext, PluginSpec,
};
use crate::pipeline::tls;
use crate::sink::elasticsearch::{
    ElasticsearchSettings, ElasticsearchSink, IndexTemplate, Node, TemplateApi,
};
use crate::sink::http_client::HttpClientError;
use crate::sink::{LogSink, Pauses, RecordBatch};

pub(crate) static ELASTICSEARCH: PluginSpec = PluginSpec {
    name: "elasticsearch",
    doc: "Sends documents to Elasticsearch or OpenSearch over the bulk API.",
    settings: settings::SETTINGS,
    build: Build::Output(&MakeOutput::sharing(build)),
};

fn build(
    settings: &Settings,
    cx: &BuildContext,
    with: &OutputContext,
) -> Result<Box<dyn Output>, BuildError> {
    if settings.text("ilm_enabled").as_deref() == Some("true") {
        return Err(BuildError::setting("ilm_enabled", "lifecycles are not set up from here").remedy(
            "write to a data stream, or make the alias and its policy on the cluster and name the alias with `index`",
        ));
    }
    let encoder = encoder(settings, cx)?;
    let mut connection = connection(settings, cx)?;
    if connection.api_key.is_some() && !connection.nodes.iter().all(|node| node.tls) {
        return Err(BuildError::setting("api_key", "would be sent to a server without TLS")
            .remedy("write the addresses with `https://`, or set `ssl_enabled`"));
    }
    if !encoder.is_for_data_stream() {
        connection.template = template(settings, cx)?;
    }
    let sink = ElasticsearchSink::new(connection).map_err(|error| refused(settings, &error))?;
    let sink = Arc::new(sink.within(&with.memory));
    Ok(Box::new(Elasticsearch { encoder, sink }))
}

struct Elasticsearch {
    encoder: Encoder,
    sink: Arc<ElasticsearchSink>,
}

impl Output for Elasticsearch {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        match self.encoder.encode(event, &mut batch.body) {
            Ok(()) => {
                batch.finish_record(None);
                Ok(())
            }
            Err(reason) => {
                batch.undo_unfinished();
                Err(reason)
            }
        }
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self { encoder: self.encoder.clone(), sink: Arc::clone(&self.sink) })
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.sink) as _
    }
}

/// How the cluster is reached.
fn connection(settings: &Settings, cx: &BuildContext) -> Result<ElasticsearchSettings, BuildError> {
    let defaults = ElasticsearchSettings::default();
    let nodes = nodes(settings)?;
    let path = settings.text("path").unwrap_or_default();
    let path = path.trim_matches('/');
    if !path.is_empty() && nodes.iter().any(|node| !node.path.is_empty()) {
        return Err(BuildError::setting("path", "is given beside addresses that have a path")
            .remedy("write the path in one of the two places"));
    }
    let bulk_path = match settings.text("bulk_path") {
        Some(path) => format!("/{}", path.trim_start_matches('/')),
        None if path.is_empty() => defaults.bulk_path.clone(),
        None => format!("/{path}/_bulk"),
    };
    let level = match settings.int("compression_level") {
        Some(level @ 0..=9) => u32::try_from(level).unwrap_or(0),
        Some(_) => return Err(BuildError::setting("compression_level", "is a number from 0 to 9")),
        None => u32::from(settings.bool("http_compression")),
    };
    let seconds = |name, default: Duration| {
        settings
            .float(name)
            .map_or(Ok(default), Duration::try_from_secs_f64)
            .map_err(|_| BuildError::setting(name, "is no number of seconds"))
    };
    let pairs = |name| -> Vec<(String, String)> {
        let text = |value: &SettingValue| value.to_text().unwrap_or_default().to_string();
        settings.hash(name).iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    };
    let mut reject_codes = defaults.reject_codes.clone();
    for code in settings.strings("dlq_custom_codes") {
        let code = code
            .parse()
            .map_err(|_| BuildError::setting("dlq_custom_codes", "has something that is no status"))?;
        reject_codes.push(code);
    }
    let silence = ["silence_errors_in_log", "failure_type_logging_whitelist"];
    Ok(ElasticsearchSettings {
        nodes,
        bulk_path,
        query: encode_query(&pairs("parameters")),
        headers: pairs("custom_headers"),
        timeout: seconds("timeout", defaults.timeout)?,
        resurrect_after: seconds("resurrect_delay", defaults.resurrect_after)?,
        compression_level: level,
        tls: tls::client(settings, cx)?,
        reject_codes,
        silence: silence
            .into_iter()
            .flat_map(|name| settings.strings(name))
            .map(|kind| kind.to_string())
            .collect(),
        drop_error_types: settings.strings("drop_error_types").iter().map(|kind| kind.to_string()).collect(),
        path: if path.is_empty() { String::new() } else { format!("/{path}") },
        pauses: Pauses {
            first: seconds("retry_initial_interval", defaults.pauses.first)?,
            longest: seconds("retry_max_interval", defaults.pauses.longest)?,
        },
        ..authentication(settings, defaults)?
    })
}

/// The template that is to be installed.
fn template(settings: &Settings, cx: &BuildContext) -> Result<Option<IndexTemplate>, BuildError> {
    let Some(path) = settings.text("template").filter(|_| settings.bool("manage_template")) else {
        return Ok(None);
    };
    let wrong = |reason: String| BuildError::setting("template", format!("`{path}` {reason}")).in_file();
    let body =
        std::fs::read_to_string(path.as_str()).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let content: serde_json::Map<_, _> = serde_json::from_str(&body)
        .map_err(|error| wrong(format!("is no template, which is a JSON object: {error}")))?;
    let api = match settings.text("template_api").as_deref() {
        Some("legacy") => TemplateApi::Legacy,
        Some("composable") => TemplateApi::Composable,
        _ => TemplateApi::of(&content),
    };
    let name = settings
        .text("template_name")
        .unwrap_or(Text::from_static(cx.ecs.select("logstash", "ecs-logstash")))
        .to_string();
    Ok(Some(IndexTemplate { name, body, api, overwrite: settings.bool("template_overwrite") }))
}

fn nodes(settings: &Settings) -> Result<Vec<Node>, BuildError> {
    let tls = settings.is_given("ssl_enabled").then(|| settings.bool("ssl_enabled"));
    let mut hosts = settings.strings("hosts");
    if let Some(id) = settings.text("cloud_id") {
        if settings.is_given("hosts") {
            return Err(
                BuildError::setting("cloud_id", "is given beside `hosts`").remedy("give one of the two")
            );
        }
        hosts = vec![cloud::address(&id).map_err(|reason| BuildError::setting("cloud_id", reason))?];
    }
    let mut nodes = Vec::new();
    for host in hosts {
        let node = Node::parse(&host, tls == Some(true))
            .map_err(|error| BuildError::setting("hosts", error.to_string()))?;
        if tls.is_some_and(|on| on != node.tls) {
            let message = format!("contradicts the scheme of `{}`", node.shown());
            return Err(BuildError::setting("ssl_enabled", message)
                .remedy("leave out `ssl_enabled`, or write the address with the other scheme"));
        }
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(BuildError::setting("hosts", "there is no host"));
    }
    Ok(nodes)
}

fn authentication(
    settings: &Settings,
    defaults: ElasticsearchSettings,
) -> Result<ElasticsearchSettings, BuildError> {
    let text = |name| settings.text(name).filter(|text| !text.is_empty()).map(|text| text.to_string());
    let (mut user, mut password, api_key) = (text("user"), text("password"), text("api_key"));
    let cloud_auth = text("cloud_auth");
    let ways = [user.is_some() || password.is_some(), api_key.is_some(), cloud_auth.is_some()];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        let name = if api_key.is_some() { "api_key" } else { "cloud_auth" };
        return Err(BuildError::setting(name, "is given beside another way to say who we are")
            .remedy("give one of `user` with `password`, `api_key` and `cloud_auth`"));
    }
    if let Some(both) = cloud_auth {
        let parts = both.split_once(':').filter(|(user, password)| !user.is_empty() && !password.is_empty());
        let Some((name, secret)) = parts else {
            return Err(BuildError::setting("cloud_auth", "is not `user:password`"));
        };
        (user, password) = (Some(name.to_owned()), Some(secret.to_owned()));
    }
    let basic_auth = match (user, password) {
        (Some(user), password) => Some((user, password.unwrap_or_default())),
        (None, Some(_)) => {
            return Err(BuildError::setting("password", "is given without `user`").remedy("give both"));
        }
        (None, None) => None,
    };
    Ok(ElasticsearchSettings { basic_auth, api_key, ..defaults })
}

fn encode_query(pairs: &[(String, String)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// What is sent for an event.
fn encoder(settings: &Settings, cx: &BuildContext) -> Result<Encoder, BuildError> {
    let template = |name| settings.template(name).filter(|template| !template.source().is_empty());
    let stream = data_stream::resolve(settings, cx.ecs)?;
    let action_text =
        if stream.is_some() { "create".into() } else { settings.text("action").unwrap_or("index".into()) };
    let action = Action::parse(&action_text, settings.escape_style())
        .map_err(|message| BuildError::setting("action", message))?;
    let needs_id = matches!(action, Action::Delete | Action::Update);
    if needs_id && template("document_id").is_none() {
        return Err(BuildError::setting("action", format!("`{action_text}` needs `document_id`")));
    }
    let default_index: Text =
        Text::from(cx.ecs.select("logstash-%{+yyyy.MM.dd}", "ecs-logstash-%{+yyyy.MM.dd}"));
    let index = template("index").unwrap_or_else(|| settings.template_of(&default_index));
    Ok(Encoder::new(action::Parts {
        action,
        index,
        stream,
        refuses_open_index: settings.bool("dlq_on_failed_indexname_interpolation"),
        ids_by_origin: cx.deterministic_ids,
        document_id: template("document_id"),
        routing: template("routing"),
        pipeline: template("pipeline"),
        version: template("version"),
        version_type: settings.text("version_type"),
        retry_on_conflict: settings.int("retry_on_conflict").unwrap_or(1),
        doc_as_upsert: settings.bool("doc_as_upsert"),
        upsert: template("upsert"),
        script: action::Script::from_settings(settings),
    }))
}

fn refused(settings: &Settings, error: &HttpClientError) -> BuildError {
    match error {
        HttpClientError::Tls(error) => tls::refused(settings, error),
        HttpClientError::Header(_) => BuildError::plugin(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
