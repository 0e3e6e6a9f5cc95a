//! What the registry forgets, and runs that are silent. In steps of [`SWEEP_STEP_RUNS`] runs, so that
//! publishers get their turn between them.
//!
//! Forgetting is one step of the log for each thread, under the lock of the thread's runs: what must be
//! known of forgotten runs all the same (`Past`) is written with it. A server that is killed in the
//! middle of a sweep has forgotten some, and forgets the rest later.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use rethread_shared::{
    Payload, RunId, ThreadId, WireError, event::AgentFailed, id::RunForm, limits::SWEEP_STEP_RUNS,
    order::RunState,
};
use tokio::sync::Mutex;

use super::{Bridge, runs::Known};
use crate::{
    health::{Health, Part, State},
    log::{Forget, IdleRun, RunRecord},
    metrics::{REGISTRY_FORGOTTEN, REGISTRY_RUNS, REGISTRY_SWEEP_DURATION_SECONDS, RUNS_SILENT},
};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs that had been idle for long enough.
    pub expired: u64,
    /// Runs that ended and had to make room before their time.
    pub evicted: u64,
    /// Runs that were made and never used.
    pub unused: u64,
    /// Runs that were ended because nothing was heard of them.
    pub silent: u64,
    /// Runs that go on.
    pub live: u64,
}

