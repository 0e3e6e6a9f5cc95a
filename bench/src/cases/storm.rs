//! A network that drops everybody at once: how long until the last has caught up, and what those feel
//! who stayed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Run, WARM_UP, busy, per_delivery};
use crate::{
    load::{Begin, Load, Plan},
    pace::{Go, Pace},
    report::Measure,
};

const THREADS: usize = 1_000;
const CUT: usize = 5_000;
/// Those who stay: one for each thread.
const LIVE: usize = 1_000;
const HOSTS: usize = 64;
/// Events that each misses.
const MISSED: u64 = 100;
/// Events a second before and meanwhile, all threads together, in turn.
const RATE: f64 = 2_000.0;
/// How long they may take to come back.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(THREADS).publishers(HOSTS))?;
    let live = load.subscribe(LIVE, Begin::Start)?;
    let last_live = live[LIVE - 1];
    let cut = load.subscribe(CUT, Begin::Resumable)?;
    let is_live = |link: usize| link <= last_live;
    let pace = |warm_up, length| Pace { rate: RATE, warm_up, length, is_alone: run.is_alone() };
    let calm = pace(WARM_UP, run.length);
    let calm = calm.run(&mut load, &server, 1, is_live, |_, _| Ok(Go::On))?;
    load.drain()?;

    load.cut(&cut);
    for thread in 0..THREADS {
        load.wait_for_an_answer(load.publisher_of(thread))?;
        load.publish(thread, MISSED, 0)?;
    }
    load.drain()?;
    let start = Instant::now();
    load.come_back(&cut)?;
    let dialled = start.elapsed();
    let mut caught_up = None;
    let storm = pace(Duration::ZERO, 2 * PATIENCE);
    let storm = storm.run(&mut load, &server, 1, is_live, |load, _| {
        let left = load.returning();
        if left > 0 {
            ensure!(
                start.elapsed() < PATIENCE,
                "{left} of {CUT} were not back within {PATIENCE:?}"
            );
            return Ok(Go::On);
        }
        caught_up.get_or_insert_with(|| start.elapsed());
        Ok(Go::Stop)
    })?;
    load.finish()?;
    let caught_up = caught_up.unwrap_or_else(|| start.elapsed()).as_secs_f64();
    let mut measures = vec![
        Measure::new("until the last has caught up", "s", caught_up),
        Measure::new("of which the generator was dialling", "s", dialled.as_secs_f64()),
        Measure::new("those who stayed: p99, calm", "ms", calm.ms(0.99)),
        Measure::new("those who stayed: p99, in the storm", "ms", storm.ms(0.99)),
        Measure::new("those who stayed: max, in the storm", "ms", storm.ms(1.0)),
        Measure::new(
            "those who stayed: p99, storm by calm",
            "ratio",
            storm.ms(0.99) / calm.ms(0.99),
        ),
    ];
    measures.push(per_delivery(&storm));
    measures.extend(busy(storm.cost));
    Ok(measures)
}
