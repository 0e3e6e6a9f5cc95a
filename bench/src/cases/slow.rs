//! Readers that are slow: what they cost the others, and the server's memory.
//!
//! They read from a thread's first event, of which there are more than all buffers between take in:
//! so the server has more for each of them than it can send, from the beginning.

use std::time::Duration;

use anyhow::Result;

use super::{Run, WARM_UP, late::fill, mib, per_delivery};
use crate::{
    load::{Begin, Load, Plan},
    pace::{BEHIND_MAX, Go, Pace, Paced},
    report::Measure,
};

const THREADS: usize = 10;
const HISTORY: u64 = 20_000;
const FAST: usize = 800;
const SLOW: usize = 200;
/// Those of them who come first: what the log keeps in memory of what it reads for them is there for all.
const FIRST: usize = 50;
/// How long these are waited for.
const FIRST_SETTLE: Duration = Duration::from_secs(1);
const RATE: f64 = 500.0;
/// A slow reader takes so many bytes, so often: 1 KB a second.
const SIP_BYTES: usize = 128;
const SIP_EVERY: Duration = Duration::from_millis(125);
/// What the buffers on the way take in at once is over by then.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let mut load = Load::new(&server.target, Plan::threads(THREADS))?;
    fill(&mut load, HISTORY)?;
    let empty = server.memory()?;
    let fast = load.subscribe(FAST, Begin::Now)?;
    let last = fast.iter().copied().max().unwrap_or_default();
    let (length, is_alone) = (run.length, run.is_alone());
    let pace = |warm_up| Pace { rate: RATE, warm_up, length, is_alone, behind_max: BEHIND_MAX };
    let listeners = (FAST / THREADS) as u64;
    let is_fast = |link| link <= last;
    let calm = pace(WARM_UP).run(&mut load, &server, listeners, is_fast, |_, _| Ok(Go::On))?;
    let before = server.memory()?;

    let mut slow = load.subscribe(FIRST, Begin::Slow)?;
    let settle = Pace { length: FIRST_SETTLE, ..pace(Duration::ZERO) };
    settle.run(&mut load, &server, listeners, is_fast, |_, _| Ok(Go::On))?;
    let between = server.memory()?;
    slow.extend(load.subscribe(SLOW - FIRST, Begin::Slow)?);
    let mut sipped = 0;
    let with = pace(SETTLE).run(&mut load, &server, listeners, is_fast, |load, passed| {
        while SIP_EVERY * sipped <= passed {
            sipped += 1;
            load.sip(&slow, SIP_BYTES)?;
        }
        Ok(Go::On)
    })?;
    let after = server.memory()?;
    let ended = load.ended();
    load.drain()?;
    load.compare()?;
    let each = |more: u64, less: u64, readers| more.saturating_sub(less) as f64 / readers as f64;
    let micros = |paced: &Paced| per_delivery(paced).value;
    let (for_fast, for_slow) = (each(before, empty, FAST), each(after, between, SLOW - FIRST));
    Ok(vec![
        Measure::new("the others' p50, before", "ms", calm.ms(0.5)),
        Measure::new("the others' p50, beside slow readers", "ms", with.ms(0.5)),
        Measure::new("the others' p99, before", "ms", calm.ms(0.99)),
        Measure::new("the others' p99, beside slow readers", "ms", with.ms(0.99)),
        Measure::new("the others' p99, beside by before", "ratio", with.ms(0.99) / calm.ms(0.99)),
        Measure::new("server CPU per delivery to the others, before", "us", micros(&calm)),
        Measure::new(
            "server CPU per delivery to the others, beside slow readers",
            "us",
            micros(&with),
        ),
        Measure::new("server memory, before", "MiB", mib(before)),
        Measure::new("server memory, beside slow readers", "MiB", mib(after)),
        Measure::new("server memory for each reader that keeps up", "KiB", for_fast / 1_024.0),
        Measure::new(
            "server memory for the first 50 slow readers",
            "MiB",
            mib(between.saturating_sub(before)),
        ),
        Measure::new("server memory for each further slow reader", "KiB", for_slow / 1_024.0),
        Measure::new("slow readers that the server has cut", "connections", ended as f64),
    ])
}
