//! Versions and cipher suites by the names that configurations use.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::{Offer, TlsError};

impl Offer {
    /// The ciphers of this offer, and nothing else.
    pub(super) fn provider(&self) -> Result<Arc<CryptoProvider>, TlsError> {
        let mut provider = rustls::crypto::ring::default_provider();
        if !self.cipher_suites.is_empty() {
            let all = std::mem::take(&mut provider.cipher_suites);
            provider.cipher_suites = self
                .cipher_suites
                .iter()
                .filter_map(|wanted| all.iter().find(|suite| is_named(**suite, wanted)).copied())
                .collect();
            if provider.cipher_suites.is_empty() {
                let known: Vec<_> = all.iter().map(|suite| java_name(*suite)).collect();
                return Err(TlsError::Offer(format!(
                    "none of these cipher suites is known here; there are {}",
                    known.join(", ")
                )));
            }
        }
        Ok(Arc::new(provider))
    }

    /// What is spoken inside, as it goes over the wire.
    pub(super) fn alpn(&self) -> Vec<Vec<u8>> {
        self.application_protocols.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    /// The versions of this offer, best first.
    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let known = [("TLSv1.3", &rustls::version::TLS13), ("TLSv1.2", &rustls::version::TLS12)];
        let wanted: Vec<_> = known
            .into_iter()
            .filter(|(name, _)| self.protocols.is_empty() || self.protocols.iter().any(|have| have == name))
            .map(|(_, version)| version)
            .collect();
        if wanted.is_empty() {
            return Err(TlsError::Offer("only TLSv1.2 and TLSv1.3 are spoken".to_owned()));
        }
        Ok(wanted)
    }
}

/// The name that Java has for a suite.
pub(super) fn java_name(suite: SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or("unknown").replacen("TLS13_", "TLS_", 1)
}

fn is_named(suite: SupportedCipherSuite, wanted: &str) -> bool {
    let java = java_name(suite);
    if java.eq_ignore_ascii_case(wanted) {
        return true;
    }
    // ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-CHACHA20-POLY1305; those of version 1.3 are the same in both.
    let openssl = java
        .trim_start_matches("TLS_")
        .replace("_WITH_", "_")
        .replace("AES_", "AES")
        .replace("POLY1305_SHA256", "POLY1305")
        .replace('_', "-");
    openssl.eq_ignore_ascii_case(wanted)
}

/// The name that Java has for a version.
pub(super) fn version_name(version: Option<rustls::ProtocolVersion>) -> String {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}
