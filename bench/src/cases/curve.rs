//! Latency against load, up to the load that a server does not carry.

use std::time::Duration;

use anyhow::Result;

use super::{Run, WARM_UP, busy, per_delivery, swept};
use crate::{
    load::{Begin, Load, Plan},
    pace::{Go, Pace, Paced},
    report::Measure,
    server::Server,
};

const THREADS: usize = 50;
const SUBSCRIBERS: usize = 20;
/// Deliveries a second.
const LOADS: [u64; 10] =
    [10_000, 25_000, 50_000, 100_000, 200_000, 300_000, 500_000, 800_000, 1_200_000, 1_800_000];
/// Beyond this a chat does not feel live, and a higher load is not tried.
const ENOUGH_MS: f64 = 500.0;
/// How long each load is kept up: there are ten.
const LENGTH_MAX: Duration = Duration::from_secs(2);

/// A load is tried so often before it counts as one that is not carried: a machine hiccups.
const TRIES: usize = 2;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(THREADS))?;
    load.subscribe(THREADS * SUBSCRIBERS, Begin::Start)?;
    let mut measures = Vec::new();
    let end = sweep(run, &server, &mut load, &mut measures).and_then(|()| load.finish());
    swept(measures, end)
}

fn sweep(
    run: &Run<'_>,
    server: &Server,
    load: &mut Load,
    measures: &mut Vec<Measure>,
) -> Result<()> {
    for deliveries in LOADS {
        let pace = Pace {
            rate: deliveries as f64 / SUBSCRIBERS as f64,
            warm_up: WARM_UP,
            length: run.length.min(LENGTH_MAX),
            is_alone: run.is_alone(),
        };
        let mut best: Option<Paced> = None;
        for _ in 0..TRIES {
            let paced = pace.run(load, server, SUBSCRIBERS as u64, |_| true, |_, _| Ok(Go::On))?;
            load.drain()?;
            let is_better = |best: &Paced| paced.ms(0.99) < best.ms(0.99);
            if paced.is_carried && best.as_ref().is_none_or(is_better) {
                best = Some(paced);
            }
            if best.as_ref().is_some_and(|best| best.ms(0.99) <= ENOUGH_MS) {
                break;
            }
        }
        let Some(paced) = best else { break };
        let of = [
            Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
            Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
            per_delivery(&paced),
        ];
        let of = of.into_iter().chain(busy(paced.cost));
        measures.extend(of.map(|measure| measure.at(deliveries, "deliveries/s")));
        if paced.ms(0.99) > ENOUGH_MS {
            break;
        }
    }
    Ok(())
}
