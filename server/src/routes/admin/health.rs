use std::sync::Arc;

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{App, openapi::golden};
use crate::health::Report;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health))
}

/// How the server is, part by part.
#[utoipa::path(
    get, path = "/health",
    responses((status = 200, description = "All of it.", body = Report,
               example = json!(golden("admin_health"))))
)]
async fn health(State(app): State<Arc<App>>) -> Json<Report> {
    Json(app.shared.health.snapshot())
}
