//! Messages from people, the work they start, and how it ends.

use std::sync::{Arc, atomic::Ordering};

use rethread_shared::{
    ErrorCode, EventKind, NewEvent, Payload, RunId, ThreadId, WireError,
    event::{AgentCancelled, AgentFailed, UserMessage},
    frame::{Cancelled, Message, Sent, Work},
    limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, RUNS_WORKED_MAX, TITLE_CHARS_MAX},
    order::RunState,
};

use super::{
    Bridge,
    desk::{self, ConnectionId, Deadline, Mark, Note, Notes, Waiting},
    replay::replay,
    runs::Origin,
};
use crate::{
    auth::{Grant, Scope},
    log::{Appended, RunRecord, ThreadInfo},
    metrics::meters,
    now,
};

impl Bridge {
    /// A run of a thread, minted and remembered before it is given away.
    ///
    /// # Errors
    /// `thread_not_found`, `log_unavailable`.
    pub async fn mint_run(&self, thread: &ThreadId, grant: &Grant) -> Result<RunId, WireError> {
        grant.require(Scope::Publish)?;
        self.thread(thread, grant)?;
        let run = self.new_run(thread)?;
        let runs = self.runs.of(thread);
        let _room = self.queue.enter(1, 0).await;
        let mut held = runs.lock().await;
        self.still_granted(thread, grant)?;
        held.refresh(&*self.log);
        let remembered = held.register(&*self.log, thread, &run, Origin::Published)?;
        drop(held);
        remembered.await?;
        Ok(run)
    }

    /// An id that no run has. The clock may have been set back to a time in which ids were made.
    fn new_run(&self, thread: &ThreadId) -> Result<RunId, WireError> {
        loop {
            let run = RunId::generate(thread, self.clock.unix_ms(), now::random());
            if self.log.recall(&run)?.is_none() {
                return Ok(run);
            }
        }
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
        let run = self.new_run(&ask.thread)?;
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
        let room = self.queue.enter(1, ask.text.len()).await;
        let (agent, by_whom) = (ask.agent.clone(), Some(grant));
        let queued = self.queue_own(&ask.thread, &run, &event, agent, by_whom, |_| true).await?;
        let bridge = self.clone();
        Ok(async move {
            let req = ask.req;
            let settled = bridge.settle_own(id, queued).await;
            drop(room);
            let Appended { seq, duplicate } = settled?;
            if duplicate {
                return Ok(Sent { req, run: bridge.run_at(&ask.thread, seq).await?, seq });
            }
            let message = Message { message_id, text: ask.text.clone(), by, seq };
            // Whoever saw the message may have stopped its run already.
            if bridge.is_asked(&ask.thread, &run).await? {
                bridge.ask(&thread, ask.agent, run.clone(), message);
            }
            bridge.entitle(&thread, &ask.text).await;
            Ok(Sent { req, run, seq })
        })
    }

    pub(super) fn ask(
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
        self.watch(self.desk.ask(Waiting {
            agent,
            work,
            owner: thread.owner.clone(),
            tried: None,
            since: std::time::Instant::now(),
        }));
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
        let (thread, record) = self.registered(run, grant)?;
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

    /// A run's end is in the log: nobody works on it any more, and its agent is told when it was
    /// stopped.
    ///
    /// `run` is the id that the run is known by. One that was migrated has another, and its agent may
    /// know it by that, so it is told both.
    pub(super) fn ended(&self, run: &RunId, kind: &EventKind, seq: u64) {
        tracing::debug!(%run, %kind, seq, "run ended");
        meters::run_ended(kind);
        let agent = self.desk.over(run);
        if *kind == EventKind::AgentCancelled
            && let Some(notes) = agent
        {
            tell_cancelled(&notes, run, seq);
            if let Ok(Some(RunRecord { standard: Some(standard), .. })) = self.log.recall(run) {
                tell_cancelled(&notes, &standard, seq);
            }
        }
    }

    /// A connection that may publish or serve is there.
    pub fn connected(&self, connection: ConnectionId, notes: Notes, grant: &Arc<Grant>) {
        self.desk.open(connection, notes, grant.clone());
    }

    /// A connection brought another token.
    pub fn regranted(&self, connection: ConnectionId, grant: &Arc<Grant>) {
        self.desk.regrant(connection, grant.clone(), grant.require(Scope::Serve).is_ok());
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
        if runs.len() > RUNS_WORKED_MAX {
            return Err(WireError::new(
                ErrorCode::BadFrame,
                format!("{} runs are named, at most {RUNS_WORKED_MAX} are allowed", runs.len()),
            ));
        }
        for run in runs {
            let Ok((thread, record)) = self.registered(run, grant) else { continue };
            let held = self.runs.of(&thread.thread);
            let mut held = held.lock().await;
            held.refresh(&*self.log);
            match &held.known(&*self.log, &thread.thread, run).await?.state {
                RunState::Running { .. } => self.watch(self.desk.bind(&record.run, connection)),
                RunState::Ended { by: EventKind::AgentCancelled } => {
                    // It was stopped while its agent was away.
                    let (_, steps) = replay(&*self.log, &record).await?;
                    if let (Some(step), Some(notes)) = (steps.last(), self.desk.notes(connection)) {
                        tell_cancelled(&notes, run, step.seq);
                    }
                }
                _ => {}
            }
        }
        self.watch(self.desk.serve(connection, agent)?);
        Ok(())
    }

    /// A connection has taken a note, and so has room for another.
    pub fn has_room(&self) {
        self.watch(self.desk.has_room());
    }

    /// How much waits, and is worked on.
    #[must_use]
    pub fn figures(&self) -> desk::Figures {
        self.desk.figures()
    }

    /// The server stops: agents lose their connections by its doing, not by theirs.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// A connection is gone, and with it, for a while or for ever, the agents behind it.
    pub fn disconnected(self: &Arc<Self>, connection: ConnectionId) {
        self.watch(self.desk.close(connection));
    }

    /// Waits for each deadline, and acts on it if the run has not moved on.
    pub(super) fn watch(&self, deadlines: impl IntoIterator<Item = Deadline>) {
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
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        // Work of a run that ended meanwhile is not handed out again.
        if let Mark::Start(_) = deadline.mark
            && let Ok(Some(record)) = self.log.recall(&deadline.run)
            && matches!(self.is_asked(&record.thread, &deadline.run).await, Ok(false))
        {
            self.desk.withdraw(&deadline.run);
            return;
        }
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
            Ok(seq) => {
                tracing::info!(run = %deadline.run, seq, "agent lost");
                self.meters.agents_lost.increment(1);
            }
            Err(error) => tracing::info!(run = %deadline.run, %error, "not ended as lost"),
        }
    }
}

fn tell_cancelled(notes: &Notes, run: &RunId, seq: u64) {
    // Full: the agent learns it from the refusal of its next event.
    notes.put(Note::Cancelled(Cancelled { req: None, run: run.clone(), seq }));
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
