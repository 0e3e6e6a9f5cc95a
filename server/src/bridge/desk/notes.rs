//! The notes that wait in one connection. Holds no room for notes that there are not: most connections
//! never get one, and a channel's first block has more bytes than all else that such a connection is.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::Note;

/// Where notes for a connection are put.
#[derive(Clone, Debug)]
pub struct Notes(Arc<Mutex<Waiting>>);

/// Where it takes them from.
#[derive(Debug)]
pub struct Inbox(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    notes: VecDeque<Note>,
    limit: usize,
    waker: Option<Waker>,
    /// Nobody takes them any more.
    is_closed: bool,
}

/// Both ends, with room for so many.
#[must_use]
pub fn notes(limit: usize) -> (Notes, Inbox) {
    let waiting = Waiting { notes: VecDeque::new(), limit, waker: None, is_closed: false };
    let notes = Notes(Arc::new(Mutex::new(waiting)));
    let inbox = Inbox(notes.0.clone());
    (notes, inbox)
}

impl Notes {
    /// Puts a note. False when there is no room, or nobody who takes it.
    pub fn put(&self, note: Note) -> bool {
        let mut waiting = self.0.lock();
        if !waiting.has_room() {
            return false;
        }
        waiting.notes.push_back(note);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// True when one more would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.lock().has_room()
    }
}

impl Waiting {
    fn has_room(&self) -> bool {
        !self.is_closed && self.notes.len() < self.limit
    }
}

impl Inbox {
    /// The next note. May be given up and asked again; one at a time may wait.
    pub async fn next(&self) -> Note {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Note> {
        let mut waiting = self.0.lock();
        if let Some(note) = waiting.notes.pop_front() {
            if waiting.notes.is_empty() {
                waiting.notes = VecDeque::new();
            }
            return Poll::Ready(note);
        }
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// A note that is there already.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<Note> {
        self.0.lock().notes.pop_front()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.is_closed = true;
        waiting.notes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use rethread_shared::frame::Cancelled;

    use super::*;

    fn note(seq: u64) -> Note {
        let run = "thread_a_run_1756919162904_9adf1f09".parse().unwrap();
        Note::Cancelled(Cancelled { req: None, run, seq })
    }

    fn seq(note: Note) -> u64 {
        let Note::Cancelled(cancelled) = note else { panic!("a note of these tests") };
        cancelled.seq
    }

    #[tokio::test]
    async fn notes_come_in_order_and_wake_who_waits() {
        let (notes, inbox) = notes(8);
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < 3 {
                seen.push(seq(inbox.next().await));
            }
            (seen, inbox)
        });
        for number in 1..=3 {
            assert!(notes.put(note(number)));
            tokio::task::yield_now().await;
        }
        let (seen, inbox) = reader.await.unwrap();
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(inbox.0.lock().notes.capacity(), 0, "an empty inbox holds no room");
    }

    #[test]
    fn there_is_room_for_so_many_and_none_where_nobody_takes_them() {
        let (notes, inbox) = notes(3);
        for number in 0..3 {
            assert!(notes.has_room());
            assert!(notes.put(note(number)));
        }
        assert!(!notes.has_room());
        assert!(!notes.put(note(0)));
        assert_eq!(inbox.take().map(seq), Some(0));
        assert!(notes.has_room());
        drop(inbox);
        assert!(!notes.has_room());
        assert!(!notes.put(note(0)));
    }
}
