//! The settings about TLS, which plugins share: how they are declared, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use super::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status};
use super::plugin::{BuildContext, BuildError};
use crate::event::Text;
use crate::tls::{
    Acceptor, ClientAuthentication, ClientTls, Connector, Identity, Offer, ServerTls, TlsError, Verification,
};

pub(super) const ENABLED: Setting =
    Setting::new("ssl_enabled", Kind::Boolean, "Whether TLS is spoken.").default(Preset::Bool(false));
pub(super) const CERTIFICATE: Setting = Setting::new(
    "ssl_certificate",
    Kind::Path,
    "Our certificate, in PEM; behind it may stand those that lead to its authority.",
);
pub(super) const KEY: Setting =
    Setting::new("ssl_key", Kind::Path, "Its key, in PEM: PKCS#8 (encrypted or not), PKCS#1 or SEC1.");
pub(super) const KEY_PASSPHRASE: Setting =
    Setting::new("ssl_key_passphrase", Kind::Password, "What decrypts the key.");
pub(super) const EXTRA_CHAIN: Setting = Setting::new(
    "ssl_extra_chain_certs",
    Kind::Array,
    "Further certificates on the way to the authority, in PEM.",
)
.default(Preset::Strings(&[]));
pub(super) const CLIENT_AUTHORITIES: Setting = Setting::new(
    "ssl_certificate_authorities",
    Kind::Array,
    "Who may sign the certificates of clients, files in PEM.",
)
.default(Preset::Strings(&[]));
pub(super) const AUTHORITIES: Setting = Setting::new(
    "ssl_certificate_authorities",
    Kind::List(&Kind::Path),
    "Who may sign the certificates of the other side, files in PEM; the usual authorities where absent.",
);
pub(super) const CLIENT_AUTHENTICATION: Setting = Setting::new(
    "ssl_client_authentication",
    Kind::OneOf(&["none", "optional", "required"]),
    "Whether clients have to show a certificate.",
);
pub(super) const VERIFICATION_MODE: Setting = Setting::new(
    "ssl_verification_mode",
    Kind::OneOf(&["full", "none"]),
    "Whether the certificate of the server is looked at.",
)
.default(Preset::String("full"));
pub(super) const PROTOCOLS: Setting = Setting::new(
    "ssl_supported_protocols",
    Kind::List(&Kind::OneOf(&["TLSv1.1", "TLSv1.2", "TLSv1.3"])),
    "Versions of TLS: 1.2 and 1.3 where absent. 1.1 is not spoken here, and left out.",
);
pub(super) const CIPHERS: Setting = Setting::new(
    "ssl_cipher_suites",
    Kind::List(&Kind::String),
    "Cipher suites, by their names in Java or OpenSSL, best first. Those with CBC or without forward secrecy are not known here, and left out.",
);
pub(super) const HANDSHAKE_TIMEOUT: Setting = Setting::new(
    "ssl_handshake_timeout",
    Kind::Number,
    "Milliseconds until a client that does not agree on keys is sent away.",
)
.default(Preset::Int(10_000));

#[cfg(feature = "http")]
const JAVA: Status = Status::Absent(
    "Java key stores and PKCS#12 are not read; convert with `openssl pkcs12 -in STORE -nodes` to PEM and use `ssl_certificate`, `ssl_key`, `ssl_certificate_authorities`",
);

/// A setting about a key store of Java.
#[cfg(feature = "http")]
pub(super) const fn java(name: &'static str, kind: Kind) -> Setting {
    Setting::new(name, kind, "A Java key store, or what belongs to it.").status(JAVA)
}

/// A setting that plugins had once, and what stands in its place.
pub(super) const fn obsolete(name: &'static str, instead: &'static str) -> Setting {
    Setting::new(name, Kind::Any, "Removed.").status(Status::Obsolete(instead))
}

/// What differs between the inputs and outputs that take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// `beats`: authorities alone make client certificates necessary.
    Beats,
    /// `tcp`: authorities may be left out, then those that everybody knows count.
    Tcp,
    #[cfg(feature = "http")]
    /// `http`: authorities and client authentication come together.
    Http,
}

