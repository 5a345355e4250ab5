//! Signing in with a browser, and out: who one is.

use crate::scheduler::access::{Peer, Viewer};
use crate::scheduler::shared::Shared;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Who one is, and what one may do; also for those who are nobody yet.
#[utoipa::path(get, path = "/api/session", tag = "operation", responses((status = 200, body = Viewer)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    viewer(&shared.access().viewer(&headers))
}

/// Signs in whoever brings a password or a token, as the guard of the port has found them to be right.
#[utoipa::path(post, path = "/api/session", tag = "operation",
    responses((status = 200, body = Viewer, description = "With a cookie, where there are accounts.")))]
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    match shared.access().sign_in(&headers, peer, shared.tls().is_spoken()) {
        Some(cookie) => {
            ([(header::SET_COOKIE, cookie)], viewer(&shared.access().viewer(&headers))).into_response()
        }
        // There are no accounts here, and nothing to sign in for.
        None => viewer(&shared.access().viewer(&headers)),
    }
}

/// Ends the login of the browser that asks, and has it forget its cookie.
#[utoipa::path(delete, path = "/api/session", tag = "operation", responses((status = 200, body = Viewer)))]
pub(super) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let cookie = shared.access().sign_out(&headers, request.extensions().get());
    ([(header::SET_COOKIE, cookie)], viewer(&shared.access().viewer(&HeaderMap::new()))).into_response()
}

fn viewer(viewer: &Viewer) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(viewer)).into_response()
}
