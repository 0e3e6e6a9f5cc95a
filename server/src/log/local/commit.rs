//! Group commit: what has queued while the last fsync ran is the next group.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering, mpsc},
    time::Instant,
};

use rethread_shared::{
    EventId, ThreadId,
    limits::{COMMIT_SLOW, GROUP_BYTES_MAX, GROUP_EVENTS_MAX, LOG_REOPEN_MIN},
};
use tokio::sync::oneshot;
use tracing::Span;

use super::{
    core::{Core, OpenThread},
    fanout::{Committed, Fanout, Parcel},
    heal::{Attempts, Trouble},
    newest::Newest,
};
use crate::{
    hash::Map,
    log::{
        Appended, Cut, LogError, NewRecord, NewThread, Record, RequestId, Told,
        engine::{Engine, EngineError, Group, GroupCut, GroupEvent, RunChange, ThreadRow},
    },
    metrics::meters::Commits,
};

/// What the commit thread is asked to make durable.
pub(super) enum Job {
    Create {
        new: NewThread,
        answer: oneshot::Sender<Result<bool, LogError>>,
    },
    Thread {
        row: ThreadRow,
        answer: oneshot::Sender<Result<(), LogError>>,
    },
    Append {
        term: u64,
        thread: Arc<OpenThread>,
        events: Vec<NewRecord>,
        /// When it was given to the log.
        since: Instant,
        /// What it is part of, for traces.
        span: Span,
        answer: Acknowledge,
    },
    Runs {
        term: u64,
        changes: Vec<RunChange>,
        answer: oneshot::Sender<Result<(), LogError>>,
    },
    Trim {
        thread: Arc<OpenThread>,
        cut: Cut,
        answer: oneshot::Sender<Result<u64, LogError>>,
    },
    Probe {
        answer: oneshot::Sender<Result<(), LogError>>,
        mark: oneshot::Sender<()>,
    },
}

/// How it is acknowledged that events are durable.
pub(super) enum Acknowledge {
    /// Somebody waits for it.
    Awaited(oneshot::Sender<Result<Vec<Appended>, LogError>>),
    /// Somebody is told, behind the followers.
    Told(Told),
}

impl Acknowledge {
    fn refuse(self, error: LogError) {
        match self {
            Self::Awaited(answer) => drop(answer.send(Err(error))),
            Self::Told(told) => told.tell(Err(error)),
        }
    }
}

impl Job {
    /// Events and bytes it adds to a group.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Append { events, .. } => {
                (events.len(), events.iter().map(|event| event.body.len()).sum())
            }
            Self::Runs { changes, .. } => {
                let weight = |change: &RunChange| match change {
                    RunChange::Forget(forget) => forget.runs.len() + forget.stale.len() + 1,
                    RunChange::Remember(_) => 1,
                };
                (changes.iter().map(weight).sum(), 0)
            }
            Self::Trim { thread, cut, .. } => {
                let events = cut.first.saturating_sub(thread.first());
                (usize::try_from(events).unwrap_or(usize::MAX).clamp(1, GROUP_EVENTS_MAX), 0)
            }
            _ => (1, 0),
        }
    }
}

/// The commit thread. Alone in numbering events and in writing to the engine.
pub(super) struct Committer {
    pub(super) core: Arc<Core>,
    pub(super) last_no: u64,
    pub(super) reserve: u64,
    fanout: Fanout,
    pub(super) meters: Commits,
    /// Why nothing is taken, while nothing is.
    pub(super) trouble: Option<Trouble>,
    pub(super) attempts: Attempts,
    pub(super) room_checked: Option<Instant>,
    /// The number of the last probe.
    pub(super) probe: u64,
}

/// An answer that waits for the group to be durable.
type Answer = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// A group as it is put together.
#[derive(Default)]
struct Staged {
    group: Group,
    answers: Vec<Answer>,
    appended: Vec<(Acknowledge, Vec<Appended>)>,
    /// The threads that get events, by their number.
    parts: Map<u64, Part>,
    ids: StagedIds,
    created: Map<ThreadId, ()>,
    marks: Vec<oneshot::Sender<()>>,
}

/// The places of a group's events by their ids. Filled when it is asked, which hardly ever happens.
#[derive(Default)]
struct StagedIds {
    seqs: Map<(u64, EventId), u64>,
    /// How many of the group's events are in it.
    filled: usize,
}

