//! A thread as Server-Sent Events: the same feed as a socket's, written as text/event-stream.

use std::{borrow::Cow, fmt::Write, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use rethread_shared::{ErrorCode, ThreadId, WireError, frame::Start};
use serde::Deserialize;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Grant,
    connections::{self, Connections, Place},
    feed::Feed,
    log::{Log, frame::Frame, tail::Wake},
    metrics::meters::Transport,
    now,
    socket::Shared,
};

struct Stream {
    feed: Feed,
    log: Arc<dyn Log>,
    more: Arc<More>,
    heartbeat: Duration,
    ends: Instant,
    leaving: CancellationToken,
    opening: Option<String>,
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
    grant: &Grant,
    thread: &ThreadId,
    start: Start,
    address: Option<IpAddr>,
) -> Result<Response, WireError> {
    let place = shared.connections.enter(Transport::Stream, address).ok_or_else(|| {
        WireError::new(ErrorCode::SlowDown, "the server has as many connections as it may")
            .with_retry_after_ms(5_000)
    })?;
    let log = shared.bridge.log().clone();
    let more = Arc::new(More::default());
    if matches!(start, Start::After(_)) {
        shared.connections.delivery().of(Transport::Stream).reconnects.increment(1);
    }
    let (feed, opening) =
        Feed::open(&*log, thread, start, more.clone(), shared.connections.feeds())?;
    place.card().introduce(grant.user(), None);
    place.card().follow(feed.cursor());
    let mut text = String::from(": rethread\n\n");
    if let Some(reset) = opening.reset {
        let reset = serde_json::to_string(&reset).expect("a reset is JSON");
        // A new position too: whoever reconnects now must not ask for the old one again.
        let _ = write!(text, "id: {}:0\nevent: reset\ndata: {reset}\n\n", feed.epoch());
    }
    let left = (grant.expires_at() * 1_000).saturating_sub(now::unix_ms());
    let stream = Stream {
        feed,
        log,
        more,
        heartbeat: shared.heartbeat,
        ends: Instant::now() + Duration::from_millis(left),
        leaving: shared.connections.leaving().clone(),
        opening: Some(text),
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
            if self.leaving.is_cancelled() || Instant::now() >= self.ends {
                return None;
            }
            match self.feed.next(&*self.log).await {
                Ok(Some(frame)) => {
                    let text = events(&frame, &self.feed);
                    self.count(&frame, text.len());
                    return Some(text);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(thread = %self.feed.thread(), %error, "a stream broke");
                    return None;
                }
            }
            let beat = (Instant::now() + self.heartbeat).min(self.ends);
            tokio::select! {
                () = self.more.0.notified() => {}
                () = self.leaving.cancelled() => {}
                () = tokio::time::sleep_until(beat) => return Some(Bytes::from_static(b": beat\n\n")),
            }
        }
    }
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
        let reason = if self.leaving.is_cancelled() { "going_away" } else { "left" };
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
