//! The bridge: the single way in for events. Resolve the run to its thread, check the grant and
//! the run's order, append, acknowledge.
//!
//! - [`resolve`]: from a run's id to its thread, step by step; `route`: for somebody with a grant;
//! - [`runs`]: where each run is, kept in step with the log;
//! - [`publish`]: events from publishers;
//! - [`asking`]: messages from people, the work they start, and its end;
//! - [`desk`]: which connection works on what;
//! - [`live`]: the runs as they are now, for operators;
//! - `own`: events of the server's own; `recover`: what was going on when the server stopped;
//! - `retention`: events that are kept no longer;
//! - `sweep`: what the registry forgets, and runs that are silent; [`migrate`]: opaque ids get a form.

pub mod asking;
pub mod desk;
pub mod live;
pub mod migrate;
mod own;
pub mod publish;
pub mod queue;
mod recover;
mod replay;
pub mod resolve;
mod retention;
mod route;
pub mod runs;
pub mod settings;
mod sweep;

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use rethread_shared::{
    Epoch, ErrorCode, ThreadId, WireError,
    limits::{AGENT_GRACE, NAME_BYTES_MAX, WORK_START_DEADLINE},
};

use crate::{
    auth::{Grant, Scope},
    log::{Created, Log, LogError, NewThread, ThreadInfo},
    metrics::meters::Publishing,
    now::{self, Clock},
    refusals::Refusals,
};
use desk::Desk;
use queue::{Queue, QueueSettings};
use recover::Recoveries;
use resolve::{Resolver, orchestrator::Asked};
use runs::Runs;
use settings::{RegistrySettings, RetentionSettings, RunSettings};
use sweep::Sweeping;
pub(crate) use sweep::made_at;

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

/// What a bridge is made of beside its log.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How patient it is with agents.
    pub patience: Patience,
    /// What may wait for the log.
    pub queue: QueueSettings,
    /// Who may know the runs that it does not.
    pub orchestrator: Option<Asked>,
    /// What the registry remembers, and for how long.
    pub registry: RegistrySettings,
    /// How runs are watched.
    pub runs: RunSettings,
    /// How long events are kept.
    pub retention: RetentionSettings,
    /// What it takes for the time.
    pub clock: Clock,
}

/// The bridge of one server. Shared by all connections and requests.
pub struct Bridge {
    log: Arc<dyn Log>,
    runs: Runs,
    resolver: Resolver,
    registry: RegistrySettings,
    run_settings: RunSettings,
    retention: RetentionSettings,
    clock: Clock,
    /// Held by who gives a run its thread from outside: one at a time.
    assigning: tokio::sync::Mutex<()>,
    sweeping: Sweeping,
    recoveries: Recoveries,
    desk: Desk,
    patience: Patience,
    /// Bounds what waits for the commit thread.
    queue: Arc<Queue>,
    stopping: AtomicBool,
    meters: Publishing,
    refusals: Arc<Refusals>,
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
        Self::with(log, Setup { patience, ..Setup::default() })
    }

    /// A bridge to `log` that is made otherwise than by default.
    #[must_use]
    pub fn with(log: Arc<dyn Log>, setup: Setup) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            resolver: Resolver::new(log.clone(), setup.orchestrator),
            log,
            runs: Runs::new(
                setup.clock.clone(),
                setup.registry.refresh(&setup.runs),
                setup.registry.runs,
                setup.registry.runs_refused_from(),
            ),
            registry: setup.registry,
            run_settings: setup.runs,
            retention: setup.retention,
            clock: setup.clock,
            assigning: tokio::sync::Mutex::default(),
            sweeping: Sweeping::default(),
            recoveries: Recoveries::default(),
            desk: Desk::default(),
            patience: setup.patience,
            queue: Queue::new(&setup.queue),
            stopping: AtomicBool::new(false),
            meters: Publishing::default(),
            refusals: Arc::default(),
            me: me.clone(),
        })
    }

    /// The log behind it, for reading.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Makes a thread that belongs to the grant's user, or gives the one that does.
    ///
    /// # Errors
    /// `forbidden`, `bad_frame`, `thread_taken` when it is somebody else's, `log_unavailable`.
    pub async fn create(
        &self,
        thread: &ThreadId,
        title: Option<String>,
        grant: &Grant,
    ) -> Result<Created, WireError> {
        grant.require_any(&[Scope::Send, Scope::Publish])?;
        if title.as_ref().is_some_and(|title| title.len() > NAME_BYTES_MAX) {
            return Err(WireError::new(
                ErrorCode::BadFrame,
                format!("a title has at most {NAME_BYTES_MAX} bytes"),
            ));
        }
        let new = NewThread {
            thread: thread.clone(),
            owner: grant.user().to_string(),
            title,
            created_at: now::unix_ms(),
            epoch: Epoch::generate(now::random()),
        };
        let _room = self.queue.enter(1, 0).await;
        let created = self.log.create(new).await?;
        if !created.is_new && !grant.grants(&created.thread) {
            return Err(taken(thread, grant));
        }
        Ok(created)
    }

    /// What was refused.
    #[must_use]
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
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

    /// Asked again once the thread's lock is held: the way there may have been long.
    fn still_granted(&self, thread: &ThreadId, grant: &Grant) -> Result<(), WireError> {
        grant.require_alive()?;
        match self.log.owner(thread)? {
            Some(owner) if grant.covers(&owner, thread) => Ok(()),
            _ => Err(WireError::thread_not_found(thread)),
        }
    }
}

/// Whoever names a thread's id when creating it learns that the name is taken; there is no way
/// around that. It learns no more: not whose it is, nor what is in it.
fn taken(thread: &ThreadId, grant: &Grant) -> WireError {
    WireError::new(
        ErrorCode::ThreadTaken,
        format!(
            "{thread} cannot be created for {}: choose another id, or leave `thread` out",
            grant.user()
        ),
    )
}

impl From<LogError> for WireError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NoThread(thread) => Self::thread_not_found(&thread),
            LogError::Closed => {
                Self::new(ErrorCode::ShuttingDown, "the server is stopping; try again in a moment")
                    .with_retry_after_ms(1_000)
            }
            LogError::Unavailable { retry_after, .. } => {
                Self::new(ErrorCode::LogUnavailable, error.to_string())
                    .with_retry_after_ms(retry_after.as_millis() as u64)
            }
            LogError::Read(_) => {
                Self::new(ErrorCode::LogUnavailable, error.to_string()).with_retry_after_ms(5_000)
            }
        }
    }
}

#[cfg(test)]
mod tests;
