//! A network that drops everybody at once: how long until the last has caught up, and what those feel
//! who stayed.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Run, WARM_UP, busy, per_delivery};
use crate::{
    contender::Contender,
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
    // It looks without a pause in neither: the crowd needs the core, too.
    let pace = |warm_up, length| Pace {
        rate: RATE,
        warm_up,
        length,
        is_alone: false,
        behind_max: PATIENCE,
    };
    let calm = pace(WARM_UP, run.length);
    let calm = calm.run(&mut load, &server, 1, is_live, |_, _| Ok(Go::On))?;
    load.drain()?;

    load.cut(&cut);
    for thread in 0..THREADS {
        load.wait_for_an_answer(load.publisher_of(thread))?;
        load.publish(thread, MISSED, 0)?;
    }
    load.drain()?;
    let crowd = load.come_back(&cut)?;
    let storm = pace(Duration::ZERO, 2 * PATIENCE);
    let storm = storm.run(&mut load, &server, 1, is_live, |_, passed| {
        let is_over = crowd.left() == 0 || crowd.has_failed() || passed >= PATIENCE;
        Ok(if is_over { Go::Stop } else { Go::On })
    })?;
    let left = crowd.left();
    let mut measures = Vec::new();
    if left > 0 && !crowd.has_failed() {
        // Of a peer that is what came of it; whether it lost anything is not known then.
        ensure!(
            run.contender != Contender::Rethread,
            "{left} of {CUT} were not back within {PATIENCE:?}"
        );
    } else {
        let caught_up = crowd.finish(load.made_of_each())?;
        load.finish()?;
        let caught_up = caught_up.as_secs_f64();
        measures.push(Measure::new("until the last has caught up", "s", caught_up));
    }
    measures.push(Measure::new("still away after 20 s", "connections", left as f64));
    measures.extend([
        Measure::new("those who stayed: p50, calm", "ms", calm.ms(0.5)),
        Measure::new("those who stayed: p50, in the storm", "ms", storm.ms(0.5)),
        Measure::new("those who stayed: p99, calm", "ms", calm.ms(0.99)),
        Measure::new("those who stayed: p99, in the storm", "ms", storm.ms(0.99)),
        Measure::new("those who stayed: max, in the storm", "ms", storm.ms(1.0)),
        Measure::new(
            "those who stayed: p99, storm by calm",
            "ratio",
            storm.ms(0.99) / calm.ms(0.99),
        ),
        Measure::new("sent late by the generator, p99, in the storm", "ms", storm.late_ms(0.99)),
    ]);
    measures.push(per_delivery(&storm));
    measures.extend(busy(storm.cost));
    Ok(measures)
}
