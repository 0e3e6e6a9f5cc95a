use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use rethread_shared::{WireError, limits::ADMIN_PAGE_MAX};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        body::{Params, ThreadPath},
        problem::Problem,
    },
    connections::{Following, place},
    page,
};
use crate::{
    bridge::{desk::ConnectionId, live::LiveRun},
    log::ThreadInfo,
};

/// Every thread, the newest first.
const THREADS: &str = "/threads";
/// One thread as it is now: its runs, and who follows it.
const THREAD: &str = "/threads/{thread}";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(THREADS, get(list)).route(THREAD, get(one))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    after: Option<u64>,
    limit: Option<usize>,
    owner: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    threads: Vec<ThreadInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

async fn list(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<Page>, Problem> {
    let size = page::size(ask.limit);
    let log = app.shared.bridge.log();
    let older = log.older_threads(ask.owner.as_deref(), ask.after.unwrap_or(u64::MAX), size);
    let found = older.await.map_err(WireError::from)?;
    let next = page::next(found.len(), size, found.last().map(|(mark, _)| *mark));
    Ok(Json(Page { threads: found.into_iter().map(|(_, info)| info).collect(), next }))
}

#[derive(Debug, Serialize, Deserialize)]
struct Live {
    thread: ThreadInfo,
    /// The runs that the registry remembers, the newest first.
    runs: Vec<LiveRun>,
    /// Who follows it, those first that are furthest behind.
    subscribers: Vec<Subscriber>,
    /// How many follow it; so many are named as a page has at most.
    following: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Subscriber {
    connection: u64,
    transport: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Arc<str>>,
    seq: u64,
    lag: u64,
}

async fn one(
    State(app): State<Arc<App>>,
    ThreadPath(thread): ThreadPath,
) -> Result<Json<Live>, Problem> {
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
    Ok(Json(Live { thread: info, runs, subscribers, following }))
}

#[cfg(test)]
mod tests {
    use super::{super::assert_golden, Live, Page};

    #[test]
    fn their_json_is_the_golden_one() {
        assert_golden::<Page>("admin_threads");
        assert_golden::<Live>("admin_thread");
    }
}
