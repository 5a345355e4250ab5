//! Who the framework is to Mesos, and how it proves that.

mod login;
mod service_account;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mesos_v1::transport::Authorization;

pub use self::login::LoginError;
pub use self::service_account::{ServiceAccount, ServiceAccountError};
use crate::sink::http_client::basic;
use crate::tls::ClientTls;

/// Who the framework is to Mesos.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A principal that masters believe as it is.
    Principal(String),
    /// A principal and the file with its secret, sent by the Basic scheme.
    Secret {
        /// Who it is.
        principal: String,
        /// Read again for every request, so that a new secret is used without a restart (SEC-1).
        file: PathBuf,
    },
    /// A principal with its secret as somebody wrote it, sent by the Basic scheme.
    GivenSecret {
        /// Who it is.
        principal: String,
        /// The secret that goes with the principal.
        secret: GivenSecret,
    },
    /// A service account of DC/OS.
    ServiceAccount(Arc<ServiceAccount>),
}

/// A secret that was written among the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenSecret(String);

impl GivenSecret {
    /// Takes it as it is.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }
}

// Without it: settings are shown in logs.
impl std::fmt::Debug for GivenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Credentials {
    /// The principal that the framework has to name.
    pub fn principal(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Principal(name)
            | Self::Secret { principal: name, .. }
            | Self::GivenSecret { principal: name, .. } => Some(name),
            Self::ServiceAccount(account) => Some(account.uid()),
        }
    }

    /// Returns what goes with every request. A service account is logged in, again and again, for as long as
    /// a clone of it is there; `tls` says whom to believe at the login. Needs a Tokio runtime.
    pub(super) fn authorization(&self, tls: &ClientTls) -> Authorization {
        match self {
            Self::None | Self::Principal(_) => Authorization::none(),
            Self::Secret { principal, file } => {
                let (principal, file) = (principal.clone(), file.clone());
                let unreadable = AtomicBool::new(false);
                Authorization::from_fn(move || {
                    let secret = std::fs::read_to_string(&file).inspect_err(|error| {
                        if !unreadable.swap(true, Ordering::Relaxed) {
                            tracing::warn!(%error, path = %file.display(), "Cannot read the secret");
                        }
                    });
                    let secret = secret.ok()?;
                    unreadable.store(false, Ordering::Relaxed);
                    Some(basic(&principal, secret.trim_end_matches(['\r', '\n'])))
                })
            }
            Self::GivenSecret { principal, secret } => Authorization::basic(principal, &secret.0),
            Self::ServiceAccount(account) => login::keep_logged_in(account.clone(), tls.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
