//! Whom to believe, and what a certificate says of its holder.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, CommonState, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;

use super::{ClientTls, Peer, TlsError, Verification, pem, suites};

/// Looks at the certificates of servers, as a Java program does.
#[derive(Debug)]
pub(super) struct Verifier {
    verification: Verification,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    // The certificates that were named: a server may show one of them as its own.
    named: Vec<CertificateDer<'static>>,
    full: Option<Arc<WebPkiServerVerifier>>,
    fingerprints: Vec<[u8; 32]>,
}

impl Verifier {
    pub(super) fn new(settings: &ClientTls, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let verification = settings.verification;
        let (roots, named) = match verification {
            Verification::None => (RootCertStore::empty(), Vec::new()),
            _ => pem::authorities(&settings.authorities, &settings.authorities_pem)?,
        };
        let roots = Arc::new(roots);
        let full = (verification == Verification::Full)
            .then(|| {
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()
            })
            .transpose()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let fingerprints = settings.fingerprints.clone();
        Ok(Self { verification, provider, roots, named, full, fingerprints })
    }

    fn has_fingerprint(&self, certificate: &CertificateDer<'_>) -> bool {
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        self.fingerprints.contains(&digest)
    }

    /// Whether one of the certificates that were shown is known by its fingerprint, and vouches for the first.
    fn is_vouched_for(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        if self.fingerprints.is_empty() {
            return false;
        }
        if self.has_fingerprint(shown) {
            return in_time(shown, now).is_ok();
        }
        let mut roots = RootCertStore::empty();
        let known = intermediates.iter().filter(|certificate| self.has_fingerprint(certificate));
        roots.add_parsable_certificates(known.map(|certificate| certificate.clone().into_owned()));
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(shown);
        parsed.is_ok_and(|shown| {
            verify_server_cert_signed_by_trust_anchor(&shown, &roots, intermediates, now, algorithms).is_ok()
        })
    }

    fn is_named(&self, shown: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|named| named.as_ref() == shown.as_ref())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verification == Verification::None {
            return Ok(ServerCertVerified::assertion());
        }
        // A certificate that signed itself is no authority for webpki; who names it, trusts it.
        if self.is_named(shown) || self.is_vouched_for(shown, intermediates, now) {
            in_time(shown, now)?;
            if self.verification == Verification::Full {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)
                    .or_else(|error| by_common_name(error, shown, name))?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match &self.full {
            Some(full) => full.verify_server_cert(shown, intermediates, name, ocsp, now).or_else(|error| {
                // The name is looked at last: everything else is fine then.
                by_common_name(error, shown, name).map(|()| ServerCertVerified::assertion())
            }),
            None => {
                verify_server_cert_signed_by_trust_anchor(
                    &ParsedCertificate::try_from(shown)?,
                    &self.roots,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                )?;
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn parsed(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parsed(certificate)?.tbs_certificate.validity;
    let now = now.as_secs();
    if now < validity.not_before.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > validity.not_after.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Old certificates have their host in the common name; it counts, as in Java, where they have no other names.
fn by_common_name(error: Error, shown: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    if !matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) {
        return Err(error);
    }
    let certificate = parsed(shown)?.tbs_certificate;
    let has_names = certificate
        .extensions
        .iter()
        .flatten()
        .any(|extension| extension.extn_id == SUBJECT_ALTERNATIVE_NAME);
    let is_common_name = certificate
        .subject
        .0
        .iter()
        .flat_map(|relative| relative.0.iter())
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .any(|attribute| {
            let text = Utf8StringRef::try_from(&attribute.value)
                .map(|text| text.as_str())
                .or_else(|_| PrintableStringRef::try_from(&attribute.value).map(|text| text.as_str()));
            text.is_ok_and(|text| text.eq_ignore_ascii_case(&name.to_str()))
        });
    if !has_names && is_common_name { Ok(()) } else { Err(error) }
}

/// What is known of the other side of a connection.
pub(super) fn peer(connection: &CommonState) -> Peer {
    let subject = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|certificate| parsed(certificate).ok())
        .map(|certificate| certificate.tbs_certificate.subject.to_string());
    Peer {
        protocol: suites::version_name(connection.protocol_version()),
        cipher: connection.negotiated_cipher_suite().map(suites::java_name).unwrap_or_default(),
        subject,
    }
}
