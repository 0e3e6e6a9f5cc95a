//! How the server is, part by part: in which state, since when, why, and what went wrong last. Whether
//! traffic should be sent here follows from that.
//!
//! ```text
//! initializing ──► active ◄──► degraded
//!    ▲   │           │            │
//!    │   └──────────►└──► failed ◄┘
//!    └─────────────────────┘ tried anew
//! ```
//!
//! Each part is reported by whoever runs it ([`Health::report`]). *Degraded* does its work, but something
//! is wrong or about to be; *failed* does not. A part that has failed becomes active again only through
//! *initializing*: it is made anew, never taken for mended by itself. [`watch`] finds out how the log, the
//! feeds and the agents are.

pub mod watch;

use std::{collections::BTreeMap, fmt};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    metrics::{self, HEALTH_STATE},
    now,
};

/// A part of the server that can be well or not by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Stores events.
    Log,
    /// Knows which thread a run belongs to.
    Registry,
    /// The lookup outside that an operator may configure.
    Orchestrator,
    /// Bring events to subscribers.
    Feeds,
    /// Agents that take work, and runs that wait for them.
    Agents,
    /// What tokens are checked with.
    Keys,
}

/// How a part is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Does its work.
    Active,
    /// Does its work, but something is wrong.
    Degraded,
    /// Is being made ready, at the start or after it failed.
    Initializing,
    /// Does not do its work.
    Failed,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 6] =
        [Self::Log, Self::Registry, Self::Orchestrator, Self::Feeds, Self::Agents, Self::Keys];

    /// Its name in answers, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Registry => "registry",
            Self::Orchestrator => "orchestrator",
            Self::Feeds => "feeds",
            Self::Agents => "agents",
            Self::Keys => "keys",
        }
    }

    /// True when nothing can be served without it. The orchestrator is one step of several, and
    /// messages wait in the log while there is no agent.
    #[must_use]
    pub fn is_vital(self) -> bool {
        match self {
            Self::Log | Self::Registry | Self::Feeds => true,
            Self::Orchestrator | Self::Agents | Self::Keys => false,
        }
    }
}

impl State {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Initializing, Self::Active, Self::Degraded, Self::Failed];

    /// Its name in answers, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }

    /// Whether a part in this state may be in that one next.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (from, to) if from == to => true,
            (Self::Failed, to) => to == Self::Initializing,
            (_, to) => to != Self::Initializing,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one part is, or the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The state it is in.
    pub state: State,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// Why, and what to do; there is one unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong last, kept when it is well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// What was measured last, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, u64>,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// What.
    pub message: String,
}

/// All of it, as `GET /v1/admin/health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Whether traffic should be sent here.
    pub ready: bool,
    /// How the whole is: as bad as its worst vital part; degraded at most by the others.
    pub state: State,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// The part that makes it so, and that part's reason; `the server is stopping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The parts by name.
    pub parts: BTreeMap<Part, Standing>,
}

/// The health of one server. Shared by all that report to it.
#[derive(Debug)]
pub struct Health {
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    parts: BTreeMap<Part, Standing>,
    state: State,
    since: u64,
    is_stopping: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Every part is initializing until it is reported otherwise.
    #[must_use]
    pub fn new() -> Self {
        let since = now::unix_ms();
        let state = State::Initializing;
        let standing = |part| {
            tell(part, state);
            let standing =
                Standing { state, since, reason: None, last_error: None, figures: BTreeMap::new() };
            (part, standing)
        };
        let parts = Part::ALL.into_iter().map(standing).collect();
        Self { books: Mutex::new(Books { parts, state, since, is_stopping: false }) }
    }

