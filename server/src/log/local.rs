//! The log of one process: numbering, duplicate detection and group commit over an
//! [`Engine`](super::engine::Engine). [`heal`] opens the engine again after it failed.

mod commit;
mod core;
mod fanout;
mod heal;
mod newest;
mod readers;

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use rethread_shared::{EventId, RunId, ThreadId};
use tokio::sync::{oneshot, watch};
use tracing::Span;

use super::{
    Appended, Condition, Created, Cut, Forget, IdleRun, Log, LogError, NewRecord, NewThread,
    PageLimit, Past, Probe, Record, RunRecord, ThreadInfo, Told,
    engine::{
        Engine, EngineError, RunChange,
        store::{Given, Store, StoreError},
    },
    tail::{Follow, Tail, Wake},
};
use commit::{Acknowledge, Committer, Job, refuse};
use core::Core;
use readers::Readers;

/// A log in this process. Cheap to clone; closed when the last clone is dropped, after what is
/// queued has been written.
#[derive(Clone)]
pub struct LocalLog {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    // `None` only while closing.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    committer: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Readers,
}

impl Inner {
    /// Gives the job back when the log is closed.
    fn send(&self, job: Job) -> Result<(), Box<Job>> {
        match &*self.jobs.lock() {
            Some(jobs) => jobs.send(job).map_err(|mpsc::SendError(job)| Box::new(job)),
            None => Err(Box::new(job)),
        }
    }
}

impl std::fmt::Debug for LocalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLog").finish_non_exhaustive()
    }
}

impl LocalLog {
    /// Opens a log over an engine, which cannot be opened again once it has failed. Must be called
    /// within a tokio runtime, on which the fan-out runs.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn open(engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        Self::over(Arc::new(Given(engine)), 0)
    }

    /// Opens the log in a store. After a failure it is opened again from there, and while fewer than
    /// `reserve` bytes are free nothing is taken. A store that is full or read-only is waited for.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn over(store: Arc<dyn Store>, reserve: u64) -> Result<Self, StoreError> {
        let (engine, trouble) = match store.open() {
            Ok(engine) => (Some(engine), None),
            Err(error) if error.cause.is_waited_for() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let last_no = engine.as_ref().map_or(Ok(0), |engine| engine.last_no())?;
        let core = Arc::new(Core::new(store, engine));
        let (jobs, queue) = mpsc::channel();
        let mut committer = Committer::new(core.clone(), last_no, reserve);
        if let Some(error) = trouble {
            committer.fail(&format!("the log could not be opened: {}", error.message));
        }
        let committer = std::thread::Builder::new()
            .name("rethread-commit".into())
            .spawn(move || committer.run(&queue))?;
        let (jobs, committer) = (Mutex::new(Some(jobs)), Mutex::new(Some(committer)));
        let readers = Readers::start()?;
        Ok(Self { inner: Arc::new(Inner { core, jobs, committer, readers }) })
    }

    /// Writes what is queued and stops. Later calls answer [`LogError::Closed`].
    pub fn close(&self) {
        self.inner.jobs.lock().take();
        if let Some(committer) = self.inner.committer.lock().take() {
            // It catches panics of its own; there is nothing to add.
            let _ = committer.join();
        }
    }

    fn core(&self) -> &Core {
        &self.inner.core
    }

    fn queue(&self, job: Job) -> Result<(), LogError> {
        self.inner.send(job).map_err(|_| LogError::Closed)
    }

    /// Runs a read that may touch the disk where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, LogError> {
        let engine = self.core().engine()?;
        let done = self.inner.readers.read(move || read(&*engine)).await;
        Ok(done.ok_or_else(|| LogError::Read("a read panicked; see standard error".into()))??)
    }

    fn answer<T: Send + 'static>(
        &self,
        queued: Result<oneshot::Receiver<Result<T, LogError>>, LogError>,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let core = Arc::downgrade(&self.inner.core);
        async move {
            match queued?.await {
                Ok(answer) => answer,
                // Lost in a panic, or at the end.
                Err(_) => Err(core.upgrade().map_or(LogError::Closed, |core| core.unavailable())),
            }
        }
        .boxed()
    }
}

