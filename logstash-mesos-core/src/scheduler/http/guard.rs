//! Whoever may not do what a request wants is turned away, in the words of its protocol.

use super::super::access::{Access, Refusal, TOO_MANY, Wish, is_grpc, is_reading, wish};
use super::{error, pages};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

/// What a request wants. The page is the same for everybody: what it shows it has to ask for.
pub(super) fn wish_of(request: &Request) -> Wish {
    let path = request.uri().path();
    if is_reading(request.method()) && pages::has(path) { Wish::Free } else { wish(request.method(), path) }
}

/// Turns away who may not.
pub(super) async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let wish = wish_of(&request);
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let is_browser = agent.is_some_and(|agent| agent.starts_with("Mozilla/"));
    let looked = match wish {
        Wish::Free => Ok(()),
        _ => access.look(request.headers(), request.extensions().get().copied()).await,
    };
    let refusal = match looked.and_then(|()| access.admit(wish, request.method(), request.headers())) {
        Ok(()) => {
            if wish > Wish::Read {
                let author = access.author(request.headers(), request.extensions().get());
                request.extensions_mut().insert(author);
            }
            return next.run(request).await;
        }
        Err(refusal) => refusal,
    };
    let path = request.uri().path();
    if is_grpc(path) {
        return match refusal {
            Refusal::Unauthorized => tonic::Status::unauthenticated("credentials are needed"),
            Refusal::Forbidden(text) => tonic::Status::permission_denied(text),
            Refusal::Later(_) => tonic::Status::resource_exhausted(TOO_MANY),
        }
        .into_http();
    }
    match refusal {
        Refusal::Forbidden(text) => error(StatusCode::FORBIDDEN, text),
        Refusal::Later(wait) => {
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, TOO_MANY);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            response
        }
        Refusal::Unauthorized => {
            let mut response = error(StatusCode::UNAUTHORIZED, "credentials are needed");
            // A browser would ask by itself, over the page, and never forget the answer.
            let realm = if is_browser {
                "Bearer realm=\"logstash-mesos\""
            } else {
                "Basic realm=\"logstash-mesos\", charset=\"UTF-8\""
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(realm));
            response
        }
    }
}
