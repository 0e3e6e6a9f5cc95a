//! A thread's newest frames in memory, and who is to be woken when there are more.
//!
//! There are no queues per subscriber: a follower holds a cursor and takes frames from here. One
//! that has fallen behind what is kept reads from the log, and comes back here when it has caught
//! up. A thread has a tail only while somebody follows it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rethread_shared::limits::{TAIL_BYTES_MAX, TAIL_FRAMES_MAX};

use super::frame::Frame;

/// Who is woken when a thread's head has moved. Called from the fan-out; must not block.
pub trait Wake: Send + Sync + 'static {
    /// There is more to read.
    fn wake(&self);
}

/// The newest frames of one thread.
#[derive(Default)]
pub struct Tail {
    head: AtomicU64,
    frames: Mutex<Ring>,
    followers: Mutex<Vec<Arc<dyn Wake>>>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("head", &self.head).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
}

/// Where a cursor's next events are.
#[derive(Debug)]
pub enum Next {
    /// There are none yet.
    CaughtUp,
    /// In this frame (which may begin before the cursor).
    Frame(Frame),
    /// In the log, up to here; then ask again.
    InLog {
        /// The last seq that is no longer, or not yet, in memory.
        to: u64,
    },
}

impl Tail {
    /// The seq of the last event that can be read.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Raises the head; used when a follower has read it from the log.
    pub(super) fn raise_head(&self, head: u64) {
        self.head.fetch_max(head, Ordering::AcqRel);
    }

    /// Raises the head to what is in the log without having come as a frame, and wakes the followers.
    pub(super) fn advance(&self, head: u64) {
        if self.head.fetch_max(head, Ordering::AcqRel) < head {
            self.wake();
        }
    }

    fn wake(&self) {
        for follower in self.followers.lock().iter() {
            follower.wake();
        }
    }

    /// Takes a new frame and wakes the followers. Frames come in order.
    pub(super) fn push(&self, frame: Frame) {
        let last = frame.last;
        {
            let mut ring = self.frames.lock();
            if ring.frames.back().is_some_and(|newest| newest.last + 1 != frame.first) {
                ring.frames.clear();
                ring.bytes = 0;
            }
            ring.bytes += frame.text.len();
            ring.frames.push_back(frame);
            while ring.frames.len() > TAIL_FRAMES_MAX
                || (ring.bytes > TAIL_BYTES_MAX && ring.frames.len() > 1)
            {
                let oldest = ring.frames.pop_front().expect("more than one frame");
                ring.bytes -= oldest.text.len();
            }
        }
        self.raise_head(last);
        self.wake();
    }

    /// The place of what comes after `cursor`.
    pub fn next(&self, cursor: u64) -> Next {
        let head = self.head();
        if cursor >= head {
            return Next::CaughtUp;
        }
        let ring = self.frames.lock();
        let Some(oldest) = ring.frames.front() else {
            return Next::InLog { to: head };
        };
        if cursor + 1 < oldest.first {
            return Next::InLog { to: oldest.first - 1 };
        }
        let place = ring.frames.partition_point(|frame| frame.last <= cursor);
        match ring.frames.get(place) {
            Some(frame) => Next::Frame(frame.clone()),
            None => Next::InLog { to: head },
        }
    }
}

/// A follower's hold on a tail. Dropping it ends the waking.
pub struct Follow {
    tail: Arc<Tail>,
    wake: Arc<dyn Wake>,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl Follow {
    pub(super) fn new(tail: Arc<Tail>, wake: Arc<dyn Wake>) -> Self {
        tail.followers.lock().push(wake.clone());
        Self { tail, wake }
    }

    /// What is followed.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let mut followers = self.tail.followers.lock();
        if let Some(place) = followers.iter().position(|other| Arc::ptr_eq(other, &self.wake)) {
            followers.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Record;

    fn frame(seqs: std::ops::RangeInclusive<u64>, bytes: usize) -> Frame {
        let records: Vec<_> = seqs
            .map(|seq| Record { seq, body: format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)).into() })
            .collect();
        Frame::new(&"thread_a".parse().unwrap(), "00000001".parse().unwrap(), &records)
    }

    #[test]
    fn a_cursor_is_sent_to_the_log_and_back() {
        let tail = Tail::default();
        tail.raise_head(10);
        assert!(matches!(tail.next(10), Next::CaughtUp));
        assert!(matches!(tail.next(3), Next::InLog { to: 10 }));
        tail.push(frame(11..=12, 1));
        tail.push(frame(13..=13, 1));
        assert!(matches!(tail.next(3), Next::InLog { to: 10 }));
        for (cursor, first) in [(10, 11), (11, 11), (12, 13)] {
            let Next::Frame(frame) = tail.next(cursor) else { panic!("in memory") };
            assert_eq!(frame.first, first);
        }
        assert!(matches!(tail.next(13), Next::CaughtUp));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_frame_stays() {
        let tail = Tail::default();
        for seq in 1..=10 {
            tail.push(frame(seq..=seq, TAIL_BYTES_MAX / 3));
        }
        assert!(tail.frames.lock().bytes <= TAIL_BYTES_MAX);
        tail.push(frame(11..=11, TAIL_BYTES_MAX * 2));
        assert!(matches!(tail.next(10), Next::Frame(_)), "a huge frame is kept while it is newest");
        assert!(matches!(tail.next(9), Next::InLog { to: 10 }));
    }
}
