//! The way for clients whose network blocks WebSocket: the same frames, in answers and requests.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use rethread_shared::{ErrorCode, WireError, frame};

use super::{App, body::Text, problem::Problem, request::Asking, token::Authorized, ws};
use crate::{
    metrics::meters::Transport,
    request,
    socket::{self, Wire},
};

/// Opens a connection where WebSocket is blocked: the same frames, as server-sent events.
///
/// The body has the client's first frames, one a line, beginning with `hello`. The first event is `open`
/// and names the stream; each after it is a frame of the server's; the last is `close`, with the code of a
/// WebSocket's close frame. PROTOCOL.md, section 6.
#[utoipa::path(
    post, path = super::STREAM, security(()),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((
        status = 200, description = "Frames follow.",
        content((String = "text/event-stream")),
    )),
    extensions(("x-error-codes" = json!([
        "bad_frame", "hello_required", "frame_too_large", "forbidden", "slow_down"
    ])))
)]
pub(super) async fn open(
    State(app): State<Arc<App>>,
    asking: Asking,
    headers: HeaderMap,
    body: Text,
) -> Result<Response, Problem> {
    ws::require_origin(&app, &headers)?;
    let first = frames(&body.0);
    if !first.first().is_some_and(|first| frame::op(first).is_ok_and(|op| op == "hello")) {
        let message = "the body must begin with the frame `hello`, each frame on a line of its own";
        return Err(WireError::new(ErrorCode::HelloRequired, message).into());
    }
    let place = ws::enter(&app, Transport::Tunnel, &asking)?;
    let (tunnel, body) = app.shared.tunnels.open(&place, first);
    let shared = app.shared.clone();
    let named = request::Request { transport: Transport::Tunnel, ..asking.request().clone() };
    let connections = shared.connections.clone();
    tokio::spawn(connections.track(socket::serve(Wire::Tunnel(tunnel), place, named, shared)));
    let chunks = stream::unfold(body, |mut body| async {
        let chunk = body.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), body))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // Asks nginx not to hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(chunks)).into_response())
}

/// Takes further frames of a stream's client, one a line.
///
/// Answered when the stream has taken them all; what comes of them comes on the stream. A stream that has
/// ended, and one of another user, is `not_found`.
#[utoipa::path(
    post, path = super::STREAM_FRAMES,
    params(("stream" = String, Path, description = "What the event `open` named.")),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 204, description = "They are taken.")),
    extensions(("x-error-codes" = json!([
        "bad_frame", "frame_too_large", "not_found", "slow_down"
    ])))
)]
pub(super) async fn frames_in(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    Path(name): Path<String>,
    body: Text,
) -> Result<StatusCode, Problem> {
    let gone = || {
        let message = "no such stream is open: it has ended, or is another user's; open a new one";
        WireError::new(ErrorCode::NotFound, message)
    };
    let entrance = app.shared.tunnels.entrance(&name, grant.user()).ok_or_else(gone)?;
    for frame in frames(&body.0) {
        entrance.send(frame).await.map_err(|_| gone())?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn frames(body: &str) -> Vec<String> {
    body.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}
