//! The index template, installed before the first document.

use http::{Method, StatusCode};
use tracing::info;

use super::{ElasticsearchSink, Failure, Node, SinkError};

/// A template for indices, which is installed before the first document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexTemplate {
    /// Name of the template, the last part of its path.
    pub name: String,
    /// The template itself, a JSON object.
    pub body: String,
    /// Of which kind it is.
    pub api: TemplateApi,
    /// Whether it replaces another of its name.
    pub overwrite: bool,
}

/// The two kinds of templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateApi {
    /// `_template`: settings and mappings stand at the top.
    Legacy,
    /// `_index_template`: they stand below `template`.
    Composable,
}

impl TemplateApi {
    /// The kind that a template is by its content.
    #[must_use]
    pub fn of(template: &serde_json::Map<String, serde_json::Value>) -> Self {
        let has = |name: &&str| template.contains_key(*name);
        let is_composable = template.get("template").is_some_and(serde_json::Value::is_object)
            || ["composed_of", "data_stream", "priority"].iter().any(has);
        let is_legacy = ["settings", "mappings", "aliases", "order"].iter().any(has);
        if is_legacy && !is_composable { Self::Legacy } else { Self::Composable }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Legacy => "_template",
            Self::Composable => "_index_template",
        }
    }
}

impl ElasticsearchSink {
    /// Installs the template, once.
    pub(super) async fn install_template(&self) -> Result<(), SinkError> {
        let Some(template) = &self.settings.template else { return Ok(()) };
        self.installed.get_or_try_init(|| self.install(template)).await.copied()
    }

    async fn install(&self, template: &IndexTemplate) -> Result<(), SinkError> {
        let name = percent_encoding::utf8_percent_encode(&template.name, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("{}/{}/{name}", self.settings.path, template.api.path());
        let mut last = String::new();
        let hosts = self.cluster.hosts().await.map_err(|reason| self.unavailable(reason))?;
        for _ in 0..hosts.len() {
            let at = hosts.next();
            match self.install_at(hosts.node(at), &path, template).await {
                Ok(()) => {
                    hosts.mark(at, true);
                    return Ok(());
                }
                Err(Failure::Node(reason)) => {
                    hosts.mark(at, false);
                    self.cluster.doubt();
                    last = format!("{}: {reason}", hosts.node(at).shown());
                }
                Err(Failure::Status(status, body)) => {
                    let excerpt: String = body.chars().take(400).collect();
                    let reason = format!("template `{}`: status {status}: {excerpt}", template.name);
                    let transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                    return Err(if transient {
                        self.unavailable(reason)
                    } else {
                        SinkError::Refused { sink: self.name_of_cluster(), reason }
                    });
                }
            }
        }
        Err(self.unavailable(last))
    }

    async fn install_at(&self, node: &Node, path: &str, template: &IndexTemplate) -> Result<(), Failure> {
        if !template.overwrite {
            match self.ask(node, Method::HEAD, path, "").await {
                Ok(()) => return Ok(()),
                Err(Failure::Status(StatusCode::NOT_FOUND, _)) => {}
                Err(other) => return Err(other),
            }
        }
        self.ask(node, Method::PUT, path, &template.body).await?;
        info!(template = template.name, output = self.name_of_cluster(), "Index template installed");
        Ok(())
    }
}
