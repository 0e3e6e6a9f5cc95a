use std::{net::IpAddr, sync::Arc};

use axum::{Json, extract::State};
use rethread_shared::{Epoch, ThreadId, limits::ADMIN_THREADS_NAMED_MAX};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{App, body::Params, openapi::golden, problem::Problem},
    page,
};
use crate::{
    bridge::desk::ConnectionId,
    connections::Card,
    feed::Cursor,
    log::{Log, LogError},
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
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Entries of the page: at most 500, 100 where it is left out.
    #[param(minimum = 0)]
    limit: Option<usize>,
    /// Only this user's.
    user: Option<String>,
    /// Only those that follow this thread.
    #[param(value_type = Option<schema::ThreadId>)]
    thread: Option<ThreadId>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Connections {
    /// How many are open, whatever was asked for.
    open: usize,
    connections: Vec<Connection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Connection {
    connection: u64,
    transport: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    client: Option<Box<str>>,
    #[schema(value_type = schema::Millis)]
    since: u64,
    /// The events that it has not been sent, of the thread where these are most.
    lag: u64,
    /// How many threads it follows; the first of them are named.
    following: usize,
    threads: Vec<Following>,
}

/// Where a subscription is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Following {
    #[schema(value_type = schema::ThreadId)]
    thread: ThreadId,
    #[schema(value_type = schema::Epoch)]
    epoch: Epoch,
    /// The last event that it was sent.
    pub(super) seq: u64,
    head: u64,
    pub(super) lag: u64,
}

/// Who is connected, to what, and how far behind.
#[utoipa::path(
    get, path = "/connections", params(Ask),
    responses((status = 200, description = "Connections in the order in which they came.", body = Connections,
               example = json!(golden("admin_connections")))),
    extensions(("x-error-codes" = json!(["bad_frame", "log_unavailable"])))
)]
async fn list(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<Connections>, Problem> {
    let (connections, size) = (&app.shared.connections, page::size(ask.limit));
    let log = &**app.shared.bridge.log();
    let mut after = ConnectionId(ask.after.unwrap_or(0));
    let mut found = Vec::new();
    while found.len() < size {
        let cards = connections.page(after, size);
        let Some(last) = cards.last() else { break };
        after = last.id;
        for card in cards.iter().filter(|card| ask.fits(card)) {
            found.push(connection(card, log).map_err(rethread_shared::WireError::from)?);
            if found.len() == size {
                after = card.id;
                break;
            }
        }
    }
    let next = page::next(found.len(), size, Some(after.0));
    Ok(Json(Connections { open: connections.open(), connections: found, next }))
}

impl Ask {
    fn fits(&self, card: &Card) -> bool {
        let user = self.user.as_deref();
        user.is_none_or(|user| card.user().is_some_and(|known| *known == *user))
            && self
                .thread
                .as_ref()
                .is_none_or(|thread| card.cursors().iter().any(|cursor| cursor.thread() == thread))
    }
}

fn connection(card: &Card, log: &dyn Log) -> Result<Connection, LogError> {
    let following = card.cursors();
    let all = following.iter().map(|cursor| place(cursor, log));
    let mut threads = all.collect::<Result<Vec<_>, _>>()?;
    // Those that are behind come first, should there be more than are named.
    threads.sort_by_key(|following| std::cmp::Reverse(following.lag));
    let lag = threads.first().map_or(0, |following| following.lag);
    threads.truncate(ADMIN_THREADS_NAMED_MAX);
    Ok(Connection {
        connection: card.id.0,
        transport: card.transport.label().to_owned(),
        address: card.address,
        user: card.user(),
        client: card.client(),
        since: card.since,
        lag,
        following: following.len(),
        threads,
    })
}

/// Where a cursor is in its thread as that is now.
pub(super) fn place(cursor: &Cursor, log: &dyn Log) -> Result<Following, LogError> {
    let position = cursor.position();
    let head = log.thread(cursor.thread())?.map_or(position.seq, |info| info.head);
    Ok(Following {
        thread: cursor.thread().clone(),
        epoch: position.epoch,
        seq: position.seq,
        head,
        lag: head.saturating_sub(position.seq),
    })
}

#[cfg(test)]
#[test]
fn its_json_is_the_golden_one() {
    super::assert_golden::<Connections>("admin_connections");
}
