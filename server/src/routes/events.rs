use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rethread_shared::{
    Epoch, ErrorCode, Position, ThreadId, WireError,
    frame::Outcome,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX, PUBLISH_EVENTS_MAX},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use utoipa::ToSchema;

use super::{
    App,
    body::{Params, Text, ThreadPath},
    openapi::golden,
    problem::{self, Problem},
    request::Asking,
    stream,
    token::Authorized,
};
use crate::{
    auth::Scope,
    bridge::publish::{Events, Publisher},
    log::{PageLimit, ThreadInfo, frame},
    schema,
    socket::wrong_number,
};

/// One result for each event, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Results {
    #[schema(value_type = Vec<schema::Outcome>)]
    results: Vec<Outcome>,
}

/// Publishes one event, an array of them, or one a line (NDJSON).
///
/// The answer comes when they are durable. A single event that is refused is answered with its error;
/// of several, each has its result.
#[utoipa::path(
    post, path = super::EVENTS,
    security(("token" = ["publish"])),
    request_body(content(
        (schema::Events = "application/json", example = json!(published())),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "All are stored.", body = Results),
        (status = 207, description = "Some are refused.", body = Results,
         example = json!(golden("results"))),
    ),
    extensions(("x-error-codes" = json!([
        "bad_frame", "frame_too_large", "too_many_events", "bad_event", "bad_id", "event_too_large",
        "run_unresolved", "run_conflict", "run_order", "run_ended", "thread_not_found", "slow_down",
        "log_unavailable", "shutting_down"
    ])))
)]
pub(super) async fn publish(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    asking: Asking,
    headers: HeaderMap,
    body: Text,
) -> Result<Response, Problem> {
    grant.require(Scope::Publish)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_lines = kind.is_some_and(|kind| kind.contains("ndjson"));
    let (bridge, guard) = (app.shared.bridge.clone(), app.shared.guard.clone());
    // A task of its own: it is carried to its end also when the client does not wait for it.
    let published = tokio::spawn(async move {
        let (events, is_single) = split(&body.0, is_lines)?;
        if events.is_empty() || events.len() > PUBLISH_EVENTS_MAX {
            return Err(wrong_number(events.len()));
        }
        guard.publish(&grant, events.len())?;
        bridge.admit(&Events::Texts(&events))?;
        let by = Publisher { grant: &grant, connection: None, request: asking.request() };
        Ok((bridge.publish(by, &events).await.await, is_single))
    });
    let (results, is_single) = published.await.map_err(|error| {
        WireError::new(ErrorCode::Internal, format!("the publish broke off: {error}"))
    })??;
    let refusal = results.iter().find_map(|outcome| match outcome {
        Outcome::Refused { error, .. } => Some(error),
        Outcome::Stored { .. } => None,
    });
    let status = match refusal {
        None => StatusCode::OK,
        Some(error) if is_single => problem::status(&error.code),
        Some(_) => StatusCode::MULTI_STATUS,
    };
    if let (Some(error), true) = (refusal, is_single) {
        return Err(Problem::noted(error.clone()));
    }
    Ok((status, Json(Results { results })).into_response())
}

/// What a publisher sends, as an example.
fn published() -> Value {
    let page = golden("page");
    let mut event = page["events"][0].clone();
    event.as_object_mut().expect("an event is an object").remove("seq");
    json!([event])
}

