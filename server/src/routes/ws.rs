use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use hyper_util::rt::TokioIo;
use rethread_shared::{
    ErrorCode, WireError,
    frame::{SOCKET_PATH, SUBPROTOCOL},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{App, problem::Problem, request::Asking};
use crate::{
    connections::Place,
    metrics::meters::Transport,
    request, schema,
    socket::{self, WebSocket, Wire},
};

/// The WebSocket: subscribe, publish, ask, serve.
///
/// Its frames are in PROTOCOL.md, sections 6 to 9. Subprotocol `rethread.v1`.
#[utoipa::path(
    get, path = SOCKET_PATH, security(()),
    responses(
        (status = 101, description = "Frames follow; the first is the client's `hello`."),
        (status = 426, description = "`bad_frame`: the request asks for no WebSocket.",
         body = schema::ErrorBody),
    ),
    extensions(("x-error-codes" = json!(["bad_frame", "forbidden", "slow_down"])))
)]
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    asking: Asking,
    mut request: Request,
) -> Result<Response, Problem> {
    require_origin(&app, request.headers())?;
    let accept = accept(request.headers())?;
    let place = enter(&app, Transport::WebSocket, &asking)?;
    let shared = app.shared.clone();
    let named = request::Request { transport: Transport::WebSocket, ..asking.request().clone() };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(shared.connections.clone().track(async move {
        // The client may have left meanwhile.
        let Ok(io) = upgrade.await else { return };
        let ws = WebSocket::new(TokioIo::new(io));
        socket::serve(Wire::WebSocket(ws), place, named, shared).await;
    }));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if lists(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Refuses pages of other origins than those that may come.
pub(super) fn require_origin(app: &App, headers: &HeaderMap) -> Result<(), WireError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(origin) = text(header::ORIGIN)
        && !app.shared.origins.allow(origin, text(header::HOST))
    {
        return Err(WireError::new(
            ErrorCode::Forbidden,
            "pages of this origin may not come; the server's operator can let them, with http.origins",
        )
        .with_received(origin));
    }
    Ok(())
}

/// A place for one more connection, unless its address or the server has too many.
pub(super) fn enter(app: &App, transport: Transport, asking: &Asking) -> Result<Place, WireError> {
    let seat = app.shared.guard.enter(asking.client())?;
    let place = app.shared.connections.enter(transport, asking.address()).ok_or_else(|| {
        WireError::new(ErrorCode::SlowDown, "the server has as many connections as it may")
            .with_retry_after_ms(5_000)
    })?;
    Ok(place.with(seat))
}

/// The answer to the client's key, if it asks for a WebSocket.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let refuse = |missing: &str| {
        let message = format!("this is a WebSocket endpoint ({SUBPROTOCOL}): expected {missing}");
        let error = WireError::new(ErrorCode::BadFrame, message);
        Problem::with_status(error, StatusCode::UPGRADE_REQUIRED)
    };
    if !lists(headers, &header::CONNECTION, "upgrade") {
        return Err(refuse("the header `connection: upgrade`"));
    }
    if !lists(headers, &header::UPGRADE, "websocket") {
        return Err(refuse("the header `upgrade: websocket`"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let expected = "the header `sec-websocket-version: 13`";
        return Err(refuse(expected));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err(refuse("the header `sec-websocket-key`"));
    };
    let accept = derive_accept_key(key.as_bytes());
    Ok(HeaderValue::from_str(&accept).expect("base64 is a header's value"))
}

/// True when a header, a list of words, has this one.
fn lists(headers: &HeaderMap, name: &header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}
