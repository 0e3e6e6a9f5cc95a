//! How the orchestrator is asked.

use std::{fmt, time::Duration};

use rethread_shared::limits::{
    BREAKER_FAILURES_MAX, ORCHESTRATOR_DEADLINE, ORCHESTRATOR_IN_FLIGHT_MAX, ORCHESTRATOR_TIMEOUT,
    ORCHESTRATOR_TRIES_MAX, ORCHESTRATOR_UNKNOWN_TTL,
};
use serde::{Deserialize, Serialize};

/// The orchestrator, where there is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrchestratorSettings {
    /// Where it is, such as `https://orchestrator.internal/api`; `/runs/{run}` is put behind. None: the
    /// step passes.
    pub url: Option<String>,
    /// Sent to it as a bearer token.
    #[serde(skip_serializing)]
    pub token: Option<String>,
    /// Which runs it is asked for: those whose id names no thread (`opaque`), or `all` that the
    /// registry does not know.
    pub about: About,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long a question may take with all its tries: a publish waits for it.
    pub deadline: Duration,
    /// Tries of one question.
    pub tries: u32,
    /// Questions at once. Beyond: `slow_down`, for a queue would only make all of them late.
    pub in_flight: usize,
    /// Questions without an answer, one after the other, after which it is left alone for a while.
    pub failures: u32,
    /// How long its answer that it knows no such run is believed.
    pub unknown_ttl: Duration,
}

/// Which runs the orchestrator is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Those whose id names no thread.
    #[default]
    Opaque,
    /// All that the registry does not know: each new run costs a question.
    All,
}

impl Default for OrchestratorSettings {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            about: About::Opaque,
            timeout: ORCHESTRATOR_TIMEOUT,
            deadline: ORCHESTRATOR_DEADLINE,
            tries: ORCHESTRATOR_TRIES_MAX,
            in_flight: ORCHESTRATOR_IN_FLIGHT_MAX,
            failures: BREAKER_FAILURES_MAX,
            unknown_ttl: ORCHESTRATOR_UNKNOWN_TTL,
        }
    }
}

impl fmt::Debug for OrchestratorSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("OrchestratorSettings")
            .field("url", &self.url)
            .field("token", &token)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}
