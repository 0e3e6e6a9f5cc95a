//! Every metric. A new one gets a line here; its text is what Prometheus shows for it, and
//! docs/operating.md lists it (a test compares).

use ::metrics::{describe_counter, describe_gauge, describe_histogram};

/// A metric that the server exports.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As it is exported.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts or measures in.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// What is now.
    Gauge,
    /// How often a value was at most so large: the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// What a metric counts or measures in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

impl Metric {
    /// What it means, in one line.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    pub(super) fn describe(&self) {
        let unit = match self.unit {
            Unit::Count => ::metrics::Unit::Count,
            Unit::Bytes => ::metrics::Unit::Bytes,
            Unit::Seconds => ::metrics::Unit::Seconds,
        };
        match self.kind {
            Kind::Counter => describe_counter!(self.name, unit, self.help()),
            Kind::Gauge => describe_gauge!(self.name, unit, self.help()),
            Kind::Histogram(_) => describe_histogram!(self.name, unit, self.help()),
        }
    }
}

/// Times of the disk and of a delivery. A good disk's fsync takes under a millisecond, a cloud's a few,
/// a spinning one twenty; from a quarter of a second on a reader sees it, and ten is an outage.
const TIMES: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];
/// Sizes of a group, up to `GROUP_EVENTS_MAX`: by fours, for what matters is whether groups form at all.
const SIZES: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,
       $kind:ident $(($buckets:ident))?, $unit:ident, [$($label:literal),*];)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $text;)+

        /// Every metric.
        pub const TABLE: &[Metric] = &[$(Metric {
            name: $text,
            kind: Kind::$kind $(($buckets))?,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: concat!($($doc),+),
        }),+];
    };
}

