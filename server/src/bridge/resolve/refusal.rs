//! What a publisher is told when its run leads to no thread.
//!
//! These texts say the same for a run that nobody knows and for one of a thread that the asker may not
//! use: they tell what each step needs, never what it holds.

use rethread_shared::{ErrorCode, RunId, ThreadId, WireError, id::RunForm};

use super::step::StepName;

/// No step knew a thread that the asker may use.
pub(in crate::bridge) fn unresolved(run: &RunId) -> WireError {
    if let RunForm::Thread { thread } = run.form() {
        return WireError::thread_not_found(thread);
    }
    WireError::new(
        ErrorCode::RunUnresolved,
        format!(
            "no thread is known for run {run}: its id names none, and it is not known here as a run of a \
             thread that this token may use. Make a run with POST /v1/threads/{{thread}}/runs and \
             publish with its id; or have an operator say which thread it belongs to, with \
             `rethread migrate` or POST /v1/admin/migrate"
        ),
    )
    .with_expected("thread_{key}_run_{unix_ms}_{8 hex}, or a run that is known here")
    .with_received(run.as_str())
    .with_tried(vec![
        "registry: no run of this id in a thread that this token may use".into(),
        "orchestrator: none is configured, or it names no such thread".into(),
        "direct: the id is not a thread's id".into(),
        "standard: the id has not the form thread_{key}_run_{unix_ms}_{8 hex}".into(),
        "legacy: the id has not the form run_{thread}_{8 to 32 hex}".into(),
    ])
}

/// A step found another thread than the id names. The found one is told only to who may use it.
pub(super) fn conflict(
    run: &RunId,
    named: &ThreadId,
    step: StepName,
    found: Option<&ThreadId>,
) -> WireError {
    let other = found.map_or_else(|| "another thread".to_owned(), ToString::to_string);
    WireError::new(
        ErrorCode::RunConflict,
        format!(
            "run {run} names {named} in its id, but the {step} has it as a run of {other}. One of the \
             two is wrong, so nothing is stored: publish with a run that was made for the right \
             thread; `rethread resolve {run}` shows what each step saw"
        ),
    )
    .with_expected(format!("a run of {other}"))
    .with_received(run.as_str())
}
