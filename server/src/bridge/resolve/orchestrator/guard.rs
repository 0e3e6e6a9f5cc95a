//! All that keeps a slow or dead orchestrator from doing harm.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, RunId, ThreadId, WireError,
    limits::{
        ORCHESTRATOR_ANSWERS_KEPT_MAX, ORCHESTRATOR_BACKOFF_MAX, ORCHESTRATOR_BACKOFF_MIN,
        ORCHESTRATOR_PROBE_EVERY,
    },
};
use tokio::sync::Semaphore;

use super::{
    Orchestrator, OrchestratorError,
    breaker::{Breaker, Standing},
    settings::OrchestratorSettings,
};
use crate::{
    health::{Health, Part, State},
    now,
};

/// A run that no orchestrator knows: asking for it tells whether it answers.
const PROBE: &str = "run_000000000000";

/// An orchestrator that can be asked without harm. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    orchestrator: Arc<dyn Orchestrator>,
    settings: OrchestratorSettings,
    breaker: Mutex<Breaker>,
    room: Arc<Semaphore>,
    /// Answers of a moment ago. What it knows is kept as short as what it does not know, so that the
    /// time of an answer does not tell one from the other.
    answers: Mutex<HashMap<RunId, (Option<ThreadId>, Instant)>>,
    /// Questions under way: who asks the same waits for the same answer.
    asking: Mutex<HashMap<RunId, Question>>,
    last_asked: Mutex<Instant>,
    health: Option<Arc<Health>>,
}

type Question = Shared<BoxFuture<'static, Result<Option<ThreadId>, Unavailable>>>;

/// The orchestrator cannot be asked, or did not answer.
#[derive(Clone, Debug)]
pub struct Unavailable {
    /// Why.
    pub reason: String,
    /// When to try again.
    pub retry_after: Duration,
    /// True when it works, but too much is asked at once.
    pub is_busy: bool,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl From<Unavailable> for WireError {
    fn from(unavailable: Unavailable) -> Self {
        let Unavailable { reason, retry_after, is_busy } = unavailable;
        let code = if is_busy { ErrorCode::SlowDown } else { ErrorCode::OrchestratorUnavailable };
        Self::new(
            code,
            format!(
                "the thread of this run cannot be found out now: its id names none, and the \
                 orchestrator, which may know it, does not say: {reason}. Nothing of this was stored; \
                 publish it again in a moment"
            ),
        )
        .with_retry_after_ms(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).max(1))
    }
}

impl Guard {
    /// A guard before an orchestrator; what it sees is told to `health`.
    #[must_use]
    pub fn new(
        orchestrator: Arc<dyn Orchestrator>,
        settings: OrchestratorSettings,
        health: Option<Arc<Health>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                breaker: Mutex::new(Breaker::new(settings.failures)),
                room: Arc::new(Semaphore::new(settings.in_flight.max(1))),
                orchestrator,
                settings,
                answers: Mutex::default(),
                asking: Mutex::default(),
                last_asked: Mutex::new(Instant::now()),
                health,
            }),
        }
    }

    /// The thread of a run, if the orchestrator knows it. Ready within the deadline of the settings.
    ///
    /// # Errors
    /// When it cannot be asked now, or did not answer.
    pub async fn thread_of(&self, run: &RunId) -> Result<Option<ThreadId>, Unavailable> {
        let inner = &self.inner;
        if let Some(answer) = inner.answered_lately(run) {
            return Ok(answer);
        }
        let question = {
            let mut asking = inner.asking.lock();
            match asking.get(run) {
                Some(question) => question.clone(),
                None => {
                    let room = inner.room.clone().try_acquire_owned().map_err(|_| Unavailable {
                        reason: format!(
                            "{} questions are under way, the most",
                            inner.settings.in_flight
                        ),
                        retry_after: inner.settings.timeout.get(),
                        is_busy: true,
                    })?;
                    inner.enter()?;
                    let (inner, run) = (inner.clone(), run.clone());
                    // A task: who asked may go, the others that wait for the answer stay.
                    let task = tokio::spawn({
                        let run = run.clone();
                        async move {
                            let answer = inner.ask(&run).await;
                            if let Ok(answer) = &answer {
                                inner.keep(&run, answer.clone());
                            }
                            inner.asking.lock().remove(&run);
                            drop(room);
                            answer
                        }
                    });
                    let question = async move {
                        task.await.unwrap_or_else(|error| {
                            Err(Unavailable {
                                reason: error.to_string(),
                                retry_after: ORCHESTRATOR_BACKOFF_MAX,
                                is_busy: false,
                            })
                        })
                    };
                    let question = question.boxed().shared();
                    asking.insert(run, question.clone());
                    question
                }
            }
        };
        question.await
    }

    /// Asks now and then, so that its health is known and an orchestrator that is back is found though
    /// nobody asks for a run. Ends when the guard is used by nobody else.
    pub async fn watch(self) {
        let probe: RunId = PROBE.parse().expect("it is a run's id");
        let inner = Arc::downgrade(&self.inner);
        drop(self);
        let mut wait = Duration::ZERO;
        loop {
            tokio::time::sleep(wait).await;
            let Some(inner) = inner.upgrade() else { return };
            let is_due = inner.breaker.lock().standing(Instant::now()) != Standing::Closed
                || wait.is_zero()
                || inner.last_asked.lock().elapsed() >= ORCHESTRATOR_PROBE_EVERY;
            if is_due {
                inner.answers.lock().remove(&probe);
                // How it went is told to the breaker and to health.
                let _ = Self { inner: inner.clone() }.thread_of(&probe).await;
            }
            wait = match inner.breaker.lock().standing(Instant::now()) {
                Standing::Closed => ORCHESTRATOR_PROBE_EVERY,
                Standing::Open { wait } => wait.max(ORCHESTRATOR_BACKOFF_MIN),
                Standing::HalfOpen => ORCHESTRATOR_BACKOFF_MAX,
            };
        }
    }
}

