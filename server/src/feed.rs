//! A feed: the server's side of one subscription. A cursor over a thread's log.
//!
//! Replay and live delivery are the same code: read from the cursor, send, advance, sleep until
//! there is more. What is next comes from the frames in memory, or, for a cursor that is behind
//! them, from the log in bounded pages.

use std::sync::Arc;

use rethread_shared::{
    Epoch, ThreadId,
    frame::{Reset, ResetReason, Start, Subscribed},
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
};

use crate::log::{
    Log, LogError, PageLimit,
    frame::Frame,
    tail::{Follow, Next, Wake},
};

/// One subscription.
#[derive(Debug)]
pub struct Feed {
    thread: ThreadId,
    epoch: Epoch,
    cursor: u64,
    follow: Follow,
}

/// What a subscriber is told before its first event.
#[derive(Debug)]
pub struct Opening {
    /// Its position could not be served; this comes first.
    pub reset: Option<Reset>,
    /// The subscription stands.
    pub subscribed: Subscribed,
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
    ) -> Result<(Self, Opening), LogError> {
        let follow = log.follow(thread, wake)?;
        let info = log.thread(thread)?.ok_or_else(|| LogError::NoThread(thread.clone()))?;
        let (epoch, head) = (info.epoch, info.head);
        let (cursor, reason) = match start {
            Start::Beginning => (0, None),
            Start::Now => (head, None),
            Start::After(position) if position.epoch != epoch => {
                (0, Some(ResetReason::EpochChanged))
            }
            Start::After(position) if position.seq > head => (0, Some(ResetReason::PositionAhead)),
            Start::After(position) => (position.seq, None),
        };
        let thread = thread.clone();
        let opening = Opening {
            reset: reason.map(|reason| Reset { thread: thread.clone(), epoch, reason }),
            subscribed: Subscribed { thread: thread.clone(), epoch, head, after: cursor },
        };
        Ok((Self { thread, epoch, cursor, follow }, opening))
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }

    /// The incarnation of its log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The next events, as one frame; `None` when there are no more for now. The cursor is then
    /// behind them: what is returned is for sending.
    ///
    /// # Errors
    /// When the log cannot be read. The cursor is where it was.
    pub async fn next(&mut self, log: &dyn Log) -> Result<Option<Frame>, LogError> {
        let frame = match self.follow.tail().next(self.cursor) {
            Next::CaughtUp => return Ok(None),
            Next::Frame(frame) => frame.from(self.cursor + 1, &self.thread, self.epoch),
            Next::InLog { to } => {
                let missing = usize::try_from(to - self.cursor).unwrap_or(usize::MAX);
                let limit =
                    PageLimit { events: missing.min(PAGE_EVENTS_MAX), bytes: PAGE_BYTES_MAX };
                let page = log.read(&self.thread, self.cursor, limit).await?;
                if page.first().is_none_or(|first| first.seq != self.cursor + 1) {
                    return Err(LogError::Read(format!(
                        "{} has no event {} though its head is {to}",
                        self.thread,
                        self.cursor + 1
                    )));
                }
                Frame::new(&self.thread, self.epoch, &page)
            }
        };
        self.cursor = frame.last;
        Ok(Some(frame))
    }
}
