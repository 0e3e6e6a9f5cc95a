//! Latency against load, up to the load that a server does not carry.

use std::time::Duration;

use anyhow::Result;

use super::{Limit, Run, WARM_UP, busy, by_name, per_delivery, swept};
use crate::{
    dialect::SlowDown,
    load::{Begin, Load, Plan},
    pace::{BEHIND_MAX, Go, Pace, Paced},
    report::{Measure, number},
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
    let mut carried = 0;
    for deliveries in LOADS {
        let (end, is_sound) = match at(run, &server, &mut load, deliveries) {
            Ok(Some(paced)) => {
                let of = [
                    Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
                    Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
                    per_delivery(&paced),
                ];
                let of = of.into_iter().chain(busy(paced.cost));
                measures.extend(of.map(|measure| measure.at(deliveries, "deliveries/s")));
                carried = deliveries;
                if paced.ms(0.99) <= ENOUGH_MS {
                    continue;
                }
                (format!("the last of them with a p99 above {ENOUGH_MS} ms"), true)
            }
            Ok(None) => (format!("{} were not", number(deliveries as f64)), true),
            Err(error) if carried > 0 && error.chain().any(|cause| cause.is::<SlowDown>()) => {
                // What was turned away is missing in the count of what was published.
                (format!("{} were turned away: {error:#}", number(deliveries as f64)), false)
            }
            Err(error) => return swept(measures, Err(error)),
        };
        if is_sound && let Err(error) = load.finish() {
            return swept(measures, Err(error));
        }
        let how = format!("{} deliveries/s were carried; {end}", number(carried as f64));
        return Err(Limit { measures: by_name(measures), how }.into());
    }
    swept(measures, load.finish())
}

/// One load, tried until it is carried in time; `None` when it is not carried.
fn at(run: &Run<'_>, server: &Server, load: &mut Load, deliveries: u64) -> Result<Option<Paced>> {
    let pace = Pace {
        rate: deliveries as f64 / SUBSCRIBERS as f64,
        warm_up: WARM_UP,
        length: run.length.min(LENGTH_MAX),
        is_alone: run.is_alone(),
        behind_max: BEHIND_MAX,
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
    Ok(best)
}
