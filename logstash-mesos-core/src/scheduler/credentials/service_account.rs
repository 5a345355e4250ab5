//! A service account of DC/OS: a name, a key that signs, and where to log in with what was signed.
//!
//! The secret is the JSON that `dcos security secrets create-sa-secret` makes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

/// Who may log in where.
pub struct ServiceAccount {
    uid: String,
    login_endpoint: Uri,
    key: Arc<dyn SigningKey>,
}

/// Why a secret is not a service account's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceAccountError {
    /// It is not the JSON that it should be.
    #[error("it is not the JSON of a service account, with uid, private_key, login_endpoint and scheme")]
    Json(#[source] serde_json::Error),
    /// A part of it cannot be right.
    #[error("its `{name}` {problem}")]
    Part {
        /// Name of the part.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// As it is written.
#[derive(Deserialize)]
struct Written {
    uid: String,
    private_key: String,
    login_endpoint: String,
    #[serde(default)]
    scheme: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON of a secret.
    ///
    /// # Errors
    ///
    /// [`ServiceAccountError`], which never shows a part of the key.
    pub fn parse(json: &str) -> Result<Self, ServiceAccountError> {
        let part = |name, problem| ServiceAccountError::Part { name, problem };
        let written: Written = serde_json::from_str(json).map_err(ServiceAccountError::Json)?;
        if written.uid.trim().is_empty() {
            return Err(part("uid", "is empty"));
        }
        if written.scheme.is_some_and(|scheme| scheme != "RS256") {
            return Err(part("scheme", "is not RS256, and no other is known"));
        }
        let key = PrivateKeyDer::from_pem_slice(written.private_key.as_bytes())
            .map_err(|_| part("private_key", "is not a key in PEM"))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .ok()
            .filter(|key| key.algorithm() == SignatureAlgorithm::RSA)
            .ok_or_else(|| part("private_key", "is not an RSA key of 2048 to 4096 bits"))?;
        let login_endpoint =
            written.login_endpoint.parse::<Uri>().ok().filter(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
            });
        let login_endpoint = login_endpoint.ok_or_else(|| {
            part("login_endpoint", "is not a URL such as https://leader.mesos/acs/api/v1/auth/login")
        })?;
        Ok(Self { uid: written.uid, login_endpoint, key })
    }

    /// Its name, which is also the principal.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Where it logs in.
    pub fn login_endpoint(&self) -> &Uri {
        &self.login_endpoint
    }

    /// The body of a login: its name, and a token signed just now that proves it for `valid`.
    pub(super) fn login_request(&self, now: SystemTime, valid: Duration) -> Result<String, rustls::Error> {
        let expires = (now + valid).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(json!({"alg": "RS256", "typ": "JWT"})),
            part(json!({"uid": self.uid, "exp": expires}))
        );
        // TLS signs with the same algorithm under this name.
        let signer = self
            .key
            .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
            .ok_or_else(|| rustls::Error::General("the key does not sign with RS256".to_owned()))?;
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes())?);
        Ok(json!({"uid": self.uid, "token": format!("{signed}.{signature}")}).to_string())
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("uid", &self.uid)
            .field("login_endpoint", &self.login_endpoint)
            .finish_non_exhaustive()
    }
}
