use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};

use super::super::App;
use crate::health::Report;

/// How the server is, part by part.
const HEALTH: &str = "/health";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(HEALTH, get(health))
}

async fn health(State(app): State<Arc<App>>) -> Json<Report> {
    Json(app.shared.health.snapshot())
}
