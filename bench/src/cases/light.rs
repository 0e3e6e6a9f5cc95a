//! Latency at a light load, at a fixed rate.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::{Run, WARM_UP, busy, per_delivery, written};
use crate::{
    load::{Begin, Load, Plan},
    machine,
    pace::{BEHIND_MAX, Go, Pace},
    report::Measure,
};

/// 4 KiB writes whose fsync is measured, before and after each repetition.
const FSYNCS: usize = 150;

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) threads: usize,
    /// Of each thread.
    pub(super) subscribers: usize,
    /// Events a second, all threads together.
    pub(super) rate: f64,
}

pub(super) fn run(run: &Run<'_>, shape: Shape) -> Result<Vec<Measure>> {
    let mut fsync = machine::fsync_times(&run.home.data, FSYNCS)?;
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(shape.threads))?;
    load.subscribe(shape.threads * shape.subscribers, Begin::Start)?;
    let pace = Pace {
        rate: shape.rate,
        warm_up: WARM_UP,
        length: run.length,
        is_alone: run.is_alone(),
        behind_max: BEHIND_MAX,
    };
    let listeners = shape.subscribers as u64;
    let paced = pace.run(&mut load, &server, listeners, |_| true, |_, _| Ok(Go::On))?;
    load.finish()?;
    fsync.add(machine::fsync_times(&run.home.data, FSYNCS)?)?;

    let disk = |fsync: &Histogram<u64>, at| fsync.value_at_quantile(at) as f64 / 1_000.0;
    let [server_busy, _] = busy(paced.cost);
    Ok(vec![
        Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
        Measure::new("publish to receive, p90", "ms", paced.ms(0.9)),
        Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
        Measure::new("publish to receive, p99.9", "ms", paced.ms(0.999)),
        Measure::new("publish to receive, max", "ms", paced.ms(1.0)),
        Measure::new("this disk: 4 KiB write + fdatasync, p50", "ms", disk(&fsync, 0.5)),
        Measure::new("this disk: 4 KiB write + fdatasync, p99", "ms", disk(&fsync, 0.99)),
        per_delivery(&paced),
        written(paced.cost, paced.deliveries as f64 / shape.subscribers as f64),
        server_busy,
    ])
}
