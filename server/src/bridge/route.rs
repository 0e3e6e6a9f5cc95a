//! Which thread a run's events go to, for somebody who may use that thread.
//!
//! Nobody learns of a thread that it may not use, not by an answer, its code or its text: an id that
//! names such a thread is refused as if the thread were not there, before any step is asked; a run that
//! is known to belong to such a thread goes the whole way of a run that nobody knows.

use rethread_shared::{RunId, ThreadId, WireError};

use super::{
    Bridge,
    resolve::{Trail, refusal, step::StepName},
};
use crate::{
    auth::Grant,
    log::{RunRecord, ThreadInfo},
};

impl Bridge {
    /// The thread of a run that was resolved before; none when there is anything to be looked into.
    pub(super) fn known_thread_of(&self, run: &RunId, grant: &Grant) -> Option<ThreadId> {
        let thread = self.resolver.remembered(run, self.log.term())?;
        if run.embedded_thread().is_some_and(|named| *named != thread) {
            return None;
        }
        let owner = self.log.owner(&thread).ok()??;
        grant.covers(&owner, &thread).then(|| {
            self.resolver.count_remembered();
            thread
        })
    }

    /// The thread of a run, by all steps. May have to wait for the orchestrator; holds no lock
    /// meanwhile.
    pub(super) async fn thread_of(
        &self,
        run: &RunId,
        grant: &Grant,
    ) -> Result<ThreadId, WireError> {
        if let Some(named) = run.embedded_thread() {
            self.thread(named, grant)?;
        }
        let may_use = |thread: &ThreadId| {
            let info = self.log.thread(thread)?;
            Ok(info.is_some_and(|info| grant.grants(&info)))
        };
        let resolved = self.resolver.resolve(run, may_use).await?;
        if resolved.step == StepName::Orchestrator {
            // Nobody else gives a run its thread meanwhile.
            let _assigning = self.assigning.lock().await;
            if let Some(known) = self.log.recall(run)?
                && known.thread != resolved.thread
            {
                // The registry comes first, for whoever may use its thread; nobody else learns more
                // than of a run that is not known.
                let may_use = may_use(&known.thread)?;
                return may_use.then_some(known.thread).ok_or_else(|| refusal::unresolved(run));
            }
            let runs = self.runs.of(&resolved.thread);
            let mut held = runs.lock().await;
            held.refresh(&*self.log);
            held.remember(&*self.log, &resolved.thread, run).await?;
        }
        Ok(resolved.thread)
    }

    /// A run that has events, or is to have some, with its thread: only the registry is asked, for what
    /// it does not know has neither.
    pub(super) fn registered(
        &self,
        run: &RunId,
        grant: &Grant,
    ) -> Result<(ThreadInfo, RunRecord), WireError> {
        let not_found = || WireError::run_not_found(run);
        let mut record = self.log.recall(run)?.ok_or_else(not_found)?;
        let is_named = run.embedded_thread().is_none_or(|named| *named == record.thread);
        if let Some(first) = &record.first {
            record = self.log.recall(first)?.ok_or_else(not_found)?;
        }
        match self.log.thread(&record.thread)? {
            Some(info) if is_named && grant.grants(&info) => Ok((info, record)),
            _ => Err(not_found()),
        }
    }

    /// The whole way of a run through the chain, for an operator.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn trace(&self, run: &RunId) -> Result<Trail, WireError> {
        let mut trail = self.resolver.trace(run).await;
        if let Some(thread) = &trail.thread
            && self.log.thread(thread)?.is_none()
        {
            trail.error = Some(WireError::thread_not_found(thread));
        }
        Ok(trail)
    }
}
