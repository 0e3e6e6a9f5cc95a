use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;

use super::App;

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    connections: usize,
    version: &'static str,
}

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether events sent here would be stored: the log takes them, and the server is not stopping.
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    let connections = &app.shared.connections;
    let reason = if connections.leaving().is_cancelled() {
        Some("the server is stopping".to_owned())
    } else {
        app.shared.bridge.log().poisoned().map(|reason| format!("the log: {reason}"))
    };
    let (code, status) = match reason {
        None => (StatusCode::OK, "ready"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
    };
    let version = env!("CARGO_PKG_VERSION");
    (code, Json(Health { status, reason, connections: connections.open(), version }))
}
