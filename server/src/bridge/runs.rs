//! Where each run is. Kept in memory in step with the log, and read again from the log when it is
//! not in memory: after a restart, or because it was forgotten to make room.
//!
//! What makes that cheap: a run is remembered in the registry, with its thread's head at that
//! moment, *before* its first event is appended. So for a run that the registry knows the log is read
//! from there only; and one that it does not know has no events, unless the registry has forgotten it.
//! Of what it has forgotten it keeps two numbers a thread ([`Past`]), which tell for nearly every new
//! run that it is none of those. For the others the log is read as far as those go: a run that has
//! ended stays ended, however long ago that was.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, EventId, EventKind, RunId, ThreadId, WireError,
    id::RunForm,
    limits::{RUN_STATES_MAX, RUNS_ENDED_KEPT_MAX},
    order::RunState,
};
use tokio::sync::Notify;

use super::replay::{find_end, replay};
use crate::{
    hash::{Map, Set},
    log::{Cut, Log, LogError, Past, RunRecord},
    metrics::meters::{self, Counted},
    now::Clock,
};

/// The runs of all threads in use.
#[derive(Debug)]
pub(super) struct Runs {
    threads: Mutex<Map<ThreadId, Arc<tokio::sync::Mutex<ThreadRuns>>>>,
    registered: Arc<Registered>,
}

/// What is the same for the runs of all threads.
#[derive(Debug)]
pub(super) struct Registered {
    clock: Clock,
    /// That a run is active is written at most so often, milliseconds.
    refresh: u64,
    /// Runs in the registry.
    count: AtomicU64,
    /// From so many on, a sweep is asked for.
    crowded: u64,
    /// More than this are never remembered.
    most: u64,
    sweep: Notify,
}

/// The runs of one thread. Whoever holds it decides what comes next in the thread: an append is
/// queued under this lock, so that the order of checks is the order of the log.
#[derive(Debug)]
pub(super) struct ThreadRuns {
    known: Map<RunId, Known>,
    /// Events that change a run's state and are queued but not yet durable.
    pub(super) queued: Set<EventId>,
    /// An append failed: what is queued must be settled before the log tells a run's state.
    unsettled: bool,
    /// The log's term in which the runs were read.
    term: u64,
    registered: Arc<Registered>,
}

impl Runs {
    /// `crowded` and `most` are numbers of runs: from the one on a sweep is asked for, from the other on
    /// new runs are refused.
    pub(super) fn new(clock: Clock, refresh: u64, crowded: u64, most: u64) -> Self {
        let (count, sweep) = (AtomicU64::new(0), Notify::new());
        let registered = Registered { clock, refresh, count, crowded, most, sweep };
        Self { threads: Mutex::default(), registered: Arc::new(registered) }
    }

    pub(super) fn of(&self, thread: &ThreadId) -> Arc<tokio::sync::Mutex<ThreadRuns>> {
        let mut threads = self.threads.lock();
        if let Some(runs) = threads.get(thread) {
            return runs.clone();
        }
        if threads.len() >= RUN_STATES_MAX {
            threads.retain(|_, runs| Arc::strong_count(runs) > 1);
        }
        let new = ThreadRuns {
            known: Map::default(),
            queued: Set::default(),
            unsettled: false,
            term: 0,
            registered: self.registered.clone(),
        };
        threads.entry(thread.clone()).or_insert_with(|| Arc::new(new.into())).clone()
    }

    pub(super) fn registered(&self) -> &Registered {
        &self.registered
    }
}

impl Registered {
    /// Runs in the registry.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts them anew. What came and went meanwhile is kept, so it may be off by that, never more.
    pub(super) async fn recount(&self, log: &dyn Log) -> Result<(), LogError> {
        let before = self.count();
        let counted = log.count_runs().await?;
        self.update(|now| counted.saturating_add(now).saturating_sub(before));
        Ok(())
    }

    fn update(&self, change: impl Fn(u64) -> u64) {
        let change = |now| Some(change(now));
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    pub(super) fn add(&self, runs: u64) {
        if self.count.fetch_add(runs, Ordering::Relaxed) + runs > self.crowded {
            self.sweep.notify_one();
        }
    }

    /// Waits until there are more than there should be.
    pub(super) async fn is_crowded(&self) {
        self.sweep.notified().await;
    }

    pub(super) fn remove(&self, runs: u64) {
        self.update(|now| now.saturating_sub(runs));
    }

    /// Refuses a new run when there are too many that go on.
    pub(super) fn require_room(&self) -> Result<(), WireError> {
        if self.count() < self.most {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::SlowDown,
            format!(
                "{} runs are remembered, the most; a new one may come when one has ended",
                self.most
            ),
        )
        .with_retry_after_ms(1_000))
    }
}

