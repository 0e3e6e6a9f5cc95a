//! What a connection costs in memory that waits for something to happen.

use anyhow::Result;

use super::{Run, mib};
use crate::{
    load::{Begin, Load, Plan},
    report::Measure,
    server::Cost,
};

const THREADS: usize = 50;
/// Connections at which the memory is looked at.
const POINTS: [usize; 4] = [1_000, 2_500, 5_000, 10_000];
/// The last of a short run.
const POINTS_QUICK: usize = 3;
/// Events that a busy moment brings to every connection at once.
const BURST: u64 = 256;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(THREADS))?;
    let before = server.memory()?;
    let mut measures = Vec::new();
    let mut connections = 0;
    let mut dialled = Cost::default();
    let points = if run.is_full { &POINTS[..] } else { &POINTS[..POINTS_QUICK] };
    for point in points {
        let span = server.span()?;
        load.subscribe(point - connections, Begin::Start)?;
        dialled.server += span.end(&server)?.server;
        connections = *point;
        // A connection that has never delivered is not yet what it will be.
        for thread in 0..THREADS {
            load.publish(thread, 1, 0)?;
        }
        load.drain()?;
        let memory = server.memory()?;
        let all = Measure::new("server memory", "MiB", mib(memory));
        measures.push(all.at(*point as u64, "connections"));
    }
    let each = |memory: u64| memory.saturating_sub(before) as f64 / connections as f64 / 1_024.0;
    let used = each(server.memory()?);
    // Nor is one that has been busy: buffers that grew are to be given back.
    for thread in 0..THREADS {
        load.publish(thread, BURST, 0)?;
    }
    load.drain()?;
    let busy = each(server.memory()?);
    load.finish()?;
    measures.extend([
        Measure::new("memory each, with the most connections", "KiB", used),
        Measure::new("memory each, after a burst of 256 events", "KiB", busy),
        Measure::new("server memory before", "MiB", mib(before)),
        Measure::new(
            "server CPU per connection, with its subscription",
            "us",
            dialled.server / connections as f64 * 1e6,
        ),
    ]);
    Ok(measures)
}
