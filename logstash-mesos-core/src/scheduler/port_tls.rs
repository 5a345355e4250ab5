//! TLS on the ports of schedulers: our own, and those of others that we connect to.

use crate::tls::{
    Acceptor, AuthorityFile, ClientAuthentication, ClientTls, Connector, Identity, Offer, Reloaded,
    ServerTls, TlsError,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the ports of schedulers show, and whom to believe there.
#[derive(Clone, Debug, Default)]
pub struct HttpTls {
    /// Our certificate with its key; without one the port speaks no TLS.
    pub identity: Option<Identity>,
    /// Who signed it and those of other schedulers, in PEM; the usual authorities without one. Executors get it.
    pub authority: Option<PathBuf>,
}

impl HttpTls {
    pub(super) fn server(&self) -> Option<ServerTls> {
        let identity = self.identity.clone()?;
        Some(ServerTls {
            identity,
            client_authentication: ClientAuthentication::None,
            authorities: vec![],
            // Browsers and clients of gRPC choose by it.
            offer: Offer {
                application_protocols: ["h2", "http/1.1"].map(str::to_owned).to_vec(),
                ..Offer::default()
            },
            handshake_timeout: HANDSHAKE_TIMEOUT,
        })
    }

    pub(super) fn client(&self) -> ClientTls {
        ClientTls { authorities: self.authority.iter().cloned().collect(), ..ClientTls::default() }
    }
}

/// The same with its files, as they are at each moment.
#[derive(Debug)]
pub(super) struct PortTls {
    server: Option<Reloaded<ServerTls>>,
    client: Reloaded<ClientTls>,
    authority: Option<Reloaded<AuthorityFile>>,
}

impl PortTls {
    pub(super) fn new(settings: &HttpTls) -> Arc<Self> {
        Arc::new(Self {
            server: settings.server().map(Reloaded::new),
            client: Reloaded::new(settings.client()),
            authority: settings.authority.clone().map(AuthorityFile).map(Reloaded::new),
        })
    }

    /// Whether our port speaks TLS.
    pub(super) fn is_spoken(&self) -> bool {
        self.server.is_some()
    }

    /// For a connection to our port; none where it speaks no TLS.
    pub(super) fn acceptor(&self) -> Result<Option<Arc<Acceptor>>, TlsError> {
        self.server.as_ref().map(Reloaded::latest).transpose()
    }

    /// For a connection to another scheduler that speaks TLS.
    pub(super) fn connector(&self) -> Result<Connector, TlsError> {
        Ok(self.client.latest()?.into())
    }

    /// The authority that executors are told of, in PEM; nothing for the usual ones.
    pub(super) fn authorities(&self) -> String {
        // It was read at the start, and what was read once is never lost.
        let latest = self.authority.as_ref().and_then(|authority| authority.latest().ok());
        latest.map(|pem| (*pem).clone()).unwrap_or_default()
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
