//! From a run's id to its thread. The first answer wins; no step guesses.
//!
//! 1. `registry`: the run was seen before;
//! 2. [`orchestrator`]: a service that the operator runs knows it;
//! 3. `direct`: the id *is* a thread's id;
//! 4. `standard`, then `legacy`: the thread stands in the id;
//! 5. `refusal`: nobody knows, with what each step saw.
//!
//! Each step is a [`step::Step`] of its own and knows nothing of the others; [`Resolver::new`] puts them in
//! their order. An id that names another thread than a step found is a conflict, and refused.
//!
//! A thread that the asker may not use is no answer for it: a run of such a thread goes through the
//! same steps as one that nobody knows, and gets the same refusal.

mod direct;
mod legacy;
pub mod orchestrator;
pub(super) mod refusal;
mod registry;
mod remembered;
mod standard;
pub mod step;
pub mod trail;

use std::{sync::Arc, time::Instant};

use rethread_shared::{RunId, ThreadId, WireError};

use crate::log::Log;
use orchestrator::Asked;
use remembered::Remembered;
use step::{Seen, Step, StepName};
pub use trail::Trail;
use trail::{Look, Outcome};

/// A run's thread, and which step knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The thread.
    pub thread: ThreadId,
    /// The step.
    pub step: StepName,
}

/// The chain.
pub struct Resolver {
    steps: Vec<Box<dyn Step>>,
    /// What the registry said lately: publishing to a run that is known asks no disk.
    remembered: Arc<Remembered>,
    counts: trail::Counts,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<_> = self.steps.iter().map(|step| step.name()).collect();
        f.debug_struct("Resolver").field("steps", &steps).finish_non_exhaustive()
    }
}

impl Resolver {
    /// The steps in their order.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, orchestrator: Option<Asked>) -> Self {
        let remembered = Arc::new(Remembered::default());
        Self {
            steps: vec![
                Box::new(registry::Registry::new(log.clone(), remembered.clone())),
                Box::new(orchestrator::OrchestratorStep::new(orchestrator)),
                Box::new(direct::Direct::new(log)),
                Box::new(standard::Standard),
                Box::new(legacy::Legacy),
            ],
            remembered,
            counts: trail::Counts::default(),
        }
    }

    /// The thread of a run that was resolved by the registry lately, in this term of the log.
    pub(super) fn remembered(&self, run: &RunId, term: u64) -> Option<ThreadId> {
        self.remembered.thread_of(run, term)
    }

    /// A run that was remembered is what the caller needed.
    pub(super) fn count_remembered(&self) {
        self.counts.add(StepName::Registry, Outcome::Found);
    }

    /// The registry has forgotten these runs, or may have: what it said of them counts no longer.
    pub(super) fn forget<'a>(&self, runs: impl IntoIterator<Item = &'a RunId>) {
        self.remembered.forget(runs);
    }

    /// Finds the thread of a run, among the threads that `may_use` allows.
    ///
    /// # Errors
    /// `run_unresolved` with what was tried, `run_conflict`, `orchestrator_unavailable` or `slow_down`
    /// when only the orchestrator could know and cannot be asked, `log_unavailable`.
    pub async fn resolve(
        &self,
        run: &RunId,
        may_use: impl Fn(&ThreadId) -> Result<bool, WireError> + Send + Sync,
    ) -> Result<Resolved, WireError> {
        let (looks, verdict) = self.walk(run, may_use).await;
        for look in &looks {
            self.counts.add(look.step, look.outcome);
        }
        match &verdict {
            Ok(_) => {}
            Err(error) => self.counts.refused(&error.code),
        }
        verdict
    }

    /// The whole way of a run through the chain, for an operator; every thread is visible, and nothing
    /// is remembered or counted.
    pub async fn trace(&self, run: &RunId) -> Trail {
        let started = Instant::now();
        let (mut looks, verdict) = self.walk(run, |_| Ok(true)).await;
        for step in &self.steps[looks.len()..] {
            looks.push(Look::not_reached(step.name()));
        }
        Trail::new(run, looks, verdict, started.elapsed())
    }

    async fn walk(
        &self,
        run: &RunId,
        may_use: impl Fn(&ThreadId) -> Result<bool, WireError> + Send + Sync,
    ) -> (Vec<Look>, Result<Resolved, WireError>) {
        let mut looks = Vec::with_capacity(self.steps.len());
        let mut unavailable = None;
        for step in &self.steps {
            let started = Instant::now();
            let (name, seen) = (step.name(), step.look(run).await);
            let took = started.elapsed();
            let mut look =
                |outcome, saw: String| looks.push(Look { step: name, outcome, saw, took });
            match seen {
                Ok(Seen::Found { thread, saw }) => {
                    if let Some(named) = run.embedded_thread()
                        && *named != thread
                    {
                        look(Outcome::Conflict, format!("{saw}; but the id names {named}"));
                        let knows_both = matches!(may_use(&thread), Ok(true));
                        let error =
                            refusal::conflict(run, named, name, knows_both.then_some(&thread));
                        return (looks, Err(error));
                    }
                    match may_use(&thread) {
                        Ok(true) => {
                            look(Outcome::Found, saw);
                            return (looks, Ok(Resolved { thread, step: name }));
                        }
                        Ok(false) => look(Outcome::Passed, "no thread for this asker".into()),
                        Err(error) => {
                            look(Outcome::Unavailable, error.to_string());
                            return (looks, Err(error));
                        }
                    }
                }
                Ok(Seen::Passed { why }) => look(Outcome::Passed, why.into_owned()),
                Ok(Seen::Unavailable { error }) => {
                    look(Outcome::Unavailable, error.message.clone());
                    unavailable = Some(error);
                }
                Err(error) => {
                    look(Outcome::Unavailable, error.to_string());
                    return (looks, Err(error));
                }
            }
        }
        (looks, Err(unavailable.unwrap_or_else(|| refusal::unresolved(run))))
    }
}
