//! What a local log stands on: ordered bytes that are durable when `write` returns.

pub mod disk;
pub mod fjall;
pub mod keys;
pub mod memory;
pub mod store;
pub mod tables;

use std::fmt;

use bytes::Bytes;
use rethread_shared::{EventId, RunId, ThreadId};
use serde::{Deserialize, Serialize};

use super::{Cut, Forget, IdleRun, PageLimit, Past, Record, RunRecord};

/// What went wrong, in the engine's own words.
#[derive(Clone, Debug)]
pub struct EngineError(pub String);

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Storage for one process. Blocking; [`super::LocalLog`] calls `write` from its commit thread only.
pub trait Engine: Send + Sync + 'static {
    /// Makes everything in the group durable, all or nothing, before it returns.
    ///
    /// # Errors
    /// When that cannot be promised. The engine is then closed, and opened again from its [`store::Store`].
    fn write(&self, group: &Group) -> Result<(), EngineError>;

    /// The place of an event by its id.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn find(&self, no: u64, id: EventId) -> Result<Option<u64>, EngineError>;

    /// The greatest id of a thread's events, those that were removed too.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn greatest_id(&self, no: u64) -> Result<Option<EventId>, EngineError>;

    /// The seq of the last event that a thread had; 0 where there was none.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn head(&self, no: u64) -> Result<u64, EngineError>;

    /// What is known of a thread's events that were removed.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn cut(&self, no: u64) -> Result<Cut, EngineError>;

    /// Events after `after`, in order.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn read(&self, no: u64, after: u64, limit: PageLimit) -> Result<Vec<Record>, EngineError>;

    /// A thread's row.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadRow>, EngineError>;

    /// Threads, the newest first: of one owner, or all.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn threads(&self, owner: Option<&str>, limit: usize) -> Result<Vec<ThreadRow>, EngineError>;

    /// Threads with a smaller number than `before`, the newest first: of one owner, or all.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn older_threads(
        &self,
        owner: Option<&str>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<ThreadRow>, EngineError>;

    /// The highest number that a thread has; 0 where there is none.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn last_no(&self) -> Result<u64, EngineError>;

    /// A run's row.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn run(&self, run: &RunId) -> Result<Option<RunRecord>, EngineError>;

    /// The rows of runs that are live, after `after` in the order of their ids.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn live_runs(&self, after: Option<&RunId>, limit: usize)
    -> Result<Vec<RunRecord>, EngineError>;

    /// Notes of runs that are not live, the longest idle first, as far as `until`.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn idle_runs(&self, until: u64, limit: usize) -> Result<Vec<IdleRun>, EngineError>;

    /// The rows of a thread's runs, the newest first.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn runs_of(&self, thread: &ThreadId, limit: usize) -> Result<Vec<RunRecord>, EngineError>;

    /// What is known of a thread's forgotten runs.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn past(&self, thread: &ThreadId) -> Result<Option<Past>, EngineError>;

    /// How many runs have a row; counts them.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn count_runs(&self) -> Result<u64, EngineError>;
}

/// What one group commit makes durable.
#[derive(Debug, Default)]
pub struct Group {
    /// New events.
    pub events: Vec<GroupEvent>,
    /// New or changed threads.
    pub threads: Vec<ThreadRow>,
    /// New, changed and forgotten runs, in the order in which that was asked.
    pub runs: Vec<RunChange>,
    /// Events that are removed.
    pub cuts: Vec<GroupCut>,
    /// A probe, with its number: written and synced like the rest, read by nobody.
    pub probe: Option<u64>,
}

/// What becomes of runs.
#[derive(Clone, Debug)]
pub enum RunChange {
    /// A run is new, or has changed.
    Remember(RunRecord),
    /// Runs are forgotten.
    Forget(Forget),
}

impl Group {
    /// True when there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.threads.is_empty()
            && self.runs.is_empty()
            && self.cuts.is_empty()
            && self.probe.is_none()
    }
}

/// An event with the place it gets.
#[derive(Clone, Debug)]
pub struct GroupEvent {
    /// The thread's number.
    pub no: u64,
    /// The place.
    pub seq: u64,
    /// The event's id.
    pub id: EventId,
    /// Its text without `seq`.
    pub body: Bytes,
}

/// Events of a thread that are removed; their ids stay.
#[derive(Clone, Copy, Debug)]
pub struct GroupCut {
    /// The thread's number.
    pub no: u64,
    /// The first that is removed.
    pub from: u64,
    /// The first that is kept, and what is known of the others from now on.
    pub cut: Cut,
}

/// A thread as it is stored. Its number keeps the keys of its events short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Counts threads from 1.
    pub no: u64,
    /// Its id.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: rethread_shared::Epoch,
    /// The user who owns it.
    pub owner: String,
    /// What a list shows for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: u64,
}
