//! Group commit: what has queued while the last fsync ran is the next group.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Instant,
};

use rethread_shared::{
    EventId, ThreadId,
    limits::{COMMIT_SLOW, GROUP_BYTES_MAX, GROUP_EVENTS_MAX},
};
use tokio::sync::oneshot;
use tracing::Span;

use super::{OpenThread, Poison, fanout::Committed};
use crate::{
    log::{
        Appended, LogError, NewRecord, NewThread, Record, RequestId,
        engine::{Engine, EngineError, Group, GroupEvent, RunChange, ThreadRow},
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
        thread: Arc<OpenThread>,
        events: Vec<NewRecord>,
        /// When it was given to the log.
        since: Instant,
        /// What it is part of, for traces.
        span: Span,
        answer: oneshot::Sender<Result<Vec<Appended>, LogError>>,
    },
    Runs {
        change: RunChange,
        answer: oneshot::Sender<Result<(), LogError>>,
    },
}

impl Job {
    /// Events and bytes it adds to a group.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Append { events, .. } => {
                (events.len(), events.iter().map(|event| event.body.len()).sum())
            }
            Self::Runs { change: RunChange::Forget(forget), .. } => {
                (forget.runs.len() + forget.stale.len() + 1, 0)
            }
            _ => (1, 0),
        }
    }
}

/// The commit thread. Alone in numbering events and in writing to the engine.
pub(super) struct Committer {
    engine: Arc<dyn Engine>,
    last_no: u64,
    fanout: tokio::sync::mpsc::Sender<Vec<Committed>>,
    poison: Arc<Poison>,
    meters: Commits,
}

/// An answer that waits for the group to be durable.
type Answer = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// A group as it is put together.
#[derive(Default)]
struct Staged {
    group: Group,
    answers: Vec<Answer>,
    /// The threads that get events, by their number.
    parts: HashMap<u64, Part>,
    ids: HashMap<(u64, EventId), u64>,
    created: HashMap<ThreadId, ()>,
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
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        last_no: u64,
        fanout: tokio::sync::mpsc::Sender<Vec<Committed>>,
        poison: Arc<Poison>,
    ) -> Self {
        Self { engine, last_no, fanout, poison, meters: Commits::default() }
    }

    /// Works until all senders are gone and the queue is empty.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        let mut put_back = None;
        loop {
            let Some(first) = put_back.take().or_else(|| queue.recv().ok()) else { return };
            let (mut events, mut bytes) = first.weight();
            let mut jobs = vec![first];
            while events < GROUP_EVENTS_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(job) = queue.try_recv() else { break };
                let (more_events, more_bytes) = job.weight();
                if events + more_events > GROUP_EVENTS_MAX || bytes + more_bytes > GROUP_BYTES_MAX {
                    put_back = Some(job);
                    break;
                }
                events += more_events;
                bytes += more_bytes;
                jobs.push(job);
            }
            self.commit(jobs);
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut staged = Staged::default();
        if let Some(reason) = self.poison.0.lock().clone() {
            for job in jobs {
                refuse(job, &LogError::Poisoned(reason.clone()));
            }
            return;
        }
        let _traced = trace(&jobs).entered();
        for job in jobs {
            self.stage(job, &mut staged);
        }
        let written = if staged.group.is_empty() { Ok(()) } else { self.write(&staged.group) };
        if let Err(error) = written {
            tracing::error!(%error, "the log could not be written; it takes nothing more");
            *self.poison.0.lock() = Some(error.to_string());
            let refusal = LogError::Poisoned(error.to_string());
            for answer in staged.answers {
                answer(Err(refusal.clone()));
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
        if !committed.is_empty() {
            // Gone only when the runtime is: then nobody follows.
            let _ = self.fanout.blocking_send(committed);
        }
    }

    fn write(&self, group: &Group) -> Result<(), EngineError> {
        let start = Instant::now();
        let written = self.engine.write(group);
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

    fn stage(&mut self, job: Job, staged: &mut Staged) {
        if let Some(reason) = self.poison.0.lock().clone() {
            return refuse(job, &LogError::Poisoned(reason));
        }
        match job {
            Job::Create { new, answer } => {
                let known = staged.created.contains_key(&new.thread);
                let known = if known { Ok(true) } else { self.is_known(&new.thread) };
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
                        let _ = answer.send(Err(error.into()));
                    }
                }
            }
            Job::Thread { row, answer } => {
                staged.group.threads.push(row);
                staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Runs { change, answer } => {
                staged.group.runs.push(change);
                staged.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Append { thread, events, since, answer, .. } => {
                match self.number(&thread, &events, since, staged) {
                    Ok(appended) => staged.answers.push(Box::new(move |done| {
                        let _ = answer.send(done.map(|()| appended));
                    })),
                    Err(error) => {
                        // What was queued behind these events counts on them.
                        let reason = format!("an id could not be looked up: {error}");
                        *self.poison.0.lock() = Some(reason.clone());
                        let _ = answer.send(Err(LogError::Poisoned(reason)));
                    }
                }
            }
        }
    }

    fn is_known(&self, thread: &ThreadId) -> Result<bool, EngineError> {
        Ok(self.engine.thread(thread)?.is_some())
    }

    /// Gives each event its place, the next one or that of the first of its id. Stages nothing when
    /// an id could not be looked up, for then a repetition could be stored twice.
    fn number(
        &self,
        thread: &Arc<OpenThread>,
        events: &[NewRecord],
        since: Instant,
        staged: &mut Staged,
    ) -> Result<Vec<Appended>, EngineError> {
        let no = thread.no;
        let mut known = Vec::with_capacity(events.len());
        for event in events {
            known.push(match staged.ids.get(&(no, event.id)) {
                Some(seq) => Some(*seq),
                None => self.engine.find(no, event.id)?,
            });
        }
        let mut appended = Vec::with_capacity(events.len());
        let mut request = events.first().and_then(|event| event.request.clone());
        for (event, known) in events.iter().zip(known) {
            // The batch may repeat an id of its own.
            let known = known.or_else(|| staged.ids.get(&(no, event.id)).copied());
            if let Some(seq) = known {
                appended.push(Appended { seq, duplicate: true });
                continue;
            }
            // The first job of a thread is its oldest.
            let part = staged.parts.entry(no).or_insert_with(|| Part {
                thread: thread.clone(),
                head: thread.head.load(Ordering::Acquire),
                places: Vec::new(),
                since,
                requests: Vec::new(),
            });
            part.requests.extend(request.take());
            part.head += 1;
            let seq = part.head;
            part.places.push(staged.group.events.len());
            staged.group.events.push(GroupEvent {
                no,
                seq,
                id: event.id,
                body: event.body.clone(),
            });
            staged.ids.insert((no, event.id), seq);
            appended.push(Appended { seq, duplicate: false });
        }
        Ok(appended)
    }
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

fn refuse(job: Job, error: &LogError) {
    match job {
        Job::Create { answer, .. } => drop(answer.send(Err(error.clone()))),
        Job::Thread { answer, .. } | Job::Runs { answer, .. } => {
            drop(answer.send(Err(error.clone())));
        }
        Job::Append { answer, .. } => drop(answer.send(Err(error.clone()))),
    }
}
