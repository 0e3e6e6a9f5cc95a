//! Latency at a light load, at a fixed rate. An event's latency counts from the moment at which it
//! *should* have been sent: a server that holds the generator up does not thereby hide its delay.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::{SUBSCRIBERS, THREADS, WARM_UP};
use crate::{
    load::Load,
    machine::{self, Cores},
    report::Measure,
    server::{Home, Server},
};

/// Events a second, all threads together.
pub(super) const RATE: u32 = 500;
/// 4 KiB writes whose fsync is measured, before and after each repetition.
const FSYNCS: usize = 150;

pub(super) fn run(home: &Home, length: Duration) -> Result<Vec<Measure>> {
    let mut fsync = machine::fsync_times(&home.data, FSYNCS)?;
    let server = Server::start(home)?;
    let mut load = Load::new(&server, THREADS)?;
    load.subscribe(&server, THREADS * SUBSCRIBERS)?;

    let mut taken: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let first = Instant::now() + Duration::from_millis(5);
    let measured_from = first + WARM_UP;
    let from_us = load.clock_us(measured_from);
    let end = measured_from + length;
    // With a core of its own the generator looks without pause; else it would take the server's.
    let is_alone = matches!(home.cores, Cores::Apart { .. });
    let start = load.start();
    let mut span = None;
    let mut sent: u32 = 0;
    let mut events: u32 = 0;
    loop {
        let now = Instant::now();
        if now >= measured_from && span.is_none() {
            span = Some(server.span()?);
        }
        let mut due = first + Duration::from_secs(1) / RATE * sent;
        if due >= end {
            break;
        }
        while due <= now && due < end {
            load.publish(sent as usize % THREADS, 1, load.clock_us(due))?;
            events += u32::from(due >= measured_from);
            sent += 1;
            due = first + Duration::from_secs(1) / RATE * sent;
        }
        let patience = if is_alone { Duration::ZERO } else { due.saturating_duration_since(now) };
        record(&mut load, patience, start, from_us, &mut taken)?;
    }
    let cost = span.expect("it began when the warm-up was over").end(&server)?;
    // What is still under way counts too.
    let expected = u64::from(events) * SUBSCRIBERS as u64;
    let deadline = Instant::now() + crate::load::DRAIN;
    while taken.len() < expected && Instant::now() < deadline {
        record(&mut load, Duration::from_millis(1), start, from_us, &mut taken)?;
    }
    ensure!(
        taken.len() == expected,
        "{expected} deliveries were due, {} came within {} s",
        taken.len(),
        crate::load::DRAIN.as_secs()
    );
    load.finish(&server)?;
    fsync.add(machine::fsync_times(&home.data, FSYNCS)?)?;

    let ms = |histogram: &Histogram<u64>, quantile| {
        histogram.value_at_quantile(quantile) as f64 / 1_000.0
    };
    Ok(vec![
        Measure::new("publish to receive, p50", "ms", ms(&taken, 0.5)),
        Measure::new("publish to receive, p90", "ms", ms(&taken, 0.9)),
        Measure::new("publish to receive, p99", "ms", ms(&taken, 0.99)),
        Measure::new("publish to receive, max", "ms", taken.max() as f64 / 1_000.0),
        Measure::new("this disk: 4 KiB write + fdatasync, p50", "ms", ms(&fsync, 0.5)),
        Measure::new("this disk: 4 KiB write + fdatasync, p99", "ms", ms(&fsync, 0.99)),
        Measure::new("delivered", "events/s", f64::from(RATE) * SUBSCRIBERS as f64),
        Measure::new("server busy", "% of a core", cost.server / cost.seconds * 100.0),
    ])
}

fn record(
    load: &mut Load,
    patience: Duration,
    start: Instant,
    from_us: u64,
    taken: &mut Histogram<u64>,
) -> Result<()> {
    load.turn(patience, |due, at| {
        if due >= from_us {
            let at = at.saturating_duration_since(start).as_micros() as u64;
            taken.saturating_record(at.saturating_sub(due));
        }
    })
}
