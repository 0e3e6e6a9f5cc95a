use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use rethread_shared::{IdError, RunId, WireError};

use super::super::{App, problem::Problem};
use crate::bridge::resolve::Trail;

/// How a run's thread is found: each step, what it saw, why it passed.
const RESOLVE: &str = "/resolve/{run}";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(RESOLVE, get(resolve))
}

async fn resolve(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
) -> Result<Json<Trail>, Problem> {
    let run: RunId = run.parse().map_err(|error: IdError| WireError::from(error))?;
    Ok(Json(app.shared.bridge.trace(&run).await?))
}
