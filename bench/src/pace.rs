//! A load at a fixed rate. An event's latency counts from the moment at which it *should* have been
//! sent: a server that holds the generator up does not thereby hide its delay.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::{
    load::{Came, DRAIN, Load},
    server::{Cost, Server},
};

/// How far behind a load may usually fall before it is given up: the server does not carry it.
pub(crate) const BEHIND_MAX: Duration = Duration::from_secs(2);
/// The part of a load that must come within its time, for the load to have been carried.
pub(crate) const CARRIED: f64 = 0.95;
/// Events of one publish, at most: what has become due meanwhile goes together.
const TOGETHER_MAX: usize = 256;

/// A rate, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Events a second, all threads together, the threads in turn.
    pub(crate) rate: f64,
    /// What is not measured at the beginning.
    pub(crate) warm_up: Duration,
    /// What is measured.
    pub(crate) length: Duration,
    /// True when the generator has a core of its own and may look without pause.
    pub(crate) is_alone: bool,
    /// How far behind it may fall before it is given up.
    pub(crate) behind_max: Duration,
}

/// Whether a load goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// It does.
    On,
    /// What is under way arrives; nothing more is sent.
    Stop,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Paced {
    /// Microseconds from when an event should have been sent to when it came.
    pub(crate) taken: Histogram<u64>,
    /// Of those microseconds the generator's own: from when an event should have been sent to when the
    /// generator came to it.
    pub(crate) late: Histogram<u64>,
    /// What the measured time has cost.
    pub(crate) cost: Cost,
    /// Events that came within it.
    pub(crate) deliveries: u64,
    /// False when the server fell so far behind that the load was given up, or when not even
    /// [`CARRIED`] of it came while it lasted.
    pub(crate) is_carried: bool,
}

