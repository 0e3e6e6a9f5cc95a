//! What each step saw: for operators as JSON, for dashboards as counts.

use std::{fmt, time::Duration};

use metrics::Counter;
use rethread_shared::{ErrorCode, RunId, ThreadId, WireError, id::RunForm};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Resolved, step::StepName};
use crate::{metrics::RESOLUTIONS, schema};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepOutcome)]
pub enum Outcome {
    /// It knew the thread; the steps after it were not asked.
    Found,
    /// It did not know.
    Passed,
    /// It could not be asked.
    Unavailable,
    /// What it found contradicts the id.
    Conflict,
    /// An earlier step had answered.
    NotReached,
}

impl Outcome {
    /// Those that are counted.
    const COUNTED: [Self; 4] = [Self::Found, Self::Passed, Self::Unavailable, Self::Conflict];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Passed => "passed",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::NotReached => "not_reached",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step of a trail.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) step: StepName,
    pub(super) outcome: Outcome,
    pub(super) saw: String,
    pub(super) took: Duration,
}

impl Look {
    pub(super) fn not_reached(step: StepName) -> Self {
        let saw = "not asked: the chain ended before".to_owned();
        Self { step, outcome: Outcome::NotReached, saw, took: Duration::ZERO }
    }
}

/// The way of one run through the chain, as `GET /v1/admin/resolve/{run}` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trail {
    /// The run.
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// What its id is: `standard`, `legacy`, `opaque` or `thread`.
    pub form: String,
    /// The thread, when it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ThreadId>)]
    pub thread: Option<ThreadId>,
    /// The step that knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// What a publisher would be told, when it would be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Error>)]
    pub error: Option<WireError>,
    /// All of it, microseconds.
    pub took_us: u64,
    /// Each step, in order.
    pub steps: Vec<TrailStep>,
}

/// A step of a [`Trail`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrailStep {
    /// Which.
    pub step: StepName,
    /// How it went.
    pub outcome: Outcome,
    /// What it saw, or why it passed.
    pub saw: String,
    /// How long it took, microseconds.
    pub took_us: u64,
}

impl Trail {
    pub(super) fn new(
        run: &RunId,
        looks: Vec<Look>,
        verdict: Result<Resolved, WireError>,
        took: Duration,
    ) -> Self {
        let form = match run.form() {
            RunForm::Standard { .. } => "standard",
            RunForm::EmbeddedLegacy { .. } => "legacy",
            RunForm::Opaque => "opaque",
            RunForm::Thread { .. } => "thread",
        };
        let (resolved, error) = match verdict {
            Ok(resolved) => (Some(resolved), None),
            Err(error) => (None, Some(error)),
        };
        let steps = looks.into_iter().map(|look| TrailStep {
            step: look.step,
            outcome: look.outcome,
            saw: look.saw,
            took_us: micros(look.took),
        });
        Self {
            run: run.clone(),
            form: form.to_owned(),
            thread: resolved.as_ref().map(|resolved| resolved.thread.clone()),
            step: resolved.map(|resolved| resolved.step),
            error,
            took_us: micros(took),
            steps: steps.collect(),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How often each step went how, and how often no step knew. The counters are looked up once.
pub(super) struct Counts {
    steps: Vec<(StepName, Outcome, Counter)>,
    unresolved: Counter,
}

impl Default for Counts {
    fn default() -> Self {
        let each = StepName::ALL.into_iter().flat_map(|step| {
            Outcome::COUNTED.into_iter().map(move |outcome| {
                let (step_label, outcome_label) = (step.as_str(), outcome.as_str());
                let counter = metrics::counter!(
                    RESOLUTIONS, "step" => step_label, "outcome" => outcome_label
                );
                (step, outcome, counter)
            })
        });
        Self {
            steps: each.collect(),
            unresolved: metrics::counter!(RESOLUTIONS, "step" => "refusal", "outcome" => "refused"),
        }
    }
}

impl Counts {
    pub(super) fn add(&self, step: StepName, outcome: Outcome) {
        let found = self.steps.iter().find(|(s, o, _)| (*s, *o) == (step, outcome));
        if let Some((_, _, counter)) = found {
            counter.increment(1);
        }
    }

    pub(super) fn refused(&self, code: &ErrorCode) {
        if *code == ErrorCode::RunUnresolved {
            self.unresolved.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_protocol_is_a_trail() {
        let golden = include_str!("../../../../shared/golden/http.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let trail: Trail = serde_json::from_value(golden["resolve"].clone()).unwrap();
        assert_eq!(serde_json::to_value(&trail).unwrap(), golden["resolve"]);
        assert_eq!(trail.steps.len(), StepName::ALL.len());
    }
}
