//! The log: what is in here is durable, numbered, and never taken back.
//!
//! A thread is a log; everybody else is a cursor over it. The trait [`Log`] is shaped for batches
//! and is async, with numbering and duplicate detection *inside* [`Log::append`], because in a
//! distributed engine those must be atomic with the write. Nothing above the trait may assume one
//! process.
//!
//! [`LocalLog`] is the implementation for one process: group commit on a thread of its own over an
//! [`engine::Engine`]: fjall on disk, or memory with faults to inject.
//!
//! The log knows bytes and positions. It knows nothing of HTTP, of tokens, or of what an event
//! means; the one wire matter in it is [`frame`], which makes the text that all subscribers share.

pub mod engine;
pub mod frame;
mod local;
pub mod tail;

pub use local::LocalLog;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rethread_shared::{Epoch, EventId, RunId, ThreadId, limits::LOG_REOPEN_MIN};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use tail::{Follow, Wake};

/// The durable log of all threads, and beside it the two small tables that must be as durable:
/// threads, and runs (the registry's).
pub trait Log: Send + Sync + 'static {
    /// Creates a thread, or gives the one that is there (whoever owns it).
    fn create(&self, new: NewThread) -> BoxFuture<'_, Result<Created, LogError>>;

    /// The thread, if there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadInfo>, LogError>;

    /// The user who owns the thread, if there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn owner(&self, thread: &ThreadId) -> Result<Option<Arc<str>>, LogError>;

    /// What is known of the events of a thread that are no longer kept.
    ///
    /// # Errors
    /// When there is no such thread, or the log cannot be read.
    fn cut(&self, thread: &ThreadId) -> Result<Cut, LogError>;

    /// Removes the events before `cut.first`, as far as there are any; ids stay, so that a repetition is
    /// known. Takes its place in the queue when called, as `append` does: all of it is durable, or none.
    /// Gives how many were removed. One step is small: the caller bounds it.
    fn trim(&self, thread: &ThreadId, cut: Cut) -> BoxFuture<'static, Result<u64, LogError>>;

    /// Threads, the newest first: those of one owner, or all.
    fn threads(
        &self,
        owner: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ThreadInfo>, LogError>>;

    /// Threads that are older than `before`, each with the mark to go on from, the newest first: of one
    /// owner, or all. A mark of `u64::MAX` is before none.
    fn older_threads(
        &self,
        owner: Option<&str>,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(u64, ThreadInfo)>, LogError>>;

    /// Gives a thread a title.
    fn entitle(&self, thread: &ThreadId, title: &str) -> BoxFuture<'_, Result<(), LogError>>;

    /// Appends events to one thread, all or none. Takes its place in the queue when it is *called*,
    /// not when the future is first polled: two calls one after the other are stored in that order.
    /// The future is ready when the events are durable.
    ///
    /// An event whose id is in the thread already is not stored again.
    fn append(
        &self,
        thread: &ThreadId,
        events: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Vec<Appended>, LogError>> {
        self.append_in(self.term(), thread, events)
    }

    /// Appends events that were checked against what the caller knew in `term`. Refused when that term
    /// is over, for what the caller takes for stored may not have been. An append of nothing is not:
    /// it waits until what is queued is stored or refused.
    fn append_in(
        &self,
        term: u64,
        thread: &ThreadId,
        events: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Vec<Appended>, LogError>>;

    /// The same for whoever does not wait for it. Told when the events are durable, behind those who follow
    /// the thread, or when they are refused; that may be before this returns.
    fn append_telling(&self, term: u64, thread: &ThreadId, events: Vec<NewRecord>, told: Told);

    /// The term of the log. It ends when something that was queued may not have been stored: whoever
    /// remembers more than the log acknowledged forgets it then, and reads again.
    fn term(&self) -> u64;

    /// The events after `after`, in order, within `limit`. At least one if there is one. Without holes,
    /// but where events were removed it begins with the first that is kept.
    fn read(
        &self,
        thread: &ThreadId,
        after: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// The place of the event with this id, if it is stored.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn find(&self, thread: &ThreadId, id: EventId) -> Result<Option<u64>, LogError>;

    /// Follows a thread: `wake` is called whenever its head has moved.
    ///
    /// # Errors
    /// When there is no such thread, or the log cannot be read.
    fn follow(&self, thread: &ThreadId, wake: Arc<dyn Wake>) -> Result<Follow, LogError>;

    /// Remembers a run. Like `append`, takes its place in the queue when called; a run remembered
    /// before an append is durable no later than it.
    fn remember(&self, run: RunRecord) -> BoxFuture<'static, Result<(), LogError>> {
        self.remember_in(self.term(), vec![run])
    }

    /// Remembers runs, all or none. Refused when `term` is over, for what is said of them may rest on
    /// what was lost.
    fn remember_in(
        &self,
        term: u64,
        runs: Vec<RunRecord>,
    ) -> BoxFuture<'static, Result<(), LogError>>;

    /// The run as last remembered.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn recall(&self, run: &RunId) -> Result<Option<RunRecord>, LogError>;

    /// Forgets runs, and keeps what must be known of them all the same. Takes its place in the queue
    /// when called, as `remember` does: all of it is durable, or none.
    fn forget(&self, forget: Forget) -> BoxFuture<'static, Result<(), LogError>>;

    /// The runs that were last remembered as live, after `after` in the order of their ids.
    fn live_runs(
        &self,
        after: Option<&RunId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunRecord>, LogError>>;

    /// Runs that are not live, those first that have been idle for the longest, as far as `until`
    /// (milliseconds since 1970).
    fn idle_runs(&self, until: u64, limit: usize) -> BoxFuture<'_, Result<Vec<IdleRun>, LogError>>;

    /// The runs of a thread that are remembered, the newest first.
    fn runs_of(
        &self,
        thread: &ThreadId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunRecord>, LogError>>;

    /// What is known of the runs of a thread that were forgotten; none where none was.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn past(&self, thread: &ThreadId) -> Result<Option<Past>, LogError>;

    /// How many runs are remembered. Counts them, so it is for the start.
    fn count_runs(&self) -> BoxFuture<'_, Result<u64, LogError>>;

    /// Whether it takes events, and why not. Changes are seen by whoever waits for them.
    fn condition(&self) -> watch::Receiver<Condition>;

    /// Sends a probe the way of all events: a real write that is synced, and then through the fan-out.
    /// It is no event, and nobody sees it.
    fn probe(&self) -> Probe;

    /// Bytes that are free for it, where that can be told.
    fn free_bytes(&self) -> Option<u64>;
}

/// Whether a log takes events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Sound,
    /// There is hardly any room left: it takes nothing, and goes on by itself when there is room again.
    Full {
        /// How much is free and how much is needed.
        reason: String,
    },
    /// A write failed, or the storage could not be opened again: nothing is taken. It is tried again.
    Failed {
        /// What went wrong, and what is in the way.
        reason: String,
        /// When it is tried again; never where that would help nothing.
        again: Option<Instant>,
    },
    /// The storage is closed and opened again, to see what is really there.
    Opening,
}

/// A probe on its way; see [`Log::probe`].
#[derive(Debug)]
pub struct Probe {
    /// Ready when it is stored, or refused.
    pub stored: oneshot::Receiver<Result<(), LogError>>,
    /// Ready when it has come through the fan-out.
    pub seen: oneshot::Receiver<()>,
}

/// A thread to create.
#[derive(Clone, Debug)]
pub struct NewThread {
    /// Its id.
    pub thread: ThreadId,
    /// The user who owns it.
    pub owner: String,
    /// What a list of threads shows for it.
    pub title: Option<String>,
    /// When, milliseconds since 1970.
    pub created_at: u64,
    /// The incarnation of its log, should it be new.
    pub epoch: Epoch,
}

/// What [`Log::create`] found or made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The thread as it is now.
    pub thread: ThreadInfo,
    /// False when it was there already.
    pub is_new: bool,
}

/// A thread as it is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ThreadInfo {
    /// Its id.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: Epoch,
    /// The seq of its last event, 0 where there is none.
    pub head: u64,
    /// The seq of the first event that is kept, or will be: one more than `head` where none is.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub first: u64,
    /// The user who owns it.
    pub owner: Arc<str>,
    /// What a list of threads shows for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Arc<str>>,
    /// When it was created, milliseconds since 1970.
    pub created_at: u64,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(first: &u64) -> bool {
    *first == 1
}

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Its id, by which a repetition is known.
    pub id: EventId,
    /// Its JSON text without `seq`: an object that is not empty.
    pub body: Bytes,
    /// The request that brings it, on the first of a request's events: it goes along to the
    /// subscribers' logs, and is not stored.
    pub request: Option<RequestId>,
}

/// Names a request in the logs of everything that it leads to. Cheap to clone, and a text only where it is
/// written.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId {
    name: Arc<str>,
    number: Option<u64>,
}

impl RequestId {
    /// A request with a name.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        Self { name, number: None }
    }

    /// A request within this one, which has no number yet.
    #[must_use]
    pub fn within(&self, number: u64) -> Self {
        debug_assert!(self.number.is_none(), "one level is all there is");
        Self { name: self.name.clone(), number: Some(number) }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            None => f.write_str(&self.name),
            Some(number) => write!(f, "{}-{number}", self.name),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// A stored event.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place.
    pub seq: u64,
    /// The text that was appended.
    pub body: Bytes,
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place: the new one, or that of the first of its id.
    pub seq: u64,
    /// True when it was there already.
    pub duplicate: bool,
}

/// Who is told what became of an append: once, whatever happens. Must not block, nor take the lock that the
/// append was queued under.
pub struct Told(Option<Tell>);

type Tell = Box<dyn FnOnce(Result<Vec<Appended>, LogError>) + Send>;

impl Told {
    /// Calls `told`.
    pub fn new(told: impl FnOnce(Result<Vec<Appended>, LogError>) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// Tells it.
    pub fn tell(mut self, appended: Result<Vec<Appended>, LogError>) {
        if let Some(told) = self.0.take() {
            told(appended);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err(LogError::lost()));
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

/// How much one read may bring.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    /// Events at most.
    pub events: usize,
    /// Bytes at most; one event may exceed it alone.
    pub bytes: usize,
}

/// A run, as the registry remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub run: RunId,
    /// The thread it belongs to.
    pub thread: ThreadId,
    /// The thread's head when the run was first known: all its events come after.
    pub after: u64,
    /// When it was first known, milliseconds since 1970.
    pub created_at: u64,
    /// True when a person's message opened it through `send`, so that an agent must be found for it.
    /// A back end that publishes a `user_message` itself runs its own agent.
    #[serde(default)]
    pub asked: bool,
    /// The agent that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// True when its agent works over a connection, so that losing the connection is losing it.
    #[serde(default)]
    pub connected: bool,
    /// True until it has ended.
    pub live: bool,
    /// When something was last heard of it, milliseconds since 1970; behind by a while, for it is not
    /// written with each event.
    #[serde(default)]
    pub active_at: u64,
    /// The standard id that the run was given beside its own, by migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<RunId>,
    /// Where this id was given to a run by migration: the id that the run had before, under which all
    /// else is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<RunId>,
}

impl RunRecord {
    /// Since when it may have been idle. Records of older versions know when they were made.
    #[must_use]
    pub fn idle_since(&self) -> u64 {
        self.active_at.max(self.created_at)
    }
}

/// A run that is not live, in the order of expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleRun {
    /// Since when it was idle when this was noted.
    pub since: u64,
    /// The run.
    pub run: RunId,
    /// What is remembered of it. If that says otherwise, the note is stale: it was active since.
    pub record: Option<RunRecord>,
}

impl IdleRun {
    /// The record, where the note is still true.
    #[must_use]
    pub fn current(&self) -> Option<&RunRecord> {
        self.record.as_ref().filter(|record| !record.live && record.idle_since() == self.since)
    }
}

/// What [`Log::forget`] is to do, in one step.
#[derive(Clone, Debug, Default)]
pub struct Forget {
    /// Runs to forget, as they are remembered.
    pub runs: Vec<RunRecord>,
    /// Notes that are stale: since when, which run.
    pub stale: Vec<(u64, RunId)>,
    /// What is known from now on of a thread's forgotten runs.
    pub past: Option<(ThreadId, Past)>,
}

/// What is known of the runs of a thread that the registry has forgotten. Two numbers for all of them:
/// where it cannot be excluded that a run is one of them, the log up to there tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// None of them was active, or made, after this (milliseconds since 1970; what a run's id says of
    /// its making counts too).
    pub until_ms: u64,
    /// All their events are at or before this place.
    pub until_seq: u64,
}

/// What is known of the events of a thread that are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The seq of the first event that is kept, or will be.
    pub first: u64,
    /// None of the runs that those events were of was made after this, as far as their ids say
    /// (milliseconds since 1970).
    #[serde(default)]
    pub until_ms: u64,
}

impl Default for Cut {
    /// All events are kept.
    fn default() -> Self {
        Self { first: 1, until_ms: 0 }
    }
}

/// Why the log did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// It takes nothing now. Nothing of this was acknowledged; it may be tried again later.
    #[error("the log takes nothing now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// A read failed.
    #[error("the log could not be read: {0}")]
    Read(String),
    /// There is no such thread.
    #[error("there is no thread {0}")]
    NoThread(ThreadId),
    /// The log is being closed.
    #[error("the log is closing")]
    Closed,
}

impl LogError {
    /// What was asked was lost in the midst of a panic.
    pub(crate) fn lost() -> Self {
        let reason = "the commit thread panicked".into();
        Self::Unavailable { reason, retry_after: LOG_REOPEN_MIN }
    }
}