impl Log for LocalLog {
    fn create(&self, new: NewThread) -> BoxFuture<'_, Result<Created, LogError>> {
        async move {
            let thread = new.thread.clone();
            if let Some(open) = self.core().open_thread(&thread)? {
                return Ok(Created { thread: open.info(), is_new: false });
            }
            let (answer, created) = oneshot::channel();
            self.queue(Job::Create { new, answer })?;
            let is_new = self.answer(Ok(created)).await?;
            Ok(Created { thread: self.core().existing(&thread)?.info(), is_new })
        }
        .boxed()
    }

    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadInfo>, LogError> {
        Ok(self.core().open_thread(thread)?.map(|open| open.info()))
    }

    fn owner(&self, thread: &ThreadId) -> Result<Option<Arc<str>>, LogError> {
        Ok(self.core().open_thread(thread)?.map(|open| open.owner.clone()))
    }

    fn cut(&self, thread: &ThreadId) -> Result<Cut, LogError> {
        Ok(self.core().engine()?.cut(self.core().existing(thread)?.no)?)
    }

    fn trim(&self, thread: &ThreadId, cut: Cut) -> BoxFuture<'static, Result<u64, LogError>> {
        let queued = self.core().existing(thread).and_then(|thread| {
            let (answer, trimmed) = oneshot::channel();
            self.queue(Job::Trim { thread, cut, answer })?;
            Ok(trimmed)
        });
        self.answer(queued)
    }

    fn threads(
        &self,
        owner: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ThreadInfo>, LogError>> {
        let owner = owner.map(str::to_owned);
        async move {
            let rows = self.blocking(move |e| e.threads(owner.as_deref(), limit)).await?;
            let threads = rows.iter().map(|row| Ok(self.core().existing(&row.thread)?.info()));
            threads.collect()
        }
        .boxed()
    }

    fn older_threads(
        &self,
        owner: Option<&str>,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(u64, ThreadInfo)>, LogError>> {
        let owner = owner.map(str::to_owned);
        async move {
            let rows =
                self.blocking(move |e| e.older_threads(owner.as_deref(), before, limit)).await?;
            let marked =
                rows.iter().map(|row| Ok((row.no, self.core().existing(&row.thread)?.info())));
            marked.collect()
        }
        .boxed()
    }

    fn entitle(&self, thread: &ThreadId, title: &str) -> BoxFuture<'_, Result<(), LogError>> {
        let queued = self.core().existing(thread).and_then(|open| {
            *open.title.lock() = Some(title.into());
            let (answer, done) = oneshot::channel();
            self.queue(Job::Thread { row: open.row(), answer })?;
            Ok(done)
        });
        self.answer(queued)
    }

    fn append_in(
        &self,
        term: u64,
        thread: &ThreadId,
        events: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Vec<Appended>, LogError>> {
        let queued = self.core().existing(thread).and_then(|thread| {
            let (answer, appended) = oneshot::channel();
            let answer = Acknowledge::Awaited(answer);
            let (since, span) = (Instant::now(), Span::current());
            self.queue(Job::Append { term, thread, events, since, span, answer })?;
            Ok(appended)
        });
        self.answer(queued)
    }

    fn append_telling(&self, term: u64, thread: &ThreadId, events: Vec<NewRecord>, told: Told) {
        let thread = match self.core().existing(thread) {
            Ok(thread) => thread,
            Err(error) => return told.tell(Err(error)),
        };
        let answer = Acknowledge::Told(told);
        let (since, span) = (Instant::now(), Span::current());
        let job = Job::Append { term, thread, events, since, span, answer };
        if let Err(job) = self.inner.send(job) {
            refuse(*job, &LogError::Closed);
        }
    }

    fn read(
        &self,
        thread: &ThreadId,
        after: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        let open = self.core().existing(thread);
        async move {
            let open = open?;
            let after = after.max(open.first() - 1);
            let no = open.no;
            // What is not yet acknowledged is not there, though the engine may have it.
            let head = open.head();
            let mut page = self.blocking(move |engine| engine.read(no, after, limit)).await?;
            page.truncate(page.partition_point(|record| record.seq <= head));
            // What was removed while it was read may be there in part.
            let first = open.first();
            if first > after + 1 {
                page.drain(..page.partition_point(|record| record.seq < first));
            }
            Ok(page)
        }
        .boxed()
    }

    fn find(&self, thread: &ThreadId, id: EventId) -> Result<Option<u64>, LogError> {
        Ok(self.core().engine()?.find(self.core().existing(thread)?.no, id)?)
    }

    fn follow(&self, thread: &ThreadId, wake: Arc<dyn Wake>) -> Result<Follow, LogError> {
        let open = self.core().existing(thread)?;
        let tail = {
            let mut weak = open.tail.lock();
            weak.upgrade().unwrap_or_else(|| {
                let tail = Arc::new(Tail::default());
                *weak = Arc::downgrade(&tail);
                tail
            })
        };
        let follow = Follow::new(tail, wake);
        // After the follower is known: a commit is seen here, or it wakes.
        follow.tail().raise_head(open.head());
        Ok(follow)
    }

    fn remember_in(
        &self,
        term: u64,
        runs: Vec<RunRecord>,
    ) -> BoxFuture<'static, Result<(), LogError>> {
        let (answer, done) = oneshot::channel();
        let changes = runs.into_iter().map(RunChange::Remember).collect();
        let queued = self.queue(Job::Runs { term, changes, answer }).map(|()| done);
        self.answer(queued)
    }

    fn recall(&self, run: &RunId) -> Result<Option<RunRecord>, LogError> {
        Ok(self.core().engine()?.run(run)?)
    }

    fn forget(&self, forget: Forget) -> BoxFuture<'static, Result<(), LogError>> {
        let (answer, done) = oneshot::channel();
        let (term, changes) = (self.term(), vec![RunChange::Forget(forget)]);
        let queued = self.queue(Job::Runs { term, changes, answer }).map(|()| done);
        self.answer(queued)
    }

    fn live_runs(
        &self,
        after: Option<&RunId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunRecord>, LogError>> {
        let after = after.cloned();
        self.blocking(move |engine| engine.live_runs(after.as_ref(), limit)).boxed()
    }

    fn idle_runs(&self, until: u64, limit: usize) -> BoxFuture<'_, Result<Vec<IdleRun>, LogError>> {
        self.blocking(move |engine| engine.idle_runs(until, limit)).boxed()
    }

    fn runs_of(
        &self,
        thread: &ThreadId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunRecord>, LogError>> {
        let thread = thread.clone();
        self.blocking(move |engine| engine.runs_of(&thread, limit)).boxed()
    }

    fn past(&self, thread: &ThreadId) -> Result<Option<Past>, LogError> {
        Ok(self.core().engine()?.past(thread)?)
    }

    fn count_runs(&self) -> BoxFuture<'_, Result<u64, LogError>> {
        self.blocking(Engine::count_runs).boxed()
    }

    fn term(&self) -> u64 {
        self.core().term()
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        self.core().condition()
    }

    fn probe(&self) -> Probe {
        let (answer, stored) = oneshot::channel();
        let (mark, seen) = oneshot::channel();
        // Refused: both channels are closed, which says so.
        let _ = self.queue(Job::Probe { answer, mark });
        Probe { stored, seen }
    }

    fn free_bytes(&self) -> Option<u64> {
        self.core().store.free_bytes()
    }
}

impl From<EngineError> for LogError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.0)
    }
}

#[cfg(test)]
mod tests;