/// Prepares for clients. `None` where TLS is off.
pub(super) fn acceptor(
    settings: &Settings,
    cx: &BuildContext,
    rules: Rules,
) -> Result<Option<Acceptor>, BuildError> {
    if !settings.bool("ssl_enabled") {
        warn_unused(settings, cx);
        return Ok(None);
    }
    if rules == Rules::Tcp && settings.is_given("ssl_verification_mode") {
        return Err(BuildError::setting("ssl_verification_mode", "is for connections that we make")
            .remedy("use `ssl_client_authentication`"));
    }
    let Some(identity) = identity(settings)? else {
        return Err(BuildError::setting("ssl_enabled", "TLS needs `ssl_certificate` and `ssl_key`"));
    };
    let authorities = paths(settings, "ssl_certificate_authorities");
    let client_authentication = client_authentication(settings, rules, authorities.is_empty())?;
    if client_authentication != ClientAuthentication::None && authorities.is_empty() {
        cx.warn(
            "ssl_client_authentication",
            "clients are asked for a certificate that one of the usual authorities signed, as \
             `ssl_certificate_authorities` names none",
            "name the authorities, or set it to `none`",
        );
    }
    let timeout = settings.float("ssl_handshake_timeout").unwrap_or(10_000.0) / 1000.0;
    let handshake_timeout = Duration::try_from_secs_f64(timeout)
        .map_err(|_| BuildError::setting("ssl_handshake_timeout", "is no number of milliseconds"))?;
    let tls = ServerTls {
        identity,
        client_authentication,
        authorities,
        offer: offer(settings, cx)?,
        handshake_timeout,
    };
    Acceptor::new(&tls).map(Some).map_err(|error| refused(settings, &error))
}

fn client_authentication(
    settings: &Settings,
    rules: Rules,
    no_authorities: bool,
) -> Result<ClientAuthentication, BuildError> {
    let given = settings.is_given("ssl_client_authentication");
    let text = settings.text("ssl_client_authentication").unwrap_or_default();
    let wanted = match text.as_str() {
        "optional" => ClientAuthentication::Optional,
        "required" => ClientAuthentication::Required,
        _ => ClientAuthentication::None,
    };
    let asks = wanted != ClientAuthentication::None;
    if given && asks && no_authorities {
        return Err(BuildError::setting(
            "ssl_client_authentication",
            format!("`{text}` needs `ssl_certificate_authorities`"),
        ));
    }
    if !asks && !no_authorities {
        if rules == Rules::Beats && !given {
            return Ok(ClientAuthentication::Required);
        }
        if rules != Rules::Tcp {
            return Err(BuildError::setting(
                "ssl_certificate_authorities",
                "is of no use while clients are not asked for certificates",
            )
            .remedy("set `ssl_client_authentication` to `optional` or `required`"));
        }
    }
    Ok(wanted)
}

/// Prepares for a server. `None` where TLS is off.
pub(super) fn connector(settings: &Settings, cx: &BuildContext) -> Result<Option<Connector>, BuildError> {
    if !settings.bool("ssl_enabled") {
        warn_unused(settings, cx);
        return Ok(None);
    }
    if settings.is_given("ssl_client_authentication") {
        return Err(BuildError::setting(
            "ssl_client_authentication",
            "is for connections that clients make to us",
        )
        .remedy("use `ssl_verification_mode`"));
    }
    Connector::new(&client(settings, cx)?).map(Some).map_err(|error| refused(settings, &error))
}

/// What the settings say of connections to servers.
pub(super) fn client(settings: &Settings, cx: &BuildContext) -> Result<ClientTls, BuildError> {
    let off = settings.text("ssl_verification_mode").as_deref() == Some("none");
    if off {
        cx.warn(
            "ssl_verification_mode",
            "certificates of servers are not looked at: anybody can pose as one",
            "name their authority with `ssl_certificate_authorities`",
        );
    }
    Ok(ClientTls {
        authorities: paths(settings, "ssl_certificate_authorities"),
        fingerprints: fingerprints(settings)?,
        identity: identity(settings)?,
        verification: if off { Verification::None } else { Verification::Full },
        offer: offer(settings, cx)?,
        ..ClientTls::default()
    })
}

