//! A client of etcd that is made when it is first needed.

use super::EtcdUrl;
use crate::store::error::StoreError;
use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, TlsOptions};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;
use tonic::Code;

/// The client with what it is made from.
///
/// The library connects again by itself, to whichever server answers, and asks for a new token when etcd does not know
/// the old one any more.
pub(crate) struct Etcd {
    url: EtcdUrl,
    lease: Duration,
    options: ConnectOptions,
    client: OnceCell<Client>,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Etcd {
    /// Reads the files of TLS, and connects to nothing yet. `lease` is how long candidates are counted without a word.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] for a file that cannot be read.
    pub(crate) fn new(url: EtcdUrl, lease: Duration) -> Result<Self, StoreError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| StoreError::Unusable {
                backend: url.to_string(),
                problem: format!("the file `{}` cannot be read", path.display()),
                source: Some(error),
            })
        };
        let mut options = ConnectOptions::new()
            .with_connect_timeout(Duration::from_secs(2))
            // A server that is silent but does not hang up is given up after four seconds.
            .with_keep_alive(Duration::from_secs(2), Duration::from_secs(2))
            // One that is cut off from the others would answer with what was once.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((user, password)) = url.credentials() {
            options = options.with_user(user, password);
        }
        if let Some(tls) = url.tls() {
            let mut client = TlsOptions::new();
            client = match &tls.ca {
                Some(ca) => client.ca_certificate(Certificate::from_pem(read(ca)?)),
                None => client.with_webpki_roots(),
            };
            if let Some((certificate, key)) = &tls.identity {
                client = client.identity(Identity::from_pem(read(certificate)?, read(key)?));
            }
            options = options.with_tls(client);
        }
        Ok(Self { url, lease, options, client: OnceCell::new() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &EtcdUrl {
        &self.url
    }

    /// How long a lease shall last.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// The client. With credentials it has a token, so that a server must have answered once.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let scheme = if self.url.tls().is_some() { "https" } else { "http" };
        let connect = || async {
            let servers: Vec<_> = self.url.servers().iter().map(|s| format!("{scheme}://{s}")).collect();
            Client::connect(servers, Some(self.options.clone())).await
        };
        self.client.get_or_try_init(connect).await.cloned()
    }
}

/// Whether a person has to act before the same can succeed.
pub(crate) fn is_refusal(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => true,
        // etcd says so of a wrong password, of credentials where there is no authentication, and of none where there is.
        Code::InvalidArgument | Code::FailedPrecondition => ["authentication", "user name", "invalid user"]
            .iter()
            .any(|words| status.message().contains(words)),
        _ => false,
    }
}

/// Whether the request has not left this machine, so that it may be sent again whatever it does.
pub(crate) fn was_never_sent(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    status.code() == Code::Unavailable
        && ["tcp connect error", "dns error"].iter().any(|words| status.message().contains(words))
}
