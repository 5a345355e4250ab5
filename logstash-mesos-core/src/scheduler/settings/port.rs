//! How others reach our port, and whether it speaks TLS.

use super::identity::{MAX_CA_BYTES, certificate_with_key};
use crate::scheduler::HttpTls;
use crate::settings::{Loaded, SettingError};
use crate::tls::{AuthorityFile, FromFiles};
use axum::http::Uri;
use std::path::PathBuf;

/// The URL that is given to others, if one is, and the certificates.
pub(super) fn check(raw: &Loaded) -> Result<(Option<String>, HttpTls), SettingError> {
    let text = |key: &str| raw.text(key).map(str::trim).filter(|text| !text.is_empty());
    let tls = HttpTls {
        identity: certificate_with_key(raw, CERTIFICATE, "http.key_file")?,
        authority: text(CA).map(PathBuf::from),
    };
    if let Some(server) = tls.server() {
        server.make().map_err(|error| raw.invalid(CERTIFICATE, format!("is of no use: {error}")))?;
    }
    let speaks_tls = tls.identity.is_some();
    let url = text(URL).map(|url| url.trim_end_matches('/').to_owned());
    let scheme = url.as_deref().map(|url| scheme(raw, url)).transpose()?;
    if speaks_tls && scheme == Some("http") {
        return Err(raw.invalid(URL, "has to begin with https://, as the port speaks TLS"));
    }
    if let Some(file) = tls.authority.clone() {
        if !speaks_tls && scheme != Some("https") {
            let problem = "is of no use without TLS: give --http-cert-file and --http-key-file too";
            return Err(raw.invalid(CA, problem));
        }
        let pem = AuthorityFile(file).make().map_err(|e| raw.invalid(CA, format!("is of no use: {e}")))?;
        if pem.len() > MAX_CA_BYTES {
            let problem = format!(
                "has {} bytes, too many to give to every executor: leave out what they do not need",
                pem.len()
            );
            return Err(raw.invalid(CA, problem));
        }
    }
    Ok((url, tls))
}

fn scheme(raw: &Loaded, url: &str) -> Result<&'static str, SettingError> {
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.authority().is_some());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => Ok("http"),
        // Of a proxy in front of the port, or our own.
        Some("https") => Ok("https"),
        _ => Err(raw.invalid(URL, "is not a URL such as http://scheduler.example:9092")),
    }
}

const URL: &str = "http.advertise_url";
const CERTIFICATE: &str = "http.cert_file";
const CA: &str = "http.ca_file";

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::tls::testing::Certificates;

    #[test]
    fn a_port_with_tls_has_what_belongs_to_it() {
        let made = Certificates::new();
        let (cert, key, ca) = (made.text("server.pem"), made.text("server.key"), made.text("ca.pem"));
        let both = [("http.cert_file", &*cert), ("http.key_file", &key)];
        let with = |more: &[(&'static str, &str)]| {
            check(&both.iter().chain(more).copied().collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        let url = ("http.advertise_url", "https://logs.example:9092/");
        let settings = with(&[("http.ca_file", &ca), url]).expect("is fine");
        assert!(settings.http_tls.identity.is_some() && settings.http_tls.authority.is_some());
        assert_eq!(settings.advertise_url.as_deref(), Some("https://logs.example:9092"));
        // A proxy that speaks TLS for us.
        assert!(check(&[("http.ca_file", &ca), url]).is_ok());
        for (flags, flag, words) in [
            (&[both[0]][..], "--http-cert-file", "--http-key-file"),
            (&[both[1]], "--http-key-file", "--http-cert-file"),
            (
                &[both[0], ("http.key_file", &made.text("ca.key"))],
                "--http-cert-file",
                "the key of the certificate",
            ),
            (&[("http.ca_file", &ca)], "--http-ca-file", "--http-cert-file"),
            (&[both[0], both[1], ("http.ca_file", &key)], "--http-ca-file", "no PEM certificate"),
            (&[both[0], both[1], ("http.advertise_url", "http://h:1")], "--http-advertise-url", "https://"),
            (&[("http.advertise_url", "ftp://h:1")], "--http-advertise-url", "is not a URL"),
        ] {
            let error = check(flags).expect_err(words).to_string();
            assert!(error.contains(flag) && error.contains(words), "{error}");
        }
    }
}
