use std::sync::Arc;

use axum::{Json, extract::State};
use rethread_shared::{WireError, limits::ADMIN_PAGE_MAX};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        App,
        body::{Params, ThreadPath},
        openapi::golden,
        problem::Problem,
    },
    connections::{Following, place},
    page,
};
use crate::{
    bridge::{desk::ConnectionId, live::LiveRun},
    log::ThreadInfo,
    schema,
};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ask {
    /// Go on after this: `next` of the page before.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Entries of the page: at most 500, 100 where it is left out.
    #[param(minimum = 0)]
    limit: Option<usize>,
    /// Only this user's.
    owner: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AllThreads {
    #[schema(value_type = Vec<schema::Thread>)]
    threads: Vec<ThreadInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Every thread, the newest first.
#[utoipa::path(
    get, path = "/threads", params(Ask),
    responses((status = 200, description = "Threads, the newest first.", body = AllThreads,
               example = json!(golden("admin_threads")))),
    extensions(("x-error-codes" = json!(["bad_frame", "log_unavailable"])))
)]
async fn list(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<AllThreads>, Problem> {
    let size = page::size(ask.limit);
    let log = app.shared.bridge.log();
    let older = log.older_threads(ask.owner.as_deref(), ask.after.unwrap_or(u64::MAX), size);
    let found = older.await.map_err(WireError::from)?;
    let next = page::next(found.len(), size, found.last().map(|(mark, _)| *mark));
    Ok(Json(AllThreads { threads: found.into_iter().map(|(_, info)| info).collect(), next }))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct LiveThread {
    #[schema(value_type = schema::Thread)]
    thread: ThreadInfo,
    /// The runs that the registry remembers, the newest first.
    runs: Vec<LiveRun>,
    /// Who follows it, those first that are furthest behind.
    subscribers: Vec<Subscriber>,
    /// How many follow it; so many are named as a page has at most.
    following: usize,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Subscriber {
    connection: u64,
    transport: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user: Option<Arc<str>>,
    seq: u64,
    lag: u64,
}

/// One thread as it is now: its runs, and who follows it.
#[utoipa::path(
    get, path = "/threads/{thread}", params(("thread" = schema::ThreadId, Path, description = "The thread.")),
    responses((status = 200, description = "The thread, its runs, its subscribers.", body = LiveThread,
               example = json!(golden("admin_thread")))),
    extensions(("x-error-codes" = json!(["bad_id", "thread_not_found", "log_unavailable"])))
)]
async fn one(
    State(app): State<Arc<App>>,
    ThreadPath(thread): ThreadPath,
) -> Result<Json<LiveThread>, Problem> {
    let bridge = &app.shared.bridge;
    let info = bridge.log().thread(&thread).map_err(WireError::from)?;
    let info = info.ok_or_else(|| WireError::thread_not_found(&thread))?;
    let runs = bridge.runs_of(&thread, ADMIN_PAGE_MAX).await?;
    let mut subscribers = Vec::new();
    let mut after = ConnectionId(0);
    loop {
        let cards = app.shared.connections.page(after, ADMIN_PAGE_MAX);
        let Some(last) = cards.last() else { break };
        after = last.id;
        for card in &cards {
            let cursors = card.cursors();
            let Some(cursor) = cursors.iter().find(|cursor| *cursor.thread() == thread) else {
                continue;
            };
            let Following { seq, lag, .. } =
                place(cursor, &**bridge.log()).map_err(WireError::from)?;
            subscribers.push(Subscriber {
                connection: card.id.0,
                transport: card.transport.label().to_owned(),
                user: card.user(),
                seq,
                lag,
            });
        }
    }
    let following = subscribers.len();
    subscribers.sort_by_key(|subscriber| std::cmp::Reverse(subscriber.lag));
    subscribers.truncate(ADMIN_PAGE_MAX);
    Ok(Json(LiveThread { thread: info, runs, subscribers, following }))
}

#[cfg(test)]
mod tests {
    use super::{super::assert_golden, AllThreads, LiveThread};

    #[test]
    fn their_json_is_the_golden_one() {
        assert_golden::<AllThreads>("admin_threads");
        assert_golden::<LiveThread>("admin_thread");
    }
}