/// Says what TLS has against the settings: the one at fault is the one that names the file.
pub(super) fn refused(settings: &Settings, error: &TlsError) -> BuildError {
    let TlsError::File { path, .. } = error else { return BuildError::plugin(error.to_string()) };
    match FILES.into_iter().find(|setting| paths(settings, setting).contains(path)) {
        Some(setting) => BuildError::setting(setting, error.to_string()),
        None => BuildError::plugin(error.to_string()),
    }
    .in_file()
}

const FILES: [&str; 4] =
    ["ssl_certificate", "ssl_key", "ssl_extra_chain_certs", "ssl_certificate_authorities"];

fn identity(settings: &Settings) -> Result<Option<Identity>, BuildError> {
    let path = |name| settings.text(name).filter(|path| !path.is_empty());
    match (path("ssl_certificate"), path("ssl_key")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Identity {
            certificate: PathBuf::from(certificate.as_str()),
            extra_chain: paths(settings, "ssl_extra_chain_certs"),
            key: PathBuf::from(key.as_str()),
            passphrase: settings.text("ssl_key_passphrase").map(|text| text.to_string()),
        })),
        (Some(_), None) => Err(BuildError::setting("ssl_certificate", "needs its key, `ssl_key`")),
        (None, Some(_)) => Err(BuildError::setting("ssl_key", "needs its certificate, `ssl_certificate`")),
    }
}

fn fingerprints(settings: &Settings) -> Result<Vec<[u8; 32]>, BuildError> {
    let name = "ca_trusted_fingerprint";
    let parse = |text: &Text| -> Option<[u8; 32]> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        bytes?.try_into().ok()
    };
    let parsed = settings.strings(name).into_iter().map(|text| {
        parse(&text).ok_or_else(|| {
            BuildError::setting(name, format!("`{text}` is no fingerprint"))
                .remedy("give the SHA-256 of the authority's certificate in hexadecimal, 64 digits")
        })
    });
    parsed.collect()
}

fn offer(settings: &Settings, cx: &BuildContext) -> Result<Offer, BuildError> {
    let strings =
        |name| -> Vec<String> { settings.strings(name).iter().map(|text| text.to_string()).collect() };
    let offer = Offer {
        protocols: strings("ssl_supported_protocols"),
        cipher_suites: strings("ssl_cipher_suites"),
        ..Offer::default()
    };
    if offer.protocols.iter().any(|version| version == "TLSv1.1") {
        if offer.protocols.len() == 1 {
            return Err(BuildError::setting("ssl_supported_protocols", "TLSv1.1 is not spoken here")
                .remedy("use TLSv1.2 or TLSv1.3"));
        }
        cx.warn("ssl_supported_protocols", "TLSv1.1 is not spoken here, only newer versions", "leave it out");
    }
    Ok(offer)
}

const SETTINGS: [&str; 10] = [
    "ssl_certificate",
    "ssl_key",
    "ssl_key_passphrase",
    "ssl_extra_chain_certs",
    "ssl_certificate_authorities",
    "ssl_client_authentication",
    "ssl_verification_mode",
    "ssl_supported_protocols",
    "ssl_cipher_suites",
    "ssl_handshake_timeout",
];

fn paths(settings: &Settings, name: &str) -> Vec<PathBuf> {
    settings.strings(name).iter().map(|path| PathBuf::from(path.as_str())).collect()
}

fn warn_unused(settings: &Settings, cx: &BuildContext) {
    for name in settings.given().filter(|name| name.starts_with("ssl_") && *name != "ssl_enabled") {
        if let Some(name) = SETTINGS.into_iter().find(|known| *known == name) {
            cx.warn(name, "changes nothing while `ssl_enabled` is not `true`", "set it, or leave this out");
        }
    }
}
