use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rethread_shared::{
    EventId, RunId, ThreadId,
    frame::{Outcome, Start, Work},
    limits::{Announced, RUNS_WORKED_MAX},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{
    Error, Retries,
    subscription::{Inlet, Line},
    wire::EventText,
};
use crate::session::{Closed, Status};

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum Request {
    Subscribe {
        thread: ThreadId,
        start: Start,
        inlet: Inlet,
        answer: SubscribeAnswer,
    },
    Unsubscribe(ThreadId, Arc<Line>),
    Publish {
        events: Vec<EventText>,
        ends: Vec<RunId>,
        answer: Answer<Vec<Outcome>>,
    },
    Send {
        thread: ThreadId,
        message_id: EventId,
        text: String,
        agent: Option<String>,
        answer: Answer<(RunId, u64)>,
    },
    Cancel {
        run: RunId,
        reason: Option<String>,
        answer: Answer<u64>,
    },
    Serve {
        agent: String,
        work: mpsc::Sender<Work>,
        answer: oneshot::Sender<Result<(), Error>>,
    },
    Unserve(String),
    Close(oneshot::Sender<()>),
}

/// Where the answer to a subscribe goes: the position it begins at, and the log's head.
pub(super) type SubscribeAnswer = oneshot::Sender<Result<(rethread_shared::Position, u64), Error>>;

/// Where the answer to a command goes, with the place in the outbox that it holds until then.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) to: oneshot::Sender<Result<T, Error>>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What every handle holds. When the last is gone the driver ends.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) common: Arc<Common>,
}

/// What handles and driver share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) status: watch::Sender<Status>,
    /// Places in the outbox; a caller waits for one, so the outbox is never full.
    pub(super) places: Arc<Semaphore>,
    /// A subscriber that was behind has made room.
    pub(super) room: Notify,
    /// How emitters try again.
    pub(super) retries: Retries,
    limits: RwLock<Announced>,
    runs: Mutex<HashMap<RunId, RunWatch>>,
}

/// Whether a run was cancelled, for its emitters.
#[derive(Debug)]
struct RunWatch {
    cancelled: watch::Sender<bool>,
    /// It came as work, so its emitter may still be made.
    is_work: bool,
}

impl Handle {
    /// Asks without an answer.
    pub(super) fn ask(&self, request: Request) {
        self.requests.send(request).ok();
    }

    /// Asks for a command, once there is a place in the outbox.
    pub(super) async fn command<T>(
        &self,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, Error> {
        let place = self.common.places.clone().acquire_owned().await;
        let place = place.map_err(|_| self.common.closed())?;
        let (to, answer) = oneshot::channel();
        self.ask(request(Answer { to, _place: place }));
        answer.await.unwrap_or_else(|_| Err(self.common.closed()))
    }
}

impl Common {
    pub(super) fn new(places: usize, retries: Retries) -> Self {
        Self {
            status: watch::Sender::new(Status::Idle),
            places: Arc::new(Semaphore::new(places)),
            room: Notify::new(),
            retries,
            limits: RwLock::default(),
            runs: Mutex::default(),
        }
    }

    /// The error of a client that is over.
    pub(super) fn closed(&self) -> Error {
        match &*self.status.borrow() {
            Status::Closed(closed) => Error::Closed(closed.clone()),
            _ => Error::Closed(Closed::Asked),
        }
    }

    pub(super) fn limits(&self) -> Announced {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_limits(&self, limits: Announced) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Whether the run is cancelled, now and later.
    pub(super) fn watch_run(&self, run: &RunId) -> watch::Receiver<bool> {
        self.with_runs(|runs| {
            runs.retain(|_, watch| watch.is_work || watch.cancelled.receiver_count() > 0);
            runs.entry(run.clone()).or_insert_with(|| RunWatch::new(false)).cancelled.subscribe()
        })
    }

    /// The run came as work.
    pub(super) fn begin_run(&self, run: &RunId) {
        self.with_runs(|runs| {
            if runs.len() >= RUNS_WORKED_MAX {
                let over = |watch: &RunWatch| *watch.cancelled.borrow();
                runs.retain(|_, watch| !over(watch) || watch.cancelled.receiver_count() > 0);
            }
            runs.entry(run.clone()).or_insert_with(|| RunWatch::new(true)).is_work = true;
        });
    }

    /// The run is done: its emitters know by themselves.
    pub(super) fn end_run(&self, run: &RunId) {
        self.with_runs(|runs| {
            if let Some(watch) = runs.get_mut(run) {
                watch.is_work = false;
                if watch.cancelled.receiver_count() == 0 {
                    runs.remove(run);
                }
            }
        });
    }

    /// The run was cancelled. The word is kept for an emitter that is yet to be made.
    pub(super) fn cancel_run(&self, run: &RunId) {
        self.with_runs(|runs| {
            if let Some(watch) = runs.get(run) {
                watch.cancelled.send_replace(true);
            }
        });
    }

    fn with_runs<T>(&self, change: impl FnOnce(&mut HashMap<RunId, RunWatch>) -> T) -> T {
        change(&mut self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RunWatch {
    fn new(is_work: bool) -> Self {
        Self { cancelled: watch::Sender::new(false), is_work }
    }
}
