//! A connection's subscriptions, and which of them have something due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use rethread_shared::{
    ErrorCode, ThreadId, WireError,
    frame::{ServerFrame, Start, WireErrorFrame},
    limits::{REPLAY_FRAME_BYTES_MAX, SUBSCRIPTIONS_MAX, WRITE_BYTES_MAX},
};

use super::{answers, gather::Gather};
use crate::{
    auth::{Access, Grant, Scope},
    bridge::{Bridge, desk::ConnectionId},
    connections::Card,
    feed::{Common, Due as Next, Feed, Opening},
    log::{Log, LogError, frame::Frame, tail::Wake},
};

/// What a byte that only one connection holds counts of [`WRITE_BYTES_MAX`]: so a write has one frame of a
/// replay, and a slow reader holds no more.
const REPLAYED_WEIGHT: usize = WRITE_BYTES_MAX / REPLAY_FRAME_BYTES_MAX;

/// The subscriptions of one connection.
#[derive(Default)]
pub(super) struct Deliveries {
    feeds: Vec<Option<Subscription>>,
    due: Arc<Gather<Arc<Slot>>>,
}

struct Subscription {
    feed: Feed,
    wake: Arc<Slot>,
}

/// One subscription's flag. Raised once, however often the thread moves, until it is taken up.
struct Slot {
    place: usize,
    raised: AtomicBool,
    due: Arc<Gather<Arc<Slot>>>,
}

impl Slot {
    fn raise(self: &Arc<Self>) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.due.put(self.clone());
        }
    }
}

/// The follower's side of a slot.
struct Flag(Arc<Slot>);

impl Wake for Flag {
    fn wake(&self) {
        self.0.raise();
    }
}

