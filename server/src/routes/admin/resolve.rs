use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use rethread_shared::{IdError, RunId, ThreadId, WireError};
use serde::Deserialize;

use super::super::{App, body::Text, problem::Problem};
use crate::bridge::{migrate::Migrated, resolve::Trail};

/// How a run's thread is found: each step, what it saw, why it passed.
const RESOLVE: &str = "/resolve/{run}";
/// Gives a run a thread, and the standard id that goes with it.
const MIGRATE: &str = "/migrate";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(RESOLVE, get(resolve)).route(MIGRATE, post(migrate))
}

async fn resolve(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
) -> Result<Json<Trail>, Problem> {
    let run: RunId = run.parse().map_err(|error: IdError| WireError::from(error))?;
    Ok(Json(app.shared.bridge.trace(&run).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrate {
    run: RunId,
    thread: ThreadId,
}

async fn migrate(State(app): State<Arc<App>>, body: Text) -> Result<Json<Migrated>, Problem> {
    let Migrate { run, thread } = body.json(r#"{"run":"run_…","thread":"thread_{key}"}"#)?;
    Ok(Json(app.shared.bridge.migrate(&run, &thread).await?))
}
