//! Certificates and keys from files.

use std::path::{Path, PathBuf};

use base64::Engine;
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Identity, TlsError};

fn failed(path: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.into() }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| failed(path, error.to_string()))
}

/// The certificates in a file; there is at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(path, error.to_string()))?;
    if found.is_empty() {
        return Err(failed(path, format!("there is no PEM certificate in it{}", other_form(&bytes))));
    }
    Ok(found)
}

/// The certificates of a file as text, and nothing else that may be in it.
pub(super) fn text(path: &Path) -> Result<String, TlsError> {
    certificates(path)?;
    let bytes = read(path)?;
    let (mut text, mut inside) = (String::new(), false);
    for line in String::from_utf8_lossy(&bytes).lines().map(str::trim) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line != "-----END CERTIFICATE-----";
    }
    Ok(text)
}

/// All certificates in these files and in the text, or the usual authorities where there are neither.
pub(super) fn authorities(
    paths: &[PathBuf],
    pem: &str,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    if paths.is_empty() && pem.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in paths {
        for certificate in certificates(path)? {
            roots.add(certificate.clone()).map_err(|error| failed(path, error.to_string()))?;
            named.push(certificate);
        }
    }
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let wrong = |error: String| TlsError::Setup(format!("an authority cannot be used: {error}"));
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
        named.push(certificate);
    }
    Ok((roots, named))
}

/// The certificates and the key of one side.
pub(super) fn identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let mut chain = certificates(&identity.certificate)?;
    for path in &identity.extra_chain {
        chain.extend(certificates(path)?);
    }
    Ok((chain, key(&identity.key, identity.passphrase.as_deref())?))
}

const CONVERT: &str = "convert it with `openssl pkcs8 -topk8 -in KEY -out KEY.p8`";

fn key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    if let Some(encrypted) = section(&bytes, "ENCRYPTED PRIVATE KEY") {
        let passphrase = passphrase.ok_or_else(|| {
            failed(path, "the key is encrypted; give its passphrase with `ssl_key_passphrase`")
        })?;
        return decrypt(&encrypted, passphrase).map_err(|reason| failed(path, reason));
    }
    if memchr::memmem::find(&bytes, b"Proc-Type: 4,ENCRYPTED").is_some() {
        return Err(failed(path, format!("the key is encrypted in a way of old; {CONVERT}")));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            failed(path, format!("there is no PEM key in it{}", other_form(&bytes)))
        }
        other => failed(path, other.to_string()),
    })
}

/// What a file that is no PEM may be.
fn other_form(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => {
            "; it is a Java key store: convert it with `keytool -importkeystore` to PKCS#12 and that with `openssl pkcs12`"
        }
        [0x30, 0x80..=0x84, ..] => {
            "; it is binary: convert it with `openssl x509 -inform DER`, `openssl pkey -inform DER` or, if it is PKCS#12, `openssl pkcs12 -nodes`"
        }
        _ => "",
    }
}

/// What is between the lines that begin and end a section.
fn section(bytes: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

fn decrypt(encrypted: &[u8], passphrase: &str) -> Result<PrivateKeyDer<'static>, String> {
    let info = EncryptedPrivateKeyInfo::try_from(encrypted)
        .map_err(|error| format!("the encrypted key cannot be read ({error}); {CONVERT}"))?;
    let document = info
        .decrypt(passphrase)
        .map_err(|error| format!("the key cannot be decrypted ({error}); is `ssl_key_passphrase` right?"))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec())))
}
