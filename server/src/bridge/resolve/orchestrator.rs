//! The orchestrator: a service of the operator's that knows which thread a run belongs to.
//!
//! - [`Orchestrator`]: one question to it; [`http::HttpOrchestrator`] is the one that ships;
//! - [`guard::Guard`]: all that keeps a slow or dead one from doing harm: a deadline, retries, a bound
//!   on what is in flight, one question for many askers, short memory of answers;
//! - [`breaker::Breaker`]: stops asking one that does not answer;
//! - [`settings::OrchestratorSettings`].

pub mod breaker;
pub mod guard;
pub mod http;
pub mod settings;

use std::fmt;

use futures_util::{FutureExt, future::BoxFuture};
use rethread_shared::{RunId, ThreadId, WireError};

use super::step::{Seen, Step, StepName};
use guard::Guard;

/// Something outside that knows the thread of a run.
pub trait Orchestrator: Send + Sync + 'static {
    /// Asks once. `None` says that it answered, and knows no such run.
    ///
    /// # Errors
    /// When there was no answer, or none that can be used.
    fn thread_of<'a>(
        &'a self,
        run: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<ThreadId>, OrchestratorError>>;
}

/// Why a question to the orchestrator has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrchestratorError {
    /// It could not be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("it did not answer within {0:?}")]
    Slow(std::time::Duration),
    /// It answered with a status that is none of 200 and 404.
    #[error("it answered with HTTP status {0}, expected 200 or 404")]
    Status(u16),
    /// Its answer cannot be read.
    #[error("its answer cannot be read: {0}; expected {{\"thread\":\"thread_…\"}}")]
    Garbled(String),
}

impl OrchestratorError {
    /// True when asking again soon may bring an answer.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Slow(_) => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Garbled(_) => false,
        }
    }
}

/// The orchestrator as the chain asks it.
#[derive(Clone)]
pub struct Asked {
    /// Who answers.
    pub guard: Guard,
    /// Which runs it is asked for.
    pub about: settings::About,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("about", &self.about).finish_non_exhaustive()
    }
}

/// Asks the orchestrator, if there is one.
pub(super) struct OrchestratorStep {
    asked: Option<Asked>,
}

impl OrchestratorStep {
    pub(super) fn new(asked: Option<Asked>) -> Self {
        Self { asked }
    }

    async fn seen(&self, run: &RunId) -> Seen {
        let Some(Asked { guard, about }) = &self.asked else {
            return Seen::passed("none is configured");
        };
        if *about == settings::About::Opaque && run.embedded_thread().is_some() {
            return Seen::passed("not asked: the id names its thread, and `about` is `opaque`");
        }
        match guard.thread_of(run).await {
            Ok(Some(thread)) => {
                let saw = format!("it has it as a run of {thread}");
                Seen::Found { thread, saw }
            }
            Ok(None) => Seen::passed("it knows no such run"),
            Err(unavailable) => {
                let error = WireError::from(unavailable).with_received(run.as_str());
                Seen::Unavailable { error }
            }
        }
    }
}

impl Step for OrchestratorStep {
    fn name(&self) -> StepName {
        StepName::Orchestrator
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>> {
        async move { Ok(self.seen(run).await) }.boxed()
    }
}
