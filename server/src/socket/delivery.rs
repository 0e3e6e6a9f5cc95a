//! A connection's subscriptions, and which of them have something due.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, ThreadId, WireError,
    frame::{ServerFrame, Start},
    limits::{SUBSCRIPTIONS_MAX, WRITE_BYTES_MAX},
};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::answers;
use crate::{
    feed::{Feed, Opening},
    log::{Log, LogError, tail::Wake},
};

/// The subscriptions of one connection.
#[derive(Default)]
pub(super) struct Deliveries {
    feeds: Vec<Option<Subscription>>,
    due: Arc<Due>,
}

struct Subscription {
    feed: Feed,
    wake: Arc<Slot>,
}

/// Which subscriptions have something due.
#[derive(Default)]
struct Due {
    slots: Mutex<Vec<Arc<Slot>>>,
    notify: Notify,
}

/// One subscription's flag. Raised once, however often the thread moves, until it is taken up.
struct Slot {
    place: usize,
    raised: AtomicBool,
    due: Arc<Due>,
}

impl Slot {
    fn raise(self: &Arc<Self>) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.due.slots.lock().push(self.clone());
            self.due.notify.notify_one();
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
    /// Completes when something is due.
    pub(super) async fn due(&self) {
        if self.due.slots.lock().is_empty() {
            self.due.notify.notified().await;
        }
    }

    /// Subscribes, or begins an existing subscription anew.
    pub(super) fn subscribe(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        start: Start,
    ) -> Result<Opening, WireError> {
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
        let (feed, opening) = Feed::open(log, thread, start, Arc::new(Flag(slot.clone())))?;
        slot.raise();
        let subscription = Some(Subscription { feed, wake: slot });
        if place == self.feeds.len() {
            self.feeds.push(subscription);
        } else {
            self.feeds[place] = subscription;
        }
        Ok(opening)
    }

    /// The threads that are followed.
    pub(super) fn threads(&self) -> Vec<ThreadId> {
        let followed = self.feeds.iter().flatten();
        followed.map(|subscription| subscription.feed.thread().clone()).collect()
    }

    pub(super) fn unsubscribe(&mut self, thread: &ThreadId) {
        for place in &mut self.feeds {
            if place.as_ref().is_some_and(|subscription| subscription.feed.thread() == thread) {
                *place = None;
            }
        }
    }

    /// Frames that are due, one write's worth. What is left stays due.
    pub(super) async fn take(&mut self, log: &dyn Log) -> Vec<Message> {
        let raised = std::mem::take(&mut *self.due.slots.lock());
        let mut messages = Vec::new();
        let mut room = WRITE_BYTES_MAX;
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
                    slot.raise();
                    break;
                }
                match subscription.feed.next(log).await {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        room = room.saturating_sub(frame.text.len());
                        let text = Utf8Bytes::try_from(frame.text);
                        messages.push(Message::Text(text.expect("a frame is UTF-8")));
                    }
                    Err(error) => {
                        messages.push(broken(subscription.feed.thread(), error));
                        self.feeds[slot.place] = None;
                        break;
                    }
                }
            }
        }
        messages
    }
}

/// The subscription ends, and says so; the client may try again.
fn broken(thread: &ThreadId, error: LogError) -> Message {
    tracing::error!(%thread, %error, "a feed broke");
    let refusal = answers::not_subscribed(thread, error.into());
    Message::Text(answers::text(&ServerFrame::Error(refusal)).into())
}
