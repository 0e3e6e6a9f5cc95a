//! A feed: the server's side of one subscription. A cursor over a thread's log.
//!
//! Replay and live delivery are the same code: read from the cursor, send, advance, sleep until
//! there is more. What is next comes from the frames in memory, or, for a cursor that is behind
//! them, from the log in bounded pages.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rethread_shared::{
    Epoch, Position, ThreadId,
    frame::{Reset, ResetReason, Start, Subscribed},
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX, READERS_AHEAD_MAX, REPLAY_FRAME_BYTES_MAX},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    log::{
        Log, LogError, PageLimit, Record,
        frame::{Frame, pieces},
        tail::{Follow, Next, Wake},
    },
    metrics::meters::{FeedCount, FeedState, Feeds},
};

/// One subscription.
#[derive(Debug)]
pub struct Feed {
    cursor: Arc<Cursor>,
    follow: Follow,
    count: FeedCount,
    replay: Replay,
    common: Arc<Common>,
}

/// What the feeds of a server share.
#[derive(Debug)]
pub struct Common {
    meters: Arc<Feeds>,
    /// Who may read ahead: a crowd that comes back would hold as much as it has members.
    ahead: Arc<Semaphore>,
}

/// What was read from the log.
#[derive(Debug)]
struct Replay {
    /// Frames that come next, the last first.
    frames: Vec<Frame>,
    /// Bytes that are read next time: more each time, for one that takes all at once.
    bytes: usize,
    /// While it holds more than the next frame.
    ahead: Option<OwnedSemaphorePermit>,
}

impl Default for Common {
    fn default() -> Self {
        Self { meters: Arc::default(), ahead: Arc::new(Semaphore::new(READERS_AHEAD_MAX)) }
    }
}

/// Where a subscription is. Moved by its feed; read by whoever wants to know.
#[derive(Debug)]
pub struct Cursor {
    thread: ThreadId,
    epoch: Epoch,
    seq: AtomicU64,
}

impl Cursor {
    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }

    /// The last event that the subscriber was sent.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq.load(Ordering::Relaxed) }
    }
}

/// What a subscriber is told before its first event.
#[derive(Debug)]
pub struct Opening {
    /// Its position could not be served; this comes first.
    pub reset: Option<Reset>,
    /// The subscription stands.
    pub subscribed: Subscribed,
}

/// What a subscriber is to be sent next.
#[derive(Debug)]
pub enum Due {
    /// Events.
    Events(Frame),
    /// It was slower than retention: what comes next is kept no longer. Events from the first one kept
    /// follow.
    Reset(Opening),
}

impl Feed {
    /// Opens a feed from `start`. `wake` is called when there is more after it said there was none.
    ///
    /// # Errors
    /// When there is no such thread, or the log cannot be read.
    pub fn open(
        log: &dyn Log,
        thread: &ThreadId,
        start: Start,
        wake: Arc<dyn Wake>,
        common: &Arc<Common>,
    ) -> Result<(Self, Opening), LogError> {
        let meters = &common.meters;
        let follow = log.follow(thread, wake)?;
        let info = log.thread(thread)?.ok_or_else(|| LogError::NoThread(thread.clone()))?;
        let (epoch, head, start_of_log) = (info.epoch, info.head, info.first - 1);
        let (cursor, reason) = match start {
            Start::Beginning => (start_of_log, None),
            Start::Now => (head, None),
            Start::After(position) if position.epoch != epoch => {
                (start_of_log, Some(ResetReason::EpochChanged))
            }
            Start::After(position) if position.seq > head => {
                (start_of_log, Some(ResetReason::PositionAhead))
            }
            Start::After(position) if position.seq < start_of_log => {
                (start_of_log, Some(ResetReason::Retention))
            }
            Start::After(position) => (position.seq, None),
        };
        meters.opened(&start, reason.as_ref());
        let state = if cursor < head { FeedState::CatchingUp } else { FeedState::Live };
        let thread = thread.clone();
        let opening = Opening::new(&thread, epoch, head, cursor, reason);
        let cursor = Arc::new(Cursor { thread, epoch, seq: AtomicU64::new(cursor) });
        let count = FeedCount::new(meters, state);
        let common = common.clone();
        Ok((Self { cursor, follow, count, replay: Replay::new(), common }, opening))
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.cursor.thread
    }