impl StagedIds {
    fn find(&mut self, events: &[GroupEvent], no: u64, id: EventId) -> Option<u64> {
        let new = events[self.filled..].iter().map(|event| ((event.no, event.id), event.seq));
        self.seqs.extend(new);
        self.filled = events.len();
        self.seqs.get(&(no, id)).copied()
    }
}

/// One thread's part of a group.
struct Part {
    thread: Arc<OpenThread>,
    /// The head that it will have.
    head: u64,
    /// Where in `group.events` its events stand.
    places: Vec<usize>,
    /// When the oldest of them was given to the log.
    since: Instant,
    /// The requests that brought them.
    requests: Vec<RequestId>,
}

impl Staged {
    /// The middle leg of the requests' way, for whoever follows one through the logs.
    fn trace(&self) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            for Part { thread, head, places, requests, .. } in self.parts.values() {
                let (thread, first) = (&thread.thread, head + 1 - places.len() as u64);
                tracing::debug!(%thread, first, last = head, ?requests, "committed");
            }
        }
    }
}

impl Committer {
    /// Must be called within a tokio runtime.
    pub(super) fn new(core: Arc<Core>, last_no: u64, reserve: u64) -> Self {
        Self {
            core,
            last_no,
            reserve,
            fanout: Fanout::new(),
            meters: Commits::default(),
            trouble: None,
            attempts: Attempts::default(),
            room_checked: None,
            probe: 0,
        }
    }

