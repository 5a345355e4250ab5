//! Whoever may not do what a request wants is turned away, in the words of its protocol.

use super::super::access::{Access, GRPC, Refusal, TOO_MANY, Wish, wish};
use super::error;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Turns away who may not.
pub(super) async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let wish = wish(request.method(), request.uri().path());
    let looked = match wish {
        Wish::Free => Ok(()),
        _ => access.look(request.headers(), request.extensions().get().copied()).await,
    };
    let refusal = match looked.and_then(|()| access.check(wish, request.headers())) {
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
    if path.starts_with(GRPC) {
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
            let realm = HeaderValue::from_static("Basic realm=\"logstash-mesos\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            response.into_response()
        }
    }
}
