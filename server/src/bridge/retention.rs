//! Events that are kept no longer: those that are older than `retention.age`, and the oldest of a thread
//! that has more than `retention.events`. Removed from a thread's beginning only, so what is kept has no
//! holes, in steps of [`RETENTION_STEP_EVENTS`] that take their turn with everybody's appends.
//!
//! What goes on is whole: nothing after the place where the first of a thread's live runs began is
//! removed. The ids of removed events stay, so a repetition is known however late it comes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use metrics::counter;
use rethread_shared::{
    ThreadId, WireError,
    event::Envelope,
    limits::{PAGE_BYTES_MAX, RETENTION_STEP_EVENTS, RETENTION_THREADS_AT_ONCE, SWEEP_STEP_RUNS},
};

use super::{Bridge, sweep::made_at};
use crate::{
    log::{Cut, PageLimit, Record, ThreadInfo},
    metrics::EVENTS_REMOVED,
};

impl Bridge {
    /// Removes what is kept no longer again and again, for ever.
    pub async fn keep_retained(self: Arc<Self>) {
        let removed = counter!(EVENTS_REMOVED);
        while self.retention.is_bounded() {
            tokio::time::sleep(self.retention.sweep.get()).await;
            match self.retain(&|events| removed.increment(events)).await {
                Ok(0) => {}
                Ok(events) => tracing::debug!(events, "removed"),
                Err(error) => tracing::warn!(%error, "events that are kept no longer stay for now"),
            }
        }
    }

    /// Removes what is kept no longer, thread by thread; gives how many events that were. `step` hears of
    /// each step.
    ///
    /// # Errors
    /// `log_unavailable`. What was removed until then is removed.
    pub async fn retain(&self, step: &(dyn Fn(u64) + Send + Sync)) -> Result<u64, WireError> {
        let (mut before, mut removed) = (u64::MAX, 0);
        loop {
            let page = self.log.older_threads(None, before, RETENTION_THREADS_AT_ONCE).await?;
            let Some((mark, _)) = page.last() else { return Ok(removed) };
            before = *mark;
            // The heads were read before the runs are: a run that is not among those has its events after.
            let mut due = Vec::new();
            for (_, info) in page {
                if self.due(&info, 1).await?.is_some() {
                    due.push(info);
                }
            }
            let held = self.held_by_runs(&due).await?;
            for info in due {
                let until = held.get(&info.thread).copied().unwrap_or(u64::MAX).min(info.head);
                removed += self.trim(info, until, step).await?;
            }
        }
    }

    /// Removes what is due of one thread, up to `until` at most.
    async fn trim(
        &self,
        mut info: ThreadInfo,
        until: u64,
        step: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64, WireError> {
        let mut removed = 0;
        while info.first <= until {
            let Some(cut) = self.due(&info, RETENTION_STEP_EVENTS).await? else { break };
            let cut = Cut { first: cut.first.min(until + 1), ..cut };
            let events = self.log.trim(&info.thread, cut).await?;
            info.first = cut.first;
            removed += events;
            step(events);
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }

    /// Which of a thread's first events are due, as far as `limit`; none where the first is not.
    async fn due(&self, info: &ThreadInfo, limit: usize) -> Result<Option<Cut>, WireError> {
        let after = info.first - 1;
        let kept_from = match self.retention.events {
            0 => 0,
            events => (info.head + 1).saturating_sub(events),
        };
        if info.head < info.first || (self.retention.age.as_ms() == 0 && kept_from <= info.first) {
            return Ok(None);
        }
        let limit = PageLimit { events: limit, bytes: PAGE_BYTES_MAX };
        let page = self.log.read(&info.thread, after, limit).await?;
        let mut cut = Cut { first: info.first, until_ms: 0 };
        for record in page {
            let read = read(&record);
            if record.seq >= kept_from && !self.is_old(read.at) {
                break;
            }
            cut.first = record.seq + 1;
            cut.until_ms = cut.until_ms.max(read.made_at);
        }
        Ok((cut.first > info.first).then_some(cut))
    }

    fn is_old(&self, at: u64) -> bool {
        let age = self.retention.age.as_ms();
        age > 0 && at.saturating_add(age) <= self.clock.unix_ms()
    }

    /// Up to where the runs that go on let events be removed, for those of these threads that have any.
    async fn held_by_runs(
        &self,
        threads: &[ThreadInfo],
    ) -> Result<HashMap<ThreadId, u64>, WireError> {
        let mut held = HashMap::new();
        if threads.is_empty() {
            return Ok(held);
        }
        let wanted: HashSet<&ThreadId> = threads.iter().map(|info| &info.thread).collect();
        let mut after = None;
        loop {
            let page = self.log.live_runs(after.as_ref(), SWEEP_STEP_RUNS).await?;
            let Some(last) = page.last() else { return Ok(held) };
            after = Some(last.run.clone());
            for record in page.into_iter().filter(|record| wanted.contains(&record.thread)) {
                let until = held.entry(record.thread).or_insert(record.after);
                *until = record.after.min(*until);
            }
        }
    }
}

/// Of a stored event, what matters for its removal.
struct Read {
    at: u64,
    made_at: u64,
}

/// What cannot be read has no age, and stays until there are too many.
fn read(record: &Record) -> Read {
    let envelope = serde_json::from_slice::<Envelope<'_>>(&record.body).ok();
    let run = envelope.as_ref().and_then(|envelope| envelope.run.parse().ok());
    Read {
        at: envelope.and_then(|envelope| envelope.at).unwrap_or(u64::MAX),
        made_at: run.as_ref().map_or(0, made_at),
    }
}

#[cfg(test)]
mod tests;
