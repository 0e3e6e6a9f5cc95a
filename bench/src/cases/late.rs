//! Who joins late gets what came before: one alone, and many at once.

use std::time::Instant;

use anyhow::Result;

use super::Run;
use crate::{
    load::{Begin, Load, Plan},
    report::Measure,
};

const EVENTS: u64 = 20_000;
const TOGETHER: usize = 50;
/// Joins alone, of which the middle one counts.
const ALONE: usize = 5;
const BATCH: u64 = 64;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let plan = Plan { is_kept: true, ..Plan::threads(1) };
    let mut load = Load::new(&server.target, plan)?;
    fill(&mut load, EVENTS)?;
    let mut alone = Vec::new();
    for _ in 0..ALONE {
        let start = Instant::now();
        load.subscribe(1, Begin::Start)?;
        alone.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    alone.sort_by(f64::total_cmp);
    let span = server.span()?;
    let start = Instant::now();
    load.subscribe(TOGETHER, Begin::Start)?;
    let together = start.elapsed().as_secs_f64();
    let cost = span.end(&server)?;
    load.finish()?;
    let delivered = (TOGETHER as u64 * EVENTS) as f64;
    Ok(vec![
        Measure::new("one: from dialling to the last event", "ms", alone[ALONE / 2]),
        Measure::new("50 at once: until all have the last event", "ms", together * 1_000.0),
        Measure::new("50 at once: delivered", "events/s", delivered / together),
        Measure::new("50 at once: server CPU per delivery", "us", cost.server / delivered * 1e6),
    ])
}

/// Brings every thread to so many events.
pub(super) fn fill(load: &mut Load, events: u64) -> Result<()> {
    for thread in 0..load.threads() {
        while load.made(thread) < events {
            let batch = BATCH.min(events - load.made(thread));
            load.wait_for_an_answer(load.publisher_of(thread))?;
            while load.room(thread, BATCH * 8) < batch {
                load.turn(std::time::Duration::from_millis(20), |_| ())?;
            }
            load.publish(thread, batch, 0)?;
        }
    }
    load.drain_answers()
}
