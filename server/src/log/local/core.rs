//! What the log and its commit thread share: the engine, the threads in use, and whether events are
//! taken.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use rethread_shared::{Epoch, ThreadId, limits::HEADS_CACHED_MAX};
use tokio::sync::watch;

use super::newest::Newest;
use crate::{
    hash::Map,
    log::{
        Condition, LogError, ThreadInfo,
        engine::{
            Engine, ThreadRow,
            store::{Cause, Store, StoreError},
        },
        tail::Tail,
    },
};

pub(super) struct Core {
    pub(super) store: Arc<dyn Store>,
    /// `None` while it is closed to be opened again, and where it could not be opened.
    engine: RwLock<Option<Arc<dyn Engine>>>,
    open: RwLock<Map<ThreadId, Arc<OpenThread>>>,
    condition: watch::Sender<Condition>,
    /// See [`crate::log::Log::term`].
    term: AtomicU64,
}

/// A thread in use: what its row says, its head, and its tail while somebody follows.
#[derive(Debug)]
pub(super) struct OpenThread {
    pub(super) no: u64,
    pub(super) thread: ThreadId,
    pub(super) epoch: Epoch,
    pub(super) owner: Arc<str>,
    created_at: u64,
    pub(super) title: Mutex<Option<Arc<str>>>,
    pub(super) head: AtomicU64,
    /// The seq of the first event that is kept. Raised before those below are removed, so that whoever
    /// finds them missing sees why.
    first: AtomicU64,
    pub(super) tail: Mutex<Weak<Tail>>,
    /// Its greatest ids; `None` until the commit thread, alone in using it, has seen to that.
    pub(super) newest: Mutex<Option<Newest>>,
}

impl Core {
    pub(super) fn new(store: Arc<dyn Store>, engine: Option<Arc<dyn Engine>>) -> Self {
        Self {
            store,
            engine: RwLock::new(engine),
            open: RwLock::default(),
            condition: watch::Sender::new(Condition::Sound),
            term: AtomicU64::new(0),
        }
    }

    pub(super) fn engine(&self) -> Result<Arc<dyn Engine>, LogError> {
        self.engine.read().clone().ok_or_else(|| self.unavailable())
    }

    pub(super) fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    pub(super) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Says how the log is. Events are taken again in a new term: what was queued before may be lost.
    pub(super) fn is_now(&self, condition: Condition) {
        if *self.condition.borrow() == condition {
            return;
        }
        if condition == Condition::Sound {
            self.term.fetch_add(1, Ordering::AcqRel);
        }
        self.condition.send_replace(condition);
    }

    /// Why nothing is taken now. Who asks while it is sound was in the midst of a panic.
    pub(super) fn unavailable(&self) -> LogError {
        self.condition.borrow().refusal().unwrap_or_else(LogError::lost)
    }

    /// Takes the engine away, to close it.
    pub(super) fn take_engine(&self) -> Option<Arc<dyn Engine>> {
        self.engine.write().take()
    }

    pub(super) fn put_engine(&self, engine: Arc<dyn Engine>) {
        *self.engine.write() = Some(engine);
    }

    /// Takes an engine that was opened anew: every thread in use gets the head that is on disk. What
    /// was stored without being acknowledged is in the log then; its followers are woken.
    ///
    /// # Errors
    /// When something that was acknowledged is not there, or the engine cannot be read.
    pub(super) fn renew(&self, engine: Arc<dyn Engine>) -> Result<(), StoreError> {
        // While there is no engine nobody opens a thread; who did before is done when the lock is free.
        // So it need not be held while the disk is read.
        let open: Vec<Arc<OpenThread>> = {
            let mut open = self.open.write();
            open.retain(|_, thread| thread.is_in_use());
            open.values().cloned().collect()
        };
        let mut rows = Vec::with_capacity(open.len());
        for thread in &open {
            let (head, acknowledged) = (engine.head(thread.no)?, thread.head());
            if head < acknowledged {
                let lost = format!(
                    "{} ends at {head} on disk, and events up to {acknowledged} were acknowledged",
                    thread.thread
                );
                return Err(StoreError::new(Cause::Broken, lost));
            }
            let first = engine.cut(thread.no)?.first;
            rows.push((head, first, engine.thread(&thread.thread)?));
        }
        for (thread, (head, first, row)) in open.iter().zip(rows) {
            thread.head.store(head, Ordering::Release);
            thread.first.store(first, Ordering::Release);
            if let Some(row) = row {
                *thread.title.lock() = row.title.map(Into::into);
            }
            let tail = thread.tail.lock().upgrade();
            if let Some(tail) = tail {
                tail.advance(head);
            }
        }
        self.put_engine(engine);
        Ok(())
    }

    /// The thread from memory, or from the engine; `None` where there is none.
    pub(super) fn open_thread(
        &self,
        thread: &ThreadId,
    ) -> Result<Option<Arc<OpenThread>>, LogError> {
        if let Some(open) = self.open.read().get(thread) {
            return Ok(Some(open.clone()));
        }
        let Some(row) = self.engine()?.thread(thread)? else { return Ok(None) };
        let mut all = self.open.write();
        // Whoever else came meanwhile has the one that counts.
        if let Some(open) = all.get(thread) {
            return Ok(Some(open.clone()));
        }
        let engine = self.engine()?;
        let (head, first) = (engine.head(row.no)?, engine.cut(row.no)?.first);
        let open = Arc::new(OpenThread::new(row, head, first));
        make_room(&mut all);
        all.insert(thread.clone(), open.clone());
        Ok(Some(open))
    }

    pub(super) fn existing(&self, thread: &ThreadId) -> Result<Arc<OpenThread>, LogError> {
        self.open_thread(thread)?.ok_or_else(|| LogError::NoThread(thread.clone()))
    }
}

/// Forgets threads that nobody uses when there are too many.
fn make_room(all: &mut Map<ThreadId, Arc<OpenThread>>) {
    if all.len() >= HEADS_CACHED_MAX {
        all.retain(|_, open| open.is_in_use());
    }
}

impl OpenThread {
    fn new(row: ThreadRow, head: u64, first: u64) -> Self {
        Self {
            no: row.no,
            thread: row.thread,
            epoch: row.epoch,
            owner: row.owner.into(),
            created_at: row.created_at,
            title: Mutex::new(row.title.map(Into::into)),
            head: AtomicU64::new(head),
            first: AtomicU64::new(first),
            tail: Mutex::default(),
            newest: Mutex::default(),
        }
    }

    /// A thread in use is held by a follower, a queued job or a caller too: a second one beside it
    /// would count its own head.
    fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || self.tail.lock().strong_count() > 0
    }

    /// The seq of its last event that was acknowledged.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The seq of the first event that is kept.
    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// Events before this one are about to be removed.
    pub(super) fn raise_first(&self, first: u64) {
        self.first.fetch_max(first, Ordering::AcqRel);
    }

    pub(super) fn info(&self) -> ThreadInfo {
        // In this order: never more than one beyond the head.
        let first = self.first();
        ThreadInfo {
            thread: self.thread.clone(),
            epoch: self.epoch,
            head: self.head(),
            first,
            owner: self.owner.clone(),
            title: self.title.lock().clone(),
            created_at: self.created_at,
        }
    }

    pub(super) fn row(&self) -> ThreadRow {
        ThreadRow {
            no: self.no,
            thread: self.thread.clone(),
            epoch: self.epoch,
            owner: self.owner.to_string(),
            title: self.title.lock().as_deref().map(str::to_owned),
            created_at: self.created_at,
        }
    }
}
