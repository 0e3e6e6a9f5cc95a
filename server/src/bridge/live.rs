//! The runs as they are now, for operators.

use std::sync::Arc;

use rethread_shared::{RunId, ThreadId, WireError, limits::ADMIN_RUNS_SEEN_MAX, order::RunState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Bridge, desk::Standing};
use crate::{log::RunRecord, schema};

/// A run as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LiveRun {
    /// Its id.
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// Its thread.
    #[schema(value_type = schema::ThreadId)]
    pub thread: ThreadId,
    /// Where it is in its life.
    pub state: Going,
    /// The calls of tools that have not completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub executing: Vec<Box<str>>,
    /// Where it stands with its agent, where that comes over a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Standing>,
    /// The agent that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// When it was first known, milliseconds since 1970.
    #[schema(value_type = schema::Millis)]
    pub created_at: u64,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Going {
    /// It is known, and has no event yet.
    New,
    /// A person has asked; no agent has started.
    Asked,
    /// An agent works.
    Running,
    /// Over.
    Ended,
}

impl Bridge {
    /// The runs of a thread that are remembered, the newest first.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn runs_of(
        self: &Arc<Self>,
        thread: &ThreadId,
        limit: usize,
    ) -> Result<Vec<LiveRun>, WireError> {
        let mut runs = Vec::new();
        for record in self.log.runs_of(thread, limit).await? {
            // The second id of a run that was migrated is no other run.
            if record.first.is_none() {
                runs.push(self.as_it_is(record).await?);
            }
        }
        Ok(runs)
    }

    /// Runs that go on, in the order of their ids after `after`, and where to go on from when there may
    /// be more.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn live_runs(
        self: &Arc<Self>,
        after: Option<&RunId>,
        state: Option<Going>,
        limit: usize,
    ) -> Result<(Vec<LiveRun>, Option<RunId>), WireError> {
        let (mut runs, mut after, mut seen) = (Vec::new(), after.cloned(), 0);
        while seen < ADMIN_RUNS_SEEN_MAX {
            let records = self.log.live_runs(after.as_ref(), limit).await?;
            let is_last = records.len() < limit;
            seen += records.len();
            for record in records {
                after = Some(record.run.clone());
                let run = self.as_it_is(record).await?;
                if state.is_none_or(|state| run.state == state) {
                    runs.push(run);
                }
                if runs.len() == limit {
                    return Ok((runs, after));
                }
            }
            if is_last {
                return Ok((runs, None));
            }
        }
        Ok((runs, after))
    }

    async fn as_it_is(&self, record: RunRecord) -> Result<LiveRun, WireError> {
        let (mut state, mut executing) = (Going::Ended, Vec::new());
        if record.live {
            let runs = self.runs.of(&record.thread);
            let mut held = runs.lock().await;
            let known = held.known(&*self.log, &record.thread, &record.run).await?;
            state = match &known.state {
                RunState::New => Going::New,
                RunState::Asked => Going::Asked,
                RunState::Running { executing: calls } => {
                    executing = calls.iter().cloned().collect();
                    Going::Running
                }
                RunState::Ended { .. } => Going::Ended,
            };
        }
        Ok(LiveRun {
            agent: self.desk.standing(&record.run),
            run: record.run,
            thread: record.thread,
            state,
            executing,
            asked: record.agent,
            created_at: record.created_at,
        })
    }
}