    /// Says how a part is. The reason names the cause and what to do; for [`State::Active`] it may be
    /// empty. Saying the same again is free. True when the part may go that way (see the
    /// [module](self)); otherwise it stays as it was, and the fault is logged.
    pub fn report(&self, part: Part, state: State, reason: impl AsRef<str>) -> bool {
        let reason = reason.as_ref();
        let mut books = self.books.lock();
        let standing = books.parts.get_mut(&part).expect("every part is there from the start");
        let before = standing.state;
        if before == state && standing.reason.as_deref().unwrap_or_default() == reason {
            return true;
        }
        if !before.may_become(state) {
            tracing::error!(%part, %before, %state, reason, "a part cannot go from one state to this");
            return false;
        }
        let at = now::unix_ms();
        standing.reason = (!reason.is_empty()).then(|| reason.to_owned());
        if matches!(state, State::Degraded | State::Failed) {
            standing.last_error = Some(LastError { at, message: reason.to_owned() });
        }
        if before != state {
            (standing.state, standing.since) = (state, at);
            tell(part, state);
            match state {
                State::Failed => tracing::error!(%part, %before, reason, "failed"),
                State::Degraded => tracing::warn!(%part, %before, reason, "degraded"),
                State::Active | State::Initializing => {
                    tracing::info!(%part, %before, %state, reason, "health");
                }
            }
        }
        let whole = books.whole();
        if whole != books.state {
            (books.state, books.since) = (whole, at);
        }
        true
    }

    /// The same for a part that is found working after it had failed: it goes through initializing.
    pub fn report_anew(&self, part: Part, state: State, reason: impl AsRef<str>) {
        let works = matches!(state, State::Active | State::Degraded);
        if works && self.state(part) == State::Failed {
            self.report(part, State::Initializing, "it works again");
        }
        self.report(part, state, reason);
    }

    /// Says what was measured of a part.
    pub fn figure(&self, part: Part, name: &str, value: u64) {
        let mut books = self.books.lock();
        let standing = books.parts.get_mut(&part).expect("every part is there from the start");
        match standing.figures.get_mut(name) {
            Some(figure) => *figure = value,
            None => drop(standing.figures.insert(name.to_owned(), value)),
        }
    }

    /// The server stops: from now on no traffic should be sent here.
    pub fn stop(&self) {
        self.books.lock().is_stopping = true;
    }

    /// The state of one part.
    #[must_use]
    pub fn state(&self, part: Part) -> State {
        self.books.lock().parts[&part].state
    }

    /// All of it.
    #[must_use]
    pub fn snapshot(&self) -> Report {
        let books = self.books.lock();
        let worst = books.parts.iter().filter(|(part, standing)| {
            weighed(**part, standing.state) == books.state && books.state != State::Active
        });
        let because = worst.map(|(part, standing)| match &standing.reason {
            Some(reason) => format!("{part}: {reason}"),
            None => format!("{part} is {}", standing.state),
        });
        let reason = if books.is_stopping {
            Some("the server is stopping".to_owned())
        } else {
            because.reduce(|all, one| format!("{all}; {one}"))
        };
        Report {
            ready: !books.is_stopping && matches!(books.state, State::Active | State::Degraded),
            state: books.state,
            since: books.since,
            reason,
            parts: books.parts.clone(),
        }
    }
}

impl Books {
    fn whole(&self) -> State {
        let states = self.parts.iter().map(|(part, standing)| weighed(*part, standing.state));
        states.max().expect("there are parts")
    }
}

/// What a part's state means for the whole.
fn weighed(part: Part, state: State) -> State {
    match state {
        State::Failed if !part.is_vital() => State::Degraded,
        state => state,
    }
}

