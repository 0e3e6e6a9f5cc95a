//! The log of one process: numbering, duplicate detection and group commit over an [`Engine`].

mod commit;
mod fanout;

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Instant,
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::{Mutex, RwLock};
use rethread_shared::{Epoch, EventId, RunId, ThreadId, limits::HEADS_CACHED_MAX};
use tokio::sync::oneshot;
use tracing::Span;

use super::{
    Appended, Created, Forget, IdleRun, Log, LogError, NewRecord, NewThread, PageLimit, Past,
    Record, RunRecord, ThreadInfo,
    engine::{Engine, EngineError, RunChange, ThreadRow},
    tail::{Follow, Tail, Wake},
};
use commit::{Committer, Job};

/// A log in this process. Cheap to clone; closed when the last clone is dropped, after what is
/// queued has been written.
#[derive(Clone)]
pub struct LocalLog {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    open: RwLock<HashMap<ThreadId, Arc<OpenThread>>>,
    // `None` only while closing.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    poison: Arc<Poison>,
    committer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// Why the log takes nothing more, once it does not.
#[derive(Debug, Default)]
struct Poison(Mutex<Option<String>>);

/// A commit thread that panics has not kept its word: the log says so instead of seeming to close.
struct PoisonsOnPanic(Arc<Poison>);

impl Drop for PoisonsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.0.lock() = Some("the commit thread panicked".to_owned());
        }
    }
}

/// A thread in use: what its row says, its head, and its tail while somebody follows.
#[derive(Debug)]
struct OpenThread {
    no: u64,
    thread: ThreadId,
    epoch: Epoch,
    owner: Arc<str>,
    created_at: u64,
    title: Mutex<Option<Arc<str>>>,
    head: AtomicU64,
    tail: Mutex<Weak<Tail>>,
}

impl std::fmt::Debug for LocalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLog").finish_non_exhaustive()
    }
}

impl LocalLog {
    /// Opens a log over an engine. Must be called within a tokio runtime, on which the fan-out runs.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn open(engine: Arc<dyn Engine>) -> Result<Self, LogError> {
        let poison = Arc::new(Poison::default());
        let last_no = engine.last_no()?;
        let (jobs, queue) = mpsc::channel();
        let committed = fanout::spawn();
        let committer = Committer::new(engine.clone(), last_no, committed, poison.clone());
        let committer = std::thread::Builder::new()
            .name("rethread-commit".into())
            .spawn({
                let poison = poison.clone();
                move || {
                    let _poisons = PoisonsOnPanic(poison);
                    committer.run(&queue);
                }
            })
            .map_err(|error| LogError::Read(format!("no thread for group commit: {error}")))?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                open: RwLock::default(),
                jobs: Mutex::new(Some(jobs)),
                poison,
                committer: Mutex::new(Some(committer)),
            }),
        })
    }

    /// Writes what is queued and stops. Later calls answer [`LogError::Closed`].
    pub fn close(&self) {
        self.inner.jobs.lock().take();
        if let Some(committer) = self.inner.committer.lock().take() {
            // A panic there has poisoned the log already; there is nothing to add.
            let _ = committer.join();
        }
    }

    fn queue(&self, job: Job) -> Result<(), LogError> {
        let jobs = self.inner.jobs.lock();
        jobs.as_ref().ok_or(LogError::Closed)?.send(job).map_err(|_| self.gone())
    }

    fn gone(&self) -> LogError {
        self.poisoned().map_or(LogError::Closed, LogError::Poisoned)
    }

    /// The thread from memory, or from the engine; `None` where there is none.
    fn open_thread(&self, thread: &ThreadId) -> Result<Option<Arc<OpenThread>>, LogError> {
        if let Some(open) = self.inner.open.read().get(thread) {
            return Ok(Some(open.clone()));
        }
        let Some(row) = self.inner.engine.thread(thread)? else { return Ok(None) };
        let mut all = self.inner.open.write();
        // Whoever else came meanwhile has the one that counts.
        if let Some(open) = all.get(thread) {
            return Ok(Some(open.clone()));
        }
        let head = self.inner.engine.head(row.no)?;
        let open = Arc::new(OpenThread::new(row, head));
        make_room(&mut all);
        all.insert(thread.clone(), open.clone());
        Ok(Some(open))
    }

    fn existing(&self, thread: &ThreadId) -> Result<Arc<OpenThread>, LogError> {
        self.open_thread(thread)?.ok_or_else(|| LogError::NoThread(thread.clone()))
    }

    /// Runs a read that may touch the disk where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, LogError> {
        let engine = self.inner.engine.clone();
        let done = tokio::task::spawn_blocking(move || read(&*engine)).await;
        Ok(done.map_err(|error| LogError::Read(error.to_string()))??)
    }

    fn answer<T: Send + 'static>(
        &self,
        queued: Result<oneshot::Receiver<Result<T, LogError>>, LogError>,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let log = Arc::downgrade(&self.inner);
        async move {
            match queued?.await {
                Ok(answer) => answer,
                Err(_) => {
                    Err(log.upgrade().map_or(LogError::Closed, |inner| Self { inner }.gone()))
                }
            }
        }
        .boxed()
    }
}

