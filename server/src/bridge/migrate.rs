//! Migration: an id that names no thread gets one that does. From then on both are known, as ids of the
//! same run: what was published under one is followed by what is published under the other.

use rethread_shared::{ErrorCode, RunId, ThreadId, WireError, id::RunForm};
use serde::{Deserialize, Serialize};

use utoipa::ToSchema;

use super::Bridge;
use crate::{log::RunRecord, schema};

/// A run with its standard id, as `POST /v1/admin/migrate` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Migrated {
    /// The id that it had.
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// The thread that it belongs to.
    #[schema(value_type = schema::ThreadId)]
    pub thread: ThreadId,
    /// The id that says so.
    #[schema(value_type = schema::RunId)]
    pub standard: RunId,
    /// False when it had that already.
    pub is_new: bool,
}

/// How often another standard id is tried when one is taken. Two runs of a thread that were first seen
/// in the same millisecond share one in four thousand million times.
const TRIES: u64 = 8;

impl Bridge {
    /// Says which thread a run belongs to, and gives it its standard id. Saying the same again changes
    /// nothing and gives the same answer.
    ///
    /// # Errors
    /// `thread_not_found`; `run_conflict` when the run belongs to another thread; `log_unavailable`.
    pub async fn migrate(&self, run: &RunId, thread: &ThreadId) -> Result<Migrated, WireError> {
        let log = &*self.log;
        if log.thread(thread)?.is_none() {
            return Err(WireError::thread_not_found(thread));
        }
        let _assigning = self.assigning.lock().await;
        let known = log.recall(run)?;
        let belongs_to = known.as_ref().map(|record| &record.thread);
        if let Some(other) = belongs_to.or(run.embedded_thread()).filter(|other| *other != thread) {
            return Err(conflict(run, thread, other));
        }
        if let Some(named) = run.embedded_thread().filter(|named| *named != thread) {
            return Err(conflict(run, thread, named));
        }
        let runs = self.runs.of(thread);
        let mut held = runs.lock().await;
        held.refresh(log);
        let is_standard = matches!(run.form(), RunForm::Standard { .. });
        let given = known.and_then(|record| record.standard);
        // Where only half of an earlier migration was stored, the other half follows now.
        let is_whole = match &given {
            Some(standard) => log.recall(standard)?.is_some(),
            None => is_standard,
        };
        if is_whole {
            held.remember(log, thread, run).await?;
            let standard = given.unwrap_or_else(|| run.clone());
            return Ok(Migrated {
                run: run.clone(),
                thread: thread.clone(),
                standard,
                is_new: false,
            });
        }
        let term = held.term();
        let known = held.known(log, thread, run).await?;
        let is_new = given.is_none();
        let standard = match given {
            Some(standard) => standard,
            None => self.free_standard(run, thread, known.record.created_at)?,
        };
        known.record.standard = Some(standard.clone());
        let first = known.note();
        let second = RunRecord {
            run: standard.clone(),
            first: Some(run.clone()),
            standard: None,
            live: false,
            ..first.clone()
        };
        self.runs.registered().add(1);
        let remembered = log.remember_in(term, vec![first, second]);
        drop(held);
        remembered.await?;
        tracing::info!(%run, %thread, %standard, "migrated");
        Ok(Migrated { run: run.clone(), thread: thread.clone(), standard, is_new })
    }

    fn free_standard(
        &self,
        run: &RunId,
        thread: &ThreadId,
        created_at: u64,
    ) -> Result<RunId, WireError> {
        for later in 0..TRIES {
            let standard = run.migrate(thread, created_at + later);
            if self.log.recall(&standard)?.is_none() {
                return Ok(standard);
            }
        }
        Err(WireError::new(ErrorCode::Internal, format!("no standard id is free for run {run}")))
    }
}

fn conflict(run: &RunId, thread: &ThreadId, other: &ThreadId) -> WireError {
    WireError::new(
        ErrorCode::RunConflict,
        format!(
            "run {run} cannot be given to {thread}: it is a run of {other}. Nothing was changed; \
             `rethread resolve {run}` shows who says so"
        ),
    )
    .with_expected(other.as_str())
    .with_received(thread.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_protocol_is_an_answer() {
        let golden = include_str!("../../../shared/golden/http.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let migrated: Migrated = serde_json::from_value(golden["migrated"].clone()).unwrap();
        assert_eq!(serde_json::to_value(&migrated).unwrap(), golden["migrated"]);
        let made_at = 1_756_919_162_904;
        assert_eq!(migrated.run.migrate(&migrated.thread, made_at), migrated.standard);
    }
}
