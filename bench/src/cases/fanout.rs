//! Fan-out, saturated: each thread has always as much under way as it may, so the server is never
//! without work, and no subscriber is so far behind that a replay would be measured.

use std::time::Duration;

use anyhow::Result;

use super::{Run, Window, busy, mib, written};
use crate::{
    load::{Begin, Load, Plan},
    report::Measure,
};

/// Events of a thread that are not yet acknowledged, or not yet with every subscriber.
const WINDOW: u64 = 256;

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) threads: usize,
    /// Of each thread.
    pub(super) subscribers: usize,
    /// Events of one publish.
    pub(super) batch: u64,
    /// Whether peers get those as one message.
    pub(super) is_packed: bool,
}

impl Shape {
    pub(super) fn new(threads: usize, subscribers: usize, batch: u64) -> Self {
        Self { threads, subscribers, batch, is_packed: false }
    }

    /// The same, with one message for what is published at once.
    pub(super) fn packed(self) -> Self {
        Self { is_packed: true, ..self }
    }
}

pub(super) fn run(run: &Run<'_>, shape: Shape) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let plan = Plan { is_packed: shape.is_packed, ..Plan::threads(shape.threads) };
    let mut load = Load::new(&server.target, plan)?;
    load.subscribe(shape.threads * shape.subscribers, Begin::Start)?;

    let mut window = Window::new(run.length);
    let mut frames = 0;
    while window.is_open(&server, load.book.deliveries)? {
        if window.open.is_none() {
            frames = load.book.frames;
        }
        for thread in 0..load.threads() {
            let mut room = load.room(thread, WINDOW);
            while room >= shape.batch && load.may_publish(load.publisher_of(thread)) {
                load.publish(thread, shape.batch, 0)?;
                room -= shape.batch;
            }
        }
        load.turn(Duration::from_millis(20), |_| ())?;
    }
    let frames = (load.book.frames - frames) as f64;
    let (deliveries, cost) = window.close(&server, load.book.deliveries)?;
    let memory = server.memory()?;
    load.finish()?;
    let subscribers = shape.subscribers as f64;
    let mut measures = vec![
        Measure::new("delivered", "events/s", deliveries / cost.seconds),
        Measure::new("delivered per server CPU second", "events", deliveries / cost.server),
        Measure::new("server CPU per delivery", "us", cost.server / deliveries * 1e6),
        Measure::new("events in a frame, mean", "events", deliveries / frames),
        Measure::new("published", "events/s", deliveries / cost.seconds / subscribers),
        written(cost, deliveries / subscribers),
        Measure::new("server memory", "MiB", mib(memory)),
    ];
    measures.extend(busy(cost));
    Ok(measures)
}