/// What sweeping needs to itself.
pub(super) struct Sweeping {
    one_at_a_time: Mutex<()>,
    forgotten: [(&'static str, Counter); 3],
    silent: Counter,
    live: Gauge,
    ended: Gauge,
    duration: Histogram,
}

impl Default for Sweeping {
    fn default() -> Self {
        let forgotten = ["expired", "evicted", "unused"];
        Self {
            one_at_a_time: Mutex::default(),
            forgotten: forgotten
                .map(|reason| (reason, counter!(REGISTRY_FORGOTTEN, "reason" => reason))),
            silent: counter!(RUNS_SILENT),
            live: gauge!(REGISTRY_RUNS, "state" => "live"),
            ended: gauge!(REGISTRY_RUNS, "state" => "ended"),
            duration: histogram!(REGISTRY_SWEEP_DURATION_SECONDS),
        }
    }
}

impl Bridge {
    /// Sweeps again and again, for ever; says how it goes to `health`.
    pub async fn keep_swept(self: Arc<Self>, health: Arc<Health>) {
        loop {
            let pause = tokio::time::sleep(self.registry.sweep.get());
            tokio::select! {
                () = pause => {}
                // No faster than this, also when nothing can be forgotten.
                () = self.runs.registered().is_crowded() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            match self.sweep().await {
                Ok(_) if self.runs.registered().count() > self.registry.runs => {
                    let reason = format!(
                        "{} runs go on, more than {} (registry.runs); new ones will be refused",
                        self.runs.registered().count(),
                        self.registry.runs
                    );
                    health.report(Part::Registry, State::Degraded, reason);
                }
                Ok(_) => drop(health.report(Part::Registry, State::Active, "")),
                Err(error) => {
                    tracing::warn!(%error, "the registry could not be swept");
                    let reason = format!("it could not be swept: {}", error.message);
                    health.report(Part::Registry, State::Degraded, reason);
                }
            }
        }
    }

    /// Sweeps the registry once: forgets runs that are due, then those beyond the most, and ends runs
    /// that are silent.
    ///
    /// # Errors
    /// `log_unavailable`. What was done until then is done.
    pub async fn sweep(self: &Arc<Self>) -> Result<Swept, WireError> {
        let _one = self.sweeping.one_at_a_time.lock().await;
        let started = Instant::now();
        let mut swept = Swept::default();
        let done = self.sweep_all(&mut swept).await;
        let sweeping = &self.sweeping;
        let counts = [swept.expired, swept.evicted, swept.unused];
        for ((_, counter), count) in sweeping.forgotten.iter().zip(counts) {
            counter.increment(count);
        }
        sweeping.silent.increment(swept.silent);
        sweeping.duration.record(started.elapsed());
        done?;
        sweeping.live.set(swept.live as f64);
        let count = self.runs.registered().count();
        sweeping.ended.set(count.saturating_sub(swept.live) as f64);
        if swept != (Swept { live: swept.live, ..Swept::default() }) {
            tracing::debug!(?swept, took = ?started.elapsed(), "swept");
        }
        Ok(swept)
    }

    async fn sweep_all(self: &Arc<Self>, swept: &mut Swept) -> Result<(), WireError> {
        loop {
            let until = self.clock.unix_ms().saturating_sub(self.registry.ttl.as_ms());
            let due = self.log.idle_runs(until, SWEEP_STEP_RUNS).await?;
            if due.is_empty() {
                break;
            }
            swept.expired += self.forget_idle(due).await?;
            tokio::task::yield_now().await;
        }
        self.look_after_live(swept).await?;
        loop {
            let beyond = self.runs.registered().count().saturating_sub(self.registry.runs);
            let step = SWEEP_STEP_RUNS.min(usize::try_from(beyond).unwrap_or(usize::MAX));
            if step == 0 {
                break;
            }
            let oldest = self.log.idle_runs(u64::MAX, step).await?;
            if oldest.is_empty() {
                break;
            }
            swept.evicted += self.forget_idle(oldest).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Forgets runs of which it was noted that they are idle. Every one of these notes is gone
    /// afterwards, also where the run stays.
    async fn forget_idle(&self, idle: Vec<IdleRun>) -> Result<u64, WireError> {
        let mut threads: BTreeMap<ThreadId, Vec<IdleRun>> = BTreeMap::new();
        let mut stale = Vec::new();
        for note in idle {
            match note.current() {
                Some(record) => threads.entry(record.thread.clone()).or_default().push(note),
                None => stale.push((note.since, note.run)),
            }
        }
        let mut under_way = vec![self.log.forget(Forget { stale, ..Forget::default() })];
        let mut forgotten = Vec::new();
        for (thread, notes) in threads {
            let held = self.runs.of(&thread);
            let mut held = held.lock().await;
            held.refresh(&*self.log);
            let mut forget = Forget::default();
            let mut past = self.log.past(&thread)?.unwrap_or_default();
            let mut seen = HashSet::new();
            for note in notes {
                let record = self.log.recall(&note.run)?;
                let is_current =
                    IdleRun { record: record.clone(), ..note.clone() }.current().is_some();
                let known = held.in_memory(&note.run);
                let goes_on = known.is_some_and(|known| known.goes_on());
                let Some(record) = record.filter(|_| is_current && !goes_on) else {
                    forget.stale.push((note.since, note.run));
                    continue;
                };
                if let Some(active_at) = self.active_under_first(&record)? {
                    // The other id of a run that is not forgotten: it stays as long as that.
                    under_way.push(self.log.remember(RunRecord { active_at, ..record }));
                    forget.stale.push((note.since, note.run));
                    continue;
                }
                for record in self.with_second(record)? {
                    if seen.insert(record.run.clone()) {
                        past.until_ms =
                            past.until_ms.max(record.idle_since()).max(made_at(&record.run));
                        held.drop_run(&record.run);
                        forget.runs.push(record);
                    }
                }
            }
            past.until_seq = self.log.thread(&thread)?.map_or(0, |info| info.head);
            forgotten.extend(forget.runs.iter().map(|record| record.run.clone()));
            forget.past = (!forget.runs.is_empty()).then_some((thread, past));
            under_way.push(self.log.forget(forget));
        }
        self.forgotten(under_way, forgotten).await
    }

    /// Waits until it is durable that runs are forgotten, and forgets what was kept beside.
    async fn forgotten(
        &self,
        under_way: Vec<futures_util::future::BoxFuture<'static, Result<(), crate::log::LogError>>>,
        runs: Vec<RunId>,
    ) -> Result<u64, WireError> {
        let done = join_all(under_way).await;
        // Also when it failed: some of it may be stored all the same.
        self.resolver.forget(&runs);
        done.into_iter().collect::<Result<(), _>>()?;
        self.runs.registered().remove(runs.len() as u64);
        Ok(runs.len() as u64)
    }

    /// For the second id of a run: until when the run itself was active, if that is later.
    fn active_under_first(&self, record: &RunRecord) -> Result<Option<u64>, WireError> {
        let Some(first) = &record.first else { return Ok(None) };
        let Some(run) = self.log.recall(first)? else { return Ok(None) };
        let active_at = if run.live { self.clock.unix_ms() } else { run.idle_since() };
        Ok((active_at > record.idle_since()).then_some(active_at))
    }

    /// A record and that of the run's other id.
    fn with_second(&self, record: RunRecord) -> Result<Vec<RunRecord>, WireError> {
        let second = match &record.standard {
            Some(standard) => self.log.recall(standard)?,
            None => None,
        };
        let second = second.filter(|second| second.first.as_ref() == Some(&record.run));
        Ok(std::iter::once(record).chain(second).collect())
    }

    /// Walks the runs that go on: forgets those that were never used, ends those that are silent.
    async fn look_after_live(self: &Arc<Self>, swept: &mut Swept) -> Result<(), WireError> {
        let mut after = None;
        loop {
            let page = self.log.live_runs(after.as_ref(), SWEEP_STEP_RUNS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.run.clone());
            swept.live += page.len() as u64;
            for record in page {
                match self.look_after(&record).await? {
                    Care::None => {}
                    Care::Forget => {
                        swept.unused += self.forget_unused(record).await?;
                        swept.live -= 1;
                    }
                    Care::End => {
                        if self.end_silent(&record).await {
                            swept.silent += 1;
                            swept.live -= 1;
                        }
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// What a run that goes on needs. One that is not in memory is looked into only when what was
    /// written of it gives reason to.
    async fn look_after(&self, record: &RunRecord) -> Result<Care, WireError> {
        let (ttl, silence) = (self.registry.ttl.as_ms(), self.run_settings.silence.as_ms());
        let held = self.runs.of(&record.thread);
        let mut held = held.lock().await;
        held.refresh(&*self.log);
        if held.in_memory(&record.run).is_none() {
            let idle = self.clock.unix_ms().saturating_sub(record.idle_since());
            if idle < ttl.min(if silence == 0 { u64::MAX } else { silence }) {
                return Ok(Care::None);
            }
        }
        let known = held.known(&*self.log, &record.thread, &record.run).await?;
        Ok(match &known.state {
            RunState::New if self.is_silent(known, ttl) => Care::Forget,
            RunState::Asked if known.record.asked => Care::None,
            RunState::Asked | RunState::Running { .. } if self.is_silent(known, silence) => {
                Care::End
            }
            RunState::Ended { .. } if known.record.live => {
                // Its end is in the log, and was not noted.
                held.ended(&*self.log, &record.thread, &record.run).await?;
                Care::None
            }
            _ => Care::None,
        })
    }

    /// True when nothing was heard of a run for so long. By the time that passed, not by the clock.
    fn is_silent(&self, known: &Known, limit_ms: u64) -> bool {
        let silent = self.clock.uptime_ms().saturating_sub(known.heard);
        limit_ms > 0 && u64::try_from(silent).is_ok_and(|silent| silent >= limit_ms)
    }

    async fn forget_unused(&self, record: RunRecord) -> Result<u64, WireError> {
        let held = self.runs.of(&record.thread);
        let mut held = held.lock().await;
        held.refresh(&*self.log);
        let known = held.known(&*self.log, &record.thread, &record.run).await?;
        if known.state != RunState::New || !self.is_silent(known, self.registry.ttl.as_ms()) {
            return Ok(0);
        }
        // It has no events: there is nothing to be known of it.
        let runs = self.with_second(known.record.clone())?;
        let ids: Vec<_> = runs.iter().map(|record| record.run.clone()).collect();
        held.drop_run(&record.run);
        let forget = self.log.forget(Forget { runs, ..Forget::default() });
        // Held until that is durable: who comes before would still find it in the registry, and write
        // nothing when it is used.
        let forgotten = self.forgotten(vec![forget], ids).await;
        drop(held);
        forgotten
    }

    /// Ends a run of which nothing was heard for too long. False when it has moved on meanwhile.
    async fn end_silent(self: &Arc<Self>, record: &RunRecord) -> bool {
        let silence = self.run_settings.silence;
        let message = format!(
            "nothing was heard of this run for {silence}; if its agent is still at work, it should say so \
             from time to time (agent_thinking), or runs.silence be longer"
        );
        let silent = Payload::AgentFailed(AgentFailed {
            code: "agent_silent".into(),
            message: message.into(),
        });
        let still = |known: &Known| self.is_silent(known, silence.as_ms());
        match self.end_if(&record.thread, &record.run, silent, still).await {
            Ok(seq) => {
                tracing::info!(run = %record.run, seq, "ended, for it was silent");
                true
            }
            Err(error) => {
                tracing::info!(run = %record.run, %error, "not ended as silent");
                false
            }
        }
    }
}

/// What a run that goes on needs.
enum Care {
    None,
    Forget,
    End,
}

/// What a run's id says of when it was made.
pub(crate) fn made_at(run: &RunId) -> u64 {
    match run.form() {
        RunForm::Standard { unix_ms, .. } => *unix_ms,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
