//! Many small chats, which the product exists for: a thread for each, a reader, an agent that streams.

use anyhow::Result;

use super::{Run, WARM_UP, busy, mib, per_delivery, written};
use crate::{
    contender::Contender,
    dialect::SlowDown,
    load::{Begin, Load, Plan},
    pace::{Go, Pace},
    report::Measure,
};

const CHATS: usize = 5_000;
/// Deltas a second of each agent: what is wanted, and what is tried when that is not carried.
const DELTAS: [usize; 3] = [20, 15, 10];
/// Connections that agents share, where a server allows it: an agent's host runs many.
const HOSTS: usize = 64;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let [wanted, fewer @ ..] = DELTAS;
    let mut tried = at(run, wanted);
    for deltas in fewer {
        // Only of this project's server it is asked what it carries instead.
        let is_too_much = match &tried {
            Ok((is_carried, _)) => !is_carried && run.contender == Contender::Rethread,
            Err(error) => error.chain().any(|cause| cause.is::<SlowDown>()),
        };
        if !is_too_much {
            break;
        }
        tried = at(run, deltas);
    }
    tried.map(|(_, measures)| measures)
}

/// Whether so many deltas are carried, and what was measured of it.
fn at(run: &Run<'_>, deltas: usize) -> Result<(bool, Vec<Measure>)> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(CHATS).publishers(HOSTS))?;
    load.subscribe(CHATS, Begin::Start)?;
    let pace = Pace {
        rate: (CHATS * deltas) as f64,
        warm_up: WARM_UP,
        length: run.length,
        is_alone: run.is_alone(),
    };
    let (published, made) = (load.publishes(), load.made_in_all());
    let paced = pace.run(&mut load, &server, 1, |_| true, |_, _| Ok(Go::On))?;
    let published = (load.publishes() - published) as f64;
    let together = (load.made_in_all() - made) as f64 / published.max(1.0);
    let memory = server.memory()?;
    load.finish()?;
    let carried = if paced.is_carried { CHATS * deltas } else { 0 };
    let mut measures = vec![Measure::new("carried", "deltas/s", carried as f64)];
    if paced.cost.seconds > 0.0 {
        let deliveries = paced.deliveries as f64;
        measures.extend([
            Measure::new("delivered", "events/s", deliveries / paced.cost.seconds),
            per_delivery(&paced),
            written(paced.cost, deliveries),
        ]);
    }
    measures.extend([
        Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
        Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
        Measure::new("publish to receive, max", "ms", paced.ms(1.0)),
        Measure::new("server memory", "MiB", mib(memory)),
    ]);
    if run.contender == Contender::Rethread {
        measures.push(Measure::new("deltas in a publish, mean", "events", together));
    }
    measures.extend(busy(paced.cost));
    Ok((paced.is_carried, measures))
}