/// A run as the bridge knows it: its state, which goes ahead of the log by what is queued, and what
/// the registry remembers of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) state: RunState,
    pub(super) record: RunRecord,
    is_remembered: bool,
    /// When something was last heard of it, by the time that this process is up, milliseconds; below 0
    /// for what was heard by one before. Not by the clock, which may be set.
    pub(super) heard: i64,
    /// When that was last written.
    written: i64,
    registered: Arc<Registered>,
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
        let first = match self.known.contains_key(run) {
            true => None,
            // In a box: it is rare, and every connection would hold room for it.
            false => Box::pin(self.load(log, thread, run)).await?,
        };
        let run = first.as_ref().unwrap_or(run);
        Ok(self.known.get_mut(run).expect("it is there or was just put there"))
    }

    /// The run, if it is in memory.
    pub(super) fn in_memory(&self, run: &RunId) -> Option<&Known> {
        self.known.get(run)
    }

    /// Brings a run into memory. Gives the id that it is known by, if that is another.
    async fn load(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<Option<RunId>, WireError> {
        if self.unsettled {
            settle(log, thread).await?;
            self.unsettled = false;
        }
        let (mut record, mut first) = (log.recall(run)?, None);
        if let Some(before) = record.as_ref().and_then(|record| record.first.clone()) {
            if self.known.contains_key(&before) {
                return Ok(Some(before));
            }
            record = log.recall(&before)?;
            first = record.is_some().then_some(before);
        }
        let known = match record {
            Some(record) if record.thread != *thread => return Err(moved(run)),
            Some(record) => {
                let (state, _) = replay(log, &record).await?;
                let mut known = Known::remembered(state, record, &self.registered);
                if known.goes_on() && !known.record.live {
                    // Its end was noted, and lost.
                    known.record.live = true;
                    drop(log.remember_in(self.term, vec![known.note()]));
                }
                known
            }
            None => self.unknown(log, thread, run).await?,
        };
        self.put(known);
        Ok(first)
    }

    /// A run that the registry does not know: new, or forgotten.
    async fn unknown(
        &self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<Known, WireError> {
        let mut known = Known::new(log, thread, run, Origin::Published, &self.registered)?;
        if let Some(past) = log.past(thread)?
            && may_be_past(run, past)
        {
            let found = find_end(log, thread, run, past.until_seq).await?;
            // After it was read, for more may have been removed meanwhile.
            let removed = || {
                let cut = log.cut(thread)?;
                Ok::<_, LogError>(
                    may_be_removed(run, cut).then_some((1, EventKind::AgentCompleted)),
                )
            };
            if let Some((first, by)) = found.map_or_else(removed, |found| Ok(Some(found)))? {
                tracing::info!(%run, first, "a run that was forgotten; it has ended");
                known.state = RunState::Ended { by };
                known.record.after = first - 1;
                known.record.live = false;
                drop(known.remember(log));
            }
        }
        Ok(known)
    }

    /// Takes up a run that was going on before this process.
    pub(super) fn take_up(&mut self, state: RunState, record: RunRecord) {
        self.put(Known::remembered(state, record, &self.registered));
    }

    /// Remembers a run that has no events yet.
    pub(super) fn register(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        origin: Origin,
    ) -> Result<impl Future<Output = Result<(), LogError>> + use<>, WireError> {
        self.registered.require_room()?;
        let mut known = Known::new(log, thread, run, origin, &self.registered)?;
        let remembered = known.remember(log);
        self.put(known);
        Ok(remembered)
    }

    /// Sees that the registry knows a run whose thread was found elsewhere, so that it is not looked for
    /// again.
    pub(super) async fn remember(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<(), WireError> {
        let known = self.known(log, thread, run).await?;
        if !known.is_remembered {
            known.registered.require_room()?;
            known.remember(log).await?;
        }
        Ok(())
    }

    /// The run's end is queued: it is live no longer. Called after that, so that the registry never
    /// takes a run for over whose end was lost. Not awaited: if it is lost itself, the log tells.
    pub(super) async fn ended(
        &mut self,
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<(), WireError> {
        let term = self.term;
        let known = self.known(log, thread, run).await?;
        known.record.live = false;
        drop(log.remember_in(term, vec![known.note()]));
        Ok(())
    }

    fn put(&mut self, known: Known) {
        if self.known.len() >= RUNS_ENDED_KEPT_MAX && self.queued.is_empty() {
            self.known.retain(|_, known| known.is_remembered && !known.state.is_ended());
        }
        self.known.insert(known.record.run.clone(), known);
    }

    /// The registry forgets a run.
    pub(super) fn drop_run(&mut self, run: &RunId) {
        self.known.remove(run);
    }

    /// Forgets what an append that failed had changed; it is read again from the log.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.unsettled = true;
    }
}

/// The registry has the run in another thread than it was looked for in. Not told which: who asks need
/// not be allowed to know.
fn moved(run: &RunId) -> WireError {
    let text = format!(
        "run {run} was given to another thread meanwhile, so nothing is stored; \
         `rethread resolve {run}` shows which it belongs to"
    );
    WireError::new(ErrorCode::RunConflict, text).with_received(run.as_str())
}

/// False when it is certain that the run is none of those that were forgotten.
fn may_be_past(run: &RunId, past: Past) -> bool {
    match run.form() {
        RunForm::Standard { unix_ms, .. } => *unix_ms <= past.until_ms,
        RunForm::EmbeddedLegacy { .. } | RunForm::Opaque | RunForm::Thread { .. } => true,
    }
}

/// Whether a run that the log knows nothing of, and that may be one of those that were forgotten, is taken
/// for one whose events were removed. An id without a time is not: it would never be new again.
fn may_be_removed(run: &RunId, cut: Cut) -> bool {
    match run.form() {
        RunForm::Standard { unix_ms, .. } => cut.first > 1 && *unix_ms <= cut.until_ms,
        RunForm::EmbeddedLegacy { .. } | RunForm::Opaque | RunForm::Thread { .. } => false,
    }
}

impl Known {
    fn new(
        log: &dyn Log,
        thread: &ThreadId,
        run: &RunId,
        origin: Origin,
        registered: &Arc<Registered>,
    ) -> Result<Self, WireError> {
        let (asked, agent) = match origin {
            Origin::Published => (false, None),
            Origin::Asked { agent } => (true, agent),
        };
        let now = registered.clock.unix_ms();
        let record = RunRecord {
            run: run.clone(),
            thread: thread.clone(),
            after: log.thread(thread)?.map_or(0, |info| info.head),
            created_at: now,
            asked,
            agent,
            connected: asked,
            live: true,
            active_at: now,
            standard: None,
            first: None,
        };
        let heard = registered.clock.uptime_ms();
        Ok(Self {
            state: RunState::New,
            record,
            is_remembered: false,
            heard,
            written: heard,
            registered: registered.clone(),
            counted: None,
        })
    }

    /// As the registry has it. What was heard of it may be later than what was written of that, by the
    /// time between two writings.
    fn remembered(state: RunState, record: RunRecord, registered: &Arc<Registered>) -> Self {
        let clock = &registered.clock;
        let idle = clock.unix_ms().saturating_sub(record.idle_since());
        let silent = idle.saturating_sub(registered.refresh);
        let uptime = clock.uptime_ms();
        let counted = meters::run(&state);
        Self {
            state,
            record,
            counted,
            is_remembered: true,
            heard: uptime - i64::try_from(silent).unwrap_or(i64::MAX),
            written: uptime - i64::try_from(idle).unwrap_or(i64::MAX),
            registered: registered.clone(),
        }
    }

    /// True while it has events and no end.
    pub(super) fn goes_on(&self) -> bool {
        self.state != RunState::New && !self.state.is_ended()
    }

    /// Has the registry remember the run as it is now.
    pub(super) fn remember(
        &mut self,
        log: &dyn Log,
    ) -> impl Future<Output = Result<(), LogError>> + use<> {
        log.remember(self.note())
    }

    /// The run as it is now, for the registry to remember.
    pub(super) fn note(&mut self) -> RunRecord {
        if !std::mem::replace(&mut self.is_remembered, true) {
            self.registered.add(1);
        }
        self.record.active_at = self.registered.clock.unix_ms();
        self.written = self.registered.clock.uptime_ms();
        self.record.clone()
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
        if !self.is_remembered {
            self.registered.require_room()?;
        }
        let before = std::mem::discriminant(&self.state);
        self.state.apply(&self.record.run, kind, call_id)?;
        if before != std::mem::discriminant(&self.state) {
            self.counted = meters::run(&self.state);
        }
        self.heard = self.registered.clock.uptime_ms();
        let is_due = self.heard - self.written > self.registered.refresh as i64;
        if !self.is_remembered || is_due || (connected && !self.record.connected) {
            self.record.connected |= connected;
            drop(self.remember(log));
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
