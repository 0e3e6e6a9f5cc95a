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
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX, RUN_STATES_MAX, RUNS_ENDED_KEPT_MAX},
    order::RunState,
};

use crate::{
    log::{Log, LogError, PageLimit, Record, RunRecord},
    metrics::meters::{self, Counted},
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
    known: HashMap<RunId, Known>,
    /// Events that change a run's state and are queued but not yet durable.
    pub(super) queued: HashSet<EventId>,
    /// An append failed: what is queued must be settled before the log tells a run's state.
    unsettled: bool,
    /// The log's term in which the runs were read.
    term: u64,
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

/// A run as the bridge knows it: its state, which goes ahead of the log by what is queued, and what
/// the registry remembers of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) state: RunState,
    record: RunRecord,
    is_remembered: bool,
    /// Counts it among the runs that go on, while it does.
    counted: Option<Counted>,
}

/// How a run came to be.
#[derive(Debug)]
pub(super) enum Origin {
    /// A publisher names it.
    Published,
    /// A person's message opens it; an agent is to be found, which comes over a connection.
    Asked { agent: Option<String> },
}

impl ThreadRuns {
    /// Forgets what is known of the runs if the log's term is over. Asked first by whoever takes the
    /// lock to append; the append is then [in the term](Self::term), or refused.
    pub(super) fn refresh(&mut self, log: &dyn Log) {
        let term = log.term();
        if term != self.term {
            self.forget();
            self.term = term;
        }
    }

    /// The log's term in which the runs were read.
    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// The run; read from the log when it is not in memory. One that nobody has heard of is new.
    pub(super) async fn known(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<&mut Known, WireError> {
        if !self.known.contains_key(run) {
            if self.unsettled {
                settle(log, thread).await?;
                self.unsettled = false;
            }
            let known = match log.recall(run)? {
                Some(record) => {
                    let state = replay(log, &record).await?.0;
                    let counted = meters::run(&state);
                    Known { state, record, is_remembered: true, counted }
                }
                None => Known::new(log, thread, run, Origin::Published)?,
            };
            self.put(known);
        }
        Ok(self.known.get_mut(run).expect("it was just put there"))
    }

    /// Remembers a run that has no events yet.
    pub(super) fn register(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        origin: Origin,
    ) -> Result<impl Future<Output = Result<(), LogError>> + use<>, WireError> {
        let mut known = Known::new(log, thread, run, origin)?;
        known.is_remembered = true;
        let remembered = log.remember(known.record.clone());
        self.put(known);
        Ok(remembered)
    }

    /// Sees that the registry knows a run whose thread was found elsewhere, so that it is not looked for
    /// again. Not awaited: if it is lost, it is found again.
    pub(super) async fn remember(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<(), WireError> {
        let known = self.known(log, thread, run).await?;
        if !known.is_remembered {
            known.is_remembered = true;
            drop(log.remember(known.record.clone()));
        }
        Ok(())
    }

    /// The run's end is queued: it is live no longer. Called after that, so that the registry never
    /// takes a run for over whose end was lost. Not awaited: if it is lost itself, the log tells.
    pub(super) fn ended(&mut self, log: &dyn Log, run: &RunId) {
        if let Some(known) = self.known.get_mut(run) {
            known.record.live = false;
            drop(log.remember(known.record.clone()));
        }
    }

    fn put(&mut self, known: Known) {
        if self.known.len() >= RUNS_ENDED_KEPT_MAX && self.queued.is_empty() {
            self.known.retain(|_, known| known.is_remembered && !known.state.is_ended());
        }
        self.known.insert(known.record.run.clone(), known);
    }

    /// Forgets what an append that failed had changed; it is read again from the log.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.unsettled = true;
    }
}

impl Known {
    fn new(
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        origin: Origin,
    ) -> Result<Self, WireError> {
        let (asked, agent) = match origin {
            Origin::Published => (false, None),
            Origin::Asked { agent } => (true, agent),
        };
        let record = RunRecord {
            run: run.clone(),
            thread: thread.clone(),
            after: log.thread(thread)?.map_or(0, |info| info.head),
            created_at: now::unix_ms(),
            asked,
            agent,
            connected: asked,
            live: true,
            active_at: now::unix_ms(),
        };
        Ok(Self { state: RunState::New, record, is_remembered: false, counted: None })
    }

    /// Takes the next event, which is about to be queued. `connected` says that it came over a
    /// connection: losing that is losing the run's agent, also when the server is restarted between.
    ///
    /// The registry is told before the event is queued, and so is durable no later.
    pub(super) fn apply(
        &mut self,
        log: &dyn Log,
        kind: &EventKind,
        call_id: Option<&str>,
        connected: bool,
    ) -> Result<(), WireError> {
        let before = std::mem::discriminant(&self.state);
        self.state.apply(&self.record.run, kind, call_id)?;
        if before != std::mem::discriminant(&self.state) {
            self.counted = meters::run(&self.state);
        }
        if !self.is_remembered || (connected && !self.record.connected) {
            self.is_remembered = true;
            self.record.connected |= connected;
            drop(log.remember(self.record.clone()));
        }
        Ok(())
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
