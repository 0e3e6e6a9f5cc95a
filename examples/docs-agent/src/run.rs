//! One run: from the work that came to its last event.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use rethread_client::native::{Client, Emitter, Error, Work};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    answer::{Answered, Answerer, Failure, Question},
    history::Histories,
    limits::{RUNS_AT_ONCE_MAX, RUNS_WAITING_MAX},
    voice::{Step, Voice},
};

/// What all runs share.
#[derive(Debug)]
pub(crate) struct Agent {
    client: Client,
    name: String,
    answerer: Answerer,
    pace: Duration,
    histories: Histories,
    /// Places for runs that are answered.
    places: Semaphore,
    /// Places for runs that wait for one of those.
    waiting: Semaphore,
}

/// How a run ended.
enum End {
    Answered(Answered),
    Failed(Failure),
    /// Somebody stopped it; the log has its end already.
    Cancelled,
    /// Its events are not taken: the run is another agent's, or over.
    NotOurs(Error),
}

impl Agent {
    pub(crate) fn new(client: Client, name: String, answerer: Answerer, pace: Duration) -> Self {
        Self {
            client,
            name,
            answerer,
            pace,
            histories: Histories::default(),
            places: Semaphore::new(RUNS_AT_ONCE_MAX),
            waiting: Semaphore::new(RUNS_WAITING_MAX),
        }
    }

    /// Answers one message, until the answer's end, until somebody cancels, or until the agent stops.
    pub(crate) async fn run(self: Arc<Self>, work: Work, mut stopping: watch::Receiver<bool>) {
        let emitter = self.client.emitter(&work.run);
        let end = tokio::select! {
            biased;
            () = emitter.cancelled() => End::Cancelled,
            _ = stopping.wait_for(|stopping| *stopping) => End::Failed(Failure {
                code: "agent_stopped",
                message: "The agent was stopped before it had answered; ask again.".into(),
            }),
            end = self.perform(&work, &emitter) => end,
        };
        let told = match &end {
            End::Answered(answered) => {
                emitter.completed(Some(&answered.result), answered.usage.as_ref()).await
            }
            End::Failed(failure) => emitter.failed(failure.code, &failure.message).await,
            End::Cancelled | End::NotOurs(_) => Ok(()),
        };
        let run = &work.run;
        match (end, told.and(emitter.flush().await)) {
            (End::Cancelled, _) => tracing::info!(%run, "cancelled"),
            (End::NotOurs(error), _) => tracing::warn!(%run, %error, "left alone"),
            (_, Err(_)) if emitter.is_cancelled() => tracing::info!(%run, "cancelled at its end"),
            (_, Err(error)) => tracing::warn!(%run, %error, "its end could not be told"),
            (End::Answered(_), Ok(())) => tracing::info!(%run, "answered"),
            (End::Failed(Failure { code, .. }), Ok(())) => tracing::warn!(%run, code, "failed"),
        }
    }

    async fn perform(&self, work: &Work, emitter: &Emitter) -> End {
        // Who may start a run is decided by the log: only one start is taken.
        let started = emitter.agent_started(&self.name, Some(&self.answerer.about())).await;
        if let Err(error) = started.and(emitter.flush().await) {
            return End::NotOurs(error);
        }
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => match self.wait(emitter).await {
                Ok(place) => place,
                Err(end) => return end,
            },
        };
        let text = work.message.text.clone();
        let before = if self.answerer.needs_history(&text) {
            self.histories.before(&self.client, work).await
        } else {
            Vec::new()
        };
        let question = Question { text, before };
        let (voice, steps) = Voice::new(self.pace);
        // A fault in the answerer must end the run, or its chat would wait for ever. The voice ends
        // with the answer, and the publishing with the voice.
        let answer = AssertUnwindSafe(async move { self.answerer.answer(&question, &voice).await })
            .catch_unwind();
        let answer = async { Ok(answer.await) };
        match tokio::try_join!(answer, publish(emitter, steps)) {
            Ok((Ok(Ok(answered)), ())) => End::Answered(answered),
            Ok((Ok(Err(failure)), ())) => End::Failed(failure),
            Ok((Err(_), ())) => End::Failed(Failure {
                code: "agent_broke_down",
                message: "The agent broke down over this question; its log says why.".into(),
            }),
            Err(error) => End::NotOurs(error),
        }
    }

    /// Waits for a place among those that are answered.
    async fn wait(&self, emitter: &Emitter) -> Result<tokio::sync::SemaphorePermit<'_>, End> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(End::Failed(Failure {
                code: "agent_busy",
                message: format!(
                    "{} questions are being answered and {RUNS_WAITING_MAX} wait; ask again later.",
                    RUNS_AT_ONCE_MAX
                ),
            }));
        };
        let busy = format!("I am busy with {RUNS_AT_ONCE_MAX} other questions; this one waits.\n");
        emitter.thinking(&busy).await.map_err(End::NotOurs)?;
        Ok(self.places.acquire().await.expect("the places are never closed"))
    }
}

/// Publishes the steps of an answer as events, until the answer ends. Text that has queued up goes as
/// one event: a model's words come faster than a person reads.
async fn publish(emitter: &Emitter, mut steps: mpsc::Receiver<Step>) -> Result<(), Error> {
    let message = emitter.message();
    let mut calls = HashMap::new();
    let mut next = None;
    loop {
        let step = match next.take() {
            Some(step) => step,
            None => match steps.recv().await {
                Some(step) => step,
                None => return Ok(()),
            },
        };
        match step {
            Step::Thinking(text) => emitter.thinking(&text).await?,
            Step::Text(mut text) => {
                while let Ok(step) = steps.try_recv() {
                    match step {
                        Step::Text(more) => text.push_str(&more),
                        other => {
                            next = Some(other);
                            break;
                        }
                    }
                }
                message.delta(&text).await?;
            }
            Step::ToolCalled { call, tool, input } => {
                calls.insert(call, emitter.tool(&tool, &input).await?);
            }
            Step::ToolAnswered { call, result } => {
                let call = calls.remove(&call).expect("a tool is called before it answers");
                match result {
                    Ok(output) => call.completed(&output).await?,
                    Err(error) => call.failed(&error.to_string()).await?,
                }
            }
        }
    }
}
