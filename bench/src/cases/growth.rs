//! What an event costs as a server's work grows: more threads, longer threads, more on disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Run, late::fill, swept, written};
use crate::{
    events::{EVENT_BYTES, Random},
    load::{Load, Plan},
    report::Measure,
    server::{Cost, Server},
};

const BATCH: usize = 64;
const UNDER_WAY: usize = 16;
/// Events that are measured at each point.
const EVENTS: usize = 100_000;
/// A piece of those, after which everything is waited for.
const PIECE: usize = 2_000;
/// A server is at rest when it needs less than this part of a core,
const SETTLED: f64 = 0.05;
/// for so long,
const SETTLE_LOOK: Duration = Duration::from_millis(300);
/// which is looked for so often.
const SETTLE_LOOKS_MAX: usize = 30;

/// More and more threads, of which each event goes to one.
pub(super) fn threads(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let plan = |threads| Plan::threads(threads).publishers(1);
    let mut load = Load::new(&server.target, plan(1_000))?;
    let mut random = Random::new(11);
    let mut measures = Vec::new();
    let mut points = [1_000, 3_000, 10_000, 30_000, 100_000].into_iter();
    let end = points.try_for_each(|threads| {
        if load.threads() < threads {
            load.add_threads("thread_", plan(threads - load.threads()))?;
        }
        let cost = appended(&mut load, &server, EVENTS, |_| random.below(threads as u64) as usize)?;
        measures.extend(of(cost, EVENTS, threads as u64, "threads"));
        Ok(())
    });
    swept(measures, end.and_then(|()| load.finish()))
}

/// Threads at different lengths, one after the other.
pub(super) fn length(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut measures = Vec::new();
    let mut points = [1_000, 10_000, 100_000, 1_000_000].into_iter();
    let end = points.try_for_each(|length: u64| {
        // As many threads as it takes to measure without making any of them twice as long.
        let pieces = (length as usize / PIECE).clamp(1, EVENTS / PIECE);
        let threads = (EVENTS / PIECE) / pieces;
        let prefix = format!("thread_{length}_");
        let plan = Plan::threads(threads).publishers(1);
        let mut load = Load::with_prefix(&server.target, &prefix, plan)?;
        fill(&mut load, length)?;
        let mut all = Cost::default();
        for thread in 0..threads {
            for _ in 0..pieces {
                let cost = appended(&mut load, &server, PIECE, |_| thread)?;
                all.seconds += cost.seconds;
                all.server += cost.server;
                all.written += cost.written;
            }
        }
        load.finish()?;
        measures.extend(of(all, threads * pieces * PIECE, length, "events long"));
        Ok(())
    });
    swept(measures, end)
}

/// A data folder that grows.
pub(super) fn data(run: &Run<'_>) -> Result<Vec<Measure>> {
    const THREADS: usize = 1_000;
    const LARGE: usize = 8 * 1_024;
    // Events are compressed when tables are merged.
    const GIVEN_MAX: u64 = 4;
    let points: &[u64] = if run.is_full { &[100, 500, 1_000, 2_000, 5_000] } else { &[100, 500] };
    let server = run.start()?;
    let plan = |bytes| Plan { bytes, ..Plan::threads(THREADS).publishers(1) };
    let mut small = Load::new(&server.target, plan(EVENT_BYTES))?;
    let mut large = Load::with_prefix(&server.target, "thread_large_", plan(LARGE))?;
    let mut random = Random::new(13);
    let mut fed_bytes = 0;
    let mut measures = Vec::new();
    let end = points.iter().try_for_each(|point| {
        let mut place = 0;
        while folder_mb(server.data.path())? < *point {
            // Tables are merged and journals dropped, so it shrinks from time to time.
            let given = fed_bytes / 1_000_000;
            ensure!(
                given < point * GIVEN_MAX,
                "{given} MB of events do not make a data folder of {point} MB"
            );
            for _ in 0..20 {
                // The server must not take it for silent.
                small.turn(Duration::ZERO, |_| ())?;
                fed(&mut large, PIECE, |_| {
                    place = (place + 1) % THREADS;
                    place
                })?;
                fed_bytes += (PIECE * LARGE) as u64;
            }
        }
        // What the fill has left to merge is no cost of what comes after it.
        settled([&mut small, &mut large], &server)?;
        let cost =
            appended(&mut small, &server, EVENTS, |_| random.below(THREADS as u64) as usize)?;
        measures.extend(of(cost, EVENTS, *point, "MB of data"));
        Ok(())
    });
    swept(measures, end.and_then(|()| large.finish()).and_then(|()| small.finish()))
}

/// Waits until the server has next to nothing to do; not for ever.
fn settled(mut loads: [&mut Load; 2], server: &Server) -> Result<()> {
    for _ in 0..SETTLE_LOOKS_MAX {
        let span = server.span()?;
        let end = Instant::now() + SETTLE_LOOK;
        while Instant::now() < end {
            for load in &mut loads {
                load.turn(Duration::from_millis(20), |_| ())?;
            }
        }
        let cost = span.end(server)?;
        if cost.server < cost.seconds * SETTLED {
            break;
        }
    }
    Ok(())
}

fn of(cost: Cost, events: usize, at: u64, what: &'static str) -> Vec<Measure> {
    let events = events as f64;
    [
        Measure::new("server CPU per event", "us", cost.server / events * 1e6),
        Measure::new("stored, durable", "events/s", events / cost.seconds),
        written(cost, events),
    ]
    .map(|measure| measure.at(at, what))
    .to_vec()
}

/// Appends events, each to the thread that `place` names; gives what that cost until all was stored.
fn appended(
    load: &mut Load,
    server: &Server,
    events: usize,
    place: impl FnMut(usize) -> usize,
) -> Result<Cost> {
    let span = server.span()?;
    fed(load, events, place)?;
    span.end(server)
}

fn fed(load: &mut Load, events: usize, mut place: impl FnMut(usize) -> usize) -> Result<()> {
    let mut made = 0;
    while made < events {
        while load.unanswered(0) >= UNDER_WAY {
            load.turn(Duration::from_millis(20), |_| ())?;
        }
        let batch = BATCH.min(events - made);
        let batch: Vec<(usize, u64)> =
            (made..made + batch).map(|event| (place(event), 0)).collect();
        made += batch.len();
        load.publish_all(0, &batch)?;
    }
    load.drain_answers()
}

/// What a folder takes on the disk, millions of bytes.
fn folder_mb(folder: &Path) -> Result<u64> {
    fn bytes(folder: &Path) -> Result<u64> {
        let mut sum = 0;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // What was deleted while this looked counts for nothing.
            let Ok(data) = entry.metadata() else { continue };
            sum += if data.is_dir() {
                bytes(&entry.path()).unwrap_or(0)
            } else {
                // Files that are made large at once are empty until they are written.
                std::os::unix::fs::MetadataExt::blocks(&data) * 512
            };
        }
        Ok(sum)
    }
    Ok(bytes(folder)? / 1_000_000)
}
