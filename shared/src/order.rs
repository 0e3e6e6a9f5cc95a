//! The order of a run's events, as a state machine: nothing before its start, nothing after its
//! end, a tool completes only what is executing.
//!
//! ```text
//!          user_message          agent_started
//!   New ────────────────► Asked ──────────────► Running ◄─┐ thinking, delta, tools, custom,
//!    │                      │                      │  └───┘ user_message, unknown types
//!    │    agent_started     │ agent_failed         │ agent_completed, agent_failed,
//!    └────────► Running     │ agent_cancelled      ▼ agent_cancelled
//!                           └──────────────────► Ended
//! ```

use std::collections::BTreeSet;

use crate::{ErrorCode, EventKind, RunId, WireError, limits::TOOLS_EXECUTING_MAX};

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// No event yet.
    #[default]
    New,
    /// A person has asked; no agent has started.
    Asked,
    /// An agent works.
    Running {
        /// The calls of tools that have not completed.
        executing: BTreeSet<Box<str>>,
    },
    /// Over, by the event named.
    Ended {
        /// `agent_completed`, `agent_failed` or `agent_cancelled`.
        by: EventKind,
    },
}

impl RunState {
    /// One word for messages, metrics and JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Asked => "asked",
            Self::Running { .. } => "running",
            Self::Ended { .. } => "ended",
        }
    }

    /// True once nothing may follow.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// Takes the next event. On refusal the state is as before.
    ///
    /// `call_id` goes with `tool_executing` and `tool_completed`, which do nothing without one.
    ///
    /// # Errors
    /// `run_ended` after the end; `run_order` for the rest, with the state and what it expects.
    pub fn apply(
        &mut self,
        run: &RunId,
        kind: &EventKind,
        call_id: Option<&str>,
    ) -> Result<(), WireError> {
        match (&mut *self, kind) {
            (Self::Ended { by }, _) => {
                return Err(WireError::new(
                    ErrorCode::RunEnded,
                    format!("run {run} has ended with {by}; nothing may follow, {kind} came"),
                )
                .with_expected("a new run: POST /v1/threads/{thread}/runs")
                .with_received(kind.as_str()));
            }
            (Self::New | Self::Asked, EventKind::UserMessage) => *self = Self::Asked,
            (Self::New | Self::Asked, EventKind::AgentStarted) => {
                *self = Self::Running { executing: BTreeSet::new() };
            }
            (Self::Asked, EventKind::AgentFailed | EventKind::AgentCancelled) => {
                *self = Self::Ended { by: kind.clone() };
            }
            (Self::New, _) => {
                return Err(self.refuse(run, kind, "agent_started or user_message"));
            }
            (Self::Asked, _) => {
                let expected = "agent_started, user_message, agent_failed or agent_cancelled";
                return Err(self.refuse(run, kind, expected));
            }
            (Self::Running { .. }, EventKind::AgentStarted) => {
                return Err(self.refuse(run, kind, "anything else, for it has started already"));
            }
            (Self::Running { executing }, EventKind::ToolExecuting) => {
                let call_id = call_id.unwrap_or_default();
                if executing.contains(call_id) {
                    let expected = format!("another call_id, for {call_id:?} is executing");
                    return Err(self.refuse(run, kind, &expected));
                }
                if executing.len() == TOOLS_EXECUTING_MAX {
                    let expected = format!(
                        "tool_completed, for {TOOLS_EXECUTING_MAX} tools, the most, are executing"
                    );
                    return Err(self.refuse(run, kind, &expected));
                }
                executing.insert(call_id.into());
            }
            (Self::Running { executing }, EventKind::ToolCompleted) => {
                let call_id = call_id.unwrap_or_default();
                if !executing.remove(call_id) {
                    let known: Vec<_> = executing.iter().take(4).collect();
                    let expected = if known.is_empty() {
                        format!("tool_executing first: no tool is executing, {call_id:?} came")
                    } else {
                        format!("a call_id that is executing ({known:?}), {call_id:?} came")
                    };
                    return Err(self.refuse(run, kind, &expected));
                }
            }
            (Self::Running { .. }, kind) if kind.is_end() => {
                *self = Self::Ended { by: kind.clone() };
            }
            (Self::Running { .. }, _) => {}
        }
        Ok(())
    }

    fn refuse(&self, run: &RunId, kind: &EventKind, expected: &str) -> WireError {
        let state = match self {
            Self::New => "has no events yet",
            Self::Asked => "waits for an agent",
            Self::Running { .. } => "is running",
            Self::Ended { .. } => "has ended",
        };
        WireError::new(
            ErrorCode::RunOrder,
            format!("{kind} may not come now: run {run} {state}; expected {expected}"),
        )
        .with_expected(expected)
        .with_received(kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(steps: &[(&str, Option<&str>)]) -> Result<RunState, String> {
        let run: RunId = "run_5d1f0c9a77e2".parse().unwrap();
        let mut state = RunState::New;
        for (kind, call) in steps {
            let before = state.clone();
            if let Err(error) = state.apply(&run, &EventKind::from(*kind), *call) {
                assert_eq!(before, state, "a refusal changes nothing");
                return Err(format!("{}: {}", error.code, error.message));
            }
        }
        Ok(state)
    }

    #[test]
    fn a_whole_run_passes() {
        let state = walk(&[
            ("user_message", None),
            ("agent_started", None),
            ("agent_thinking", None),
            ("tool_executing", Some("a")),
            ("tool_executing", Some("b")),
            ("tool_completed", Some("a")),
            ("message_delta", None),
            ("weather_changed", None),
            ("tool_completed", Some("b")),
            ("agent_completed", None),
        ]);
        assert_eq!(state, Ok(RunState::Ended { by: EventKind::AgentCompleted }));
    }

    #[test]
    fn each_violation_is_refused_with_its_reason() {
        let started = ("agent_started", None);
        for (steps, says) in [
            (vec![("message_delta", None)], "run_order: message_delta may not come now"),
            (vec![("agent_completed", None)], "has no events yet"),
            (vec![("user_message", None), ("agent_completed", None)], "waits for an agent"),
            (vec![started, started], "started already"),
            (vec![started, ("tool_completed", Some("x"))], "no tool is executing"),
            (
                vec![started, ("tool_executing", Some("x")), ("tool_executing", Some("x"))],
                "is executing",
            ),
            (
                vec![started, ("tool_executing", Some("x")), ("tool_completed", Some("y"))],
                "\"y\" came",
            ),
            (vec![started, ("agent_failed", None), ("message_delta", None)], "run_ended"),
            (vec![started, ("agent_cancelled", None), started], "nothing may follow"),
        ] {
            let error = walk(&steps).expect_err("must be refused");
            assert!(error.contains(says), "{error:?} should say {says:?}");
        }
    }
}
