//! Many small chats, which the product exists for: a thread for each, a reader, an agent that streams.

use anyhow::Result;

use super::{Run, WARM_UP, busy, mib, per_delivery, written};
use crate::{
    contender::Contender,
    load::{Begin, Load, Plan},
    pace::{Go, Pace},
    report::Measure,
};

const CHATS: usize = 5_000;
/// Deltas a second of each agent.
const DELTAS: usize = 20;
/// Connections that agents share, where a server allows it: an agent's host runs many.
const HOSTS: usize = 64;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(CHATS).publishers(HOSTS))?;
    load.subscribe(CHATS, Begin::Start)?;
    let pace = Pace {
        rate: (CHATS * DELTAS) as f64,
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
    let mut measures = vec![Measure::new(
        "carried: 100,000 deltas/s",
        "1 yes, 0 no",
        f64::from(u8::from(paced.is_carried)),
    )];
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
    Ok(measures)
}
