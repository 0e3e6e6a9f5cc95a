//! What is measured. Each repetition of a case has a new server with an empty folder.

mod append;
mod chats;
mod curve;
mod fanout;
mod growth;
mod idle;
mod late;
mod light;
mod slow;
mod spread;
mod storm;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    contender::{Contender, Home},
    machine::{Cores, Limits},
    pace::Paced,
    report::Measure,
    server::{Cost, Server, Span},
};

/// What is not measured at the beginning: caches fill, windows open.
const WARM_UP: Duration = Duration::from_millis(700);

/// Room on the disk that a case may need: what it writes, and what is being rewritten.
const DISK: u64 = 2_000_000_000;
/// The same for a data folder of 5 GB.
const DISK_FULL: u64 = 12_000_000_000;

/// How one repetition is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// Where the servers are.
    pub(crate) home: &'a Home,
    /// Who is measured.
    pub(crate) contender: Contender,
    /// How long it measures, where that is a question of time.
    pub(crate) length: Duration,
    /// False when a sweep takes fewer points and a fill is smaller.
    pub(crate) is_full: bool,
}

impl Run<'_> {
    fn start(&self) -> Result<Server> {
        Server::start(self.home, self.contender)
    }

    /// True when the generator has a core of its own.
    fn is_alone(&self) -> bool {
        matches!(self.home.cores, Cores::Apart { .. })
    }
}

/// One case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Its name, as given to `--case`.
    pub(crate) name: &'static str,
    /// What it does, for the table.
    pub(crate) about: &'static str,
    /// Who takes part.
    pub(crate) contenders: &'static [Contender],
    /// When it is run.
    pub(crate) when: When,
    /// Connections that it opens, about.
    connections: u64,
    /// What one repetition takes on a quiet machine, about.
    pub(crate) seconds: u64,
    run: fn(&Run<'_>) -> Result<Vec<Measure>>,
}

/// When a case is run without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Always.
    Quick,
    /// With `--full`.
    Full,
    /// With `--full`, once: it takes long, and looks at many points.
    Once,
}

