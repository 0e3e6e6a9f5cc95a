use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, openapi::golden};
use crate::health::{self, Report};

/// The process answers.
#[utoipa::path(
    get, path = super::HEALTHZ, security(()),
    responses((status = 200, description = "The process works.", body = String, example = "ok\n"))
)]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether traffic should be sent here.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    state: health::State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    connections: usize,
    version: &'static str,
}

/// Whether traffic should be sent here: every vital part works, and the server is not stopping.
#[utoipa::path(
    get, path = super::READYZ, security(()),
    responses(
        (status = 200, description = "Yes.", body = Ready, example = json!(golden("ready"))),
        (status = 503, description = "No; the reason says why.", body = Ready,
         example = json!(golden("not_ready"))),
    )
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Ready>) {
    let Report { ready, state, reason, .. } = app.shared.health.snapshot();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let connections = app.shared.connections.open();
    let version = env!("CARGO_PKG_VERSION");
    (code, Json(Ready { ready, state, reason, connections, version }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_is_the_golden_one() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../shared/golden/http.json")).unwrap();
        for name in ["ready", "not_ready"] {
            let golden = &golden[name];
            let ready = Ready {
                ready: golden["ready"].as_bool().unwrap(),
                state: serde_json::from_value(golden["state"].clone()).unwrap(),
                reason: golden["reason"].as_str().map(str::to_owned),
                connections: 312,
                version: "0.1.0",
            };
            assert_eq!(serde_json::to_value(&ready).unwrap(), *golden);
        }
    }
}
