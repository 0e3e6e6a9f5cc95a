use std::{sync::Arc, time::Instant};

use rethread_shared::{
    EventKind, NewEvent, Payload, RunId,
    event::{
        AgentCompleted, AgentFailed, AgentStarted, AgentThinking, Custom, MessageDelta,
        ToolCompleted, ToolExecuting,
    },
    limits::EMITTER_EVENTS_MAX,
};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Error,
    client::{check_size, to_json},
    entropy,
    pump::{Item, Pump, Queued, Troubles},
    request::Handle,
    wire::EventText,
};

/// Publishes the events of one run, in the order of the calls. Cheap to clone; clones share the
/// order.
///
/// A call returns when its event is queued; the events go to the server in batches, and again with
/// the same ids after a lost connection. When `limits::EMITTER_EVENTS_MAX` wait, calls wait too. What
/// the server asks to be sent later, with `slow_down`, is sent later. An event that it refuses for
/// another reason that may pass is tried again, [`Retries`](super::Retries); one that stays refused is
/// reported once, by the next call or by [`Emitter::flush`], as [`Error::Undelivered`]. Dropping the last clone delivers what is queued in the background.
#[derive(Clone, Debug)]
pub struct Emitter {
    run: RunId,
    queue: mpsc::Sender<Item>,
    troubles: Arc<Troubles>,
    cancelled: watch::Receiver<bool>,
    handle: Arc<Handle>,
}

impl Emitter {
    pub(super) fn new(handle: Arc<Handle>, run: RunId) -> Self {
        let cancelled = handle.common.watch_run(&run);
        let (queue, items) = mpsc::channel(EMITTER_EVENTS_MAX);
        let troubles = Arc::new(Troubles::default());
        let pump = Pump::new(run.clone(), items, handle.clone(), troubles.clone());
        tokio::spawn(pump.run());
        Self { run, queue, troubles, cancelled, handle }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The agent takes the run on. First of its events.
    ///
    /// # Errors
    /// As [`Emitter::emit`], here and below.
    pub async fn agent_started(&self, agent: &str, message: Option<&str>) -> Result<(), Error> {
        let message = message.map(Into::into);
        self.emit(AgentStarted { agent: agent.into(), message }).await
    }

    /// A piece of what the agent thinks.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn thinking(&self, text: &str) -> Result<(), Error> {
        self.emit(AgentThinking { text: text.into() }).await
    }

    /// A tool begins its work. Say how it ended with [`ToolCall::completed`] or
    /// [`ToolCall::failed`].
    ///
    /// # Errors
    /// As [`Emitter::emit`]; [`Error::NotJson`].
    pub async fn tool(&self, tool: &str, input: &impl Serialize) -> Result<ToolCall, Error> {
        let call_id = format!("call_{}", entropy::event_id());
        let input = to_json(input)?;
        let payload =
            ToolExecuting { call_id: (&*call_id).into(), tool: tool.into(), input: Some(&input) };
        self.emit(payload).await?;
        Ok(ToolCall { emitter: self.clone(), call_id, since: Instant::now() })
    }

    /// A message of the answer, to be written piece by piece.
    #[must_use]
    pub fn message(&self) -> MessageWriter {
        let message_id = entropy::event_id().to_string();
        MessageWriter { emitter: self.clone(), message_id }
    }

    /// Something of the application's own.
    ///
    /// # Errors
    /// As [`Emitter::emit`]; [`Error::NotJson`].
    pub async fn custom(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        self.emit(Custom { name: name.into(), value: &to_json(value)? }).await
    }

    /// The run has ended well, with its result and what it cost.
    ///
    /// # Errors
    /// As [`Emitter::emit`]; [`Error::NotJson`].
    pub async fn completed(
        &self,
        result: Option<&Value>,
        usage: Option<&Value>,
    ) -> Result<(), Error> {
        let result = result.map(to_json).transpose()?;
        let usage = usage.map(to_json).transpose()?;
        self.emit(AgentCompleted { result: result.as_deref(), usage: usage.as_deref() }).await
    }

