use std::sync::Arc;

use axum::{Extension, Json, Router, routing::get};
use serde::Serialize;

use super::{super::App, Operator};

/// Whose token this is, and what it allows: what to ask first when something is refused.
const ME: &str = "/me";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(ME, get(me))
}

#[derive(Serialize)]
struct Me {
    user: Arc<str>,
    scopes: Vec<String>,
    expires_at: u64,
}

async fn me(Extension(Operator(grant)): Extension<Operator>) -> Json<Me> {
    Json(Me {
        user: grant.user().clone(),
        scopes: grant.scopes().iter().map(|scope| scope.to_string()).collect(),
        expires_at: grant.expires_at(),
    })
}
