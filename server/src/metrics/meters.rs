//! Handles for what is counted often: looked up once, then an atomic addition each. Who counts keeps
//! its own; all of one name count into the same metric.

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use rethread_shared::{
    ErrorCode, EventKind,
    frame::{Outcome, ResetReason, Start},
    order::RunState,
};

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
    /// Runs whose agent did not come back.
    pub agents_lost: Counter,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            received: ByTransport::new(EVENTS_RECEIVED),
            stored: counter!(EVENTS_STORED),
            duplicate: counter!(EVENTS_DUPLICATE),
            refused: ByCode::new(EVENTS_REFUSED),
            duration: histogram!(PUBLISH_DURATION_SECONDS),
            agents_lost: counter!(AGENTS_LOST),
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

/// Subscriptions. Shared by all feeds of a server.
#[derive(Debug)]
pub struct Feeds {
    states: [Gauge; FeedState::ALL.len()],
    /// Events that were read from the log for a subscriber.
    pub replayed: Counter,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// It reads from memory what was just committed, or waits for that.
    Live,
    /// It has not been at the thread's head yet, and reads from the log.
    CatchingUp,
    /// It was live and has fallen behind what is in memory.
    Lagging,
}

impl FeedState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::CatchingUp, Self::Lagging];

    /// The value of the label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchingUp => "catching_up",
            Self::Lagging => "lagging",
        }
    }
}

impl Default for Feeds {
    fn default() -> Self {
        Self {
            states: FeedState::ALL.map(|state| gauge!(FEEDS, "state" => state.label())),
            replayed: counter!(EVENTS_REPLAYED),
        }
    }
}

impl Feeds {
    /// Counts a subscription that begins; the reason is that of a reset, where there is one.
    pub fn opened(&self, start: &Start, reset: Option<&ResetReason>) {
        let start = match start {
            Start::Beginning => "beginning",
            Start::Now => "now",
            Start::After(_) => "position",
        };
        counter!(SUBSCRIPTIONS, "start" => start).increment(1);
        if let Some(reason) = reset {
            self.reset(reason);
        }
    }

    /// Counts a subscriber that is told to begin anew.
    pub fn reset(&self, reason: &ResetReason) {
        let reason = match reason {
            ResetReason::EpochChanged => "epoch_changed",
            ResetReason::PositionAhead => "position_ahead",
            ResetReason::Retention => "retention",
            _ => "other",
        };
        counter!(RESETS, "reason" => reason).increment(1);
    }
}

/// Counts one feed in its state, and no longer when it is dropped.
#[derive(Debug)]
pub struct FeedCount {
    feeds: std::sync::Arc<Feeds>,
    state: FeedState,
}

impl FeedCount {
    /// One more in this state.
    #[must_use]
    pub fn new(feeds: &std::sync::Arc<Feeds>, state: FeedState) -> Self {
        feeds.states[state as usize].increment(1.0);
        Self { feeds: feeds.clone(), state }
    }

    /// It goes over into another state; costs nothing where it is in that already.
    pub fn turn(&mut self, state: FeedState) {
        if self.state != state {
            self.feeds.states[self.state as usize].decrement(1.0);
            self.feeds.states[state as usize].increment(1.0);
            self.state = state;
        }
    }

    /// The subscriber is told to begin anew.
    pub fn reset(&mut self, reason: &ResetReason) {
        self.feeds.reset(reason);
    }

    /// Events were read from the log.
    pub fn replayed(&mut self, events: usize) {
        self.feeds.replayed.increment(events as u64);
        if self.state == FeedState::Live {
            self.turn(FeedState::Lagging);
        }
    }
}

impl Drop for FeedCount {
    fn drop(&mut self) {
        self.feeds.states[self.state as usize].decrement(1.0);
    }
}