/// The texts of the events in a body, and whether it was a single event.
fn split(body: &str, is_lines: bool) -> Result<(Vec<&str>, bool), WireError> {
    let text = body.trim();
    if is_lines {
        return Ok((text.lines().filter(|line| !line.trim().is_empty()).collect(), false));
    }
    if !text.starts_with('[') {
        return Ok((vec![text], true));
    }
    let events: Vec<&RawValue> = serde_json::from_str(text).map_err(|cause| {
        WireError::new(ErrorCode::BadFrame, format!("the body is not an array: {cause}"))
            .with_expected("an event, an array of events, or NDJSON as application/x-ndjson")
    })?;
    Ok((events.into_iter().map(RawValue::get).collect(), false))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// A thread's events after a position: a page of JSON, or, when the request accepts
/// `text/event-stream`, all that come from there on.
#[utoipa::path(
    get, path = super::THREAD_EVENTS,
    security(("token" = ["subscribe"])),
    params(
        ("thread" = schema::ThreadId, Path, description = "The thread."),
        ("after" = Option<String>, Query,
         description = "A `seq`, a position `{epoch}:{seq}`, `start` (the default) or `now`."),
        ("limit" = Option<u64>, Query, minimum = 0,
         description = "How many events a page may have: 100 where it is left out, at most 512."),
        ("Last-Event-ID" = Option<String>, Header,
         description = "For a stream: the position of the last event received; goes before `after`."),
    ),
    responses((status = 200, description = "A page; or, with `Accept: text/event-stream`, a stream.",
        content(
            (schema::Page = "application/json", example = json!(golden("page"))),
            (String = "text/event-stream"),
        ))),
    extensions(("x-error-codes" = json!([
        "bad_id", "bad_frame", "thread_not_found", "position_lost", "slow_down", "log_unavailable"
    ])))
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    ThreadPath(thread): ThreadPath,
    Params(page): Params<Page>,
    asking: Asking,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    grant.require(Scope::Subscribe)?;
    let info = app.shared.bridge.thread(&thread, &grant)?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/event-stream")) {
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let after = last.filter(|last| !last.is_empty()).or(page.after.as_deref());
        let start = start(after, info.epoch)?;
        return Ok(stream::open(&app.shared, grant, &thread, start, &asking)?);
    }
    let after = match start(page.after.as_deref(), info.epoch)? {
        rethread_shared::frame::Start::Beginning => info.first - 1,
        rethread_shared::frame::Start::Now => info.head,
        rethread_shared::frame::Start::After(position) => {
            check_position(position, &info)?;
            position.seq
        }
    };
    let limit = page.limit.unwrap_or(PAGE_EVENTS_DEFAULT).clamp(1, PAGE_EVENTS_MAX);
    let log = app.shared.bridge.log();
    let limit = PageLimit { events: limit, bytes: PAGE_BYTES_MAX };
    let records = log.read(&thread, after, limit).await.map_err(WireError::from)?;
    if records.first().map_or(after < info.head, |first| first.seq > after + 1)
        && page.after.as_deref().is_some_and(|after| after != "start")
    {
        // Removed between the two looks at it.
        let info = app.shared.bridge.thread(&thread, &grant)?;
        check_position(Position { epoch: info.epoch, seq: after }, &info)?;
    }
    let (first, last) = match (records.first(), records.last()) {
        (Some(first), Some(last)) => (first.seq, last.seq),
        _ => (after + 1, after),
    };
    let mut text = Vec::new();
    let head = serde_json::to_string(&PageHead {
        thread: &thread,
        epoch: info.epoch,
        head: info.head,
        first,
        last,
        more: last < info.head,
    });
    text.extend_from_slice(head.expect("a page's head is JSON").as_bytes());
    text.pop();
    text.extend_from_slice(br#","events":["#);
    for (place, record) in records.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        frame::push_event(&mut text, record);
    }
    text.extend_from_slice(b"]}");
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

#[derive(Serialize)]
struct PageHead<'a> {
    thread: &'a ThreadId,
    epoch: Epoch,
    head: u64,
    first: u64,
    last: u64,
    more: bool,
}

/// `SEQ`, `EPOCH:SEQ`, `start` or `now`; nothing is `start`.
fn start(after: Option<&str>, epoch: Epoch) -> Result<rethread_shared::frame::Start, WireError> {
    use rethread_shared::frame::Start;
    match after {
        None | Some("start") => Ok(Start::Beginning),
        Some("now") => Ok(Start::Now),
        Some(text) => {
            let position = match text.parse::<u64>() {
                Ok(seq) => Position { epoch, seq },
                Err(_) => text.parse().map_err(|_| {
                    WireError::new(ErrorCode::BadFrame, "`after` is not a position")
                        .with_expected("a seq, `{epoch}:{seq}`, `start` or `now`")
                        .with_received(text)
                })?,
            };
            Ok(Start::After(position))
        }
    }
}

/// A page has no way to begin anew by itself, as a subscription has; so it says what is wrong.
fn check_position(position: Position, thread: &ThreadInfo) -> Result<(), WireError> {
    let (epoch, head, first) = (thread.epoch, thread.head, thread.first - 1);
    if position.epoch == epoch && (first..=head).contains(&position.seq) {
        return Ok(());
    }
    Err(WireError::new(
        ErrorCode::PositionLost,
        "the position is of another incarnation of this log, beyond its end, or before the first event \
         that is kept; drop what you have of this thread and read it from the start",
    )
    .with_expected(format!("{epoch}:{first} to {epoch}:{head}"))
    .with_received(&position.to_string()))
}
