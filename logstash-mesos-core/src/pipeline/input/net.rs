//! What the inputs that listen on the network share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::making::{Maker, Read};
use super::room::FREE_BYTES;
use crate::event::{Blob, Event, FieldReference, Value};
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{BuildError, InputContext};
use crate::tls::{Connector, Stream};

/// The `port` of the settings.
pub(crate) fn port(settings: &Settings) -> Result<u16, BuildError> {
    let port = settings.int("port").ok_or_else(|| BuildError::setting("port", "is needed"))?;
    u16::try_from(port).map_err(|_| {
        BuildError::setting("port", format!("{port} is no port")).remedy("write a number from 0 to 65535")
    })
}

/// How long to wait before an address is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often to say that it is not free.
const SAY_EVERY: u32 = 15;

/// Tries until `bind` works; `None` when the input shall end.
async fn bound<T, F>(what: &str, cx: &InputContext, bind: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = std::io::Result<T>>,
{
    let mut tries = 0_u32;
    loop {
        match bind().await {
            Ok(socket) => {
                info!(address = what, "Input listens");
                return Some(socket);
            }
            Err(error) if tries.is_multiple_of(SAY_EVERY) => {
                warn!(%error, address = what, "Input cannot listen, trying until it can");
            }
            Err(_) => {}
        }
        tries += 1;
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = cx.shutdown.cancelled() => return None,
        }
    }
}

/// What the run before this one listens on, if it `serves` this one too, or else what `bind` gives, when it works; `None` when
/// the input shall end.
pub(super) async fn listening<T, F>(
    address: &str,
    cx: &InputContext,
    serves: impl FnOnce(&T) -> bool,
    bind: impl Fn() -> F,
) -> Option<Arc<T>>
where
    T: Send + Sync + 'static,
    F: Future<Output = std::io::Result<T>>,
{
    if let Some(socket) = cx.sockets.inherit(address).filter(|socket| serves(socket)) {
        return Some(socket);
    }
    let socket = Arc::new(bound(address, cx, bind).await?);
    cx.sockets.keep(address, &socket);
    Some(socket)
}

/// Listens on `host` and `port`.
pub(super) async fn listen(host: &str, port: u16, keep_alive: bool) -> std::io::Result<TcpListener> {
    let address = resolve(host, port).await?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Connections have it from the socket that accepted them.
    socket.set_keepalive(keep_alive)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Has the system find out within two minutes that a peer has gone without a word: it waits two hours otherwise.
pub(super) fn ask_whether_there(stream: &TcpStream) {
    let quiet = Duration::from_secs(60);
    let set = sockopt::set_tcp_keepidle(stream, quiet)
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, quiet / 4))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, 4))
        .and_then(|()| sockopt::set_tcp_user_timeout(stream, 120_000));
    if let Err(error) = set {
        debug!(%error, "The system asks peers whether they are there at times of its own");
    }
}

/// Connects to `host` and `port`, with TLS or without.
pub(super) async fn connect(
    host: &str,
    port: u16,
    keep_alive: bool,
    tls: Option<&Connector>,
) -> std::io::Result<(Stream, SocketAddr)> {
    let address = resolve(host, port).await?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(keep_alive)?;
    let stream = socket.connect(address).await?;
    match tls {
        None => Ok((Stream::Plain(stream), address)),
        Some(tls) => Ok((tls.connect(host, stream).await?, address)),
    }
}

/// The first address of `host`.
pub(crate) async fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    lookup_host((host, port)).await?.next().ok_or_else(|| std::io::Error::other("the host has no address"))
}

/// Fields that events get unless they have them.
#[derive(Clone, Debug)]
pub(super) struct MissingFields {
    // What goes into `@metadata`, whole: an event that has none shares it.
    metadata: Option<Value>,
    fields: Vec<(FieldReference, Value)>,
}

impl MissingFields {
    /// From references and values.
    pub(super) fn new(fields: Vec<(&str, Value)>) -> Self {
        let fields: Vec<_> = fields
            .into_iter()
            .filter_map(|(name, value)| Some((FieldReference::parse(name).ok()?, value)))
            .collect();
        let mut event = Event::empty();
        for (field, value) in &fields {
            if field.is_metadata() {
                let _empty_event_takes_all = event.set(field, value.clone());
            }
        }
        let metadata = event.metadata().cloned().map(Value::from);
        Self { metadata, fields }
    }

