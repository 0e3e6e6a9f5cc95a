//! Messages from people, the work they start, and how it ends.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rethread_shared::{
    ErrorCode, EventId, EventKind, NewEvent, Payload, RunId, ThreadId, WireError,
    event::{AgentCancelled, AgentFailed, Envelope, UserMessage},
    frame::{Cancelled, Message, Sent, Work},
    limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, PAGE_BYTES_MAX},
    order::RunState,
};
use tokio::sync::mpsc;

use super::{
    Bridge,
    desk::{Bound, ConnectionId, Deadline, Granted, Mark, Note, Waiting},
    runs::{replay, settle},
};
use crate::{
    auth::{Grant, Scope},
    log::{Appended, LogError, NewRecord, PageLimit, RunRecord, ThreadInfo},
    now,
};

/// Characters of the first message that become the title of a thread without one.
const TITLE_CHARS_MAX: usize = 80;

/// An event of the server's own, on its way.
enum Own {
    /// It was stored before.
    Known { seq: u64 },
    /// It has its place in the queue.
    Queued(BoxFuture<'static, Result<Vec<Appended>, LogError>>),
}

impl Bridge {
    /// A run of a thread, minted and remembered before it is given away.
    ///
    /// # Errors
    /// `thread_not_found`, `log_unavailable`.
    pub async fn mint_run(&self, thread: &ThreadId, grant: &Grant) -> Result<RunId, WireError> {
        grant.require(Scope::Publish)?;
        self.thread(thread, grant)?;
        let run = RunId::generate(thread, now::unix_ms(), now::random());
        let runs = self.runs.of(thread);
        let remembered = runs.lock().await.register(&*self.log, thread, &run, None, false)?;
        remembered.await?;
        Ok(run)
    }

    /// Takes a person's message: stores it as `user_message` and hands it to an agent, at once or
    /// when one comes. The same `message_id` again gives the first answer.
    ///
    /// Like [`Bridge::publish`], returns when the message has its place, with a future that is ready
    /// when it is durable, and that must be driven to its end.
    ///
    /// # Errors
    /// `thread_not_found`, `event_too_large`, `slow_down`, `log_unavailable`.
    pub async fn send(
        self: &Arc<Self>,
        ask: rethread_shared::frame::Send,
        grant: &Grant,
    ) -> Result<impl Future<Output = Result<Sent, WireError>> + Send + 'static, WireError> {
        grant.require(Scope::Send)?;
        let thread = self.thread(&ask.thread, grant)?;
        check_message(&ask)?;
        self.desk.require_room()?;
        let id = ask.message_id;
        let run = RunId::generate(&ask.thread, now::unix_ms(), now::random());
        let message_id = id.to_string();
        let event = NewEvent {
            id,
            run: run.clone(),
            at: Some(now::unix_ms()),
            payload: Payload::UserMessage(UserMessage {
                message_id: message_id.as_str().into(),
                text: ask.text.as_str().into(),
                agent: ask.agent.as_deref().map(Into::into),
                by: Some(grant.user().as_ref().into()),
            }),
        };
        let by = grant.user().to_string();
        let queued = self.queue_own(&ask.thread, &run, &event, ask.agent.clone()).await?;
        let bridge = self.clone();
        Ok(async move {
            let req = ask.req;
            let seq = match queued {
                Own::Known { seq } => {
                    return Ok(Sent { req, run: bridge.run_at(&ask.thread, seq).await?, seq });
                }
                Own::Queued(appended) => bridge.settle_own(&ask.thread, id, appended).await?,
            };
            let message = Message { message_id, text: ask.text.clone(), by, seq };
            bridge.ask(&thread, ask.agent, run.clone(), message);
            bridge.entitle(&thread, &ask.text).await;
            Ok(Sent { req, run, seq })
        })
    }

