//! What a connection costs in memory that waits for something to happen.

use anyhow::Result;

use super::THREADS;
use crate::{
    load::Load,
    report::Measure,
    server::{Home, Server},
};

/// Events that a busy moment brings to every connection at once.
const BURST: u64 = 256;

pub(super) fn run(home: &Home, connections: usize) -> Result<Vec<Measure>> {
    let server = Server::start(home)?;
    let mut load = Load::new(&server, THREADS)?;
    let before = server.memory()?;
    load.subscribe(&server, connections)?;
    let connected = server.memory()?;
    // A connection that has never delivered is not yet what it will be.
    for thread in 0..THREADS {
        load.publish(thread, 1, 0)?;
    }
    load.drain()?;
    let used = server.memory()?;
    // Nor is one that has been busy: buffers that grew are to be given back.
    for thread in 0..THREADS {
        load.publish(thread, BURST, 0)?;
    }
    load.drain()?;
    let busy = server.memory()?;
    load.finish(&server)?;
    let each = |memory: u64| memory.saturating_sub(before) as f64 / connections as f64 / 1_024.0;
    Ok(vec![
        Measure::new("memory each, after its first events", "KiB", each(connected)),
        Measure::new("memory each, after a live event", "KiB", each(used)),
        Measure::new("memory each, after a burst of 256 events", "KiB", each(busy)),
        Measure::new("server memory before", "MiB", before as f64 / f64::from(1 << 20)),
        Measure::new("server memory after", "MiB", busy as f64 / f64::from(1 << 20)),
    ])
}