    /// Adds what `event` does not have.
    pub(super) fn apply(&self, event: &mut Event) {
        let whole = self.metadata.as_ref().filter(|_| event.metadata().is_none());
        if let Some(metadata) = whole {
            event.set_metadata(metadata.clone());
        }
        for (field, value) in &self.fields {
            let done = whole.is_some() && field.is_metadata();
            if !done && matches!(event.get(field), None | Some(Value::Null)) {
                // Where something that is no hash stands in the way, the event keeps what it has.
                let _kept = event.set(field, value.clone());
            }
        }
    }
}

/// What a peer has sent when the input is to end is read: it may be on its way.
#[derive(Debug, Default)]
pub(super) struct LastWords(Option<Instant>);

impl LastWords {
    const QUIET: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(300);

    /// Returns when the input is to end and nothing comes for a moment, or not much later if all the time something does.
    ///
    /// # Cancellation safety
    ///
    /// It may be called anew after each thing that has come.
    pub(super) async fn over(&mut self, cx: &InputContext) {
        cx.shutdown.cancelled().await;
        let end = *self.0.get_or_insert_with(|| Instant::now() + Self::LONGEST);
        tokio::time::sleep_until(end.min(Instant::now() + Self::QUIET)).await;
    }
}

/// Events of so many lines are made at a time.
const LINES: usize = 500;

/// What comes of a connection.
enum Come {
    /// So many bytes.
    Data(usize),
    /// Nothing for a while.
    Quiet,
    /// Nothing any more.
    End(std::io::Result<()>),
}

/// Reads `stream` to its end, or until nothing comes for as long as `patience`, and has `maker` make events. `first` came from
/// it before.
///
/// # Errors
///
/// What the connection says; [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) when it was ended for the sake of others.
pub(super) async fn pump(
    mut stream: impl AsyncRead + Unpin,
    first: &[u8],
    patience: Option<Duration>,
    mut maker: Maker,
    cx: &InputContext,
) -> std::io::Result<()> {
    let mut piece = maker.room.piece();
    let mut block = vec![0; FREE_BYTES];
    let mut data = first;
    let mut last_words = LastWords::default();
    loop {
        match send(maker, data, false, cx).await {
            Some(goes_on) => maker = goes_on,
            None => return Ok(()),
        }
        let kept = maker.codec.kept_bytes();
        let idle = maker.codec.auto_flush().filter(|_| maker.codec.keeps());
        let come = async {
            piece.resize(kept).await;
            tokio::select! {
                // It may have waited for the queue meanwhile.
                biased;
                read = stream.read(&mut block) => match read {
                    Ok(0) => Come::End(Ok(())),
                    Ok(len) => Come::Data(len),
                    Err(error) => Come::End(Err(error)),
                },
                () = tokio::time::sleep(idle.unwrap_or_default()), if idle.is_some() => Come::Quiet,
                () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => Come::End(Ok(())),
                () = piece.overdue() => Come::End(Err(overdue())),
            }
        };
        let come = tokio::select! {
            come = come => come,
            () = last_words.over(cx) => Come::End(Ok(())),
        };
        data = match come {
            Come::Data(len) => &block[..len],
            Come::Quiet | Come::End(_) => &[],
        };
        if data.is_empty() {
            match send(maker, data, true, cx).await {
                Some(goes_on) => maker = goes_on,
                None => return Ok(()),
            }
        }
        if let Come::End(ended) = come {
            return ended;
        }
    }
}

/// `None` when the pipeline takes nothing any more.
async fn send(mut maker: Maker, data: &[u8], ends: bool, cx: &InputContext) -> Option<Maker> {
    let mut rest = data;
    while ends || !rest.is_empty() {
        let lines = memchr::memchr_iter(b'\n', rest).nth(LINES - 1).map_or(rest.len(), |at| at + 1);
        let part;
        (part, rest) = rest.split_at(lines);
        let read = Read { data: Blob::from(part), ends: ends && rest.is_empty() };
        maker = maker.send(read, cx).await?;
        if rest.is_empty() {
            break;
        }
    }
    Some(maker)
}

