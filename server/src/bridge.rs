//! The bridge: the single way in for events. Resolve the run to its thread, check the grant and
//! the run's order, append, acknowledge.
//!
//! - [`resolve`]: from a run's id to its thread, step by step;
//! - [`runs`]: where each run is, kept in step with the log;
//! - [`publish`]: events from publishers;
//! - [`asking`]: messages from people, the work they start, and its end;
//! - [`desk`]: which connection works on what;
//! - `own`: events of the server's own; `recover`: what was going on when the server stopped.

pub mod asking;
pub mod desk;
mod own;
pub mod publish;
mod recover;
pub mod resolve;
pub mod runs;

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use rethread_shared::{
    ErrorCode, RunId, ThreadId, WireError,
    limits::{AGENT_GRACE, APPENDS_QUEUED_MAX, WORK_START_DEADLINE},
};
use tokio::sync::Semaphore;

use crate::{
    auth::Grant,
    log::{Log, LogError, ThreadInfo},
    metrics::meters::Publishing,
};
use desk::Desk;
use runs::Runs;

/// How patient the bridge is with agents.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// See [`AGENT_GRACE`].
    pub grace: Duration,
    /// See [`WORK_START_DEADLINE`].
    pub start: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { grace: AGENT_GRACE, start: WORK_START_DEADLINE }
    }
}

/// The bridge of one server. Shared by all connections and requests.
pub struct Bridge {
    log: Arc<dyn Log>,
    runs: Runs,
    desk: Desk,
    patience: Patience,
    /// Bounds the events that wait for the commit thread.
    room: Arc<Semaphore>,
    stopping: AtomicBool,
    meters: Publishing,
    me: Weak<Self>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

impl Bridge {
    /// A bridge to `log`. Call [`Bridge::recover`] before it is used.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, patience: Patience) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            log,
            runs: Runs::default(),
            desk: Desk::default(),
            patience,
            room: Arc::new(Semaphore::new(APPENDS_QUEUED_MAX)),
            stopping: AtomicBool::new(false),
            meters: Publishing::default(),
            me: me.clone(),
        })
    }

    /// The log behind it, for reading.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The thread, if it exists and is granted.
    ///
    /// # Errors
    /// `thread_not_found`, the same for both; `log_unavailable`.
    pub fn thread(&self, thread: &ThreadId, grant: &Grant) -> Result<ThreadInfo, WireError> {
        match self.log.thread(thread)? {
            Some(info) if grant.grants(&info) => Ok(info),
            _ => Err(WireError::thread_not_found(thread)),
        }
    }

    /// The thread of a run, if both exist and the thread is granted.
    fn thread_of(&self, run: &RunId, grant: &Grant) -> Result<ThreadInfo, WireError> {
        let resolved = resolve::resolve(&*self.log, run)?;
        match self.log.thread(&resolved.thread)? {
            Some(info) if grant.grants(&info) => Ok(info),
            _ => Err(WireError::thread_not_found(&resolved.thread)),
        }
    }
}

impl From<LogError> for WireError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NoThread(thread) => Self::thread_not_found(&thread),
            LogError::Closed => {
                Self::new(ErrorCode::ShuttingDown, "the server is stopping; try again in a moment")
                    .with_retry_after_ms(1_000)
            }
            LogError::Poisoned(_) | LogError::Read(_) => {
                Self::new(ErrorCode::LogUnavailable, error.to_string()).with_retry_after_ms(5_000)
            }
        }
    }
}

#[cfg(test)]
mod tests;