    /// The run has ended with an error: a stable code, and the same for a person.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn failed(&self, code: &str, message: &str) -> Result<(), Error> {
        self.emit(AgentFailed { code: code.into(), message: message.into() }).await
    }

    /// Any event. The methods above are this with the data filled in.
    ///
    /// # Errors
    /// [`Error::Undelivered`] for *earlier* events, once; then this one has not been taken.
    /// [`Error::TooLarge`], [`Error::Closed`].
    pub async fn emit<'a>(&self, payload: impl Into<Payload<'a>>) -> Result<(), Error> {
        let payload = payload.into();
        let ends = payload.kind().is_end();
        let (id, at) = (entropy::event_id(), Some(entropy::unix_ms()));
        let json = NewEvent { id, run: self.run.clone(), at, payload }.to_json();
        self.queue(Queued { id, ends, text: EventText(Arc::new(json)) }).await
    }

    /// An event of a type that this version has no method for.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn emit_other(&self, kind: &str, data: &RawValue) -> Result<(), Error> {
        match EventKind::from(kind) {
            EventKind::Other(_) => self.emit(Payload::Other { kind: kind.into(), data }).await,
            kind => {
                let payload = Payload::read(&kind, data);
                self.emit(payload.map_err(|error| Error::NotJson(error.to_string()))?).await
            }
        }
    }

    /// Waits until every event so far is in the log.
    ///
    /// # Errors
    /// [`Error::Undelivered`] when some could not be delivered, [`Error::Closed`].
    pub async fn flush(&self) -> Result<(), Error> {
        let (done, flushed) = oneshot::channel();
        let queued = self.queue.send(Item::Flush(done)).await.is_ok();
        if !queued || flushed.await.is_err() {
            return Err(self.handle.common.closed());
        }
        self.troubles.take().map_or(Ok(()), Err)
    }

    /// Resolves when the server says that the run was cancelled, or has ended otherwise without this
    /// emitter. Never, when that does not happen.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut cancelled = self.cancelled.clone();
        async move {
            if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Whether [`Emitter::cancelled`] has resolved.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    async fn queue(&self, queued: Queued) -> Result<(), Error> {
        if let Some(error) = self.troubles.take() {
            return Err(error);
        }
        check_size(queued.text.0.get().len(), self.handle.common.limits().event_bytes)?;
        let sent = self.queue.send(Item::Event(queued)).await;
        sent.map_err(|_| self.handle.common.closed())
    }
}

/// A tool at work.
#[derive(Debug)]
#[must_use = "say how it ended, with `completed` or `failed`"]
pub struct ToolCall {
    emitter: Emitter,
    call_id: String,
    since: Instant,
}

impl ToolCall {
    /// Names the call within its run.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The tool has answered. The time since the call began goes with it.
    ///
    /// # Errors
    /// As [`Emitter::emit`]; [`Error::NotJson`].
    pub async fn completed(self, output: &impl Serialize) -> Result<(), Error> {
        let output = to_json(output)?;
        self.end(Some(&output), None).await
    }

    /// The tool has failed; `error` is for a person.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn failed(self, error: &str) -> Result<(), Error> {
        self.end(None, Some(error)).await
    }

    async fn end(&self, output: Option<&RawValue>, error: Option<&str>) -> Result<(), Error> {
        let took_ms = Some(self.since.elapsed().as_millis() as u64);
        let call_id = (&*self.call_id).into();
        let error = error.map(Into::into);
        self.emitter.emit(ToolCompleted { call_id, output, error, took_ms }).await
    }
}

/// A message of the answer while it is being written.
#[derive(Debug)]
pub struct MessageWriter {
    emitter: Emitter,
    message_id: String,
}

impl MessageWriter {
    /// Names the message within its run.
    #[must_use]
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The next piece of its text.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn delta(&self, text: &str) -> Result<(), Error> {
        let message_id = (&*self.message_id).into();
        self.emitter.emit(MessageDelta { message_id, text: text.into() }).await
    }
}