/// Why a connection is ended whose piece others have waited for.
pub(super) fn overdue() -> std::io::Error {
    let why = "there is no memory for others before what it has begun ends, and that takes too long (grant more, or have it \
               send shorter lines)";
    std::io::Error::new(std::io::ErrorKind::QuotaExceeded, why)
}

/// Says how the connection of `peer` ended.
pub(super) fn say_ended(ended: std::io::Result<()>, peer: &dyn std::fmt::Display) {
    match ended {
        Ok(()) => debug!(%peer, "Connection ended"),
        Err(error) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
            warn!(%error, %peer, "Connection ended");
        }
        Err(error) => debug!(%error, %peer, "Connection broke"),
    }
}

/// What a proxy says about a connection, by version 1 of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxied {
    pub(super) client: String,
    pub(super) client_port: i64,
    pub(super) proxy: String,
    pub(super) proxy_port: i64,
}

/// A proxy says who connected as soon as somebody has.
const PROXY_PATIENCE: Duration = Duration::from_secs(30);
/// No line of a proxy is longer.
const MAX_PROXY_LINE: usize = 1024;

impl Proxied {
    /// Reads the first line of `stream`, and what came behind it.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(Self, Vec<u8>)> {
        let mut begin = Vec::new();
        loop {
            if let Some(end) = memchr::memmem::find(&begin, b"\r\n") {
                let rest = begin.split_off(end + 2);
                let line = String::from_utf8_lossy(&begin);
                return Ok((Self::parse(&line).ok_or_else(|| wrong(&line))?, rest));
            }
            let read = tokio::time::timeout(PROXY_PATIENCE, stream.read_buf(&mut begin));
            let read = read
                .await
                .map_err(|_| std::io::Error::other("no line of the PROXY protocol came in time"))?;
            if begin.len() > MAX_PROXY_LINE || read? == 0 {
                return Err(wrong(&String::from_utf8_lossy(&begin)));
            }
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PROXY", _, client, proxy, client_port, proxy_port] => Some(Self {
                client: (*client).to_owned(),
                client_port: client_port.parse().ok()?,
                proxy: (*proxy).to_owned(),
                proxy_port: proxy_port.parse().ok()?,
            }),
            _ => None,
        }
    }
}

fn wrong(line: &str) -> std::io::Error {
    let shown: String = line.chars().take(100).collect();
    std::io::Error::other(format!("`{}` is no line of the PROXY protocol, version 1", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proxy_says_who_connected() {
        let mut stream = &b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\nrest"[..];
        let (proxied, rest) = Proxied::read(&mut stream).await.unwrap();
        assert_eq!((proxied.client.as_str(), proxied.client_port), ("1.2.3.4", 1111));
        assert_eq!(
            (proxied.proxy.as_str(), proxied.proxy_port, rest.as_slice()),
            ("5.6.7.8", 2222, &b"rest"[..])
        );
        for wrong in ["GET / HTTP/1.1\r\n", "PROXY TCP4 1.2.3.4", "PROXY TCP4 a b c d\r\n"] {
            assert!(Proxied::read(&mut wrong.as_bytes()).await.is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_are_added_where_there_is_nothing() {
        let fields = MissingFields::new(vec![
            ("[@metadata][a][b]", Value::Int(1)),
            ("[@metadata][a][c]", Value::Int(2)),
            ("host", "h".into()),
        ]);
        let mut event = Event::empty();
        fields.apply(&mut event);
        let get = |event: &Event, name: &str| event.get(&FieldReference::parse(name).unwrap()).cloned();
        assert_eq!(get(&event, "[@metadata][a][c]"), Some(Value::Int(2)));
        assert_eq!(get(&event, "host"), Some("h".into()));
        let mut event = Event::empty();
        event.set(&FieldReference::parse("[@metadata][a][b]").unwrap(), 7_i64).unwrap();
        fields.apply(&mut event);
        assert_eq!(get(&event, "[@metadata][a][b]"), Some(Value::Int(7)));
        assert_eq!(get(&event, "[@metadata][a][c]"), Some(Value::Int(2)));
    }
}
