//! Handles for what is counted often: looked up once, then an atomic addition each. Who counts keeps
//! its own; all of one name count into the same metric.

use ::metrics::{Counter, Histogram, counter, histogram};
use rethread_shared::{ErrorCode, frame::Outcome};

use super::table::*;

/// Events from publishers.
#[derive(Debug)]
pub struct Publishing {
    /// By the way they came.
    pub received: ByTransport,
    /// Those that are new.
    pub stored: Counter,
    /// Those that were there.
    pub duplicate: Counter,
    /// Those that were refused.
    pub refused: ByCode,
    /// From taking up to durable.
    pub duration: Histogram,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            received: ByTransport::new(EVENTS_RECEIVED),
            stored: counter!(EVENTS_STORED),
            duplicate: counter!(EVENTS_DUPLICATE),
            refused: ByCode::new(EVENTS_REFUSED),
            duration: histogram!(PUBLISH_DURATION_SECONDS),
        }
    }
}

impl Publishing {
    /// Counts what became of a publish's events.
    pub fn tally(&self, outcomes: &[Outcome]) {
        let (mut stored, mut duplicates) = (0, 0);
        for outcome in outcomes {
            match outcome {
                Outcome::Stored { duplicate: false, .. } => stored += 1,
                Outcome::Stored { duplicate: true, .. } => duplicates += 1,
                Outcome::Refused { error, .. } => self.refused.count(&error.code),
            }
        }
        self.stored.increment(stored);
        self.duplicate.increment(duplicates);
    }
}

/// Group commits.
#[derive(Debug)]
pub struct Commits {
    /// Events in one.
    pub events: Histogram,
    /// The time of one.
    pub duration: Histogram,
    /// Those that broke.
    pub failed: Counter,
    /// Times that the log was opened again.
    pub reopened: Counter,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            events: histogram!(COMMIT_EVENTS),
            duration: histogram!(COMMIT_DURATION_SECONDS),
            failed: counter!(COMMITS_FAILED),
            reopened: counter!(LOG_REOPENED),
        }
    }
}

/// The ways in and out of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The protocol of PROTOCOL.md.
    WebSocket,
    /// A request.
    Http,
    /// Server-sent events.
    Stream,
    /// A call from the application that the server is embedded in.
    InProcess,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WebSocket, Self::Http, Self::Stream, Self::InProcess];

    /// The value of the label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
            Self::Stream => "sse",
            Self::InProcess => "in_process",
        }
    }
}

/// A counter for each transport.
#[derive(Debug)]
pub struct ByTransport([Counter; Transport::ALL.len()]);

impl ByTransport {
    fn new(name: &'static str) -> Self {
        Self(Transport::ALL.map(|transport| counter!(name, "transport" => transport.label())))
    }

    /// Its counter.
    pub fn of(&self, transport: Transport) -> &Counter {
        &self.0[transport as usize]
    }
}

/// A counter for each error code. Those of codes that never came are shown with 0, so that the first
/// refusal is a rise that an alert sees.
#[derive(Debug)]
pub struct ByCode(Vec<Counter>);

impl ByCode {
    fn new(name: &'static str) -> Self {
        Self(ErrorCode::ALL.iter().map(|code| counter!(name, "code" => label(code))).collect())
    }

    /// Counts one.
    pub fn count(&self, code: &ErrorCode) {
        let place = ErrorCode::ALL.iter().position(|known| known == code);
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.increment(1);
        }
    }
}

/// The label of a code: one of those that this server knows, whatever a peer may have made up.
#[must_use]
pub fn label(code: &ErrorCode) -> &'static str {
    let known = ErrorCode::ALL.iter().find(|known| *known == code);
    known.map_or("other", ErrorCode::as_str)
}
