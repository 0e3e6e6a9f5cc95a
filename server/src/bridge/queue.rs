//! The room before the log: how much may wait for it, and what is turned away while it is slow.
//!
//! Whoever publishes waits for room; that is the usual way of holding back, and costs nobody anything
//! while the log keeps up. When the log does not, what waits is seconds old: then publishes of nothing
//! but `agent_thinking` and `message_delta` are asked to come later, before they are taken, so that the
//! room that is left goes to starts, tools and ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, counter};
use rethread_shared::{
    ErrorCode, WireError,
    limits::{APPENDS_QUEUED_BYTES_MAX, APPENDS_QUEUED_MAX, SHED_AFTER, SHED_RETRY_MAX},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    config::{Size, Span, settings},
    metrics::PUBLISHES_SHED,
    now,
};

settings! {
    /// What may wait for the log.
    pub struct QueueSettings {
        /// Events that wait at most. Beyond, publishers wait.
        events: u32 = APPENDS_QUEUED_MAX as u32, in 2..=1_000_000;
        /// Bytes of events that wait at most.
        bytes: Size = Size::bytes(APPENDS_QUEUED_BYTES_MAX), in Size::bytes(1_024)..=Size(1 << 32);
        /// How long events may wait before the log counts as slow. While it does and more than half of
        /// the room is taken, publishes of nothing but agent_thinking and message_delta are refused with
        /// slow_down.
        shed_after: Span = Span(SHED_AFTER), in Span::ms(0)..=Span::secs(3_600);
    }
}

/// The room of one bridge.
#[derive(Debug)]
pub(super) struct Queue {
    events: Semaphore,
    events_max: u32,
    bytes: Semaphore,
    bytes_max: u32,
    shed_after: Duration,
    began: Instant,
    /// When something last left, or came into the empty room; milliseconds since `began`.
    moved_at: AtomicU64,
    /// How long what left last had waited, milliseconds.
    waited: AtomicU64,
    shed: Counter,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    queue: Arc<Queue>,
    since: Instant,
    events: u32,
    bytes: u32,
}

impl Queue {
    pub(super) fn new(settings: &QueueSettings) -> Arc<Self> {
        let bytes_max = u32::try_from(settings.bytes.0).unwrap_or(u32::MAX);
        Arc::new(Self {
            events: Semaphore::new(settings.events as usize),
            events_max: settings.events,
            bytes: Semaphore::new(bytes_max as usize),
            bytes_max,
            shed_after: settings.shed_after.get(),
            began: Instant::now(),
            moved_at: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            shed: counter!(PUBLISHES_SHED),
        })
    }

    /// Waits for room, in turn. More than there is at all counts as all of it.
    pub(super) async fn enter(self: &Arc<Self>, events: usize, bytes: usize) -> Room {
        let clamp = |amount: usize, max: u32| u32::try_from(amount).unwrap_or(max).min(max);
        let since = Instant::now();
        if self.taken() == 0.0 {
            self.moved_at.store(self.now_ms(), Ordering::Relaxed);
        }
        // All for the whole publish at once, events before bytes: nobody who holds all of what it needs
        // ever waits for somebody who does not.
        let events = clamp(events, self.events_max);
        let of_events = acquire(&self.events, events).await;
        let bytes = clamp(bytes, self.bytes_max);
        let of_bytes = acquire(&self.bytes, bytes).await;
        // Given back by the room.
        of_events.forget();
        of_bytes.forget();
        Room { queue: self.clone(), since, events, bytes }
    }

    /// Turns a publish away while the log is slow, when it has nothing that a run's watchers rely on.
    pub(super) fn admit(&self, are_pieces: impl FnOnce() -> bool) -> Result<(), WireError> {
        let Some(retry_after_ms) = self.pressure() else { return Ok(()) };
        if !are_pieces() {
            return Ok(());
        }
        self.shed.increment(1);
        let message = "the log is slow at the moment; nothing of this publish was taken";
        Err(WireError::new(ErrorCode::SlowDown, message).with_retry_after_ms(retry_after_ms))
    }

    /// While the log is slow and half of the room is taken: how long to wait. Longer the fuller it is,
    /// and not the same for all.
    fn pressure(&self) -> Option<u64> {
        let taken = self.taken();
        if taken <= 0.5 {
            return None;
        }
        let still = self.now_ms().saturating_sub(self.moved_at.load(Ordering::Relaxed));
        let age = Duration::from_millis(still.max(self.waited.load(Ordering::Relaxed)));
        if age < self.shed_after {
            return None;
        }
        let most = SHED_RETRY_MAX.as_millis() as u64;
        let wait = (most as f64 * (taken - 0.5) * 2.0) as u64;
        let spread = u64::from_be_bytes(now::random()) % (most / 4);
        Some(most / 8 + wait / 2 + spread)
    }

    /// The part of the room that is taken, 0 to 1.
    fn taken(&self) -> f64 {
        let part = |semaphore: &Semaphore, max: u32| {
            1.0 - semaphore.available_permits() as f64 / f64::from(max)
        };
        part(&self.events, self.events_max).max(part(&self.bytes, self.bytes_max))
    }

    fn now_ms(&self) -> u64 {
        ms(self.began.elapsed())
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits only where there is not room enough.
async fn acquire(semaphore: &Semaphore, amount: u32) -> SemaphorePermit<'_> {
    match semaphore.try_acquire_many(amount) {
        Ok(permit) => permit,
        Err(_) => semaphore.acquire_many(amount).await.expect("never closed"),
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let now = Instant::now();
        self.queue.waited.store(ms(now - self.since), Ordering::Relaxed);
        self.queue.moved_at.store(ms(now - self.queue.began), Ordering::Relaxed);
        self.queue.events.add_permits(self.events as usize);
        self.queue.bytes.add_permits(self.bytes as usize);
    }
}

#[cfg(test)]
mod tests;
