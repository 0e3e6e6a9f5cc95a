//! What is measured. Each repetition of a case has a new server with an empty data folder.

mod append;
mod fanout;
mod idle;
mod light;

use std::time::Duration;

use anyhow::Result;

use crate::{report::Measure, server::Home};

/// Threads of every case.
const THREADS: usize = 50;
/// Subscribers of each thread in the cases that deliver.
const SUBSCRIBERS: usize = 20;
/// What is not measured at the beginning: caches fill, windows open.
const WARM_UP: Duration = Duration::from_millis(700);

/// One case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Its name, as given to `--case`.
    pub(crate) name: &'static str,
    /// Left out of `--quick`.
    pub(crate) full_only: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    AppendSocket(append::Shape),
    AppendHttp(append::Shape),
    Fanout(fanout::Shape),
    Light,
    Idle { connections: usize },
}

/// All of them, in the order in which they are run.
pub(crate) const ALL: [Case; 9] = [
    Case::new("append-ws-64", Kind::AppendSocket(append::Shape { batch: 64, under_way: 32 })),
    Case::new("append-ws-1024", Kind::AppendSocket(append::Shape { batch: 1_024, under_way: 6 })),
    Case::new("append-http-single", Kind::AppendHttp(append::Shape { batch: 1, under_way: 50 })),
    Case::new("append-http-batch", Kind::AppendHttp(append::Shape { batch: 64, under_way: 50 })),
    Case::new("fanout", Kind::Fanout(fanout::Shape { batch: 16, window: 256 })),
    Case::new("fanout-single", Kind::Fanout(fanout::Shape { batch: 1, window: 32 })),
    Case::new("light", Kind::Light),
    Case::new("idle-2000", Kind::Idle { connections: 2_000 }),
    Case { full_only: true, ..Case::new("idle-10000", Kind::Idle { connections: 10_000 }) },
];

impl Case {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, full_only: false, kind }
    }

    /// What it does, for the table.
    pub(crate) fn about(&self) -> String {
        match self.kind {
            Kind::AppendSocket(shape) => format!(
                "one WebSocket, {} threads in turn, {} events a publish, {} publishes under way",
                THREADS, shape.batch, shape.under_way
            ),
            Kind::AppendHttp(shape) => format!(
                "HTTP, {THREADS} connections with a thread and a request under way each, events a \
                 request: {}",
                shape.batch
            ),
            Kind::Fanout(shape) => format!(
                "saturated, {THREADS} threads x {SUBSCRIBERS} subscribers, events a publish: {}, \
                 at most {} under way in a thread",
                shape.batch, shape.window
            ),
            Kind::Light => format!(
                "{} events/s in all over {THREADS} threads x {SUBSCRIBERS} subscribers, one event \
                 a publish",
                light::RATE
            ),
            Kind::Idle { connections } => format!(
                "{connections} WebSockets with hello and one subscription each, {THREADS} threads"
            ),
        }
    }

    /// Files that it opens, here and in the server.
    pub(crate) fn files(&self) -> u64 {
        let connections = match self.kind {
            Kind::Idle { connections } => connections,
            _ => THREADS * SUBSCRIBERS,
        };
        (connections + THREADS) as u64 + 500
    }

    /// Runs one repetition, measuring for so long.
    ///
    /// # Errors
    /// When the server does anything wrong.
    pub(crate) fn run(&self, home: &Home, length: Duration) -> Result<Vec<Measure>> {
        match self.kind {
            Kind::AppendSocket(shape) => append::over_socket(home, length, shape),
            Kind::AppendHttp(shape) => append::over_http(home, length, shape),
            Kind::Fanout(shape) => fanout::run(home, length, shape),
            Kind::Light => light::run(home, length),
            Kind::Idle { connections } => idle::run(home, connections),
        }
    }
}