/// Forgets threads that nobody uses when there are too many.
fn make_room(all: &mut HashMap<ThreadId, Arc<OpenThread>>) {
    if all.len() >= HEADS_CACHED_MAX {
        // A thread in use is held by a follower, a queued job or a caller too: a second one beside
        // it would count its own head.
        all.retain(|_, open| Arc::strong_count(open) > 1 || open.tail.lock().strong_count() > 0);
    }
}

impl OpenThread {
    fn new(row: ThreadRow, head: u64) -> Self {
        Self {
            no: row.no,
            thread: row.thread,
            epoch: row.epoch,
            owner: row.owner.into(),
            created_at: row.created_at,
            title: Mutex::new(row.title.map(Into::into)),
            head: AtomicU64::new(head),
            tail: Mutex::default(),
        }
    }

    fn info(&self) -> ThreadInfo {
        ThreadInfo {
            thread: self.thread.clone(),
            epoch: self.epoch,
            head: self.head.load(Ordering::Acquire),
            owner: self.owner.clone(),
            title: self.title.lock().clone(),
            created_at: self.created_at,
        }
    }

    fn row(&self) -> ThreadRow {
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

impl Log for LocalLog {
    fn create(&self, new: NewThread) -> BoxFuture<'_, Result<Created, LogError>> {
        async move {
            let thread = new.thread.clone();
            if let Some(open) = self.open_thread(&thread)? {
                return Ok(Created { thread: open.info(), is_new: false });
            }
            let (answer, created) = oneshot::channel();
            self.queue(Job::Create { new, answer })?;
            let is_new = self.answer(Ok(created)).await?;
            Ok(Created { thread: self.existing(&thread)?.info(), is_new })
        }
        .boxed()
    }

    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadInfo>, LogError> {
        Ok(self.open_thread(thread)?.map(|open| open.info()))
    }

    fn threads(
        &self,
        owner: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ThreadInfo>, LogError>> {
        let owner = owner.map(str::to_owned);
        async move {
            let rows = self.blocking(move |e| e.threads(owner.as_deref(), limit)).await?;
            let threads = rows.iter().map(|row| Ok(self.existing(&row.thread)?.info()));
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
            let marked = rows.iter().map(|row| Ok((row.no, self.existing(&row.thread)?.info())));
            marked.collect()
        }
        .boxed()
    }

    fn entitle(&self, thread: &ThreadId, title: &str) -> BoxFuture<'_, Result<(), LogError>> {
        let queued = self.existing(thread).and_then(|open| {
            *open.title.lock() = Some(title.into());
            let (answer, done) = oneshot::channel();
            self.queue(Job::Thread { row: open.row(), answer })?;
            Ok(done)
        });
        self.answer(queued)
    }

    fn append(
        &self,
        thread: &ThreadId,
        events: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Vec<Appended>, LogError>> {
        let queued = self.existing(thread).and_then(|thread| {
            let since = Instant::now();
            let (answer, appended) = oneshot::channel();
            self.queue(Job::Append { thread, events, since, span: Span::current(), answer })?;
            Ok(appended)
        });
        self.answer(queued)
    }

    fn read(
        &self,
        thread: &ThreadId,
        after: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        let open = self.existing(thread);
        async move {
            let open = open?;
            // What is not yet acknowledged is not there, though the engine may have it.
            let head = open.head.load(Ordering::Acquire);
            let mut page = self.blocking(move |engine| engine.read(open.no, after, limit)).await?;
            page.truncate(page.partition_point(|record| record.seq <= head));
            Ok(page)
        }
        .boxed()
    }

    fn find(&self, thread: &ThreadId, id: EventId) -> Result<Option<u64>, LogError> {
        Ok(self.inner.engine.find(self.existing(thread)?.no, id)?)
    }

    fn follow(&self, thread: &ThreadId, wake: Arc<dyn Wake>) -> Result<Follow, LogError> {
        let open = self.existing(thread)?;
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
        follow.tail().raise_head(open.head.load(Ordering::Acquire));
        Ok(follow)
    }

    fn remember(&self, run: RunRecord) -> BoxFuture<'static, Result<(), LogError>> {
        let (answer, done) = oneshot::channel();
        let change = RunChange::Remember(run);
        let queued = self.queue(Job::Runs { change, answer }).map(|()| done);
        self.answer(queued)
    }

    fn recall(&self, run: &RunId) -> Result<Option<RunRecord>, LogError> {
        Ok(self.inner.engine.run(run)?)
    }

    fn forget(&self, forget: Forget) -> BoxFuture<'static, Result<(), LogError>> {
        let (answer, done) = oneshot::channel();
        let change = RunChange::Forget(forget);
        let queued = self.queue(Job::Runs { change, answer }).map(|()| done);
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
        Ok(self.inner.engine.past(thread)?)
    }

    fn count_runs(&self) -> BoxFuture<'_, Result<u64, LogError>> {
        self.blocking(Engine::count_runs).boxed()
    }

    fn poisoned(&self) -> Option<String> {
        self.inner.poison.0.lock().clone()
    }
}

impl From<EngineError> for LogError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.0)
    }
}

#[cfg(test)]
mod tests;
