//! Speaking with a daemon: which version of its API, and answers of which only what we use is looked at.
//!
//! Docker and Podman add values, leave fields out and write `null` for what is empty, so an answer must not be held against
//! the whole of one version's definition: one unknown word in one container would hide all of them.

use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::discovery::DockerEndpoint;
use crate::discovery::endpoint::Address;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A daemon that answers, and how to speak with it.
#[derive(Clone)]
pub(crate) struct Daemon {
    /// Its streams: events, logs, commands in containers.
    pub(crate) docker: Docker,
    /// Whether it is Podman, which speaks Docker's API in its own way.
    pub(super) is_podman: bool,
    endpoint: DockerEndpoint,
    version: ApiVersion,
}

impl Daemon {
    /// What it answers at `path`.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.endpoint.ask(&format!("{}{path}", self.version.prefix())).await
    }
}

impl DockerEndpoint {
    /// Connects, and settles on a version of the API that the daemon has.
    ///
    /// # Errors
    ///
    /// What keeps the daemon from answering, or what it answers.
    pub(crate) async fn connect(&self) -> Result<Daemon, Error> {
        let asked: Version = self.ask("/version").await?;
        let version = asked.settle().ok_or(Error::APIVersionParseError {})?;
        let seconds = TIMEOUT.as_secs();
        let docker = match self.address() {
            Address::Unix(path) => {
                Docker::connect_with_unix(&self.socket(path).to_string_lossy(), seconds, API_DEFAULT_VERSION)?
            }
            Address::Http(url) => Docker::connect_with_http(url, seconds, API_DEFAULT_VERSION)?,
        };
        // The client itself names no version in its requests, which the API's documentation calls deprecated.
        let docker = docker.with_request_modifier(move |mut request| {
            if let Some(uri) = with_version(request.uri(), version) {
                *request.uri_mut() = uri;
            }
            request
        });
        Ok(Daemon { docker, is_podman: asked.is_podman(), endpoint: self.clone(), version })
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let asking = async {
            match self.address() {
                Address::Unix(socket) => answer(UnixStream::connect(self.socket(socket)).await?, path).await,
                Address::Http(url) => {
                    let place = url.strip_prefix("http://").unwrap_or(url);
                    answer(TcpStream::connect(place).await?, path).await
                }
            }
        };
        let body = tokio::time::timeout(TIMEOUT, asking).await.map_err(|_| Error::RequestTimeoutError)??;
        Ok(serde_json::from_slice(&body)?)
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<Bytes, Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, "docker").body(Empty::<Bytes>::new())?;
    let asking = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Error>((status, body))
    };
    let (status, body) = tokio::select! {
        answered = asking => answered?,
        Err(error) = connection => return Err(error.into()),
    };
    if status.is_success() {
        return Ok(body);
    }
    let said = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
    let message = said.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
    Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// What the daemon says of itself. Those before API 1.35 have no components.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: Option<String>,
}

impl Version {
    fn is_podman(&self) -> bool {
        let components = self.components.iter().flatten();
        components.filter_map(|component| component.name.as_deref()).any(|name| name.starts_with("Podman"))
    }

    /// The newest version that both know. A daemon that has left ours behind is asked in its oldest one: little of what
    /// we use has ever changed.
    fn settle(&self) -> Option<ApiVersion> {
        let newest = ApiVersion::parse(self.api_version.as_deref()?)?;
        let oldest = self.min_api_version.as_deref().and_then(ApiVersion::parse);
        Some(newest.min(ApiVersion::OURS).max(oldest.unwrap_or(newest.min(ApiVersion::OURS))))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

impl ApiVersion {
    /// The newest one whose documentation was read for this program.
    const OURS: Self = Self(1, 52);

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }

    fn prefix(self) -> String {
        format!("/v{}.{}", self.0, self.1)
    }
}

fn with_version(uri: &Uri, version: ApiVersion) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
    parts.path_and_query = Some(format!("{}{path}", version.prefix()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_have() {
        for (newest, oldest, settled) in [
            ("1.24", Some("1.12"), (1, 24)),
            ("1.41", Some("1.12"), (1, 41)),
            // Docker 29 and later.
            ("1.52", Some("1.44"), (1, 52)),
            ("1.60", Some("1.44"), (1, 52)),
            ("2.1", Some("1.55"), (1, 55)),
            ("1.41", None, (1, 41)),
        ] {
            let answer = serde_json::json!({"ApiVersion": newest, "MinAPIVersion": oldest}).to_string();
            let version: Version = serde_json::from_str(&answer).unwrap();
            assert_eq!(version.settle(), Some(ApiVersion(settled.0, settled.1)), "{answer}");
        }
        let nothing: Version = serde_json::from_str("{}").unwrap();
        assert_eq!(nothing.settle(), None);
    }

    #[test]
    fn requests_name_the_version() {
        let uri: Uri = "unix://2f72756e/containers/abc/logs?follow=true".parse().unwrap();
        let uri = with_version(&uri, ApiVersion(1, 44)).unwrap();
        assert_eq!(uri.to_string(), "unix://2f72756e/v1.44/containers/abc/logs?follow=true");
    }
}
