//! Who the framework is to Mesos, and whom it believes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::scheduler::{Credentials, GivenSecret, ServiceAccount};
use crate::settings::{Loaded, SettingError};
use crate::tls::{AuthorityFile, ClientTls, FromFiles, Identity};

/// Flags of the executor on an agent that speaks TLS, as environment variables.
const AGENT_TLS: &str = "LOGSTASH_MESOS_AGENT_TLS";
const AGENT_CA: &str = "LOGSTASH_MESOS_AGENT_CA";
const AGENT_CA_FILE: &str = "LOGSTASH_MESOS_AGENT_CA_FILE";

/// Most of an authority's certificates that travel in the description of every executor.
pub(super) const MAX_CA_BYTES: usize = 16 * 1024;

pub(super) fn credentials(raw: &Loaded) -> Result<Credentials, SettingError> {
    let text = |key| raw.text(key).map(str::trim).filter(|text| !text.is_empty());
    let principal = text("mesos.principal").map(str::to_owned);
    if let Some(account) = text(ACCOUNT) {
        if let Some(key) = ["mesos.principal", "mesos.secret_file", "mesos.secret"]
            .into_iter()
            .find(|key| text(key).is_some())
        {
            return Err(raw.invalid(key, format!("is one too many beside {}", raw.origin(ACCOUNT))));
        }
        return service_account(raw, account).map(|account| Credentials::ServiceAccount(account.into()));
    }
    if let Some(secret) = text("mesos.secret") {
        // The value is never shown.
        let invalid = |problem: &str| SettingError::Invalid {
            origin: raw.origin("mesos.secret"),
            value: "…".to_owned(),
            problem: problem.to_owned(),
        };
        if text("mesos.secret_file").is_some() {
            return Err(invalid("is one too many beside --mesos-secret-file"));
        }
        let principal = principal.ok_or_else(|| invalid("is of no use without --mesos-principal"))?;
        return Ok(Credentials::GivenSecret { principal, secret: GivenSecret::new(secret.to_owned()) });
    }
    let Some(file) = text("mesos.secret_file").map(PathBuf::from) else {
        return Ok(principal.map_or(Credentials::None, Credentials::Principal));
    };
    let Some(principal) = principal else {
        return Err(raw.invalid("mesos.secret_file", "is of no use without --mesos-principal"));
    };
    std::fs::read_to_string(&file)
        .map_err(|error| raw.invalid("mesos.secret_file", format!("cannot be read: {error}")))?;
    Ok(Credentials::Secret { principal, file })
}

const ACCOUNT: &str = "dcos.service_account_file";

/// DC/OS gives the secret as a file, or itself in `DCOS_SERVICE_ACCOUNT_CREDENTIAL`.
fn service_account(raw: &Loaded, text: &str) -> Result<ServiceAccount, SettingError> {
    // The text may be the secret: it is never shown.
    let invalid = |problem: String| SettingError::Invalid {
        origin: raw.origin(ACCOUNT),
        value: "…".to_owned(),
        problem,
    };
    let json = if text.starts_with('{') {
        text.to_owned()
    } else {
        let path = text.strip_prefix("file://").unwrap_or(text);
        std::fs::read_to_string(path).map_err(|error| invalid(format!("cannot be read: {error}")))?
    };
    ServiceAccount::parse(&json).map_err(|error| invalid(format!("is no service account: {error}")))
}

/// Whom to believe, and with which certificate to come.
pub(super) fn tls(raw: &Loaded) -> Result<ClientTls, SettingError> {
    let path = |key| raw.text(key).map(str::trim).filter(|text| !text.is_empty()).map(PathBuf::from);
    let identity = certificate_with_key(raw, CERTIFICATE, KEY)?;
    let tls = ClientTls { authorities: path(CA).into_iter().collect(), identity, ..ClientTls::default() };
    // Now rather than at the first connection. The message names the file.
    let key = [CA, CERTIFICATE].into_iter().find(|key| path(key).is_some()).unwrap_or(CA);
    tls.config().map_err(|error| raw.invalid(key, format!("is of no use: {error}")))?;
    Ok(tls)
}

/// The certificate and the key that two settings name: both or neither.
pub(super) fn certificate_with_key(
    raw: &Loaded,
    certificate_setting: &str,
    key_setting: &str,
) -> Result<Option<Identity>, SettingError> {
    let path = |key| raw.text(key).map(str::trim).filter(|text| !text.is_empty()).map(PathBuf::from);
    let flag = |key: &str| format!("--{}", key.replace(['.', '_'], "-"));
    match (path(certificate_setting), path(key_setting)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(Identity { certificate, extra_chain: Vec::new(), key, passphrase: None }))
        }
        (Some(_), None) => {
            Err(raw.invalid(certificate_setting, format!("needs its key, {}", flag(key_setting))))
        }
        (None, Some(_)) => {
            Err(raw.invalid(key_setting, format!("needs its certificate, {}", flag(certificate_setting))))
        }
    }
}

const CA: &str = "mesos.ca_file";
const CERTIFICATE: &str = "mesos.client_cert_file";
const KEY: &str = "mesos.client_key_file";

