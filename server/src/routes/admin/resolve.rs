use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use rethread_shared::{IdError, RunId, ThreadId, WireError};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{App, body::Text, openapi::golden, problem::Problem};
use crate::{
    bridge::{migrate::Migrated, resolve::Trail},
    schema,
};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(resolve)).routes(routes!(migrate))
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

/// A run and the thread that it belongs to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Migrate {
    /// The run, by an id that names no thread.
    #[schema(value_type = schema::RunId)]
    run: String,
    /// Its thread.
    #[schema(value_type = schema::ThreadId)]
    thread: String,
}

/// Says which thread a run belongs to, and gives it the standard id that goes with it.
#[utoipa::path(
    post, path = "/migrate",
    request_body(content = Migrate, example = json!(golden("migrate"))),
    responses((status = 200, description = "Both ids are known from now on.", body = Migrated,
               example = json!(golden("migrated")))),
    extensions(("x-error-codes" = json!([
        "bad_frame", "bad_id", "frame_too_large", "thread_not_found", "run_conflict", "slow_down",
        "log_unavailable", "shutting_down"
    ])))
)]
async fn migrate(State(app): State<Arc<App>>, body: Text) -> Result<Json<Migrated>, Problem> {
    let ask: Migrate = body.json(r#"{"run":"run_…","thread":"thread_{key}"}"#)?;
    let refuse = |error: IdError| WireError::from(error);
    let (run, thread): (RunId, ThreadId) =
        (ask.run.parse().map_err(refuse)?, ask.thread.parse().map_err(refuse)?);
    Ok(Json(app.shared.bridge.migrate(&run, &thread).await?))
}
