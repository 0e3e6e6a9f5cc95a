use std::sync::Arc;

use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{super::App, Operator};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Whose token this is, and what it allows.
#[derive(Serialize, ToSchema)]
struct Me {
    /// The user.
    #[schema(value_type = String)]
    user: Arc<str>,
    scopes: Vec<String>,
    expires_at: u64,
}

/// Whose token this is, and what it allows: what to ask first when something is refused.
#[utoipa::path(get, path = "/me", responses((status = 200, description = "The token's claims.", body = Me)))]
async fn me(Extension(Operator(grant)): Extension<Operator>) -> Json<Me> {
    Json(Me {
        user: grant.user().clone(),
        scopes: grant.scopes().iter().map(|scope| scope.to_string()).collect(),
        expires_at: grant.expires_at(),
    })
}
