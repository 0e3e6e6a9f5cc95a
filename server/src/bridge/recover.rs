//! What was going on when the server stopped.

use std::{collections::BTreeMap, sync::Arc};

use rethread_shared::{ThreadId, WireError, limits::SWEEP_STEP_RUNS, order::RunState};

use super::{Bridge, replay::replay_all};
use crate::log::RunRecord;

impl Bridge {
    /// Takes up what was going on when the server stopped: work that waits, agents that are away. Each
    /// thread is read once, from where the oldest of its runs that go on began.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn recover(self: &Arc<Self>) -> Result<(), WireError> {
        self.runs.registered().set(self.log.count_runs().await?);
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
            let replayed = replay_all(&*self.log, &thread, &records).await?;
            let held = self.runs.of(&thread);
            let mut held = held.lock().await;
            for (record, (state, steps)) in records.into_iter().zip(replayed) {
                match state {
                    RunState::Asked if record.asked => {
                        let seq = steps.last().map_or(0, |step| step.seq);
                        waiting += usize::from(self.wait_again(&record, seq).await?);
                    }
                    RunState::Asked | RunState::Running { .. } if record.connected => {
                        self.watch([self.desk.missing(&record.run)]);
                        away += 1;
                    }
                    RunState::Ended { .. } => {
                        drop(self.log.remember(RunRecord { live: false, ..record }));
                        continue;
                    }
                    RunState::New | RunState::Asked | RunState::Running { .. } => {}
                }
                held.take_up(state, record);
            }
        }
        if waiting + away > 0 {
            tracing::info!(waiting, away, "took up the runs of before");
        }
        Ok(())
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