    /// The incarnation of its log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.cursor.epoch
    }

    /// Where it is.
    #[must_use]
    pub fn cursor(&self) -> &Arc<Cursor> {
        &self.cursor
    }

    /// Its subscriber takes what is written slower than it comes. What was read ahead for it is given back,
    /// to be read again when it is its turn, and less is read at once.
    pub fn wait_for_reader(&mut self) {
        self.replay = Replay::new();
    }

    /// The next events, as one frame, or that some were removed; `None` when there are no more for now.
    /// The cursor is then behind them: what is returned is for sending.
    ///
    /// # Errors
    /// When the log cannot be read. The cursor is where it was.
    pub async fn next(&mut self, log: &dyn Log) -> Result<Option<Due>, LogError> {
        let Cursor { thread, epoch, seq } = &*self.cursor;
        let after = seq.load(Ordering::Relaxed);
        if let Some(frame) = self.replay.frames.pop() {
            self.replay.give_back();
            self.count.replayed((frame.last - after) as usize);
            seq.store(frame.last, Ordering::Relaxed);
            return Ok(Some(Due::Events(frame)));
        }
        let frame = match self.follow.tail().next(after) {
            Next::CaughtUp => {
                self.count.turn(FeedState::Live);
                return Ok(None);
            }
            Next::Frame(frame) => {
                self.count.turn(FeedState::Live);
                frame.from(after + 1, thread, *epoch)
            }
            Next::InLog { to } => {
                let missing = usize::try_from(to - after).unwrap_or(usize::MAX);
                let bytes = self.replay.room(&self.common);
                let limit = PageLimit { events: missing.min(PAGE_EVENTS_MAX), bytes };
                let page = log.read(thread, after, limit).await?;
                if page.first().is_none_or(|first| first.seq != after + 1) {
                    let info =
                        log.thread(thread)?.ok_or_else(|| LogError::NoThread(thread.clone()))?;
                    if info.first > after + 1 {
                        let (reason, after) = (ResetReason::Retention, info.first - 1);
                        self.count.reset(&reason);
                        seq.store(after, Ordering::Relaxed);
                        let opening = Opening::new(thread, *epoch, info.head, after, Some(reason));
                        return Ok(Some(Due::Reset(opening)));
                    }
                    return Err(LogError::Read(format!(
                        "{thread} has no event {} though its head is {to}",
                        after + 1
                    )));
                }
                let frame = self.replay.take(thread, *epoch, &page);
                self.count.replayed((frame.last - after) as usize);
                frame
            }
        };
        seq.store(frame.last, Ordering::Relaxed);
        Ok(Some(Due::Events(frame)))
    }
}

impl Replay {
    fn new() -> Self {
        Self { frames: Vec::new(), bytes: REPLAY_FRAME_BYTES_MAX, ahead: None }
    }

    /// Bytes that may be read now.
    fn room(&mut self, common: &Common) -> usize {
        if self.bytes > REPLAY_FRAME_BYTES_MAX {
            self.ahead = common.ahead.clone().try_acquire_owned().ok();
        }
        if self.ahead.is_some() { self.bytes } else { REPLAY_FRAME_BYTES_MAX }
    }

    /// Takes a page, which is not empty. Gives its first frame.
    fn take(&mut self, thread: &ThreadId, epoch: Epoch, page: &[Record]) -> Frame {
        self.bytes = (self.bytes * 2).min(PAGE_BYTES_MAX);
        let pieces = pieces(page, PAGE_EVENTS_MAX, REPLAY_FRAME_BYTES_MAX);
        self.frames.extend(pieces.map(|piece| Frame::new(thread, epoch, piece)));
        self.frames.reverse();
        let first = self.frames.pop().expect("the page is not empty");
        self.give_back();
        first
    }

    fn give_back(&mut self) {
        if self.frames.is_empty() {
            self.frames = Vec::new();
            self.ahead = None;
        }
    }
}

impl Opening {
    fn new(
        thread: &ThreadId,
        epoch: Epoch,
        head: u64,
        after: u64,
        reason: Option<ResetReason>,
    ) -> Self {
        Self {
            reset: reason.map(|reason| Reset { thread: thread.clone(), epoch, reason }),
            subscribed: Subscribed { thread: thread.clone(), epoch, head, after },
        }
    }
}

#[cfg(test)]
mod tests;
