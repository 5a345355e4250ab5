//! `http`: requests whose bodies are events.

mod body;
mod request;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tracing::debug;

use super::accept::Listen;
use super::common::{EVENT_BYTES, InputOptions};
use super::room::{FREE_BYTES, Room};
use crate::event::{Batch, Blob, Clock, Deferred, Event, FieldReference, Outcome, Text, Value, awaited_ack};
use crate::pipeline::plugin::settings::{
    Default as Preset, Kind, Setting, SettingValue, Settings, Transport,
};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EcsCompatibility, Input, InputContext, InputError, MakeInput,
    PluginSpec,
};
use crate::pipeline::tls;
use crate::tls::Stream;

pub(crate) static HTTP: PluginSpec = PluginSpec {
    name: "http",
    doc: "Takes events from HTTP requests of any method and path. The answer comes when the events are in the queue of the pipeline; with `queue.type` `persisted`, when they are on disk in the queues of its outputs.",
    settings: &[
        Setting::new("host", Kind::String, "The address to listen on.").default(Preset::String("0.0.0.0")),
        Setting::new("port", Kind::Number, "The port.").default(Preset::Int(8080)).listens(Transport::Tcp),
        Setting::new("user", Kind::String, "Who may send; nobody is asked where absent."),
        Setting::new("password", Kind::Password, "The user's password."),
        Setting::new(
            "additional_codecs",
            Kind::Hash,
            "Codecs for bodies by their content type; others get `codec`. `application/json` gets `json` where absent.",
        ),
        Setting::new(
            "response_headers",
            Kind::Hash,
            "Headers of every answer. The content type of one with a body is always `text/plain`.",
        ),
        Setting::new("response_code", Kind::Number, "The status of an answer: 200, 201, 202 or 204.")
            .default(Preset::Int(200)),
        Setting::new(
            "remote_host_target_field",
            Kind::String,
            "The field for the address of the sender; `[host][ip]` where absent, or `host` by the old names.",
        ),
        Setting::new(
            "request_headers_target_field",
            Kind::String,
            "The field for the headers of the request; `[@metadata][input][http][request][headers]` where absent, or `headers` by the old names.",
        ),
        Setting::new(
            "threads",
            Kind::Number,
            "Requests that are worked on at a time; as many as there are processors where absent.",
        ),
        Setting::new(
            "max_pending_requests",
            Kind::Number,
            "Requests that wait beside those; further ones are answered with 429.",
        )
        .default(Preset::Int(200)),
        Setting::new(
            "max_content_length",
            Kind::Number,
            "The longest body in bytes, unpacked; longer ones are answered with 413.",
        )
        .default(Preset::Int(104_857_600)),
        tls::ENABLED,
        tls::CERTIFICATE,
        tls::KEY,
        tls::KEY_PASSPHRASE,
        tls::CLIENT_AUTHORITIES,
        tls::CLIENT_AUTHENTICATION.default(Preset::String("none")),
        tls::HANDSHAKE_TIMEOUT,
        tls::PROTOCOLS,
        tls::CIPHERS,
        tls::java("ssl_keystore_path", Kind::Path),
        tls::java("ssl_keystore_password", Kind::Password),
        tls::java("ssl_keystore_type", Kind::OneOf(&["pkcs12", "jks"])),
        tls::java("ssl_truststore_path", Kind::Path),
        tls::java("ssl_truststore_password", Kind::Password),
        tls::java("ssl_truststore_type", Kind::OneOf(&["pkcs12", "jks"])),
        tls::obsolete("ssl", "use `ssl_enabled`"),
        tls::obsolete("keystore", "use `ssl_certificate` and `ssl_key`"),
        tls::obsolete("keystore_password", "use `ssl_certificate` and `ssl_key`"),
        tls::obsolete("verify_mode", "use `ssl_client_authentication`"),
        tls::obsolete("ssl_verify_mode", "use `ssl_client_authentication`"),
        tls::obsolete("cipher_suites", "use `ssl_cipher_suites`"),
        tls::obsolete("tls_min_version", "use `ssl_supported_protocols`"),
        tls::obsolete("tls_max_version", "use `ssl_supported_protocols`"),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let field = |name, old, ecs| {
        let text = settings.text(name).unwrap_or(Text::from_static(cx.ecs.select(old, ecs)));
        FieldReference::parse_with(&text, settings.escape_style())
            .map_err(|error| BuildError::setting(name, error.to_string()))
    };
    let number = |name, default: usize| match settings.int(name) {
        None => Ok(default),
        Some(number) => usize::try_from(number)
            .map_err(|_| BuildError::setting(name, format!("{number} is less than nothing"))),
    };
    let status = match settings.int("response_code") {
        Some(200) | None => StatusCode::OK,
        Some(201) => StatusCode::CREATED,
        Some(202) => StatusCode::ACCEPTED,
        Some(204) => StatusCode::NO_CONTENT,
        Some(_) => return Err(BuildError::setting("response_code", "is 200, 201, 202 or 204")),
    };
    let longest = number("max_content_length", 104_857_600)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = number("threads", processors)?.max(1) + number("max_pending_requests", 200)?;
    Ok(Box::new(Http {
        listen: Listen::new(settings, true, tls::acceptor(settings, cx, tls::Rules::Http)?)?,
        server: Arc::new(Server {
            authorization: authorization(settings)?,
            codecs: Mutex::new(Codecs::new(settings, cx)?),
            status,
            headers: response_headers(settings)?,
            remote_host: field("remote_host_target_field", "host", "[host][ip]")?,
            request_headers: field(
                "request_headers_target_field",
                "headers",
                "[@metadata][input][http][request][headers]",
            )?,
            ecs: cx.ecs,
            options: InputOptions::new(settings),
            longest,
            places: Semaphore::new(most.min(Semaphore::MAX_PERMITS)),
            sending: Mutex::default(),
        }),
    }))
}

fn authorization(settings: &Settings) -> Result<Option<String>, BuildError> {
    match (settings.text("user"), settings.text("password")) {
        (Some(user), Some(password)) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            Ok(Some(format!("Basic {encoded}")))
        }
        (None, None) => Ok(None),
        // Logstash would let everybody in.
        (Some(_), None) => {
            Err(BuildError::setting("user", "is given without `password`").remedy("give both"))
        }
        (None, Some(_)) => {
            Err(BuildError::setting("password", "is given without `user`").remedy("give both"))
        }
    }
}

