use rethread_shared::{
    ErrorCode, EventId, RunId, ThreadId, WireError,
    frame::{self, ClientFrame, Outcome},
    limits::{INTERNAL_RETRIES_MAX, OUTBOX_MAX},
};

use super::{CommandId, OutboxFull, Publishable};

/// The commands that the server has not acknowledged, oldest first. What is unanswered when a
/// connection is lost is sent again on the next one, in the same order, with the same ids.
#[derive(Debug)]
pub(super) struct Outbox<E> {
    /// Ascending by id.
    commands: Vec<Command<E>>,
    next_id: u64,
    unsent: usize,
    publishes_in_flight: usize,
    /// The server asked for a pause: nothing is sent before this. One pause for all commands, for
    /// if only the refused one waited, a later one would overtake it.
    not_before: u64,
    /// Refusals that asked for a pause, since the last answer.
    refusals: u32,
    #[cfg(test)]
    pub(super) resend_without_id: bool,
}

#[derive(Debug)]
struct Command<E> {
    id: CommandId,
    body: Body<E>,
    in_flight: bool,
    internal_errors: u32,
    #[cfg(test)]
    sent_before: bool,
}

/// What a command asks for.
#[derive(Debug)]
pub(super) enum Body<E> {
    Publish(Vec<E>),
    Send { thread: ThreadId, message_id: EventId, text: String, agent: Option<String> },
    Cancel { run: RunId, reason: Option<String> },
}

/// The kind of an answer, which must fit its command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Publish,
    Send,
    Cancel,
}

/// What a refusal means for its command.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is sent again after the pause; `retry_after_ms` of the server's, or else the backoff after
    /// so many refusals.
    Retry { refusals: u32 },
    /// It is over.
    Fail(CommandId),
    /// There is no such command.
    Unknown,
}

impl<E: Publishable> Outbox<E> {
    pub(super) fn new() -> Self {
        Self {
            commands: Vec::new(),
            next_id: 1,
            unsent: 0,
            publishes_in_flight: 0,
            not_before: 0,
            refusals: 0,
            #[cfg(test)]
            resend_without_id: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn push(&mut self, body: Body<E>) -> Result<CommandId, OutboxFull> {
        if self.commands.len() >= OUTBOX_MAX {
            return Err(OutboxFull);
        }
        let id = CommandId(self.next_id);
        self.next_id += 1;
        self.unsent += 1;
        self.commands.push(Command {
            id,
            body,
            in_flight: false,
            internal_errors: 0,
            #[cfg(test)]
            sent_before: false,
        });
        Ok(id)
    }

    /// The next frame to send, if one may be sent now.
    pub(super) fn poll_frame(&mut self, now: u64, publishes_max: usize) -> Option<ClientFrame<E>> {
        if self.unsent == 0 || now < self.not_before {
            return None;
        }
        let publishes_full = self.publishes_in_flight >= publishes_max;
        let command = self
            .commands
            .iter_mut()
            .filter(|command| !command.in_flight)
            .find(|command| !publishes_full || !command.body.is_publish())?;
        command.in_flight = true;
        self.unsent -= 1;
        #[cfg(test)]
        if std::mem::replace(&mut command.sent_before, true)
            && self.resend_without_id
            && let Body::Send { message_id, .. } = &mut command.body
        {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&(now ^ command.id.0).to_be_bytes());
            *message_id = EventId::generate(now, random);
        }
        if command.body.is_publish() {
            self.publishes_in_flight += 1;
        }
        Some(command.frame())
    }

    /// When a pause that holds commands back is over.
    pub(super) fn next_at(&self) -> Option<u64> {
        (self.unsent > 0 && self.not_before > 0).then_some(self.not_before)
    }

    /// Takes the command that an answer of this kind is for.
    pub(super) fn answer(&mut self, req: u64, kind: Kind) -> Option<CommandId> {
        let index = self.find(req)?;
        if self.commands[index].body.kind() != kind {
            return None;
        }
        self.refusals = 0;
        Some(self.remove(index))
    }

    /// Judges a refusal. [`Refusal::Retry`] must be followed by [`Outbox::pause`], and
    /// [`Refusal::Fail`] has removed the command.
    pub(super) fn refuse(&mut self, req: u64, error: &WireError) -> Refusal {
        let Some(index) = self.find(req) else { return Refusal::Unknown };
        let command = &mut self.commands[index];
        if error.code == ErrorCode::Internal {
            command.internal_errors += 1;
        }
        if !error.code.is_transient() || command.internal_errors > INTERNAL_RETRIES_MAX {
            return Refusal::Fail(self.remove(index));
        }
        self.unsend(index);
        self.refusals = self.refusals.saturating_add(1);
        Refusal::Retry { refusals: self.refusals }
    }

    /// Sends nothing before `until`.
    pub(super) fn pause(&mut self, until: u64) {
        self.not_before = self.not_before.max(until);
    }

    /// The connection is lost: everything is to be sent again.
    pub(super) fn disconnected(&mut self) {
        for command in &mut self.commands {
            command.in_flight = false;
        }
        self.unsent = self.commands.len();
        self.publishes_in_flight = 0;
        self.not_before = 0;
    }

    /// Gives every command up, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = CommandId> + '_ {
        self.unsent = 0;
        self.publishes_in_flight = 0;
        self.commands.drain(..).map(|command| command.id)
    }

    fn find(&self, req: u64) -> Option<usize> {
        let index = self.commands.binary_search_by(|c| c.id.0.cmp(&req)).ok()?;
        self.commands[index].in_flight.then_some(index)
    }

    fn unsend(&mut self, index: usize) {
        let command = &mut self.commands[index];
        command.in_flight = false;
        self.unsent += 1;
        if command.body.is_publish() {
            self.publishes_in_flight -= 1;
        }
    }

    fn remove(&mut self, index: usize) -> CommandId {
        self.unsend(index);
        self.unsent -= 1;
        let command = self.commands.remove(index);
        command.id
    }
}

impl<E: Publishable> Body<E> {
    fn is_publish(&self) -> bool {
        E::IS_AGENT && matches!(self, Self::Publish(_))
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Publish(_) => Kind::Publish,
            Self::Send { .. } => Kind::Send,
            Self::Cancel { .. } => Kind::Cancel,
        }
    }
}

impl<E: Publishable> Command<E> {
    fn frame(&self) -> ClientFrame<E> {
        let req = self.id.0;
        match &self.body {
            Body::Publish(events) => {
                ClientFrame::Publish(frame::Publish { req, events: events.clone() })
            }
            Body::Send { thread, message_id, text, agent } => ClientFrame::Send(frame::Send {
                req,
                thread: thread.clone(),
                message_id: *message_id,
                text: text.clone(),
                agent: agent.clone(),
            }),
            Body::Cancel { run, reason } => {
                ClientFrame::Cancel(frame::Cancel { req, run: run.clone(), reason: reason.clone() })
            }
        }
    }
}

/// The refusal in the results of a publish that may go away by itself: the whole publish is then
/// sent again, and what was stored answers as a duplicate.
pub(super) fn transient_refusal(results: &[Outcome]) -> Option<&WireError> {
    let errors = results.iter().filter_map(|outcome| match outcome {
        Outcome::Refused { error, .. } => Some(error),
        Outcome::Stored { .. } => None,
    });
    errors.filter(|error| error.code.is_transient()).max_by_key(|error| error.retry_after_ms)
}
