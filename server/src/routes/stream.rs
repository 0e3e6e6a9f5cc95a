//! A thread as Server-Sent Events: the same feed as a socket's, written as text/event-stream.

use std::{borrow::Cow, fmt::Write, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use rethread_shared::{
    ErrorCode, ThreadId, WireError,
    frame::{Start, TokenExpiring},
};
use serde::Deserialize;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::request::Asking;
use crate::{
    auth::{Access, Grant, Parting, Scope},
    bridge::Bridge,
    connections::{self, Connections, Place},
    feed::{Due, Feed, Opening},
    log::{frame::Frame, tail::Wake},
    metrics::meters::Transport,
    socket::Shared,
};

struct Stream {
    /// `None` once the stream has said why it ends.
    feed: Option<Feed>,
    access: Access,
    parting: Parting,
    bridge: Arc<Bridge>,
    more: Arc<More>,
    heartbeat: Duration,
    leaving: CancellationToken,
    opening: Option<String>,
    /// Read, and not sent yet.
    held: Option<Frame>,
    connections: Arc<Connections>,
    _place: Place,
}

#[derive(Default)]
struct More(Notify);

impl Wake for More {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// Answers with the stream. It ends when the token does, or the server stops; the client comes back
/// with `Last-Event-ID`.
pub(super) fn open(
    shared: &Shared,
    grant: Arc<Grant>,
    thread: &ThreadId,
    start: Start,
    asking: &Asking,
) -> Result<Response, WireError> {
    let of_user = shared.guard.connect(&grant)?;
    let seat = shared.guard.enter(asking.client())?;
    let place = shared.connections.enter(Transport::Stream, asking.address()).ok_or_else(|| {
        WireError::new(ErrorCode::SlowDown, "the server has as many connections as it may")
            .with_retry_after_ms(5_000)
    })?;
    let mut place = place.with(seat);
    place.keep(of_user);
    // First: what is revoked from now on is noticed.
    let access = shared.gate.enter(grant)?;
    let bridge = shared.bridge.clone();
    bridge.thread(thread, access.grant())?;
    let more = Arc::new(More::default());
    if matches!(start, Start::After(_)) {
        shared.connections.delivery().of(Transport::Stream).reconnects.increment(1);
    }
    let (feed, opening) =
        Feed::open(&**bridge.log(), thread, start, more.clone(), shared.connections.feeds())?;
    place.card().introduce(access.grant().user(), None);
    place.card().follow(feed.cursor());
    let text = format!(": rethread\n\n{}", begin_anew(&opening));
    let stream = Stream {
        feed: Some(feed),
        access,
        parting: asking.parting(),
        bridge,
        more,
        heartbeat: shared.heartbeat,
        leaving: shared.connections.leaving().clone(),
        opening: Some(text),
        held: None,
        connections: shared.connections.clone(),
        _place: place,
    };
    let chunks = stream::unfold(stream, |mut stream| async {
        let chunk = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Asks nginx not to hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(chunks)).into_response())
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening.into());
        }
        loop {
            if self.leaving.is_cancelled() {
                return None;
            }
            let feed = self.feed.as_mut()?;
            // Held until it is certain that nothing more comes, should that be the answer.
            let answer = self.access.is_questioned().then(|| self.access.answer());
            if answer.is_some() || self.access.is_over() {
                let grant = self.access.grant();
                let granted = grant.require(Scope::Subscribe);
                let granted = granted.and_then(|()| self.bridge.thread(feed.thread(), grant));
                if let Err(error) = granted {
                    self.feed = None;
                    // The connection may hold chunks that it has not written: it has to end first.
                    if let Some(answer) = answer {
                        self.parting.end(answer);
                    }
                    return Some(end(&error));
                }
            }
            drop(answer);
            if self.access.warn_at().is_some_and(|at| at <= Instant::now()) {
                let expiring = TokenExpiring { expires_in_ms: self.access.warned() };
                let expiring = serde_json::to_string(&expiring).expect("it is JSON");
                return Some(format!("event: token_expiring\ndata: {expiring}\n\n").into());
            }
            if let Some(frame) = self.held.take() {
                let text = events(&frame, feed);
                self.count(&frame, text.len());
                return Some(text);
            }
            match feed.next(&**self.bridge.log()).await {
                // Looked at again before it is sent: it may have been revoked while it was read.
                Ok(Some(Due::Reset(opening))) => return Some(begin_anew(&opening).into()),
                Ok(Some(Due::Events(frame))) => {
                    self.held = Some(frame);
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(thread = %feed.thread(), %error, "a stream broke");
                    return None;
                }
            }
            let deadline = self.access.warn_at().unwrap_or_else(|| self.access.ends_at());
            tokio::select! {
                () = self.more.0.notified() => {}
                () = self.access.questioned() => {}
                () = self.leaving.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = tokio::time::sleep(self.heartbeat) => return Some(Bytes::from_static(b": beat\n\n")),
            }
        }
    }
}

/// The event that tells of a reset; nothing where there is none. With a new position: whoever reconnects
/// now must not ask for the old one again.
fn begin_anew(opening: &Opening) -> String {
    let Some(reset) = &opening.reset else { return String::new() };
    let (epoch, after) = (reset.epoch, opening.subscribed.after);
    let reset = serde_json::to_string(reset).expect("a reset is JSON");
    format!("id: {epoch}:{after}\nevent: reset\ndata: {reset}\n\n")
}

/// The last words of a stream: why it ends, for the client to know whether to come back.
fn end(error: &WireError) -> Bytes {
    let error = serde_json::to_string(error).expect("an error is JSON");
    format!("event: end\ndata: {error}\n\n").into()
}

impl Stream {
    /// What is handed to the connection is as good as written: it holds one chunk at a time.
    fn count(&self, frame: &Frame, bytes: usize) {
        let outgoing = self.connections.delivery().of(Transport::Stream);
        outgoing.written(frame.last - frame.first + 1, bytes as u64);
        if let Some(origin) = frame.origin() {
            outgoing.latency.record(origin.since.elapsed());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let reason = match (&self.feed, self.leaving.is_cancelled()) {
            (None, _) => "not_granted",
            (Some(_), true) => "going_away",
            (Some(_), false) => "left",
        };
        connections::count_end(Transport::Stream, reason);
    }
}

fn events(frame: &Frame, feed: &Feed) -> Bytes {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    let mut text = String::with_capacity(frame.text.len() * 5 / 4);
    for (seq, event) in frame.events(0) {
        let event = std::str::from_utf8(&event).expect("an event is UTF-8");
        let kind = serde_json::from_str::<Kind<'_>>(event).map(|kind| kind.kind);
        let kind = kind.unwrap_or(Cow::Borrowed("message"));
        let _ = write!(text, "id: {}:{seq}\nevent: {kind}\n", feed.epoch());
        // The publisher's own line breaks between JSON tokens would end the field.
        for line in event.split(['\n', '\r']) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
    }
    text.into()
}
