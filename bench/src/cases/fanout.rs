//! Fan-out, saturated: each thread has always as much under way as it may, so the server is never
//! without work, and no subscriber is so far behind that a replay would be measured.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{SUBSCRIBERS, THREADS, WARM_UP};
use crate::{
    load::Load,
    report::Measure,
    server::{Home, Server},
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Events of one publish.
    pub(super) batch: u64,
    /// Events of a thread that are not yet acknowledged, or not yet with every subscriber.
    pub(super) window: u64,
}

pub(super) fn run(home: &Home, length: Duration, shape: Shape) -> Result<Vec<Measure>> {
    let server = Server::start(home)?;
    let mut load = Load::new(&server, THREADS)?;
    load.subscribe(&server, THREADS * SUBSCRIBERS)?;

    saturate(&mut load, WARM_UP, shape)?;
    let (deliveries, frames) = (load.book.deliveries, load.book.frames);
    let span = server.span()?;
    saturate(&mut load, length, shape)?;
    let cost = span.end(&server)?;
    let deliveries = (load.book.deliveries - deliveries) as f64;
    let frames = (load.book.frames - frames) as f64;

    let memory = server.memory()? as f64;
    load.finish(&server)?;
    Ok(vec![
        Measure::new("delivered", "events/s", deliveries / cost.seconds),
        Measure::new("delivered per server CPU second", "events", deliveries / cost.server),
        Measure::new("server CPU per delivery", "us", cost.server / deliveries * 1e6),
        Measure::new("events in a frame, mean", "events", deliveries / frames),
        Measure::new("published", "events/s", deliveries / cost.seconds / SUBSCRIBERS as f64),
        Measure::new("server busy", "% of a core", cost.server / cost.seconds * 100.0),
        Measure::new("load generator busy", "% of a core", cost.generator / cost.seconds * 100.0),
        Measure::new("server memory", "MiB", memory / f64::from(1 << 20)),
    ])
}

fn saturate(load: &mut Load, length: Duration, shape: Shape) -> Result<()> {
    let end = Instant::now() + length;
    while Instant::now() < end {
        for thread in 0..load.threads() {
            let mut room = load.room(thread, shape.window);
            while room >= shape.batch {
                load.publish(thread, shape.batch, 0)?;
                room -= shape.batch;
            }
        }
        load.turn(Duration::from_millis(20), |_, _| ())?;
    }
    Ok(())
}
