//! Access that lasts: what a socket or a stream holds while it lives. It can be renewed by a new token,
//! is warned before its token ends, and is *questioned* when a revocation may concern it: then whoever
//! holds it stops delivering, looks again at what it may have, and says when it has done so.
//!
//! A revocation waits for that answer. So nothing is written to a client after the operator was told
//! that it is cut off, as far as that is in this process's hands.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rethread_shared::limits::TOKEN_WARNING;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Grant;
use crate::now;

/// Everything that lasts and holds a grant.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Live>>,
}

#[derive(Debug)]
struct Live {
    grant: Mutex<Arc<Grant>>,
    questioned: AtomicBool,
    /// Who waits for the answer. Dropped when it is given.
    waiting: Mutex<Vec<mpsc::Sender<Infallible>>>,
    waker: AtomicWaker,
}

/// The access of one socket or stream. Gone when dropped.
#[derive(Debug)]
pub struct Access {
    id: u64,
    grant: Arc<Grant>,
    live: Arc<Live>,
    all: Arc<Accesses>,
    /// When its holder is to be warned that the token ends; `None` once that is done.
    warn_at: Option<Instant>,
}

impl Accesses {
    pub(super) fn enter(self: &Arc<Self>, grant: Arc<Grant>) -> Access {
        let live = Arc::new(Live {
            grant: Mutex::new(grant.clone()),
            questioned: AtomicBool::new(false),
            waiting: Mutex::default(),
            waker: AtomicWaker::new(),
        });
        let mut open = self.open.lock();
        open.next += 1;
        let id = open.next;
        open.all.insert(id, live.clone());
        drop(open);
        let warn_at = Some(warning(&grant));
        Access { id, grant, live, all: self.clone(), warn_at }
    }

    /// Questions those whose grant `concerns`. Says how many; the receiver ends when all have answered.
    pub(super) fn question(
        &self,
        concerns: impl Fn(&Grant) -> bool,
    ) -> (usize, mpsc::Receiver<Infallible>) {
        let (waiting, answered) = mpsc::channel(1);
        let mut count = 0;
        // Locked until all are questioned: who leaves meanwhile has answered when it is gone.
        for live in self.open.lock().all.values() {
            if concerns(&live.grant.lock()) {
                live.waiting.lock().push(waiting.clone());
                live.questioned.store(true, Ordering::Release);
                live.waker.wake();
                count += 1;
            }
        }
        (count, answered)
    }
}

impl Access {
    /// What it grants now.
    #[must_use]
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// A new token was brought. Whoever holds the access looks again at what it may have.
    pub fn renew(&mut self, grant: Arc<Grant>) {
        *self.live.grant.lock() = grant.clone();
        self.warn_at = Some(warning(&grant));
        self.grant = grant;
    }

    /// True when it must be looked at again before anything more is delivered.
    #[must_use]
    pub fn is_questioned(&self) -> bool {
        self.live.questioned.load(Ordering::Acquire)
    }

    /// Completes when [`Access::is_questioned`]. One at a time may wait.
    pub async fn questioned(&self) {
        poll_fn(|cx| self.poll_questioned(cx)).await;
    }

    fn poll_questioned(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_questioned() {
            return Poll::Ready(());
        }
        self.live.waker.register(cx.waker());
        if self.is_questioned() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Call before looking again at what is granted: a question that comes later is another one.
    /// Whoever waits is answered when what is returned is dropped.
    pub fn answer(&self) -> Answer {
        self.live.questioned.store(false, Ordering::Release);
        Answer { _waiting: std::mem::take(&mut *self.live.waiting.lock()) }
    }

    /// When the token ends.
    #[must_use]
    pub fn ends_at(&self) -> Instant {
        Instant::now() + left(&self.grant)
    }

    /// True when the token has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        left(&self.grant).is_zero()
    }

    /// When to warn that the token ends; `None` when that was done.
    #[must_use]
    pub fn warn_at(&self) -> Option<Instant> {
        self.warn_at
    }

    /// The warning is given: how long the token still counts, milliseconds.
    pub fn warned(&mut self) -> u64 {
        self.warn_at = None;
        left(&self.grant).as_millis() as u64
    }
}

/// An answer that is being given. See [`Access::answer`].
#[derive(Debug)]
pub struct Answer {
    _waiting: Vec<mpsc::Sender<Infallible>>,
}

/// How a stream that is cut off ends the connection it is written to, which may still hold what was
/// handed to it. Shared by both.
#[derive(Clone, Debug, Default)]
pub struct Parting(Arc<Parted>);

#[derive(Debug, Default)]
struct Parted {
    asked: CancellationToken,
    /// Given when everybody has let go of this: the stream, and the connection with its bytes.
    answers: Mutex<Vec<Answer>>,
}

impl Parting {
    /// The connection is to end; only then is the answer given.
    pub fn end(&self, answer: Answer) {
        self.0.answers.lock().push(answer);
        self.0.asked.cancel();
    }

    /// Completes when the connection is to end.
    pub async fn asked(&self) {
        self.0.asked.cancelled().await;
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.all.open.lock().all.remove(&self.id);
        // Nobody can ask any more.
        self.live.waiting.lock().clear();
    }
}

fn left(grant: &Grant) -> Duration {
    Duration::from_millis(grant.ends_at_ms().saturating_sub(now::unix_ms()))
}

fn warning(grant: &Grant) -> Instant {
    let left = left(grant);
    Instant::now() + (left - TOKEN_WARNING.min(left / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_cut_off_has_stopped_when_its_connection_is_gone() {
        let all = Arc::new(Accesses::default());
        let access = all.enter(Arc::new(Grant::trusted("ada")));
        let (count, mut answered) = all.question(|_| true);
        assert_eq!(count, 1);
        let of_connection = Parting::default();
        let of_stream = of_connection.clone();
        of_stream.end(access.answer());
        of_connection.asked().await;
        drop((of_stream, access));
        assert!(answered.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Empty));
        drop(of_connection);
        assert_eq!(answered.recv().await, None, "now it has");
    }
}