const EVERYBODY: &[Contender] = &Contender::ALL;
const OURS: &[Contender] = &[Contender::Rethread];
/// Those that keep events for whoever was away.
const KEEPERS: &[Contender] = &[Contender::Rethread, Contender::Nchan, Contender::SocketIo];
/// Those that keep a whole history.
const HISTORIANS: &[Contender] = &[Contender::Rethread, Contender::Nchan];

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Case] = &[
    Case {
        name: "fanout-50x20",
        about: "saturated; 50 threads x 20 subscribers; Rethread's publishers send 16 events at once",
        contenders: EVERYBODY,
        when: When::Quick,
        connections: 1_050,
        seconds: 6,
        run: |run| fanout::run(run, fanout::Shape::new(50, 20, 16)),
    },
    Case {
        name: "fanout-50x20-single",
        about: "saturated; 50 threads x 20 subscribers; every event is published alone",
        contenders: OURS,
        when: When::Full,
        connections: 1_050,
        seconds: 6,
        run: |run| fanout::run(run, fanout::Shape::new(50, 20, 1)),
    },
    Case {
        name: "fanout-50x20-packed",
        about: "saturated; 50 threads x 20 subscribers; every publisher packs 16 events into a message, \
                as an application of the peers could do itself",
        contenders: EVERYBODY,
        when: When::Full,
        connections: 1_050,
        seconds: 6,
        run: |run| fanout::run(run, fanout::Shape::new(50, 20, 16).packed()),
    },
    Case {
        name: "fanout-1x1000",
        about: "saturated; 1 thread x 1,000 subscribers; Rethread's publisher sends 16 events at once",
        contenders: EVERYBODY,
        when: When::Full,
        connections: 1_010,
        seconds: 6,
        run: |run| fanout::run(run, fanout::Shape::new(1, 1_000, 16)),
    },
    Case {
        name: "light-50x20",
        about: "500 events/s in all over 50 threads x 20 subscribers; every event is published alone",
        contenders: EVERYBODY,
        when: When::Quick,
        connections: 1_050,
        seconds: 6,
        run: |run| light::run(run, light::Shape { threads: 50, subscribers: 20, rate: 500.0 }),
    },
    Case {
        name: "light-1x1000",
        about: "20 events/s in 1 thread with 1,000 subscribers; every event is published alone",
        contenders: EVERYBODY,
        when: When::Full,
        connections: 1_010,
        seconds: 6,
        run: |run| light::run(run, light::Shape { threads: 1, subscribers: 1_000, rate: 20.0 }),
    },
    Case {
        name: "chats",
        about: "5,000 threads x 1 subscriber, an agent in each streams 20 deltas/s: 100,000/s; agents \
                share 64 connections where a server allows it, else have one each",
        contenders: EVERYBODY,
        when: When::Quick,
        connections: 10_100,
        seconds: 12,
        run: chats::run,
    },
    Case {
        name: "append-ws-1",
        about: "one WebSocket, 50 threads in turn, 64 events a publish, 32 publishes under way",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_socket(run, append::Shape::new(1, 64, 32)),
    },
    Case {
        name: "append-ws-1-large",
        about: "one WebSocket, 50 threads in turn, 1,024 events a publish, 6 publishes under way",
        contenders: OURS,
        when: When::Quick,
        connections: 200,
        seconds: 5,
        run: |run| append::over_socket(run, append::Shape::new(1, 1_024, 6)),
    },
    Case {
        name: "append-ws-8",
        about: "8 WebSockets, 50 threads in turn, 64 events a publish, 8 publishes under way each",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_socket(run, append::Shape::new(8, 64, 8)),
    },
    Case {
        name: "append-ws-64",
        about: "64 WebSockets, a thread each, 64 events a publish, 2 publishes under way each",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_socket(run, append::Shape::new(64, 64, 2)),
    },
    Case {
        name: "append-ws-64-single",
        about: "64 WebSockets, a thread each, 1 event a publish, 8 publishes under way each",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_socket(run, append::Shape::new(64, 1, 8)),
    },
    Case {
        name: "append-http-1-single",
        about: "HTTP, one publisher, one event a request",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_http(run, append::Shape::new(1, 1, 1)),
    },
    Case {
        name: "append-http-64-single",
        about: "HTTP, 64 publishers with a thread and a request under way each, one event a request",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_http(run, append::Shape::new(64, 1, 1)),
    },
    Case {
        name: "append-http-1-batch",
        about: "HTTP, one publisher, 64 events a request",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_http(run, append::Shape::new(1, 64, 1)),
    },
    Case {
        name: "append-http-64-batch",
        about: "HTTP, 64 publishers with a thread and a request under way each, 64 events a request",
        contenders: OURS,
        when: When::Full,
        connections: 200,
        seconds: 5,
        run: |run| append::over_http(run, append::Shape::new(64, 64, 1)),
    },
    Case {
        name: "storm",
        about: "1,000 threads, 5,000 clients cut at once, each missing 100 events, dial again at once; \
                1,000 others follow the threads at 2,000 events/s in all",
        contenders: KEEPERS,
        when: When::Full,
        connections: 13_000,
        seconds: 16,
        run: storm::run,
    },
    Case {
        name: "late",
        about: "a thread of 20,000 events: one who joins late, and 50 at once",
        contenders: HISTORIANS,
        when: When::Quick,
        connections: 300,
        seconds: 3,
        run: late::run,
    },
    Case {
        name: "slow",
        about: "10 threads of 20,000 events, 800 subscribers that keep up at 500 events/s in all, \
                before and while 200 others read the same threads from the start at 1 KB/s",
        contenders: OURS,
        when: When::Full,
        connections: 1_300,
        seconds: 14,
        run: slow::run,
    },
    Case {
        name: "idle",
        about: "WebSockets with one subscription each to 50 threads, where nothing happens",
        contenders: EVERYBODY,
        when: When::Quick,
        connections: 10_300,
        seconds: 10,
        run: idle::run,
    },
    Case {
        name: "curve",
        about: "latency against load: 50 threads x 20 subscribers, every event published when it is due",
        contenders: EVERYBODY,
        when: When::Once,
        connections: 1_050,
        seconds: 42,
        run: curve::run,
    },
    Case {
        name: "spread",
        about: "cost against fan-out: 1,000 subscribers, saturated, over fewer and fewer threads",
        contenders: EVERYBODY,
        when: When::Once,
        connections: 2_100,
        seconds: 30,
        run: spread::run,
    },
    Case {
        name: "growth-threads",
        about: "events go to random threads of more and more, 64 a publish, 16 publishes under way",
        contenders: OURS,
        when: When::Once,
        connections: 300,
        seconds: 20,
        run: growth::threads,
    },
    Case {
        name: "growth-length",
        about: "one thread at a time, at different lengths, 64 events a publish, 16 under way",
        contenders: OURS,
        when: When::Once,
        connections: 300,
        seconds: 20,
        run: growth::length,
    },
    Case {
        name: "growth-data",
        about: "the data folder grows by events of 8 KiB; then 250-byte events to random threads, 64 a \
                publish, 16 under way",
        contenders: OURS,
        when: When::Once,
        connections: 300,
        seconds: 120,
        run: growth::data,
    },
];

