//! The connection that a session is held over, with TLS where the address says so.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::tls::{ClientTls, Connector, Offer, Stream};

/// Connects to the scheduler at `url`, or says why not. `authorities`, in PEM, may have signed its certificate; the
/// usual ones when empty.
pub(super) async fn open(url: &str, authorities: &str) -> Result<Channel, String> {
    let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let tls = is_tls.then(|| connector(authorities)).transpose()?;
    // Were its own scheme https, tonic would want to speak TLS itself.
    let plain = format!("http://{}", uri.authority().map_or("", |authority| authority.as_str()));
    let endpoint = Endpoint::from_shared(plain)
        .map_err(|error| error.to_string())?
        .origin(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let connect = service_fn(move |_: Uri| {
        let (host, tls) = (host.clone(), tls.clone());
        async move {
            let address = (host.trim_matches(['[', ']']), port);
            Stream::connect(&host, address, tls.as_ref()).await.map(TokioIo::new)
        }
    });
    endpoint.connect_with_connector(connect).await.map_err(|error| crate::error_chain(&error))
}

fn connector(authorities: &str) -> Result<Connector, String> {
    let tls = ClientTls {
        authorities_pem: authorities.to_owned(),
        // Proxies in between may insist on it.
        offer: Offer { application_protocols: vec!["h2".to_owned()], ..Offer::default() },
        ..ClientTls::default()
    };
    Connector::new(&tls).map_err(|error| error.to_string())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
