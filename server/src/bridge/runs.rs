//! Where each run is. Kept in memory in step with the log, and read again from the log when it is
//! not in memory: after a restart, or because it was forgotten to make room.
//!
//! What makes that cheap: a run is remembered in the registry, with its thread's head at that
//! moment, *before* its first event is appended. So a run that the registry does not know has no
//! events, and for one that it knows the log is read from there only.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use rethread_shared::{
    EventId, EventKind, RunId, ThreadId, WireError,
    event::{Envelope, Payload},
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX, RUN_STATES_MAX},
    order::RunState,
};

use crate::{
    log::{Log, PageLimit, Record, RunRecord},
    now,
};

/// The runs of all threads in use.
#[derive(Debug, Default)]
pub(super) struct Runs {
    threads: Mutex<HashMap<ThreadId, Arc<tokio::sync::Mutex<ThreadRuns>>>>,
}

/// The runs of one thread. Whoever holds it decides what comes next in the thread: an append is
/// queued under this lock, so that the order of checks is the order of the log.
#[derive(Debug, Default)]
pub(super) struct ThreadRuns {
    states: HashMap<RunId, RunState>,
    /// Events that change a run's state and are queued but not yet durable.
    pub(super) queued: HashSet<EventId>,
    /// An append failed: what is queued must be settled before the log tells a run's state.
    unsettled: bool,
}

impl Runs {
    pub(super) fn of(&self, thread: &ThreadId) -> Arc<tokio::sync::Mutex<ThreadRuns>> {
        let mut threads = self.threads.lock();
        if let Some(runs) = threads.get(thread) {
            return runs.clone();
        }
        if threads.len() >= RUN_STATES_MAX {
            threads.retain(|_, runs| Arc::strong_count(runs) > 1);
        }
        threads.entry(thread.clone()).or_default().clone()
    }
}

/// How a run came to be.
#[derive(Debug)]
pub(super) enum Origin {
    /// A publisher names it, over a connection or not.
    Published { connected: bool },
    /// A person's message opens it; an agent is to be found, which comes over a connection.
    Asked { agent: Option<String> },
}

/// Ended runs whose state a thread keeps before it forgets them.
const ENDED_KEPT_MAX: usize = 64;

impl ThreadRuns {
    /// The run's state; loads it, or registers the run as new. `connected` says whether its agent
    /// comes over a connection.
    pub(super) async fn state(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        connected: bool,
    ) -> Result<&mut RunState, WireError> {
        if !self.states.contains_key(run) {
            if self.unsettled {
                settle(log, thread).await?;
                self.unsettled = false;
            }
            let state = match log.recall(run)? {
                Some(record) => replay(log, &record).await?.0,
                None => {
                    drop(self.register(log, thread, run, Origin::Published { connected })?);
                    RunState::New
                }
            };
            self.put(run, state);
        }
        Ok(self.states.get_mut(run).expect("it was just put there"))
    }

    /// Remembers a run that has no events yet. Queued, not awaited: an append that is queued later
    /// is not durable earlier.
    pub(super) fn register(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        origin: Origin,
    ) -> Result<impl Future<Output = Result<(), crate::log::LogError>> + use<>, WireError> {
        let after = log.thread(thread)?.map_or(0, |info| info.head);
        let (asked, agent, connected) = match origin {
            Origin::Published { connected } => (false, None, connected),
            Origin::Asked { agent } => (true, agent, true),
        };
        let record = RunRecord {
            run: run.clone(),
            thread: thread.clone(),
            after,
            created_at: now::unix_ms(),
            asked,
            agent,
            connected,
            live: true,
        };
        self.put(run, RunState::New);
        Ok(log.remember(record))
    }

    fn put(&mut self, run: &RunId, state: RunState) {
        if self.states.len() >= ENDED_KEPT_MAX && self.queued.is_empty() {
            self.states.retain(|_, state| !state.is_ended());
        }
        self.states.insert(run.clone(), state);
    }

    /// Forgets what an append that failed had changed; it is read again from the log.
    pub(super) fn forget(&mut self) {
        self.states.clear();
        self.unsettled = true;
    }
}

/// Waits until everything queued for the thread is durable or refused: an append of nothing takes
/// its place behind it.
pub(super) async fn settle(log: &dyn Log, thread: &ThreadId) -> Result<(), WireError> {
    log.append(thread, Vec::new()).await?;
    Ok(())
}

/// An event of a run, as far as its order matters.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) seq: u64,
    pub(super) kind: EventKind,
}

/// Reads a run's state, and the events that made it, from the log.
pub(super) async fn replay(
    log: &dyn Log,
    record: &RunRecord,
) -> Result<(RunState, Vec<Step>), WireError> {
    let limit = PageLimit { events: PAGE_EVENTS_MAX, bytes: PAGE_BYTES_MAX };
    let (mut state, mut steps, mut after) = (RunState::New, Vec::new(), record.after);
    loop {
        let page = log.read(&record.thread, after, limit).await?;
        let Some(last) = page.last() else { return Ok((state, steps)) };
        after = last.seq;
        for stored in &page {
            let Some((kind, call_id)) = of_run(stored, &record.run) else { continue };
            if let Err(error) = state.apply(&record.run, &kind, call_id.as_deref()) {
                tracing::error!(run = %record.run, seq = stored.seq, %error, "the log breaks a run's order");
            }
            if kind.changes_order() {
                steps.push(Step { seq: stored.seq, kind });
            }
        }
    }
}

/// The kind and the call of a stored event, if it belongs to the run.
fn of_run(stored: &Record, run: &RunId) -> Option<(EventKind, Option<String>)> {
    let text = std::str::from_utf8(&stored.body).ok()?;
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    if envelope.run != run.as_str() {
        return None;
    }
    let kind = EventKind::from(envelope.kind.as_ref());
    let call_id = match Payload::read(&kind, envelope.data_or_empty()) {
        Ok(Payload::ToolExecuting(data)) => Some(data.call_id.into_owned()),
        Ok(Payload::ToolCompleted(data)) => Some(data.call_id.into_owned()),
        _ => None,
    };
    Some((kind, call_id))
}
