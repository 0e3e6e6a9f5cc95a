//! Many small chats, which the product exists for: a thread for each, a reader, an agent that streams.

use anyhow::Result;

use super::{Run, WARM_UP, busy, mib, per_delivery, written};
use crate::{
    contender::Contender,
    dialect::SlowDown,
    load::{Begin, Load, Plan},
    pace::{BEHIND_MAX, Go, Pace, Paced},
    report::Measure,
};

const CHATS: usize = 5_000;
/// Deltas a second of each agent.
const WANTED: usize = 20;
/// Where those are too many, the most that is carried in time is looked for among these.
const FEWER: &[usize] = &[16, 13, 10, 8, 6, 5, 4];
/// In time: the 99th percentile is below this.
const IN_TIME_MS: f64 = 50.0;
/// Connections that agents share, where a server allows it: an agent's host runs many.
const HOSTS: usize = 64;

/// What came of one load.
struct Tried {
    /// Of all agents, a second.
    deltas: usize,
    paced: Paced,
    memory: u64,
    /// Deltas in a publish.
    together: f64,
}

impl Tried {
    fn is_in_time(&self) -> bool {
        self.paced.is_carried && self.paced.ms(0.99) < IN_TIME_MS
    }
}

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    // What is turned away counts as too much, too.
    let mut refusal = None;
    let mut shown = unless_turned_away(at(run, WANTED), &mut refusal)?;
    let mut most = None;
    if shown.as_ref().is_some_and(Tried::is_in_time) {
        most = shown.take();
    } else if run.contender == Contender::Rethread {
        // Only of this project's server it is asked what it carries instead.
        // A short run has no time for it.
        let mut fewer = if run.is_full { FEWER } else { &[] };
        while !fewer.is_empty() {
            let middle = fewer.len() / 2;
            match unless_turned_away(at(run, fewer[middle]), &mut refusal)? {
                Some(tried) if tried.is_in_time() => {
                    most = Some(tried);
                    fewer = &fewer[..middle];
                }
                tried => {
                    shown = shown.or(tried);
                    fewer = &fewer[middle + 1..];
                }
            }
        }
    }
    if let (None, None, Some(refusal)) = (&shown, &most, refusal) {
        return Err(refusal);
    }
    let mut measures = Vec::new();
    if let Some(tried) = shown.as_ref().or(most.as_ref()) {
        measures.extend(measures_of(run, tried));
    }
    if let Some(Tried { deltas, paced, .. }) = &most {
        let [server_busy, _] = busy(paced.cost);
        let cost = per_delivery(paced);
        measures.extend([
            Measure::new("the most with p99 under 50 ms", "deltas/s", *deltas as f64),
            Measure::new("at the most: publish to receive, p50", "ms", paced.ms(0.5)),
            Measure::new("at the most: publish to receive, p99", "ms", paced.ms(0.99)),
            Measure { name: "at the most: server CPU per delivery", ..cost },
            Measure { name: "at the most: server busy", ..server_busy },
        ]);
    }
    Ok(measures)
}

fn unless_turned_away(
    tried: Result<Tried>,
    refusal: &mut Option<anyhow::Error>,
) -> Result<Option<Tried>> {
    match tried {
        Err(error) if error.chain().any(|cause| cause.is::<SlowDown>()) => {
            *refusal = Some(error);
            Ok(None)
        }
        tried => tried.map(Some),
    }
}

/// A load of so many deltas a second of each agent.
fn at(run: &Run<'_>, deltas: usize) -> Result<Tried> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(CHATS).publishers(HOSTS))?;
    load.subscribe(CHATS, Begin::Start)?;
    let deltas = CHATS * deltas;
    let pace = Pace {
        rate: deltas as f64,
        warm_up: WARM_UP,
        length: run.length,
        is_alone: run.is_alone(),
        behind_max: BEHIND_MAX,
    };
    let (published, made) = (load.publishes(), load.made_in_all());
    let paced = pace.run(&mut load, &server, 1, |_| true, |_, _| Ok(Go::On))?;
    let published = (load.publishes() - published) as f64;
    let together = (load.made_in_all() - made) as f64 / published.max(1.0);
    let memory = server.memory()?;
    load.finish()?;
    Ok(Tried { deltas, paced, memory, together })
}

fn measures_of(run: &Run<'_>, tried: &Tried) -> Vec<Measure> {
    let Tried { deltas, paced, memory, together } = tried;
    let mut measures = vec![Measure::new("due", "deltas/s", *deltas as f64)];
    if paced.cost.seconds > 0.0 {
        let deliveries = paced.deliveries as f64;
        measures.extend([
            Measure::new("delivered", "deltas/s", deliveries / paced.cost.seconds),
            per_delivery(paced),
            written(paced.cost, deliveries),
        ]);
    }
    measures.extend([
        Measure::new("publish to receive, p50", "ms", paced.ms(0.5)),
        Measure::new("publish to receive, p99", "ms", paced.ms(0.99)),
        Measure::new("publish to receive, max", "ms", paced.ms(1.0)),
        Measure::new("server memory", "MiB", mib(*memory)),
    ]);
    if run.contender == Contender::Rethread {
        measures.push(Measure::new("deltas in a publish, mean", "events", *together));
    }
    measures.extend(busy(paced.cost));
    measures
}