/// Tells executors how to reach their agents: Mesos itself does not (facts 3.3).
pub(super) fn of_executors(
    raw: &Loaded,
    masters_have_tls: bool,
    environment: &mut BTreeMap<String, String>,
) -> Result<(), SettingError> {
    let agents_have_tls = match raw.text("mesos.agent_tls").map(str::trim) {
        None | Some("") => masters_have_tls,
        Some(_) => raw.switch("mesos.agent_tls")?,
    };
    if !agents_have_tls {
        return Ok(());
    }
    environment.entry(AGENT_TLS.to_owned()).or_insert_with(|| "true".to_owned());
    let Some(file) = raw.text(CA).map(str::trim).filter(|file| !file.is_empty()) else { return Ok(()) };
    if environment.contains_key(AGENT_CA) || environment.contains_key(AGENT_CA_FILE) {
        return Ok(());
    }
    let certificates = AuthorityFile(file.into())
        .make()
        .map_err(|error| raw.invalid(CA, format!("is of no use: {error}")))?;
    if certificates.len() > MAX_CA_BYTES {
        return Err(raw.invalid(
            CA,
            format!(
                "has {} bytes, too many to give to every executor: put such a file on the agents and name it with \
                 --executor-env {AGENT_CA_FILE}=PATH",
                certificates.len()
            ),
        ));
    }
    environment.insert(AGENT_CA.to_owned(), certificates);
    Ok(())
}

/// Whoever names certificates wants TLS, and should not go without in silence.
pub(super) fn certificates_are_of_use(
    raw: &Loaded,
    masters_have_tls: bool,
    credentials: &Credentials,
    of_executors: &BTreeMap<String, String>,
) -> Result<(), SettingError> {
    let at_login = match credentials {
        Credentials::ServiceAccount(account) => account.login_endpoint().scheme_str() == Some("https"),
        _ => false,
    };
    let unused = |key: &&str| raw.text(key).is_some_and(|text| !text.trim().is_empty());
    match [CA, CERTIFICATE].iter().find(|key| unused(key)) {
        Some(key) if !masters_have_tls && !at_login && !of_executors.contains_key(AGENT_TLS) => {
            let problem = "is of no use without TLS: write https:// before the masters, or give --mesos-tls";
            Err(raw.invalid(key, problem))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::tls::testing::Certificates;

    fn settings(flags: &[(&str, &str)]) -> Result<crate::scheduler::Settings, String> {
        check(flags).map_err(|error| error.to_string())
    }

    #[test]
    fn executors_are_told_of_tls_and_of_its_authority() {
        let made = Certificates::new();
        // As some people keep them.
        let both = std::fs::read_to_string(made.path("ca.key")).expect("a key")
            + &std::fs::read_to_string(made.path("ca.pem")).expect("a certificate");
        std::fs::write(made.path("both.pem"), both).expect("writes");
        let (ca, both) = (made.text("ca.pem"), made.text("both.pem"));

        let plain = settings(&[("mesos.master", "m:5050")]).expect("is fine");
        assert!(plain.executor_environment.is_empty());
        for flags in [
            &[("mesos.master", "https://m:5050"), ("mesos.ca_file", &both)][..],
            &[("mesos.master", "m:5050"), ("mesos.tls", "true"), ("mesos.ca_file", &both)],
            &[("mesos.master", "m:5050"), ("mesos.agent_tls", "true"), ("mesos.ca_file", &both)],
        ] {
            let environment = settings(flags).expect("is fine").executor_environment;
            assert_eq!(environment[AGENT_TLS], "true");
            assert_eq!(environment[AGENT_CA].trim(), std::fs::read_to_string(&ca).expect("a file").trim());
        }
        let flags =
            [("mesos.master", "https://m:5050"), ("mesos.agent_tls", "false"), ("mesos.ca_file", &ca)];
        assert!(settings(&flags).expect("is fine").executor_environment.is_empty());
        let file = format!("{AGENT_CA_FILE}=/etc/ca.pem");
        let flags = [("mesos.master", "https://m:5050"), ("mesos.ca_file", &ca), ("executor.env", &file)];
        assert!(!settings(&flags).expect("is fine").executor_environment.contains_key(AGENT_CA));

        std::fs::write(made.path("big.pem"), std::fs::read_to_string(&ca).expect("a file").repeat(50))
            .expect("writes");
        let error = settings(&[("mesos.master", "https://m:5050"), ("mesos.ca_file", &made.text("big.pem"))]);
        assert!(error.expect_err("too big").contains(AGENT_CA_FILE));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let made = Certificates::new();
        let (cert, key, ca) = (made.text("server.pem"), made.text("server.key"), made.text("ca.key"));
        let secret = made.text("ca.pem");
        for (flags, flag, words) in [
            (&[("mesos.client_cert_file", &*cert)][..], "--mesos-client-cert-file", "needs its key"),
            (&[("mesos.client_key_file", &key)], "--mesos-client-key-file", "needs its certificate"),
            (
                &[("mesos.client_cert_file", &cert), ("mesos.client_key_file", &ca)],
                "--mesos-client-cert-file",
                "key",
            ),
            (&[("mesos.ca_file", &key)], "--mesos-ca-file", "no PEM certificate"),
            (&[("mesos.ca_file", &secret)], "--mesos-ca-file", "--mesos-tls"),
            (&[("mesos.ca_file", "/not/there")], "--mesos-ca-file", "No such file"),
            (&[("mesos.secret_file", &secret)], "--mesos-secret-file", "--mesos-principal"),
            (
                &[("mesos.principal", "p"), ("mesos.secret_file", "/not/there")],
                "--mesos-secret-file",
                "No such file",
            ),
            (&[("dcos.service_account_file", "/not/there")], "--dcos-service-account-file", "No such file"),
            (
                &[("dcos.service_account_file", r#"{"private_key":"s3cret"}"#)],
                "--dcos-service-account-file",
                "uid",
            ),
            (
                &[("dcos.service_account_file", "{}"), ("mesos.principal", "p")],
                "--mesos-principal",
                "too many",
            ),
        ] {
            let error = settings(flags).expect_err(words);
            assert!(error.contains(flag) && error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }
}
