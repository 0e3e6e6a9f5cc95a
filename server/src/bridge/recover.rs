//! What was going on when the server stopped, or when its log failed and was opened again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rethread_shared::{ThreadId, WireError, limits::SWEEP_STEP_RUNS, order::RunState};

use super::{Bridge, replay::replay_all, runs::settle};
use crate::log::RunRecord;

/// How often it was asked to take up what was going on, and how many of these are done.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    asked: AtomicU64,
    done: tokio::sync::Mutex<u64>,
}

impl Bridge {
    /// Takes up what was going on when the server stopped: work that waits, agents that are away. Each
    /// thread is read once, from where the oldest of its runs that go on began.
    ///
    /// Also when the log was opened again after a failure, for then something may be stored that nobody
    /// was told of; what the desk knows, and runs that are in memory, stay as they are.
    ///
    /// One at a time: who asks while one is at work is served by the next, together with all others
    /// who asked meanwhile.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn recover(self: &Arc<Self>) -> Result<(), WireError> {
        let mine = self.recoveries.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut done = self.recoveries.done.lock().await;
        if *done < mine {
            let asked = self.recoveries.asked.load(Ordering::Acquire);
            self.take_up_all().await?;
            *done = asked;
        }
        Ok(())
    }

    async fn take_up_all(self: &Arc<Self>) -> Result<(), WireError> {
        self.runs.registered().recount(&*self.log).await?;
        let mut threads: BTreeMap<ThreadId, Vec<RunRecord>> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.log.live_runs(after.as_ref(), SWEEP_STEP_RUNS).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.run.clone());
            for record in page {
                threads.entry(record.thread.clone()).or_default().push(record);
            }
        }
        let (mut waiting, mut away) = (0, 0);
        for (thread, records) in threads {
            let held = self.runs.of(&thread);
            let mut held = held.lock().await;
            held.refresh(&*self.log);
            settle(&*self.log, &thread).await?;
            let records = self.still_live(&thread, records)?;
            if records.is_empty() {
                continue;
            }
            let replayed = replay_all(&*self.log, &thread, &records).await?;
            for (record, (state, steps)) in records.into_iter().zip(replayed) {
                match state {
                    RunState::Ended { .. } => {
                        self.desk.over(&record.run);
                        let ended = RunRecord { live: false, ..record };
                        drop(self.log.remember_in(held.term(), vec![ended]));
                        continue;
                    }
                    _ if self.desk.knows(&record.run) => {}
                    RunState::Asked if record.asked => {
                        let seq = steps.last().map_or(0, |step| step.seq);
                        waiting += usize::from(self.wait_again(&record, seq).await?);
                    }
                    RunState::Asked | RunState::Running { .. } if record.connected => {
                        self.watch([self.desk.missing(&record.run)]);
                        away += 1;
                    }
                    RunState::New | RunState::Asked | RunState::Running { .. } => {}
                }
                if held.in_memory(&record.run).is_none() {
                    held.take_up(state, record);
                }
            }
        }
        if waiting + away > 0 {
            tracing::info!(waiting, away, "took up the runs of before");
        }
        Ok(())
    }

    /// Records as they are now that nobody else changes them; without those that have ended or were
    /// forgotten since they were read.
    fn still_live(
        &self,
        thread: &ThreadId,
        records: Vec<RunRecord>,
    ) -> Result<Vec<RunRecord>, WireError> {
        let mut live = Vec::with_capacity(records.len());
        for before in records {
            let now = self.log.recall(&before.run)?;
            live.extend(now.filter(|now| now.live && now.thread == *thread));
        }
        Ok(live)
    }

    /// Puts a message that no agent has taken on the desk again. False when it cannot be read: one must
    /// not keep all others waiting.
    async fn wait_again(self: &Arc<Self>, record: &RunRecord, seq: u64) -> Result<bool, WireError> {
        let Some(thread) = self.log.thread(&record.thread)? else { return Ok(false) };
        match self.message_at(record, seq).await {
            Ok(message) => {
                self.ask(&thread, record.agent.clone(), record.run.clone(), message);
                Ok(true)
            }
            Err(error) => {
                tracing::error!(run = %record.run, seq, %error, "not handed out");
                Ok(false)
            }
        }
    }
}