    /// Works until all senders are gone and the queue is empty. After a panic nobody knows what was
    /// stored, as after a failed write.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while catch_unwind(AssertUnwindSafe(|| self.work(queue))).is_err() {
            self.fail("the commit thread panicked; its message is on standard error");
        }
    }

    fn work(&mut self, queue: &mpsc::Receiver<Job>) {
        let mut put_back = None;
        loop {
            if self.trouble.as_ref().and_then(|t| t.again).is_some_and(|at| at <= Instant::now()) {
                self.try_again();
            }
            let Some(first) = put_back.take().map_or_else(|| self.next(queue), Some) else {
                return;
            };
            let Some(first) = first else { continue };
            let (mut events, mut bytes) = first.weight();
            let mut jobs = vec![first];
            while events < GROUP_EVENTS_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(job) = queue.try_recv() else { break };
                let (more_events, more_bytes) = job.weight();
                if events + more_events > GROUP_EVENTS_MAX || bytes + more_bytes > GROUP_BYTES_MAX {
                    put_back = Some(Some(job));
                    break;
                }
                events += more_events;
                bytes += more_bytes;
                jobs.push(job);
            }
            self.commit(jobs);
        }
    }

    /// The next job; nothing when it is time to look at the trouble again; the end when there is none.
    fn next(&self, queue: &mpsc::Receiver<Job>) -> Option<Option<Job>> {
        let Some(again) = self.trouble.as_ref().and_then(|trouble| trouble.again) else {
            return queue.recv().ok().map(Some);
        };
        match queue.recv_timeout(again.saturating_duration_since(Instant::now())) {
            Ok(job) => Some(Some(job)),
            Err(mpsc::RecvTimeoutError::Timeout) => Some(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        self.look_for_room();
        if self.trouble.is_some() {
            let refusal = self.core.unavailable();
            for job in jobs {
                refuse(job, &refusal);
            }
            return;
        }
        let _traced = trace(&jobs).entered();
        let mut staged = Staged::default();
        let written = self.stage_all(jobs, &mut staged).and_then(|()| {
            if staged.group.is_empty() { Ok(()) } else { self.write(&staged.group) }
        });
        if let Err(error) = written {
            self.fail(&error.0);
            let refusal = self.core.unavailable();
            for answer in staged.answers {
                answer(Err(refusal.clone()));
            }
            for (answer, _) in staged.appended {
                answer.refuse(refusal.clone());
            }
            return;
        }
        staged.trace();
        let mut committed = Vec::with_capacity(staged.parts.len());
        let mut events: Vec<Option<GroupEvent>> =
            staged.group.events.into_iter().map(Some).collect();
        for Part { thread, head, places, since, requests } in staged.parts.into_values() {
            thread.head.store(head, Ordering::Release);
            if thread.tail.lock().strong_count() == 0 {
                continue;
            }
            let taken = places.into_iter().filter_map(|place| events[place].take());
            let records = taken.map(|event| Record { seq: event.seq, body: event.body }).collect();
            committed.push(Committed { thread, records, since, requests });
        }
        for answer in staged.answers {
            answer(Ok(()));
        }
        let mut told = Vec::with_capacity(staged.appended.len());
        for (answer, appended) in staged.appended {
            match answer {
                Acknowledge::Awaited(answer) => drop(answer.send(Ok(appended))),
                Acknowledge::Told(it) => told.push((it, appended)),
            }
        }
        if !committed.is_empty() || !told.is_empty() {
            self.fanout.send(Parcel::Group(committed, told));
        }
        for mark in staged.marks {
            self.fanout.send(Parcel::Mark(mark));
        }
    }

    /// Stages jobs until one cannot be; that one and those behind it, which may count on it, are
    /// refused.
    fn stage_all(&mut self, jobs: Vec<Job>, staged: &mut Staged) -> Result<(), EngineError> {
        let engine = self.engine()?;
        let mut failed = None;
        for job in jobs {
            match &failed {
                None => failed = self.stage(&*engine, job, staged).err(),
                Some(EngineError(reason)) => {
                    let (reason, retry_after) = (reason.clone(), LOG_REOPEN_MIN);
                    refuse(job, &LogError::Unavailable { reason, retry_after });
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        self.core.engine().map_err(|error| EngineError(error.to_string()))
    }

    fn write(&self, group: &Group) -> Result<(), EngineError> {
        let start = Instant::now();
        let written = self.engine()?.write(group);
        let took = start.elapsed();
        self.meters.duration.record(took);
        if took >= COMMIT_SLOW {
            let (ms, events) = (took.as_millis() as u64, group.events.len());
            tracing::warn!(ms, events, "a group commit was slow: is the disk busy?");
        }
        match &written {
            Ok(()) => self.meters.events.record(group.events.len() as f64),
            Err(_) => self.meters.failed.increment(1),
        }
        written
    }

    /// # Errors
    /// When an id or a thread could not be looked up; the job is refused.
    fn stage(
        &mut self,
        engine: &dyn Engine,
        job: Job,
        staged: &mut Staged,
    ) -> Result<(), EngineError> {
        match job {
            Job::Create { new, answer } => {
                let known = match staged.created.contains_key(&new.thread) {
                    true => Ok(true),
                    false => engine.thread(&new.thread).map(|row| row.is_some()),
                };
                match known {
                    Ok(true) => staged.answers.push(Box::new(move |done| {
                        let _ = answer.send(done.map(|()| false));
                    })),
                    Ok(false) => {
                        self.last_no += 1;
                        staged.created.insert(new.thread.clone(), ());
                        staged.group.threads.push(ThreadRow {
                            no: self.last_no,
                            thread: new.thread,
                            epoch: new.epoch,
                            owner: new.owner,
                            title: new.title,
                            created_at: new.created_at,
                        });
                        staged.answers.push(Box::new(move |done| {
                            let _ = answer.send(done.map(|()| true));
                        }));
                    }
                    Err(error) => {
                        let _ = answer.send(Err(unavailable(&error)));
                        return Err(error);
                    }
                }
            }
            Job::Thread { row, answer } => {
                staged.group.threads.push(row);
                staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Runs { term, answer, .. } if term != self.core.term() => {
                let _ = answer.send(Err(stale()));
            }
            Job::Runs { changes, answer, .. } => {
                staged.group.runs.extend(changes);
                staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Trim { thread, cut, answer } => match trim(engine, &thread, cut, staged) {
                Ok(removed) => staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.map(|()| removed));
                })),
                Err(error) => {
                    let _ = answer.send(Err(unavailable(&error)));
                    return Err(error);
                }
            },
            Job::Probe { answer, mark } => {
                self.probe += 1;
                staged.group.probe = Some(self.probe);
                staged.marks.push(mark);
                staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Append { term, events, answer, .. }
                if term != self.core.term() && !events.is_empty() =>
            {
                answer.refuse(stale());
            }
            Job::Append { thread, events, since, answer, .. } => {
                match number(engine, &thread, events, since, staged) {
                    Ok(appended) => staged.appended.push((answer, appended)),
                    Err(error) => {
                        answer.refuse(unavailable(&error));
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

/// For what was decided in a term that is over.
fn stale() -> LogError {
    let reason = "what came before this was lost in a failure of the log".into();
    LogError::Unavailable { reason, retry_after: LOG_REOPEN_MIN }
}

fn unavailable(EngineError(reason): &EngineError) -> LogError {
    let reason = format!("an id could not be looked up: {reason}");
    LogError::Unavailable { reason, retry_after: LOG_REOPEN_MIN }
}

/// Gives each event its place, the next one or that of the first of its id. Stages nothing when
/// an id could not be looked up, for then a repetition could be stored twice.
fn number(
    engine: &dyn Engine,
    thread: &Arc<OpenThread>,
    mut events: Vec<NewRecord>,
    since: Instant,
    staged: &mut Staged,
) -> Result<Vec<Appended>, EngineError> {
    let no = thread.no;
    let mut held = thread.newest.lock();
    let newest = match &mut *held {
        Some(newest) => newest,
        // What never had an event has no ids either: those outlive their events.
        none if thread.head() == 0 => none.insert(Newest::after(None)),
        none => none.insert(Newest::after(engine.greatest_id(no)?)),
    };
    let mut known = Vec::with_capacity(events.len());
    for event in &events {
        known.push(if newest.excludes(event.id) {
            None
        } else {
            match staged.ids.find(&staged.group.events, no, event.id) {
                Some(seq) => Some(seq),
                None => engine.find(no, event.id)?,
            }
        });
    }
    let mut appended = Vec::with_capacity(events.len());
    let mut request = events.first_mut().and_then(|event| event.request.take());
    for (event, known) in events.into_iter().zip(known) {
        // The batch may repeat an id of its own.
        let known = known.or_else(|| {
            if newest.excludes(event.id) {
                return None;
            }
            staged.ids.find(&staged.group.events, no, event.id)
        });
        if let Some(seq) = known {
            appended.push(Appended { seq, duplicate: true });
            continue;
        }
        // The first job of a thread is its oldest.
        let part = staged.parts.entry(no).or_insert_with(|| Part {
            thread: thread.clone(),
            head: thread.head(),
            places: Vec::new(),
            since,
            requests: Vec::new(),
        });
        part.requests.extend(request.take());
        part.head += 1;
        let seq = part.head;
        part.places.push(staged.group.events.len());
        staged.group.events.push(GroupEvent { no, seq, id: event.id, body: event.body });
        newest.add(event.id);
        appended.push(Appended { seq, duplicate: false });
    }
    Ok(appended)
}

/// Stages the removal of a thread's first events; gives how many. Only what was acknowledged before
/// this group is removed, so a group never holds an event and its removal.
fn trim(
    engine: &dyn Engine,
    thread: &OpenThread,
    cut: Cut,
    staged: &mut Staged,
) -> Result<u64, EngineError> {
    let no = thread.no;
    let staged_before = staged.group.cuts.iter().rev().find(|other| other.no == no);
    let before = staged_before.map_or_else(|| engine.cut(no), |other| Ok(other.cut))?;
    let first = cut.first.min(thread.head() + 1);
    if first <= before.first {
        return Ok(0);
    }
    let until_ms = cut.until_ms.max(before.until_ms);
    staged.group.cuts.push(GroupCut { no, from: before.first, cut: Cut { first, until_ms } });
    thread.raise_first(first);
    Ok(first - before.first)
}

/// The commit as a part of the traces of everything that it makes durable.
fn trace(jobs: &[Job]) -> Span {
    let mut causes = jobs.iter().filter_map(|job| match job {
        Job::Append { span, .. } if !span.is_none() => Some(span),
        _ => None,
    });
    let Some(first) = causes.next() else { return Span::none() };
    let commit = tracing::debug_span!(parent: first, "commit", jobs = jobs.len());
    for cause in causes {
        commit.follows_from(cause);
    }
    commit
}

/// Answers a job that is not done.
pub(super) fn refuse(job: Job, error: &LogError) {
    match job {
        Job::Create { answer, .. } => drop(answer.send(Err(error.clone()))),
        Job::Thread { answer, .. } | Job::Runs { answer, .. } | Job::Probe { answer, .. } => {
            drop(answer.send(Err(error.clone())));
        }
        Job::Append { answer, .. } => answer.refuse(error.clone()),
        Job::Trim { answer, .. } => drop(answer.send(Err(error.clone()))),
    }
}