/// Shows with 0 what has labels and has not been counted yet, so that the first time is a rise that an
/// alert sees.
pub(super) fn show_zeros() {
    let zeros = |name: &'static str, label: &'static str, values: &[&'static str]| {
        for value in values {
            counter!(name, label => *value).increment(0);
        }
    };
    zeros(SUBSCRIPTIONS, "start", &["beginning", "now", "position"]);
    zeros(RESETS, "reason", &["epoch_changed", "position_ahead", "retention", "other"]);
    zeros(RUNS_ENDED, "outcome", &["completed", "cancelled", "failed"]);
    for state in ["asked", "running"] {
        gauge!(RUNS, "state" => state).increment(0.0);
    }
    for transport in [Transport::WebSocket, Transport::Http, Transport::Tunnel] {
        for code in ErrorCode::ALL {
            let (transport, code) = (transport.label(), label(code));
            counter!(REQUESTS_REFUSED, "transport" => transport, "code" => code).increment(0);
        }
    }
    for transport in [Transport::WebSocket, Transport::Stream, Transport::Tunnel] {
        for reason in ["left", "going_away"] {
            let transport = transport.label();
            counter!(CONNECTIONS_CLOSED, "transport" => transport, "reason" => reason).increment(0);
        }
    }
}

/// Counts a run among those that go on, if it does.
#[must_use]
pub fn run(state: &RunState) -> Option<Counted> {
    let label = match state {
        RunState::Asked => "asked",
        RunState::Running { .. } => "running",
        RunState::New | RunState::Ended { .. } => return None,
    };
    Some(Holding(gauge!(RUNS, "state" => label)).one_more())
}

/// Counts a run that has ended.
pub fn run_ended(by: &EventKind) {
    let outcome = match by {
        EventKind::AgentCompleted => "completed",
        EventKind::AgentCancelled => "cancelled",
        _ => "failed",
    };
    counter!(RUNS_ENDED, "outcome" => outcome).increment(1);
}

/// A gauge that is measured now and then, not counted up and down. Several servers in one process
/// add up.
#[derive(Debug)]
pub struct Sampled {
    gauge: Gauge,
    last: f64,
}

impl Sampled {
    /// Begins with nothing.
    #[must_use]
    pub fn new(gauge: Gauge) -> Self {
        gauge.increment(0.0);
        Self { gauge, last: 0.0 }
    }

    /// It is so much now.
    pub fn set(&mut self, now: usize) {
        let now = now as f64;
        self.gauge.increment(now - self.last);
        self.last = now;
    }
}

impl Drop for Sampled {
    fn drop(&mut self) {
        self.gauge.decrement(self.last);
    }
}

/// What leaves the server, by the way it takes.
#[derive(Debug)]
pub struct Delivery([Outgoing; Transport::ALL.len()]);

/// What leaves the server one way.
#[derive(Debug)]
pub struct Outgoing {
    /// Connections that are open.
    pub connections: Holding,
    /// Events, once for each subscriber that they were written to.
    pub events: Counter,
    /// Bytes of frames and streams.
    pub bytes: Counter,
    /// From the log's queue to the write, of the oldest new event in a write.
    pub latency: Histogram,
    /// Connections that went on from a position.
    pub reconnects: Counter,
}

impl Default for Delivery {
    fn default() -> Self {
        Self(Transport::ALL.map(|transport| {
            let label = transport.label();
            Outgoing {
                connections: Holding(gauge!(CONNECTIONS, "transport" => label)),
                events: counter!(EVENTS_DELIVERED, "transport" => label),
                bytes: counter!(SENT_BYTES, "transport" => label),
                latency: histogram!(DELIVERY_DURATION_SECONDS, "transport" => label),
                reconnects: counter!(RECONNECTS, "transport" => label),
            }
        }))
    }
}

impl Delivery {
    /// What leaves this way.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &Outgoing {
        &self.0[transport as usize]
    }
}

impl Outgoing {
    /// Something was written: events of subscriptions, and bytes of all.
    pub fn written(&self, events: u64, bytes: u64) {
        if events > 0 {
            self.events.increment(events);
        }
        if bytes > 0 {
            self.bytes.increment(bytes);
        }
    }
}

/// A gauge of how many there are of something.
#[derive(Debug)]
pub struct Holding(Gauge);

impl Holding {
    /// One more, until what is returned is dropped.
    #[must_use]
    pub fn one_more(&self) -> Counted {
        self.0.increment(1.0);
        Counted(self.0.clone())
    }
}

/// One of those that a gauge counts.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
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
    /// The WebSocket's frames, where that is blocked, as server-sent events and requests.
    Tunnel,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::WebSocket, Self::Http, Self::Stream, Self::InProcess, Self::Tunnel];

    /// The value of the label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
            Self::Stream => "sse",
            Self::InProcess => "in_process",
            Self::Tunnel => "tunnel",
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
