//! How the orchestrator is asked.

use rethread_shared::limits::{
    BREAKER_FAILURES_MAX, ORCHESTRATOR_DEADLINE, ORCHESTRATOR_IN_FLIGHT_MAX, ORCHESTRATOR_TIMEOUT,
    ORCHESTRATOR_TRIES_MAX, ORCHESTRATOR_UNKNOWN_TTL,
};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, Setting, Span, settings};

settings! {
    /// The orchestrator: a service of yours that knows which thread a run belongs to.
    pub struct OrchestratorSettings {
        /// Where it is, such as https://orchestrator.internal/api: asked is GET /runs/{run} below it.
        /// Not set: nobody is asked.
        url: Option<String> = None;
        /// Sent to it as a bearer token.
        token: Option<Secret> = None;
        /// Which runs it is asked for: `opaque`, those whose id names no thread; or `all` that the
        /// registry does not know, so that each new run costs a question.
        about: About = About::Opaque;
        /// How long one try may take.
        timeout: Span = Span(ORCHESTRATOR_TIMEOUT), in Span::ms(10)..=Span::secs(10);
        /// How long a question may take with all its tries: a publish waits for it, and what its
        /// connection publishes after it.
        deadline: Span = Span(ORCHESTRATOR_DEADLINE), in Span::ms(10)..=Span::secs(10);
        /// Tries of one question.
        tries: u32 = ORCHESTRATOR_TRIES_MAX, in 1..=10;
        /// Questions at once. Beyond: slow_down, for a queue would make all of them late.
        in_flight: usize = ORCHESTRATOR_IN_FLIGHT_MAX, in 1..=10_000;
        /// Questions without an answer, one after the other, after which it is left alone for a while.
        failures: u32 = BREAKER_FAILURES_MAX, in 1..=1_000;
        /// How long its answer that it knows no such run is believed.
        unknown_ttl: Span = Span(ORCHESTRATOR_UNKNOWN_TTL), in Span::ms(0)..=Span::secs(60);
    }
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

impl Setting for About {
    const EXPECTED: &'static str = "`opaque` or `all`";
}