    /// Queues an event of the server's own; registers its run when the event opens it.
    async fn queue_own(
        &self,
        thread: &ThreadId,
        run: &RunId,
        event: &NewEvent<'_>,
        agent: Option<String>,
    ) -> Result<Own, WireError> {
        let (id, kind, log) = (event.id, event.payload.kind(), &*self.log);
        let runs = self.runs.of(thread);
        let mut held = runs.lock().await;
        if held.queued.contains(&id) {
            settle(log, thread).await?;
        }
        if let Some(seq) = log.find(thread, id)? {
            return Ok(Own::Known { seq });
        }
        if kind == EventKind::UserMessage {
            drop(held.register(log, thread, run, agent, true)?);
        }
        if let Err(error) = held.state(log, thread, run, true).await?.apply(run, &kind, None) {
            // Whoever looks for the end that is in the way finds it in the log.
            settle(log, thread).await?;
            return Err(error);
        }
        held.queued.insert(id);
        let appended = log.append(thread, vec![body_of(event)]);
        if kind.is_end() {
            self.forget_live(run);
        }
        Ok(Own::Queued(appended))
    }

    /// Waits until an event of the server's own is durable; gives its place.
    async fn settle_own(
        &self,
        thread: &ThreadId,
        id: EventId,
        appended: BoxFuture<'static, Result<Vec<Appended>, LogError>>,
    ) -> Result<u64, WireError> {
        let appended = appended.await;
        let runs = self.runs.of(thread);
        let mut held = runs.lock().await;
        held.queued.remove(&id);
        if appended.is_err() {
            held.forget();
        }
        Ok(appended?[0].seq)
    }

    fn ask(
        self: &Arc<Self>,
        thread: &ThreadInfo,
        agent: Option<String>,
        run: RunId,
        message: Message,
    ) {
        let work = Work {
            agent: agent.clone().unwrap_or_default(),
            run,
            thread: thread.thread.clone(),
            message,
        };
        self.watch(self.desk.ask(Waiting { agent, work, owner: thread.owner.clone() }));
    }

    /// A thread without a title gets its first message as one. A list of threads without titles is
    /// no use to anybody; failing to set one is no harm.
    async fn entitle(&self, thread: &ThreadInfo, text: &str) {
        if thread.title.is_none() {
            let line = text.trim().lines().next().unwrap_or_default();
            let title: String = line.chars().take(TITLE_CHARS_MAX).collect();
            if let Err(error) = self.log.entitle(&thread.thread, &title).await {
                tracing::warn!(thread = %thread.thread, %error, "no title was set");
            }
        }
    }