impl Case {
    /// Files that it opens, here and in the server, about.
    pub(crate) fn files(&self) -> u64 {
        self.connections + 1_000
    }

    /// Whether a machine has room for it; if not, what is missing.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub(crate) fn fits(&self, limits: &Limits, is_full: bool) -> Result<()> {
        let Limits { files, ports, disk } = *limits;
        ensure!(
            files >= self.files(),
            "it needs {} open files, {files} are allowed: raise the limit (`ulimit -n {}` as root)",
            self.files(),
            self.files()
        );
        ensure!(
            ports >= self.connections,
            "it needs {} ports to dial from, there are {ports}: \
             `sysctl -w net.ipv4.ip_local_port_range='15000 60999'` as root",
            self.connections
        );
        let needed = if self.name == "growth-data" && is_full { DISK_FULL } else { DISK };
        ensure!(
            disk >= needed,
            "it needs {} MB on the disk of the build's output, {} MB are free",
            needed / 1_000_000,
            disk / 1_000_000
        );
        Ok(())
    }

    /// Runs one repetition.
    ///
    /// # Errors
    /// When the server does anything wrong.
    pub(crate) fn run(&self, run: &Run<'_>) -> Result<Vec<Measure>> {
        (self.run)(run)
    }
}

/// A sweep that was broken off, with what it had measured.
#[derive(Debug, thiserror::Error)]
#[error("{why}; what came before counts")]
pub(crate) struct Partial {
    /// What had been measured.
    pub(crate) measures: Vec<Measure>,
    why: String,
}

/// A sweep that has come to the most that a server carries: that is its end, and no failure.
#[derive(Debug, thiserror::Error)]
#[error("{how}")]
pub(crate) struct Limit {
    /// What had been measured.
    pub(crate) measures: Vec<Measure>,
    how: String,
}

/// Puts what belongs together together: a sweep measures point by point.
fn by_name(mut measures: Vec<Measure>) -> Vec<Measure> {
    let mut names: Vec<&str> = Vec::new();
    for measure in &measures {
        if !names.contains(&measure.name) {
            names.push(measure.name);
        }
    }
    let place = |measure: &Measure| names.iter().position(|name| *name == measure.name);
    measures.sort_by_key(place);
    measures
}

/// What a sweep has measured, also where one of its points has failed.
fn swept(measures: Vec<Measure>, end: Result<()>) -> Result<Vec<Measure>> {
    let measures = by_name(measures);
    match end {
        Err(error) if !measures.is_empty() => {
            Err(Partial { measures, why: format!("{error:#}") }.into())
        }
        end => end.map(|()| measures),
    }
}

/// What is measured of a run: not its warm-up, and not its end.
struct Window {
    warm: Instant,
    length: Duration,
    open: Option<(Span, u64, Instant)>,
}

impl Window {
    fn new(length: Duration) -> Self {
        Self { warm: Instant::now() + WARM_UP.min(length), length, open: None }
    }

    /// False when it is time to stop.
    fn is_open(&mut self, server: &Server, done: u64) -> Result<bool> {
        let now = Instant::now();
        match &self.open {
            None if now >= self.warm => {
                self.open = Some((server.span()?, done, now + self.length));
            }
            Some((.., end)) => return Ok(now < *end),
            None => {}
        }
        Ok(true)
    }

    /// What was done in it, and what that cost.
    fn close(self, server: &Server, done: u64) -> Result<(f64, Cost)> {
        let (span, before, _) = self.open.expect("it ends only after it has begun");
        Ok(((done - before) as f64, span.end(server)?))
    }
}

/// What each delivery of a paced load has cost.
fn per_delivery(paced: &Paced) -> Measure {
    let deliveries = paced.deliveries.max(1) as f64;
    Measure::new("server CPU per delivery", "us", paced.cost.server / deliveries * 1e6)
}

/// What the server had the disk write for each event: nothing, if it keeps nothing.
fn written(cost: Cost, events: f64) -> Measure {
    let bytes = cost.written as f64 / events.max(1.0);
    Measure::new("written to disk per event", "bytes", bytes)
}

/// How busy both sides were.
fn busy(cost: Cost) -> [Measure; 2] {
    let busy = |seconds: f64| if cost.seconds > 0.0 { seconds / cost.seconds * 100.0 } else { 0.0 };
    [
        Measure::new("server busy", "% of a core", busy(cost.server)),
        Measure::new("load generator busy", "% of a core", busy(cost.generator)),
    ]
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
