use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use rethread_shared::{IdError, RunId, WireError};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{App, openapi::golden, problem::Problem};
use crate::{bridge::resolve::Trail, schema};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(resolve))
}

/// How a run's thread is found: each step, what it saw, why it passed.
#[utoipa::path(
    get, path = "/resolve/{run}",
    params(("run" = schema::RunId, Path, description = "The run.")),
    responses((status = 200, description = "The whole way, also where it leads nowhere.", body = Trail,
               example = json!(golden("resolve")))),
    extensions(("x-error-codes" = json!(["bad_id", "log_unavailable"])))
)]
async fn resolve(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
) -> Result<Json<Trail>, Problem> {
    let run: RunId = run.parse().map_err(|error: IdError| WireError::from(error))?;
    Ok(Json(app.shared.bridge.trace(&run).await?))
}
