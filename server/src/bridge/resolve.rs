//! From a run's id to its thread. The first answer wins; no step guesses.
//!
//! 1. the registry knows the run;
//! 2. the id *is* a thread's id;
//! 3. the id names its thread, in its standard or in its legacy form;
//! 4. refused, with what each step saw.
//!
//! An id that names another thread than the registry is a conflict, and refused.

use rethread_shared::{ErrorCode, RunId, ThreadId, WireError, id::RunForm};

use crate::log::Log;

/// A run's thread, and which step knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The thread.
    pub thread: ThreadId,
    /// The step.
    pub step: Step,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The registry remembers the run.
    Registry,
    /// The run's id is a thread's id.
    Direct,
    /// The thread stands in a standard run id.
    Standard,
    /// The thread stands in a legacy run id.
    EmbeddedLegacy,
}

/// Finds the thread of a run.
///
/// # Errors
/// `run_unresolved` with what was tried, `run_conflict`, `log_unavailable`.
pub fn resolve(log: &dyn Log, run: &RunId) -> Result<Resolved, WireError> {
    let embedded = match run.form() {
        RunForm::Thread { thread } => Some((thread, Step::Direct)),
        RunForm::Standard { thread, .. } => Some((thread, Step::Standard)),
        RunForm::EmbeddedLegacy { thread } => Some((thread, Step::EmbeddedLegacy)),
        RunForm::Opaque => None,
    };
    let remembered = log.recall(run)?.map(|record| record.thread);
    match (remembered, embedded) {
        (Some(registered), Some((named, _))) if registered != *named => Err(WireError::new(
            ErrorCode::RunConflict,
            format!(
                "run {run} names thread {named}, but is registered for {registered}; \
                 it is refused, for one of the two is wrong"
            ),
        )
        .with_expected(format!("a run of {registered}"))
        .with_received(run.as_str())),
        (Some(thread), _) => Ok(Resolved { thread, step: Step::Registry }),
        (None, Some((thread, step))) => Ok(Resolved { thread: thread.clone(), step }),
        (None, None) => Err(unresolved(run)),
    }
}

fn unresolved(run: &RunId) -> WireError {
    WireError::new(
        ErrorCode::RunUnresolved,
        format!(
            "no thread is known for run {run}: its id names none and the registry does not know \
             it; mint a run with POST /v1/threads/{{thread}}/runs and publish with its id"
        ),
    )
    .with_expected("thread_{key}_run_{unix_ms}_{8 hex}, or a run that was registered")
    .with_received(run.as_str())
    .with_tried(vec![
        "registry: the run is not in it".into(),
        "direct: the id is not a thread's id".into(),
        "extraction: the id is opaque (`run_{12 hex}` or a UUID) and names no thread".into(),
    ])
}
