use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rethread_shared::{
    Epoch, Event, Position, ThreadId, frame::ResetReason, limits::SUBSCRIBER_BATCHES_MAX,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    Error,
    request::{Handle, Request},
};

/// A thread that is followed: its events in order, each once, across lost connections. Dropping it
/// ends the subscription.
///
/// A reader that falls behind loses nothing and keeps nobody else waiting: beyond
/// `limits::SUBSCRIBER_BATCHES_MAX` batches the thread is left, and taken up again from the cursor.
#[derive(Debug)]
pub struct Subscription {
    seat: Seat,
    head: u64,
    position: Position,
    deliveries: mpsc::Receiver<Delivery>,
}

/// The claim to a subscription: dropping it gives the thread up. It is made before the driver is
/// asked, so that whoever stops waiting for the answer leaves nothing behind.
#[derive(Debug)]
pub(super) struct Seat {
    thread: ThreadId,
    line: Arc<Line>,
    handle: Arc<Handle>,
}

/// What a subscription brings.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Events.
    Events(Batch),
    /// What was received of this thread is void; events follow from the first one kept.
    Reset {
        /// The incarnation of its log now.
        epoch: Epoch,
        /// Why.
        reason: ResetReason,
    },
}

/// Events that came together: `first` to `last` without holes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The incarnation of the log.
    pub epoch: Epoch,
    /// The seq of the first event.
    pub first: u64,
    /// The seq of the last.
    pub last: u64,
    /// True when they were in the log before the subscription stood.
    pub replayed: bool,
    /// The events.
    pub events: Vec<Event>,
}

impl Subscription {
    pub(super) fn new(
        seat: Seat,
        position: Position,
        head: u64,
        deliveries: mpsc::Receiver<Delivery>,
    ) -> Self {
        Self { seat, head, position, deliveries }
    }

    /// The next events, or word that the thread begins anew. `None` when the subscription is over:
    /// [`Subscription::error`] says why.
    pub async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await?;
        if self.seat.line.is_full.load(Ordering::SeqCst) {
            self.seat.handle.common.room.notify_one();
        }
        match &delivery {
            Delivery::Events(batch) => {
                self.position = Position { epoch: batch.epoch, seq: batch.last };
            }
            Delivery::Reset { epoch, .. } => self.position = Position { epoch: *epoch, seq: 0 },
        }
        Some(delivery)
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.seat.thread
    }

    /// The seq of the thread's last event when the subscription was made.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// What [`Subscription::next`] has brought so far; a later subscription goes on from here with
    /// `Start::After`.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Why the subscription is over.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.seat.line.error.get()
    }
}

impl Seat {
    pub(super) fn new(thread: ThreadId, line: Arc<Line>, handle: Arc<Handle>) -> Self {
        Self { thread, line, handle }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.handle.ask(Request::Unsubscribe(self.thread.clone(), self.line.clone()));
    }
}

/// What both ends of a subscription share.
#[derive(Debug, Default)]
pub(super) struct Line {
    is_full: AtomicBool,
    error: OnceLock<Error>,
}

/// The driver's end of a subscription.
#[derive(Debug)]
pub(super) struct Inlet {
    deliveries: mpsc::Sender<Delivery>,
    line: Arc<Line>,
    /// What came after the queue was full: no more than one frame can bring.
    backlog: VecDeque<Delivery>,
}

impl Inlet {
    pub(super) fn new() -> (Self, mpsc::Receiver<Delivery>, Arc<Line>) {
        let (deliveries, receiver) = mpsc::channel(SUBSCRIBER_BATCHES_MAX);
        let line = Arc::new(Line::default());
        (Self { deliveries, line: line.clone(), backlog: VecDeque::new() }, receiver, line)
    }

    /// Passes a delivery on. False when the queue is full: then the thread must be paused.
    pub(super) fn push(&mut self, delivery: Delivery) -> bool {
        self.backlog.push_back(delivery);
        if self.flush() {
            return true;
        }
        self.line.is_full.store(true, Ordering::SeqCst);
        // The reader may have emptied the queue before it could see the word.
        if self.flush() {
            self.line.is_full.store(false, Ordering::SeqCst);
            return true;
        }
        false
    }

    /// True when a full queue has room again: then the thread may be resumed.
    pub(super) fn has_room_again(&mut self) -> bool {
        let again = self.line.is_full.load(Ordering::SeqCst)
            && self.flush()
            && self.deliveries.capacity() >= SUBSCRIBER_BATCHES_MAX / 2;
        if again {
            self.line.is_full.store(false, Ordering::SeqCst);
        }
        again
    }

    /// True when this is the end of that line, and not of a later one to the same thread.
    pub(super) fn is_of(&self, line: &Arc<Line>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }

    /// Ends the subscription, saying why.
    pub(super) fn end(self, error: Error) {
        self.line.error.set(error).ok();
    }

    /// True when nothing waits.
    fn flush(&mut self) -> bool {
        while let Some(delivery) = self.backlog.pop_front() {
            match self.deliveries.try_send(delivery) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(delivery)) => {
                    self.backlog.push_front(delivery);
                    return false;
                }
            }
        }
        true
    }
}
