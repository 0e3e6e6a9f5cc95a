//! One step of the chain.

use std::{borrow::Cow, fmt};

use futures_util::future::BoxFuture;
use rethread_shared::{RunId, ThreadId, WireError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The steps, in their order. Their names stand in answers, metrics and logs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// The registry remembers the run.
    Registry,
    /// The orchestrator knows it.
    Orchestrator,
    /// The run's id is a thread's id.
    Direct,
    /// The thread stands in a standard run id.
    Standard,
    /// The thread stands in a legacy run id.
    Legacy,
}

impl StepName {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Registry, Self::Orchestrator, Self::Direct, Self::Standard, Self::Legacy];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Orchestrator => "orchestrator",
            Self::Direct => "direct",
            Self::Standard => "standard",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a step saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The thread.
    Found {
        /// The thread.
        thread: ThreadId,
        /// What it was found by, for a person.
        saw: String,
    },
    /// It does not know, and the next may.
    Passed {
        /// Why, for a person.
        why: Cow<'static, str>,
    },
    /// It may know but cannot say now. The next steps may; if none does, this is the answer.
    Unavailable {
        /// What the asker is told then: a transient error.
        error: WireError,
    },
}

impl Seen {
    pub(super) fn passed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Passed { why: why.into() }
    }
}

/// One way to find a run's thread. Knows nothing of the other ways, nor of who asks.
pub trait Step: Send + Sync {
    /// Which it is.
    fn name(&self) -> StepName;

    /// Looks for the thread of a run.
    ///
    /// # Errors
    /// When the chain cannot go on: what this step would know decides over all that follow.
    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>>;
}
