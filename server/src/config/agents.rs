use rethread_shared::limits::{AGENT_GRACE, WORK_START_DEADLINE};

use super::{Span, settings};
use crate::bridge::Patience;

settings! {
    /// How patient the server is with agents.
    pub struct Agents {
        /// How long a run's agent may be gone before the run is ended as lost.
        grace: Span = Span(AGENT_GRACE), short "agent-grace";
        /// How long an agent may take to start on work before it is handed to another.
        start: Span = Span(WORK_START_DEADLINE), short "work-start";
    }
}

impl From<&Agents> for Patience {
    fn from(agents: &Agents) -> Self {
        Self { grace: agents.grace.get(), start: agents.start.get() }
    }
}
