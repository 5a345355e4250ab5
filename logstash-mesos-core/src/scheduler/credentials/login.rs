//! The login of a service account: a token, and the next one before it runs out.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use mesos_v1::transport::{Authorization, Credentials, Renewal};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::ServiceAccount;
use crate::backoff::Backoff;
use crate::error_chain;
use crate::sink::http_client::{HttpClientError, HttpClientSettings};
use crate::tls::ClientTls;

/// Why a service account has no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The service that grants tokens says no.
    #[error(
        "{endpoint} does not log in service account `{uid}` ({status}: {text}); has the account the public key that \
         belongs to the private key of the secret?"
    )]
    Refused {
        /// Who wants to log in.
        uid: String,
        /// The URL of the login service.
        endpoint: String,
        /// The HTTP status of its answer.
        status: StatusCode,
        /// What it says.
        text: String,
    },
    /// Nothing can be sent.
    #[error("the login cannot be prepared")]
    Prepare(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer came.
    #[error("no answer from {endpoint}")]
    Unreachable {
        /// The URL of the login service.
        endpoint: String,
        /// How the exchange with it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time.
    #[error("{endpoint} did not answer within {LIMIT:?}")]
    Timeout {
        /// The URL of the login service.
        endpoint: String,
    },
    /// The answer has no token.
    #[error("{endpoint} answered something else than a token")]
    Answer {
        /// The URL of the login service.
        endpoint: String,
    },
}

impl From<HttpClientError> for LoginError {
    fn from(error: HttpClientError) -> Self {
        Self::Prepare(error.into())
    }
}

/// How the last attempt to log in ended, and what there is to send.
#[derive(Clone, Debug, Default)]
struct Login {
    attempts: u64,
    token: Option<String>,
    error: Option<String>,
}

struct LoggedIn {
    login: watch::Receiver<Login>,
    wanted: Arc<Notify>,
}

impl Credentials for LoggedIn {
    fn header(&self) -> Option<String> {
        // Not Bearer, as everywhere else (facts 8.2).
        self.login.borrow().token.as_ref().map(|token| format!("token={token}"))
    }

    fn renew(&self) -> Renewal<'_> {
        Box::pin(async {
            let mut login = self.login.clone();
            let before = login.borrow().attempts;
            self.wanted.notify_one();
            let after = login.wait_for(|login| login.attempts > before).await?;
            match &after.error {
                None => Ok(()),
                Some(error) => Err(error.clone().into()),
            }
        })
    }
}

/// Logs in at once and then before each token runs out, until the authorization is dropped.
pub(super) fn keep_logged_in(account: Arc<ServiceAccount>, tls: ClientTls) -> Authorization {
    let (sender, login) = watch::channel(Login::default());
    let wanted = Arc::new(Notify::new());
    tokio::spawn(run(account, tls, sender, wanted.clone()));
    Authorization::new(LoggedIn { login, wanted })
}

async fn run(account: Arc<ServiceAccount>, tls: ClientTls, login: watch::Sender<Login>, wanted: Arc<Notify>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let result = tokio::select! {
            result = log_in(&account, &tls) => result,
            () = login.closed() => return,
        };
        let wait = match result {
            Ok(token) => {
                let now = SystemTime::now();
                let wait = renew_in(&token, now);
                tracing::info!(principal = account.uid(), renewed_in_secs = wait.as_secs(), "Logged in");
                backoff.reset();
                login.send_modify(|login| {
                    *login = Login { attempts: login.attempts + 1, token: Some(token), error: None };
                });
                wait
            }
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(principal = account.uid(), error, "Login failed, trying again");
                // An old token may still do.
                login.send_modify(|login| {
                    login.attempts += 1;
                    login.error = Some(error);
                });
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            // Somebody waits, after a pause all the same: a master that refuses good tokens must not make a
            // storm of logins.
            () = wanted.notified() => sleep(FIRST_PAUSE).await,
            () = login.closed() => return,
        }
    }
}

/// Sends one login, and returns the token.
async fn log_in(account: &ServiceAccount, tls: &ClientTls) -> Result<String, LoginError> {
    let endpoint = || account.login_endpoint().to_string();
    let body = account
        .login_request(SystemTime::now(), PROOF_VALID)
        .map_err(|error| LoginError::Prepare(error.into()))?;
    let request = Request::post(account.login_endpoint())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| LoginError::Prepare(error.into()))?;
    // Made anew, so that a changed authority counts.
    let client = HttpClientSettings { tls: tls.clone(), keep_alive: false, ..HttpClientSettings::default() };
    let client = client.client()?;
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| LoginError::Unreachable {
        endpoint: endpoint(),
        source,
    };
    let asking = async {
        let response = client.request(request).await.map_err(|error| unreachable(error.into()))?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(unreachable)?;
        Ok::<_, LoginError>((status, body.to_bytes()))
    };
    let (status, body) =
        timeout(LIMIT, asking).await.map_err(|_| LoginError::Timeout { endpoint: endpoint() })??;
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).trim().chars().take(200).collect();
        return Err(LoginError::Refused {
            uid: account.uid().to_owned(),
            endpoint: endpoint(),
            status,
            text,
        });
    }
    #[derive(Deserialize)]
    struct Answer {
        token: String,
    }
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    answer
        .map(|answer| answer.token)
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| LoginError::Answer { endpoint: endpoint() })
}

/// When to get the next token: after three quarters of the time that this one has left.
fn renew_in(token: &str, now: SystemTime) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Claims> = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let expires = claims.map(|claims| UNIX_EPOCH + Duration::from_secs(claims.exp));
    let left = expires.map_or(UNKNOWN_LIFE, |expires| expires.duration_since(now).unwrap_or_default());
    (left * 3 / 4).clamp(FIRST_PAUSE, UNKNOWN_LIFE)
}

/// How long what we sign proves who we are: long enough for clocks that differ.
const PROOF_VALID: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Of a token that does not say; DC/OS grants five days.
const UNKNOWN_LIFE: Duration = Duration::from_secs(24 * 3600);
const MAX_ANSWER_BYTES: usize = 64 * 1024;