impl Paced {
    /// A quantile, in milliseconds.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.taken.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The same of what is the generator's own.
    pub(crate) fn late_ms(&self, quantile: f64) -> f64 {
        self.late.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

impl Pace {
    /// Publishes at this rate; measures what comes to the connections that `counts` names, of which
    /// every thread has `listeners`. `meanwhile` is called all the time, with the time that has passed,
    /// and may end it before its time.
    ///
    /// # Errors
    /// When anything comes that must not, or something does not come.
    pub(crate) fn run(
        self,
        load: &mut Load,
        server: &Server,
        listeners: u64,
        counts: impl Fn(usize) -> bool,
        mut meanwhile: impl FnMut(&mut Load, Duration) -> Result<Go>,
    ) -> Result<Paced> {
        let first = Instant::now() + Duration::from_millis(5);
        let from = first + self.warm_up;
        let end = from + self.length;
        let from_us = load.clock_us(from);
        let mut paced = Paced {
            taken: Histogram::new_with_bounds(1, 120_000_000, 3)?,
            late: Histogram::new_with_bounds(1, 120_000_000, 3)?,
            cost: Cost::default(),
            deliveries: 0,
            is_carried: true,
        };
        let mut queue = Queue::new(load.publishers());
        let (mut span, mut came_before) = (None, 0);
        let (mut made, mut expected, mut arrived) = (0_u64, 0_u64, 0_u64);
        let behind_max = (self.behind_max.as_secs_f64() * self.rate) as u64 * listeners;
        let due_of = |made: u64| first + Duration::from_secs_f64(made as f64 / self.rate);
        let mut due = due_of(0);
        // Time in which the generator, which has a core of its own, has looked and found nothing to do.
        let mut idle = Duration::ZERO;
        let (mut looked, mut work) = (Instant::now(), load.work());
        loop {
            let now = Instant::now();
            if std::mem::replace(&mut work, load.work()) == load.work() {
                idle += now - looked;
            }
            looked = now;
            if now >= from && span.is_none() {
                span = Some(server.span()?);
                came_before = load.book.deliveries;
                idle = Duration::ZERO;
            }
            if due >= end {
                break;
            }
            while due <= now && due < end {
                let thread = (made % load.threads() as u64) as usize;
                queue.push(load.publisher_of(thread), (thread, load.clock_us(due)));
                if due >= from {
                    expected += listeners;
                    paced.late.saturating_record((now - due).as_micros() as u64);
                }
                made += 1;
                due = due_of(made);
            }
            queue.send(load)?;
            let patience =
                if self.is_alone { Duration::ZERO } else { due.saturating_duration_since(now) };
            arrived += record(load, patience, from_us, &counts, &mut paced.taken)?;
            if meanwhile(load, now.saturating_duration_since(first))? == Go::Stop {
                break;
            }
            let is_unsent =
                queue.behind_us(load.clock_us(now)) > self.behind_max.as_micros() as u64;
            if is_unsent
                || (made * listeners).saturating_sub(arrived) > behind_max.max(listeners * 100)
            {
                paced.is_carried = false;
                break;
            }
        }
        if let Some(span) = span {
            paced.cost = span.end(server)?;
            if self.is_alone {
                let work = paced.cost.generator - idle.as_secs_f64();
                paced.cost.generator = work.max(0.0);
            }
            paced.deliveries = load.book.deliveries - came_before;
        }
        if !paced.is_carried {
            // What was sent must arrive all the same, and counts; what was not sent never was.
            let deadline = Instant::now() + DRAIN;
            while let Some(missing) = load.missing() {
                ensure!(Instant::now() < deadline, "of a load that was not carried: {missing}");
                record(load, Duration::from_millis(1), from_us, &counts, &mut paced.taken)?;
            }
            return Ok(paced);
        }
        let counted = arrived as f64 / (made * listeners).max(1) as f64;
        paced.is_carried = counted >= CARRIED;
        // What is still under way counts too.
        let deadline = Instant::now() + DRAIN;
        while paced.taken.len() < expected && Instant::now() < deadline {
            queue.send(load)?;
            record(load, Duration::from_millis(1), from_us, &counts, &mut paced.taken)?;
            meanwhile(load, first.elapsed())?;
        }
        ensure!(
            paced.taken.len() == expected,
            "{expected} deliveries were due, {} came within {} s",
            paced.taken.len(),
            DRAIN.as_secs()
        );
        Ok(paced)
    }
}

/// What is due and not sent, for each publisher: nothing, unless one has too much unanswered.
#[derive(Debug)]
struct Queue {
    due: Vec<Vec<(usize, u64)>>,
    /// The publishers that have something.
    waiting: Vec<usize>,
}

impl Queue {
    fn new(publishers: usize) -> Self {
        Self { due: vec![Vec::new(); publishers], waiting: Vec::new() }
    }

    fn push(&mut self, publisher: usize, event: (usize, u64)) {
        if self.due[publisher].is_empty() {
            self.waiting.push(publisher);
        }
        self.due[publisher].push(event);
    }

    fn send(&mut self, load: &mut Load) -> Result<()> {
        let mut left = Vec::new();
        for publisher in self.waiting.drain(..) {
            let due = &mut self.due[publisher];
            let mut sent = 0;
            while sent < due.len() && load.may_publish(publisher) {
                let together = due.len().min(sent + TOGETHER_MAX);
                load.publish_all(publisher, &due[sent..together])?;
                sent = together;
            }
            due.drain(..sent);
            if !due.is_empty() {
                left.push(publisher);
            }
        }
        self.waiting = left;
        Ok(())
    }

    /// How long the oldest event waits that has not been sent.
    fn behind_us(&self, now_us: u64) -> u64 {
        let oldest = self.waiting.iter().filter_map(|publisher| self.due[*publisher].first());
        oldest.map(|(_, due_us)| now_us.saturating_sub(*due_us)).max().unwrap_or(0)
    }
}

/// Takes what comes; gives how much of it counts, measured or not.
fn record(
    load: &mut Load,
    patience: Duration,
    from_us: u64,
    counts: &impl Fn(usize) -> bool,
    taken: &mut Histogram<u64>,
) -> Result<u64> {
    let start = load.start();
    let mut arrived = 0;
    load.turn(patience, |Came { link, due_us, at }| {
        if !counts(link) {
            return;
        }
        arrived += 1;
        if due_us >= from_us {
            let at = at.saturating_duration_since(start).as_micros() as u64;
            taken.saturating_record(at.saturating_sub(due_us));
        }
    })?;
    Ok(arrived)
}
