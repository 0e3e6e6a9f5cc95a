use std::sync::Arc;

use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::{IntoResponse, Response},
};
use rethread_shared::{
    ErrorCode, WireError,
    frame::{SOCKET_PATH, SUBPROTOCOL},
    limits::{FRAME_BYTES_HARD_MAX, READ_BUFFER_BYTES, WRITE_BYTES_MAX},
};

use super::{App, problem::Problem, request::Asking};
use crate::{metrics::meters::Transport, request::Request, schema, socket};

/// The WebSocket: subscribe, publish, ask, serve.
///
/// Its frames are in PROTOCOL.md, sections 6 to 9. Subprotocol `rethread.v1`.
#[utoipa::path(
    get, path = SOCKET_PATH, security(()),
    responses(
        (status = 101, description = "Frames follow; the first is the client's `hello`."),
        (status = 426, description = "`bad_frame`: the connection cannot be upgraded.",
         body = schema::ErrorBody),
    ),
    extensions(("x-error-codes" = json!(["bad_frame", "slow_down"])))
)]
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    asking: Asking,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|cause| {
        let error = WireError::new(
            ErrorCode::BadFrame,
            format!("this is a WebSocket endpoint ({SUBPROTOCOL}): {cause}"),
        );
        Problem::with_status(error, cause.into_response().status())
    })?;
    let place =
        app.shared.connections.enter(Transport::WebSocket, asking.address()).ok_or_else(|| {
            WireError::new(ErrorCode::SlowDown, "the server has as many connections as it may")
                .with_retry_after_ms(5_000)
        })?;
    let shared = app.shared.clone();
    let request = Request { transport: Transport::WebSocket, ..asking.request().clone() };
    let connections = shared.connections.clone();
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(FRAME_BYTES_HARD_MAX)
        .max_frame_size(FRAME_BYTES_HARD_MAX)
        .on_upgrade(move |ws| connections.track(socket::serve(ws, place, request, shared))))
}
