use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use rethread_shared::{RunId, ThreadId};
use serde::{Deserialize, Serialize};

use super::{
    super::{App, body::Params, problem::Problem},
    page,
};
use crate::bridge::live::{Going, LiveRun};

/// The runs that go on, or those of one thread.
const RUNS: &str = "/runs";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(RUNS, get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    after: Option<RunId>,
    limit: Option<usize>,
    state: Option<Going>,
    thread: Option<ThreadId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    runs: Vec<LiveRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<RunId>,
}

async fn list(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<Page>, Problem> {
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
    Ok(Json(Page { runs, next }))
}

#[cfg(test)]
#[test]
fn its_json_is_the_golden_one() {
    super::assert_golden::<Page>("admin_runs");
}
