//! Latency against load, up to the load that a server does not carry.

use std::time::Duration;

use anyhow::Result;

use super::{Run, WARM_UP, busy};
use crate::{
    load::{Begin, Load, Plan},
    pace::{Go, Pace},
    report::Measure,
};

const THREADS: usize = 50;
const SUBSCRIBERS: usize = 20;
/// Deliveries a second.
const LOADS: [u64; 10] =
    [10_000, 25_000, 50_000, 100_000, 200_000, 300_000, 500_000, 800_000, 1_200_000, 1_800_000];
/// Beyond this a chat does not feel live, and a higher load is not tried.
const ENOUGH_MS: f64 = 500.0;
/// Publishers of Rethread: as many as there are threads, as the others need.
const LENGTH_MAX: Duration = Duration::from_secs(3);

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(THREADS))?;
    load.subscribe(THREADS * SUBSCRIBERS, Begin::Start)?;
    let mut measures = Vec::new();
    for deliveries in LOADS {
        let pace = Pace {
            rate: deliveries as f64 / SUBSCRIBERS as f64,
            warm_up: WARM_UP,
            length: run.length.min(LENGTH_MAX),
            is_alone: run.is_alone(),
        };
        let paced =
            pace.run(&mut load, &server, SUBSCRIBERS as u64, |_| true, |_, _| Ok(Go::On))?;
        load.drain()?;
        if !paced.is_carried {
            break;
        }
        let of = [
            Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
            Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
        ];
        let of = of.into_iter().chain(busy(paced.cost));
        measures.extend(of.map(|measure| measure.at(deliveries, "deliveries/s")));
        if paced.ms(0.99) > ENOUGH_MS {
            break;
        }
    }
    load.finish()?;
    measures.sort_by_key(|measure| measure.name);
    Ok(measures)
}