fn response_headers(settings: &Settings) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    if !settings.is_given("response_headers") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    for (name, value) in settings.hash("response_headers") {
        let wrong =
            || BuildError::setting("response_headers", format!("`{name}` cannot be sent as a header"));
        let value = value.to_text().ok_or_else(wrong)?;
        headers.insert(
            HeaderName::try_from(name.as_str()).map_err(|_| wrong())?,
            HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?,
        );
    }
    Ok(headers)
}

/// The codecs of bodies.
struct Codecs {
    other: Box<dyn Codec>,
    by_type: Vec<(Text, Box<dyn Codec>)>,
}

impl Codecs {
    fn new(settings: &Settings, cx: &BuildContext) -> Result<Self, BuildError> {
        let json = [(Text::from_static("application/json"), SettingValue::String(Text::from_static("json")))];
        let wanted = if settings.is_given("additional_codecs") {
            settings.hash("additional_codecs")
        } else {
            &json[..]
        };
        let by_type = wanted
            .iter()
            .map(|(content_type, codec)| {
                let codec = codec.to_text().ok_or_else(|| {
                    BuildError::setting("additional_codecs", "has a value that is no name of a codec")
                })?;
                Ok((content_type.clone(), cx.codec_by_name("additional_codecs", &codec)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { other: cx.codec(settings, "codec")?, by_type })
    }

    fn of(&self, content_type: &str) -> &dyn Codec {
        let mime = content_type.split(';').next().unwrap_or_default();
        self.by_type.iter().find(|(name, _)| name == mime).map_or(&*self.other, |(_, codec)| &**codec)
    }
}

struct Http {
    listen: Listen,
    server: Arc<Server>,
}

/// What every connection needs.
struct Server {
    authorization: Option<String>,
    // Only forked; behind a lock so that several tasks may look at it.
    codecs: Mutex<Codecs>,
    status: StatusCode,
    headers: HeaderMap,
    remote_host: FieldReference,
    request_headers: FieldReference,
    ecs: EcsCompatibility,
    options: InputOptions,
    longest: usize,
    places: Semaphore,
    // Since when requests wait for room in the queue, by a number of their own.
    sending: Mutex<BTreeMap<u64, Instant>>,
}

/// How long the end of the input waits for requests.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// When nothing fits into the queue for so long, further requests are sent away at once.
const BLOCKED: Duration = Duration::from_secs(10);

#[async_trait]
impl Input for Http {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (server, room) = (self.server, Room::new(&cx.memory));
        let talk = move |stream, peer, cx: Arc<InputContext>| {
            let (server, room) = (Arc::clone(&server), room.clone());
            async move { server.talk(stream, peer, &room, &cx).await }
        };
        self.listen.serve(&Arc::new(cx), talk).await;
        Ok(())
    }
}

impl Server {
    async fn talk(self: &Arc<Self>, stream: Stream, peer: SocketAddr, room: &Room, cx: &InputContext) {
        let service = hyper::service::service_fn(|request| async move {
            Ok::<_, std::convert::Infallible>(self.answer(request, peer, room, cx).await)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(FREE_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = cx.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_WAIT, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%error, %peer, "Connection broke");
        }
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        room: &Room,
        cx: &InputContext,
    ) -> Response<Full<Bytes>> {
        if let Some(wanted) = &self.authorization {
            match request.headers().get(AUTHORIZATION) {
                Some(shown) if is_same(shown.as_bytes(), wanted.as_bytes()) => {}
                Some(_) => return empty(StatusCode::UNAUTHORIZED),
                None => {
                    let mut answer = empty(StatusCode::UNAUTHORIZED);
                    let ask = HeaderValue::from_static("Basic realm=\"Logstash HTTP Input\"");
                    answer.headers_mut().insert(WWW_AUTHENTICATE, ask);
                    return answer;
                }
            }
        }
        if self.is_blocked() {
            return empty(StatusCode::TOO_MANY_REQUESTS);
        }
        let Ok(_place) = self.places.try_acquire() else { return empty(StatusCode::TOO_MANY_REQUESTS) };
        let (mut head, body) = request.into_parts();
        let body = match body::read(&mut head.headers, body, self.longest, room.piece()).await {
            Ok(body) => body,
            Err((status, reason)) => {
                debug!(reason, %peer, "Request refused");
                return text(status, reason);
            }
        };
        let facts = request::Facts::new(&head, body.data.len(), self.ecs);
        let _waiting = self.wait();
        let batch = Batch {
            byte_size: body.data.len() + EVENT_BYTES,
            deferred: Some(self.events(body.data.clone(), facts, peer, cx.clock)),
            ..Batch::default()
        };
        // The queue has it from then on.
        let _held = body;
        if !hand_in(batch, cx).await {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the pipeline ends".to_owned());
        }
        let mut answer = Response::new(Full::new(Bytes::new()));
        *answer.status_mut() = self.status;
        answer.headers_mut().clone_from(&self.headers);
        if self.status != StatusCode::NO_CONTENT {
            *answer.body_mut() = Full::new(Bytes::from_static(b"ok"));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        answer
    }

    /// A worker makes them: a body may be very many.
    fn events(
        self: &Arc<Self>,
        data: Blob,
        facts: request::Facts,
        peer: SocketAddr,
        clock: Clock,
    ) -> Deferred {
        let mut codec = lock(&self.codecs).of(facts.content_type()).fork();
        let (server, host) = (Arc::clone(self), Value::from(peer.ip().to_canonical().to_string()));
        let now = Clock::Fixed(clock.now());
        Deferred::new(move |events| {
            let mut emit = |mut event: Event| {
                facts.apply(&mut event);
                for (field, value) in
                    [(&server.request_headers, facts.headers()), (&server.remote_host, &host)]
                {
                    // Where something that is no hash stands in the way, the event keeps what it has.
                    let _kept = event.set(field, value.clone());
                }
                server.options.apply(&mut event);
                events.push(event);
            };
            codec.decode(data, now, &mut emit);
            codec.flush(now, &mut emit);
        })
    }

    fn is_blocked(&self) -> bool {
        lock(&self.sending).values().next().is_some_and(|since| since.elapsed() >= BLOCKED)
    }

    /// Notes that a request waits for the queue, until the answer is dropped.
    fn wait(&self) -> impl Drop + use<'_> {
        struct Waiting<'s>(&'s Mutex<BTreeMap<u64, Instant>>, u64);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                lock(self.0).remove(&self.1);
            }
        }
        let mut sending = lock(&self.sending);
        // Ascending numbers: the first is the one that waits longest.
        let number = sending.last_key_value().map_or(0, |(last, _)| last + 1);
        sending.insert(number, Instant::now());
        Waiting(&self.sending, number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes as long for a wrong answer as for one that is nearly right.
fn is_same(shown: &[u8], wanted: &[u8]) -> bool {
    shown.len() == wanted.len() && shown.iter().zip(wanted).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// Sends `batch` for a peer that waits for an answer. Where the queues of the outputs are on disk, it is told when all of its
/// events are there; otherwise when the pipeline has taken it. `false` when neither will be.
async fn hand_in(mut batch: Batch, cx: &InputContext) -> bool {
    if !cx.persisted {
        return cx.events.send(batch).await;
    }
    let (ack, outcome) = awaited_ack();
    batch.ack = ack;
    cx.events.send(batch).await && outcome.await == Ok(Outcome::Delivered)
}

#[cfg(test)]
mod tests;