impl Deliveries {
    /// Ready when something is due.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.due.poll(context)
    }

    /// Subscribes, or begins an existing subscription anew, if that is granted.
    pub(super) fn subscribe(
        &mut self,
        bridge: &Bridge,
        grant: &Grant,
        thread: &ThreadId,
        start: Start,
        feeds: &Arc<Common>,
        card: &Card,
    ) -> Result<Opening, WireError> {
        require_granted(bridge, grant, thread)?;
        self.unsubscribe(thread);
        let free = self.feeds.iter().position(Option::is_none);
        let place = free.unwrap_or(self.feeds.len());
        if place == SUBSCRIPTIONS_MAX {
            return Err(WireError::new(
                ErrorCode::TooManySubscriptions,
                format!("one connection may follow {SUBSCRIPTIONS_MAX} threads; unsubscribe first"),
            ));
        }
        let slot = Arc::new(Slot { place, raised: AtomicBool::new(false), due: self.due.clone() });
        let wake = Arc::new(Flag(slot.clone()));
        let (feed, opening) = Feed::open(&**bridge.log(), thread, start, wake, feeds)?;
        card.follow(feed.cursor());
        slot.raise();
        let subscription = Some(Subscription { feed, wake: slot });
        if place == self.feeds.len() {
            self.feeds.push(subscription);
        } else {
            self.feeds[place] = subscription;
        }
        Ok(opening)
    }

    /// Ends the subscriptions that are not granted any more; gives what is to be said of each.
    pub(super) fn keep_granted(&mut self, bridge: &Bridge, grant: &Grant) -> Vec<WireErrorFrame> {
        let mut refused = Vec::new();
        for place in &mut self.feeds {
            let Some(subscription) = place else { continue };
            let thread = subscription.feed.thread();
            if let Err(error) = require_granted(bridge, grant, thread) {
                refused.push(answers::not_subscribed(thread, error));
                *place = None;
            }
        }
        refused
    }

    /// Looks again at what is granted, after a revocation that may concern it. Gives what is to be said;
    /// an error ends the connection. Nothing is due from what ended, when this returns.
    pub(super) fn reconsider(
        &mut self,
        bridge: &Bridge,
        access: &Access,
    ) -> Result<Vec<WireErrorFrame>, WireError> {
        // Given when this returns.
        let _answer = access.answer();
        if let Err(error) = access.grant().require_alive() {
            self.feeds.clear();
            return Err(error);
        }
        Ok(self.keep_granted(bridge, access.grant()))
    }

    pub(super) fn unsubscribe(&mut self, thread: &ThreadId) {
        for place in &mut self.feeds {
            if place.as_ref().is_some_and(|subscription| subscription.feed.thread() == thread) {
                *place = None;
            }
        }
    }

    /// The client takes what is written slower than it comes: nothing is held for it beside that.
    pub(super) fn wait_for_reader(&mut self) {
        for subscription in self.feeds.iter_mut().flatten() {
            subscription.feed.wait_for_reader();
        }
    }

    /// Frames that are due, one write's worth. What is left stays due.
    pub(super) async fn take(&mut self, log: &dyn Log, id: ConnectionId) -> Taken {
        let raised = self.due.take();
        let mut taken = Taken::default();
        let mut room = WRITE_BYTES_MAX;
        // The one that took the last of the room: the others come before it the next time.
        let mut greedy = None;
        for slot in raised {
            // Lowered before the feed is read: what comes later raises it again. A swap, not a store:
            // whoever found it raised until now has moved the head before, and that is seen here.
            slot.raised.swap(false, Ordering::AcqRel);
            let Some(Some(subscription)) = self.feeds.get_mut(slot.place) else { continue };
            if !Arc::ptr_eq(&subscription.wake, &slot) {
                continue;
            }
            loop {
                if room == 0 {
                    match greedy {
                        None => greedy = Some(slot),
                        Some(_) => slot.raise(),
                    }
                    break;
                }
                match subscription.feed.next(log).await {
                    Ok(None) => break,
                    Ok(Some(Next::Reset(Opening { reset, subscribed }))) => {
                        let reset = reset.map(ServerFrame::Reset);
                        for frame in reset.into_iter().chain([ServerFrame::Subscribed(subscribed)])
                        {
                            taken.frames.push(answers::text(&frame).into());
                        }
                    }
                    Ok(Some(Next::Events(frame))) => {
                        let is_replayed = frame.origin().is_none();
                        let weight = if is_replayed { REPLAYED_WEIGHT } else { 1 };
                        room = room.saturating_sub(weight * frame.text.len());
                        taken.is_replayed |= is_replayed;
                        taken.count(&frame);
                        trace(id, subscription.feed.thread(), &frame);
                        taken.frames.push(frame.text);
                    }
                    Err(error) => {
                        taken.frames.push(broken(subscription.feed.thread(), error));
                        self.feeds[slot.place] = None;
                        break;
                    }
                }
            }
        }
        if let Some(slot) = greedy {
            slot.raise();
        }
        taken
    }
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) frames: Vec<Bytes>,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Some of it was read from the log.
    pub(super) is_replayed: bool,
    /// When the oldest event of them that is new was given to the log.
    pub(super) since: Option<Instant>,
}

impl Taken {
    fn count(&mut self, frame: &Frame) {
        self.events += frame.last - frame.first + 1;
        self.bytes += frame.text.len() as u64;
        let since = frame.origin().map(|origin| origin.since);
        self.since = match (self.since, since) {
            (Some(oldest), Some(since)) => Some(oldest.min(since)),
            (oldest, since) => oldest.or(since),
        };
    }
}

/// The last leg of a request's way, for whoever follows it through the logs.
fn trace(connection: ConnectionId, thread: &ThreadId, frame: &Frame) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let requests = frame.origin().map_or(&[][..], |origin| &origin.requests);
        let (connection, first, last) = (connection.0, frame.first, frame.last);
        tracing::debug!(connection, %thread, first, last, ?requests, "delivered");
    }
}

/// Reading needs the scope, and a thread that is there and granted.
fn require_granted(bridge: &Bridge, grant: &Grant, thread: &ThreadId) -> Result<(), WireError> {
    grant.require(Scope::Subscribe)?;
    bridge.thread(thread, grant).map(drop)
}

/// The subscription ends, and says so; the client may try again.
fn broken(thread: &ThreadId, error: LogError) -> Bytes {
    tracing::error!(%thread, %error, "a feed broke");
    let refusal = answers::not_subscribed(thread, error.into());
    answers::text(&ServerFrame::Error(refusal)).into()
}