impl Inner {
    fn answered_lately(&self, run: &RunId) -> Option<Option<ThreadId>> {
        let answers = self.answers.lock();
        let (answer, at) = answers.get(run)?;
        (at.elapsed() < self.settings.unknown_ttl.get()).then(|| answer.clone())
    }

    fn keep(&self, run: &RunId, answer: Option<ThreadId>) {
        let mut answers = self.answers.lock();
        if answers.len() >= ORCHESTRATOR_ANSWERS_KEPT_MAX {
            let ttl = self.settings.unknown_ttl.get();
            answers.retain(|_, (_, at)| at.elapsed() < ttl);
            if answers.len() >= ORCHESTRATOR_ANSWERS_KEPT_MAX {
                answers.clear();
            }
        }
        answers.insert(run.clone(), (answer, Instant::now()));
    }

    fn enter(&self) -> Result<(), Unavailable> {
        self.breaker.lock().enter(Instant::now()).map_err(|wait| Unavailable {
            reason: "it did not answer lately and is left alone for a while".into(),
            retry_after: wait,
            is_busy: false,
        })
    }

    /// One question with its tries.
    async fn ask(&self, run: &RunId) -> Result<Option<ThreadId>, Unavailable> {
        let started = Instant::now();
        *self.last_asked.lock() = started;
        let deadline = self.settings.deadline.get();
        let mut tried = 0;
        let error = loop {
            tried += 1;
            let left = deadline.saturating_sub(started.elapsed());
            let answer = tokio::time::timeout(left, self.orchestrator.thread_of(run)).await;
            let error = match answer.unwrap_or(Err(OrchestratorError::Slow(deadline))) {
                Ok(answer) => {
                    self.breaker.lock().answered();
                    self.tell_well();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let wait = backoff(tried);
            if !error.is_transient()
                || tried >= self.settings.tries
                || started.elapsed() + wait >= deadline
            {
                break error;
            }
            tokio::time::sleep(wait).await;
        };
        let (now, chance) = (Instant::now(), chance());
        let standing = {
            let mut breaker = self.breaker.lock();
            breaker.failed(now, chance);
            breaker.standing(now)
        };
        tracing::warn!(%run, %error, tried, "the orchestrator does not say");
        let retry_after = match standing {
            Standing::Open { wait } => wait,
            Standing::Closed | Standing::HalfOpen => ORCHESTRATOR_BACKOFF_MAX,
        };
        self.tell_unwell(&error, standing);
        let tries = if tried == 1 { "try" } else { "tries" };
        let reason = format!("{error} (after {tried} {tries})");
        Err(Unavailable { reason, retry_after, is_busy: false })
    }

    fn tell_well(&self) {
        let Some(health) = &self.health else { return };
        if health.state(Part::Orchestrator) == State::Failed {
            health.report(Part::Orchestrator, State::Initializing, "it answers again");
        }
        health.report(Part::Orchestrator, State::Active, "");
    }

    fn tell_unwell(&self, error: &OrchestratorError, standing: Standing) {
        let Some(health) = &self.health else { return };
        let is_failed = health.state(Part::Orchestrator) == State::Failed;
        let state = match standing {
            Standing::Closed if !is_failed => State::Degraded,
            _ => State::Failed,
        };
        let reason = format!("{error}; runs whose id names no thread cannot be resolved meanwhile");
        health.report(Part::Orchestrator, state, reason);
    }
}

/// Exponential, with full jitter.
fn backoff(tried: u32) -> Duration {
    let step = ORCHESTRATOR_BACKOFF_MIN.saturating_mul(1 << (tried - 1).min(16));
    step.min(ORCHESTRATOR_BACKOFF_MAX).mul_f64(chance())
}

/// 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_be_bytes(now::random())) / f64::from(u32::MAX)
}
