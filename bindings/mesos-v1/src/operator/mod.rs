//! Client of the operator HTTP API of a master: what a framework may ask about its cluster (facts 7.6).
//!
//! Each question goes over a connection of its own to one of the masters given, and from there to the
//! leading one. Nothing is kept between two questions.
//!
//! ```no_run
//! use mesos_v1::operator::{Agent, OperatorClient};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = OperatorClient::new(vec!["127.0.0.1:5050".parse()?]);
//! client.agents(|agent: Agent| println!("{} {}", agent.agent_info.hostname, agent.version)).await?;
//! # Ok(()) }
//! ```

mod agents;
mod error;
#[cfg(test)]
mod tests;
mod version;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use prost::Message;
use tokio::time::timeout;

use self::agents::AgentReader;
pub use self::agents::{Agent, Listed};
pub use self::error::OperatorError;
pub(crate) use self::version::version_of;
use crate::endpoint::Endpoint;
use crate::proto::master::{self, call};
pub use crate::proto::master::{QuotaConfig, Role};
use crate::scheduler::chain;
use crate::tls::Tls;
use crate::transport::{self, Authorization, Connecting, Connection, TransportError};

/// Path of the API on a master.
pub const PATH: &str = "/api/v1";

/// Asks masters about their cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OperatorClient {
    /// Masters to ask, in this order; each may lead to the leader by redirect.
    pub masters: Vec<Endpoint>,
    /// Sent with every request.
    pub authorization: Authorization,
    /// Whom to believe at endpoints with `https://`.
    pub tls: Tls,
    /// Limit for a connection to come about.
    pub connect_timeout: Duration,
    /// Limit for an answer to come whole.
    pub request_timeout: Duration,
    /// Redirects followed at most.
    pub max_redirects: usize,
    /// Longest answer accepted. The list of agents is read as it comes and never held as a whole.
    pub max_answer_bytes: usize,
}

impl OperatorClient {
    /// Asks `masters` without credentials, for at most half a minute.
    pub fn new(masters: Vec<Endpoint>) -> Self {
        Self {
            masters,
            authorization: Authorization::none(),
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_redirects: 3,
            max_answer_bytes: 1 << 30,
        }
    }