/// A set of gauges, of which one is 1: the way to show a state in Prometheus.
fn tell(part: Part, state: State) {
    for other in State::ALL {
        let is = f64::from(u8::from(other == state));
        metrics::gauge!(HEALTH_STATE, "part" => part.as_str(), "state" => other.as_str()).set(is);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_active() -> Health {
        let health = Health::new();
        for part in Part::ALL {
            assert!(health.report(part, State::Active, ""));
        }
        health
    }

    #[test]
    fn it_is_ready_when_every_part_has_become_active() {
        let health = Health::new();
        for part in Part::ALL {
            let report = health.snapshot();
            assert!(!report.ready && report.state == State::Initializing, "{report:?}");
            assert!(report.reason.unwrap().contains(part.as_str()));
            health.report(part, State::Active, "");
        }
        let report = health.snapshot();
        assert!(report.ready && report.state == State::Active && report.reason.is_none());
        health.stop();
        let report = health.snapshot();
        assert!(!report.ready);
        assert_eq!(report.reason.as_deref(), Some("the server is stopping"));
    }

    #[test]
    fn only_legal_steps_are_taken() {
        use State::{Active, Degraded, Failed, Initializing};
        let legal = [
            (Initializing, vec![Initializing, Active, Degraded, Failed]),
            (Active, vec![Active, Degraded, Failed]),
            (Degraded, vec![Active, Degraded, Failed]),
            (Failed, vec![Initializing, Failed]),
        ];
        for (from, to) in legal {
            for state in State::ALL {
                assert_eq!(from.may_become(state), to.contains(&state), "{from} to {state}");
            }
        }
        let health = all_active();
        assert!(health.report(Part::Log, Failed, "the disk is full"));
        assert!(!health.report(Part::Log, Active, ""), "it must be made anew");
        assert_eq!(health.state(Part::Log), Failed);
        assert!(health.report(Part::Log, Initializing, "opening it again"));
        assert!(!health.snapshot().ready, "not while it is being made ready");
        assert!(health.report(Part::Log, Active, ""));
        let log = &health.snapshot().parts[&Part::Log];
        assert_eq!(log.reason, None);
        assert_eq!(log.last_error.as_ref().unwrap().message, "the disk is full");
    }

    #[test]
    fn the_whole_is_as_bad_as_its_worst_vital_part() {
        let health = all_active();
        health.report(Part::Orchestrator, State::Failed, "no answer from http://orchestrator");
        let report = health.snapshot();
        assert_eq!((report.ready, report.state), (true, State::Degraded));
        assert_eq!(
            report.reason.as_deref(),
            Some("orchestrator: no answer from http://orchestrator")
        );
        health.report(Part::Log, State::Degraded, "87 MiB are free");
        let reason = health.snapshot().reason.unwrap();
        assert!(reason.contains("log: 87 MiB are free") && reason.contains("orchestrator"));
        health.report(Part::Log, State::Failed, "the disk is full");
        let report = health.snapshot();
        assert_eq!((report.ready, report.state), (false, State::Failed));
        assert_eq!(report.reason.as_deref(), Some("log: the disk is full"));
    }

    #[test]
    fn since_is_when_the_state_changed_and_not_its_reason() {
        let health = all_active();
        health.report(Part::Log, State::Degraded, "80 MiB are free");
        let since = health.snapshot().parts[&Part::Log].since;
        health.books.lock().parts.get_mut(&Part::Log).unwrap().since = since - 9;
        health.report(Part::Log, State::Degraded, "79 MiB are free");
        health.figure(Part::Log, "free_bytes", 79 << 20);
        health.figure(Part::Log, "free_bytes", 78 << 20);
        let log = health.snapshot().parts[&Part::Log].clone();
        assert_eq!((log.since, log.reason.as_deref()), (since - 9, Some("79 MiB are free")));
        assert_eq!(log.figures["free_bytes"], 78 << 20);
    }

    #[test]
    fn its_json_is_the_golden_one() {
        let golden: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(include_str!("../../shared/golden/http.json")).unwrap();
        let golden = &golden["admin_health"];
        let report: Report = serde_json::from_value(golden.clone()).unwrap();
        assert_eq!(serde_json::to_value(&report).unwrap(), *golden);
        assert_eq!(report.parts.len(), Part::ALL.len());
    }
}