table! {
    // The process.

    /// Always 1; its label says which version runs.
    BUILD_INFO = "rethread_build_info", Gauge, Count, ["version"];
    /// When the server was started, seconds since 1970.
    PROCESS_START_TIME_SECONDS = "process_start_time_seconds", Gauge, Seconds, [];
    /// Memory that the process holds in RAM.
    PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes", Gauge, Bytes, [];
    /// Files and sockets that the process has open.
    PROCESS_OPEN_FDS = "process_open_fds", Gauge, Count, [];
    /// Files and sockets that the process may have open.
    PROCESS_MAX_FDS = "process_max_fds", Gauge, Count, [];
    /// Processor time that the process has used.
    PROCESS_CPU_SECONDS_TOTAL = "process_cpu_seconds_total", Counter, Seconds, [];

    // Health.

    /// 1 for the state that a part of the server is in, 0 for the others.
    HEALTH_STATE = "rethread_health_state", Gauge, Count, ["part", "state"];

    // The listener.

    /// Failures to take a connection, such as too many open files.
    ACCEPT_FAILURES = "rethread_accept_failures_total", Counter, Count, [];
    /// How often the certificate was read anew while the server ran, and how that went.
    TLS_RELOADS = "rethread_tls_reloads_total", Counter, Count, ["outcome"];
    /// Requests that a limit of a user or an address refused, by what they asked for.
    RATE_LIMITED = "rethread_rate_limited_total", Counter, Count, ["what"];

    // Events in.

    /// Events that publishers sent, good or bad.
    EVENTS_RECEIVED = "rethread_events_received_total", Counter, Count, ["transport"];
    /// Events that publishers sent and that were stored.
    EVENTS_STORED = "rethread_events_stored_total", Counter, Count, [];
    /// Events that publishers sent again, answered with their first place.
    EVENTS_DUPLICATE = "rethread_events_duplicate_total", Counter, Count, [];
    /// Events that publishers sent and that were refused, by error code.
    EVENTS_REFUSED = "rethread_events_refused_total", Counter, Count, ["code"];
    /// From taking up a publish to having it durable: what its publisher waits for.
    PUBLISH_DURATION_SECONDS = "rethread_publish_duration_seconds", Histogram(TIMES), Seconds, [];

    // Events out.

    /// Connections that are open.
    CONNECTIONS = "rethread_connections", Gauge, Count, ["transport"];
    /// Connections that have ended, by what they ended for.
    CONNECTIONS_CLOSED = "rethread_connections_closed_total", Counter, Count, ["transport", "reason"];
    /// Connections that went on from a position: clients that came back.
    RECONNECTS = "rethread_reconnects_total", Counter, Count, ["transport"];
    /// Subscriptions that were opened, by where they began.
    SUBSCRIPTIONS = "rethread_subscriptions_total", Counter, Count, ["start"];
    /// Subscribers that were told to begin anew, by reason.
    RESETS = "rethread_resets_total", Counter, Count, ["reason"];
    /// Subscriptions that are open: live, catching up from the log, or fallen behind.
    FEEDS = "rethread_feeds", Gauge, Count, ["state"];
    /// Events read from the log for subscribers that were behind.
    EVENTS_REPLAYED = "rethread_events_replayed_total", Counter, Count, [];
    /// Events written to subscribers, once for each of them.
    EVENTS_DELIVERED = "rethread_events_delivered_total", Counter, Count, ["transport"];
    /// Bytes written to clients: frames, streams and answers, before TLS.
    SENT_BYTES = "rethread_sent_bytes_total", Counter, Bytes, ["transport"];
    /// From giving an event to the log to having it written to a subscriber's socket; for each write,
    /// the oldest new event in it.
    DELIVERY_DURATION_SECONDS =
        "rethread_delivery_duration_seconds", Histogram(TIMES), Seconds, ["transport"];

    // Runs.

    /// Runs that are going on and held in memory: asked for, or with an agent.
    RUNS = "rethread_runs", Gauge, Count, ["state"];
    /// Runs that have ended, by how.
    RUNS_ENDED = "rethread_runs_ended_total", Counter, Count, ["outcome"];
    /// Runs that were ended because their agent did not come back.
    AGENTS_LOST = "rethread_agents_lost_total", Counter, Count, [];
    /// Runs that people asked for or that agents work on over a connection: waiting for an agent,
    /// offered to one, with one, or with one that is away.
    WORK = "rethread_work", Gauge, Count, ["state"];
    /// Connections that offer to take work.
    AGENTS_SERVING = "rethread_agents_serving", Gauge, Count, [];

    // Requests.

    /// Requests that were refused, over HTTP and over the WebSocket, by error code; refused events are
    /// counted for themselves.
    REQUESTS_REFUSED = "rethread_requests_refused_total", Counter, Count, ["transport", "code"];

    /// Publishes of deltas that were asked to come later while the log was slow.
    PUBLISHES_SHED = "rethread_publishes_shed_total", Counter, Count, [];

    // Resolving.

    /// How often each step of the search for a run's thread went how; `refusal` where none knew it.
    RESOLUTIONS = "rethread_resolutions_total", Counter, Count, ["step", "outcome"];

    // The registry.

    /// Runs that the registry remembers, as of its last sweep.
    REGISTRY_RUNS = "rethread_registry_runs", Gauge, Count, ["state"];
    /// Runs that the registry has forgotten, by reason: their time was over, they had to make room, or they were never used.
    REGISTRY_FORGOTTEN = "rethread_registry_forgotten_total", Counter, Count, ["reason"];
    /// What one sweep of the registry takes.
    REGISTRY_SWEEP_DURATION_SECONDS = "rethread_registry_sweep_duration_seconds", Histogram(TIMES), Seconds, [];
    /// Runs that were ended because nothing was heard of them for too long.
    RUNS_SILENT = "rethread_runs_silent_total", Counter, Count, [];

    // The log.

    /// Events that were removed because they are kept no longer.
    EVENTS_REMOVED = "rethread_events_removed_total", Counter, Count, [];
    /// Events in one group commit.
    COMMIT_EVENTS = "rethread_commit_events", Histogram(SIZES), Count, [];
    /// What writing and syncing one group commit takes.
    COMMIT_DURATION_SECONDS = "rethread_commit_duration_seconds", Histogram(TIMES), Seconds, [];
    /// Group commits that could not be written.
    COMMITS_FAILED = "rethread_commits_failed_total", Counter, Count, [];
    /// Bytes that are free in the data folder.
    LOG_FREE_BYTES = "rethread_log_free_bytes", Gauge, Bytes, [];
    /// What it takes to write and sync a probe, waiting for the log included.
    PROBE_DURATION_SECONDS = "rethread_probe_duration_seconds", Histogram(TIMES), Seconds, [];
    /// Times that the log was opened again after it had failed.
    LOG_REOPENED = "rethread_log_reopened_total", Counter, Count, [];
}