    /// The same, changed: `with(|it| it.connect_timeout = Duration::from_secs(1))`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Tells `each` every registered agent while the answer comes in, and returns what else it said.
    ///
    /// A master leaves out resources of roles that the principal may not see.
    ///
    /// # Errors
    ///
    /// [`OperatorError`]. Agents may have been told before it.
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn agents(&self, mut each: impl FnMut(Agent)) -> Result<Listed, OperatorError> {
        let asking = async {
            let (endpoint, _connection, response) = self.ask(call::Type::GetAgents).await?;
            let mut reader = AgentReader::new(self.max_answer_bytes);
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(&endpoint, error))?;
                if let Some(data) = frame.data_ref() {
                    reader.push(data, &mut each).map_err(|error| error.of(&endpoint))?;
                }
            }
            reader.finish().map_err(|error| error.of(&endpoint))
        };
        self.in_time(asking).await
    }

    /// Returns the version of the leading master, such as `1.11.0`. Masters without this API, which are
    /// those before 1.0, are asked in the way of old.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn version(&self) -> Result<String, OperatorError> {
        match self.question(call::Type::GetVersion).await {
            Ok(answer) => {
                answer.get_version.map(|answer| answer.version_info.version).ok_or(OperatorError::Empty)
            }
            Err(OperatorError::NoApi { .. }) => self.old_version().await,
            Err(error) => Err(error),
        }
    }

    /// Returns the roles in use with what is allocated to each, as far as the principal may see them.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn roles(&self) -> Result<Vec<Role>, OperatorError> {
        let answer = self.question(call::Type::GetRoles).await?;
        Ok(answer.get_roles.ok_or(OperatorError::Empty)?.roles)
    }

    /// Returns the quotas that the principal may see. Masters before 1.9 name none.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn quotas(&self) -> Result<Vec<QuotaConfig>, OperatorError> {
        let answer = self.question(call::Type::GetQuota).await?;
        Ok(answer.get_quota.ok_or(OperatorError::Empty)?.status.configs)
    }

    /// Asks a question whose answer is small.
    async fn question(&self, call: call::Type) -> Result<master::Response, OperatorError> {
        self.in_time(async {
            let (endpoint, _connection, response) = self.ask(call).await?;
            let limit = self.max_answer_bytes.min(MAX_SMALL_ANSWER_BYTES);
            let body = read(&endpoint, response, limit).await?;
            master::Response::decode(body).map_err(|error| OperatorError::Decode {
                endpoint: endpoint.to_string(),
                source: error.into(),
            })
        })
        .await
    }

    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, OperatorError>>,
    ) -> Result<T, OperatorError> {
        let limit = self.request_timeout;
        timeout(limit, asking).await.unwrap_or(Err(OperatorError::Timeout { limit }))
    }

    /// Asks every master once, in order, and returns the first good answer.
    async fn ask(
        &self,
        call: call::Type,
    ) -> Result<(Endpoint, Connection, Response<Incoming>), OperatorError> {
        let mut failure = OperatorError::NoMaster;
        for master in &self.masters {
            match self.ask_at(master.clone(), call).await {
                Ok(answer) => return Ok(answer),
                // Every master would refuse it.
                Err(error) if error.needs_person() => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Asks `endpoint` or where it redirects to.
    async fn ask_at(
        &self,
        mut endpoint: Endpoint,
        call: call::Type,
    ) -> Result<(Endpoint, Connection, Response<Incoming>), OperatorError> {
        let body = Bytes::from(master::Call { r#type: Some(call.into()) }.encode_to_vec());
        let mut visited = vec![endpoint.authority()];
        let refusal =
            |endpoint: &Endpoint, status, text| OperatorError::of(call.as_str_name(), endpoint, status, text);
        let header = self.authorization.current().await;
        let mut header =
            header.map_err(|error| refusal(&endpoint, StatusCode::UNAUTHORIZED, chain(&*error)))?;
        let mut renewed = false;
        loop {
            let request = transport::post(&endpoint, PATH, header.clone(), body.clone());
            let (connection, response) = self.send(&endpoint, request).await?;
            match response.status() {
                status if status.is_success() => return Ok((endpoint, connection, response)),
                StatusCode::TEMPORARY_REDIRECT => {
                    endpoint = transport::redirect(&endpoint, &response, &visited, self.max_redirects)?;
                    visited.push(endpoint.authority());
                }
                status => {
                    // The secret may have changed, or a token run out, since it was read.
                    if status == StatusCode::UNAUTHORIZED && !renewed {
                        let other = self.authorization.other_than(header.as_ref()).await;
                        if let Some(other) =
                            other.map_err(|error| refusal(&endpoint, status, chain(&*error)))?
                        {
                            (header, renewed) = (Some(other), true);
                            continue;
                        }
                    }
                    let text = transport::text(response, self.request_timeout).await;
                    return Err(refusal(&endpoint, status, text));
                }
            }
        }
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<(Connection, Response<Incoming>), OperatorError> {
        let request = request.map_err(|error| broken(endpoint, error))?;
        let mut connection = Connection::open(endpoint, &self.connecting()).await?;
        let response =
            connection.send(request, self.request_timeout).await.map_err(|unanswered| unanswered.error)?;
        Ok((connection, response))
    }

    fn connecting(&self) -> Connecting {
        Connecting { limit: self.connect_timeout, tls: self.tls.clone() }
    }

    async fn old_version(&self) -> Result<String, OperatorError> {
        let mut failure = OperatorError::NoMaster;
        for endpoint in &self.masters {
            match version_of(endpoint, &self.connecting(), self.request_timeout).await {
                Ok(version) => return Ok(version),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn read(
    endpoint: &Endpoint,
    response: Response<Incoming>,
    limit: usize,
) -> Result<Bytes, OperatorError> {
    let collected = http_body_util::Limited::new(response.into_body(), limit).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            OperatorError::TooLong { endpoint: endpoint.to_string(), limit }
        } else {
            broken(endpoint, error)
        }
    })
}

fn broken(endpoint: &Endpoint, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OperatorError {
    OperatorError::Transport {
        source: TransportError::Broken { endpoint: endpoint.to_string(), source: error.into() },
    }
}

/// An answer that is not a list of agents.
const MAX_SMALL_ANSWER_BYTES: usize = 16 << 20;
