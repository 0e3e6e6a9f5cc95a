use std::sync::Arc;

use axum::{Json, extract::State};
use rethread_shared::{RunId, ThreadId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{App, body::Params, openapi::golden, problem::Problem},
    page,
};
use crate::{
    bridge::live::{Going, LiveRun},
    schema,
};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ask {
    /// Go on after this: `next` of the page before.
    #[param(value_type = Option<schema::RunId>)]
    after: Option<RunId>,
    /// Entries of the page: at most 500, 100 where it is left out.
    #[param(minimum = 0)]
    limit: Option<usize>,
    /// Only those in this state. A page may then hold fewer than it could, and still have a `next`.
    state: Option<Going>,
    /// All of this thread that the registry remembers, not only those that go on.
    #[param(value_type = Option<schema::ThreadId>)]
    thread: Option<ThreadId>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct LiveRuns {
    runs: Vec<LiveRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RunId>)]
    next: Option<RunId>,
}

/// The runs that go on, or those of one thread.
#[utoipa::path(
    get, path = "/runs", params(Ask),
    responses((status = 200, description = "Those that go on in the order of their ids; those of one thread the newest first.", body = LiveRuns,
               example = json!(golden("admin_runs")))),
    extensions(("x-error-codes" = json!(["bad_frame", "log_unavailable"])))
)]
async fn list(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<LiveRuns>, Problem> {
    let size = page::size(ask.limit);
    let Ask { after, state, thread, .. } = ask;
    let bridge = &app.shared.bridge;
    let (runs, next) = match thread {
        Some(thread) => {
            let mut runs = bridge.runs_of(&thread, size).await?;
            runs.retain(|run| state.is_none_or(|state| run.state == state));
            (runs, None)
        }
        None => bridge.live_runs(after.as_ref(), state, size).await?,
    };
    Ok(Json(LiveRuns { runs, next }))
}

#[cfg(test)]
#[test]
fn its_json_is_the_golden_one() {
    super::assert_golden::<LiveRuns>("admin_runs");
}