    /// Ends a run: `agent_cancelled` in the log, and word to its agent.
    ///
    /// # Errors
    /// `run_not_found`, `run_ended` when it ended otherwise, `log_unavailable`.
    pub async fn cancel(
        self: &Arc<Self>,
        run: &RunId,
        reason: Option<&str>,
        grant: &Grant,
    ) -> Result<u64, WireError> {
        grant.require(Scope::Send)?;
        if reason.is_some_and(|reason| reason.len() > NAME_BYTES_MAX) {
            return Err(WireError::new(
                ErrorCode::BadFrame,
                format!("a reason has at most {NAME_BYTES_MAX} bytes"),
            ));
        }
        let thread = self.thread_of(run, grant).map_err(|error| match error.code {
            ErrorCode::ThreadNotFound | ErrorCode::RunUnresolved => WireError::run_not_found(run),
            _ => error,
        })?;
        let Some(record) = self.log.recall(run)? else { return Err(WireError::run_not_found(run)) };
        let end = self.end(
            &thread.thread,
            run,
            Payload::AgentCancelled(AgentCancelled {
                by: grant.user().as_ref().into(),
                reason: reason.map(Into::into),
            }),
        );
        match end.await {
            Ok(seq) => Ok(seq),
            Err(error) if error.code == ErrorCode::RunEnded => {
                // Cancelled already: the same answer again.
                let (_, steps) = replay(&*self.log, &record).await?;
                let cancelled = steps.iter().find(|step| step.kind == EventKind::AgentCancelled);
                cancelled.map(|step| step.seq).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Appends an event of the server's own that ends a run.
    async fn end(
        self: &Arc<Self>,
        thread: &ThreadId,
        run: &RunId,
        payload: Payload<'_>,
    ) -> Result<u64, WireError> {
        let now = now::unix_ms();
        let id = EventId::generate(now, now::random());
        let kind = payload.kind();
        let event = NewEvent { id, run: run.clone(), at: Some(now), payload };
        let seq = match self.queue_own(thread, run, &event, None).await? {
            Own::Known { seq } => seq,
            Own::Queued(appended) => self.settle_own(thread, id, appended).await?,
        };
        self.stored(thread, run, &kind, seq, None);
        Ok(seq)
    }

    /// An event of a run is in the log: the desk must know who works on it, and when it is over.
    pub(super) fn stored(
        &self,
        thread: &ThreadId,
        run: &RunId,
        kind: &EventKind,
        seq: u64,
        connection: Option<ConnectionId>,
    ) {
        if kind.is_end() {
            let agent = self.desk.over(run);
            if *kind == EventKind::AgentCancelled
                && let Some(notes) = agent
            {
                // Full: the agent learns it from the refusal of its next event.
                let note = Cancelled { req: None, run: run.clone(), seq };
                let _ = notes.try_send(Note::Cancelled(note));
            }
            tracing::debug!(%thread, %run, %kind, seq, "run ended");
        } else if let Some(connection) = connection {
            self.bind(run, connection);
        }
    }

    /// A run's agent comes over this connection: losing the one is losing the other, also when the
    /// server is restarted in between.
    fn bind(&self, run: &RunId, connection: ConnectionId) {
        match self.desk.bind(run, connection) {
            Bound::Already => {}
            Bound::Gone(deadline) => self.watch([deadline]),
            Bound::New => match self.log.recall(run) {
                Ok(Some(record)) if !record.connected => {
                    drop(self.log.remember(RunRecord { connected: true, ..record }));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%run, %error, "the registry could not be read"),
            },
        }
    }

    /// A connection that may publish or serve is there.
    pub fn connected(&self, connection: ConnectionId, notes: mpsc::Sender<Note>, grant: &Grant) {
        self.desk.open(connection, notes, granted(grant));
    }

    /// A connection brought another token.
    pub fn regranted(&self, connection: ConnectionId, grant: &Grant) {
        self.desk.regrant(connection, granted(grant));
    }

    /// A connection offers to take work, and says which runs it still works on.
    ///
    /// # Errors
    /// `forbidden`, `bad_frame`.
    pub async fn serve(
        self: &Arc<Self>,
        connection: ConnectionId,
        agent: &str,
        runs: &[RunId],
        grant: &Grant,
    ) -> Result<(), WireError> {
        grant.require(Scope::Serve)?;
        for run in runs {
            let Ok(thread) = self.thread_of(run, grant) else { continue };
            let held = self.runs.of(&thread.thread);
            let mut held = held.lock().await;
            let state = held.state(&*self.log, &thread.thread, run, true).await?;
            if matches!(state, RunState::Running { .. }) {
                self.bind(run, connection);
            }
        }
        self.watch(self.desk.serve(connection, agent)?);
        Ok(())
    }

    /// A connection is gone, and with it, for a while or for ever, the agents behind it.
    pub fn disconnected(self: &Arc<Self>, connection: ConnectionId) {
        self.watch(self.desk.close(connection));
    }

    /// Takes up what was going on when the server stopped: work that waits, agents that are away.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn recover(self: &Arc<Self>) -> Result<(), WireError> {
        let (mut waiting, mut away) = (0, 0);
        for record in self.log.live_runs().await? {
            let (state, steps) = replay(&*self.log, &record).await?;
            match state {
                RunState::Asked => {
                    let seq = steps.last().map_or(0, |step| step.seq);
                    let Some(thread) = self.log.thread(&record.thread)? else { continue };
                    let message = self.message_at(&record, seq).await?;
                    self.ask(&thread, record.agent.clone(), record.run.clone(), message);
                    waiting += 1;
                }
                RunState::Running { .. } if record.connected => {
                    self.watch([self.desk.missing(&record.run)]);
                    away += 1;
                }
                RunState::Ended { .. } => self.forget_live(&record.run),
                RunState::New | RunState::Running { .. } => {}
            }
        }
        if waiting + away > 0 {
            tracing::info!(waiting, away, "took up the runs of before");
        }
        Ok(())
    }

    /// Waits for each deadline, and acts on it if the run has not moved on.
    fn watch(&self, deadlines: impl IntoIterator<Item = Deadline>) {
        for deadline in deadlines {
            let bridge = self.me.clone();
            let patience = match deadline.mark {
                Mark::Start(_) => self.patience.start,
                Mark::Return(_) => self.patience.grace,
            };
            tokio::spawn(async move {
                tokio::time::sleep(patience).await;
                if let Some(bridge) = bridge.upgrade() {
                    bridge.expire(&deadline).await;
                }
            });
        }
    }

    async fn expire(self: &Arc<Self>, deadline: &Deadline) {
        let (is_lost, more) = self.desk.expire(deadline);
        self.watch(more);
        if !is_lost {
            return;
        }
        let Ok(Some(record)) = self.log.recall(&deadline.run) else { return };
        let grace = self.patience.grace.as_secs_f32();
        let message =
            format!("the agent's connection was lost and it did not come back within {grace} s");
        let lost = Payload::AgentFailed(AgentFailed {
            code: "agent_lost".into(),
            message: message.into(),
        });
        match self.end(&record.thread, &deadline.run, lost).await {
            Ok(seq) => tracing::info!(run = %deadline.run, seq, "agent lost"),
            Err(error) => tracing::info!(run = %deadline.run, %error, "not ended as lost"),
        }
    }

    async fn message_at(&self, record: &RunRecord, seq: u64) -> Result<Message, WireError> {
        let body = self.body_at(&record.thread, seq).await?;
        let broken = || WireError::new(ErrorCode::Internal, "a stored message cannot be read");
        let text = std::str::from_utf8(&body).map_err(|_| broken())?;
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| broken())?;
        let kind = EventKind::UserMessage;
        let Ok(Payload::UserMessage(data)) = Payload::read(&kind, envelope.data_or_empty()) else {
            return Err(broken());
        };
        Ok(Message {
            message_id: data.message_id.into_owned(),
            text: data.text.into_owned(),
            by: data.by.map(std::borrow::Cow::into_owned).unwrap_or_default(),
            seq,
        })
    }

    async fn run_at(&self, thread: &ThreadId, seq: u64) -> Result<RunId, WireError> {
        let body = self.body_at(thread, seq).await?;
        let run = std::str::from_utf8(&body)
            .ok()
            .and_then(|text| serde_json::from_str::<Envelope<'_>>(text).ok()?.run.parse().ok());
        run.ok_or_else(|| WireError::new(ErrorCode::Internal, "a stored event cannot be read"))
    }

    async fn body_at(&self, thread: &ThreadId, seq: u64) -> Result<bytes::Bytes, WireError> {
        let limit = PageLimit { events: 1, bytes: PAGE_BYTES_MAX };
        let page = self.log.read(thread, seq.saturating_sub(1), limit).await?;
        let record = page.into_iter().next();
        record
            .map(|record| record.body)
            .ok_or_else(|| WireError::new(ErrorCode::Internal, "a stored event is not there"))
    }
}

fn check_message(ask: &rethread_shared::frame::Send) -> Result<(), WireError> {
    if ask.text.len() > MESSAGE_BYTES_MAX {
        return Err(WireError::new(
            ErrorCode::EventTooLarge,
            format!(
                "the message has {} bytes, at most {MESSAGE_BYTES_MAX} are allowed",
                ask.text.len()
            ),
        ));
    }
    if ask.text.trim().is_empty() {
        return Err(WireError::new(ErrorCode::BadEvent, "the message is empty")
            .with_expected("a text that says something"));
    }
    if ask.agent.as_ref().is_some_and(|agent| agent.is_empty() || agent.len() > NAME_BYTES_MAX) {
        return Err(WireError::new(
            ErrorCode::BadFrame,
            format!("an agent's name has 1 to {NAME_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

/// An event of the server's own, as it is stored.
fn body_of(event: &NewEvent<'_>) -> NewRecord {
    NewRecord { id: event.id, body: event.to_json().get().to_owned().into() }
}

fn granted(grant: &Grant) -> Granted {
    Granted {
        user: grant.user().clone(),
        all: grant.is_for_all_threads(),
        listed: grant.listed().cloned().collect(),
    }
}
