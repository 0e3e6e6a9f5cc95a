use serde::{Deserialize, Serialize};

use crate::{Epoch, EventId, RunId, ThreadId, WireError, limits::Announced};

/// A frame from the server. `B` is what carries a batch of events: see [`crate::frame`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ServerFrame<B> {
    /// The token is good; frames may follow.
    Welcome(Welcome),
    /// A subscription stands; its events follow.
    Subscribed(Subscribed),
    /// Events of a thread.
    Events(Events<B>),
    /// The answer to `publish`.
    Published(Published),
    /// The answer to `send`.
    Sent(Sent),
    /// The answer to `cancel`; and, without `req`, word to the run's agent that it is over.
    Cancelled(Cancelled),
    /// Work for an agent.
    Work(Work),
    /// The position asked for cannot be served; what the client has of this thread is void.
    Reset(Reset),
    /// Something was refused. The connection goes on.
    Error(WireErrorFrame),
    /// Nothing has happened; the server is there.
    Beat,
    /// The token ends soon; bring a new one with `hello`.
    TokenExpiring(TokenExpiring),
    /// The server is about to close; come back after the time given.
    Goodbye(Goodbye),
}

/// `welcome`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Names this connection in the server's log.
    pub session: String,
    /// The server is never silent for longer, milliseconds. Twice that, and the client may take the
    /// connection for dead; the client keeps to the same, with `ping`.
    pub heartbeat_ms: u64,
    /// What the client must keep to.
    pub limits: Announced,
}

/// `subscribed`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribed {
    /// The thread.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: Epoch,
    /// The seq of its last event now; 0 where there is none. Events up to here are a replay.
    pub head: u64,
    /// The position that events follow from: the next one has this seq plus one (or, at a boundary
    /// between frames, a frame begins earlier and the client drops what it has).
    pub after: u64,
}

/// `events`: a thread's events `first` to `last`, without holes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events<B> {
    /// The thread.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: Epoch,
    /// The seq of the first event in the frame.
    pub first: u64,
    /// The seq of the last.
    pub last: u64,
    /// The events.
    pub events: B,
}

/// What of an `events` frame a client must read to order and de-duplicate it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventsHead {
    /// The thread.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: Epoch,
    /// The seq of the first event in the frame.
    pub first: u64,
    /// The seq of the last.
    pub last: u64,
}

/// `published`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Published {
    /// The `publish` this answers.
    pub req: u64,
    /// One result for each event, in their order.
    pub results: Vec<Outcome>,
}

/// What became of one published event: stored (`seq`), stored before (`seq`, `duplicate`), or
/// refused (`error`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// In the log, durable.
    Stored {
        /// The event's id, given or made.
        id: EventId,
        /// The thread its run belongs to.
        thread: ThreadId,
        /// Its place there.
        seq: u64,
        /// True when it was there already.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// Not in the log.
    Refused {
        /// The event's id, where it could be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<EventId>,
        /// Why.
        error: WireError,
    },
}

/// `sent`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The `send` this answers.
    pub req: u64,
    /// The run that will answer.
    pub run: RunId,
    /// The place of the `user_message` in the thread.
    pub seq: u64,
}

/// `cancelled`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// The `cancel` this answers; absent in the word to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<u64>,
    /// The run that is over.
    pub run: RunId,
    /// The place of the `agent_cancelled` in the thread.
    pub seq: u64,
}

/// `work`: a person's message for an agent. The agent answers by publishing the run's events,
/// beginning with `agent_started`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// The agent that is meant: one that this connection serves.
    pub agent: String,
    /// The run to publish in.
    pub run: RunId,
    /// Its thread.
    pub thread: ThreadId,
    /// What was said.
    pub message: Message,
}

/// A person's message, as `work` brings it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Its id, from `send`.
    pub message_id: String,
    /// What was said.
    pub text: String,
    /// The user who said it.
    pub by: String,
    /// Its place in the thread.
    pub seq: u64,
}

/// `reset`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reset {
    /// The thread.
    pub thread: ThreadId,
    /// The incarnation of its log now. `subscribed` follows, and events from the first one kept.
    pub epoch: Epoch,
    /// Why.
    pub reason: ResetReason,
}

/// Why a position cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResetReason {
    /// The log was wiped or made anew since.
    EpochChanged,
    /// The position is beyond the log's end: the log lost its tail, or the client invented it.
    PositionAhead,
    /// The events after the position are no longer kept.
    Retention,
    /// A reason from a newer server.
    #[serde(other)]
    Other,
}

/// `error`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireErrorFrame {
    /// The request that was refused, where it had a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<u64>,
    /// The thread that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadId>,
    /// What went wrong; its members stand in the frame itself.
    #[serde(flatten)]
    pub error: WireError,
}

/// `token_expiring`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenExpiring {
    /// When the connection is closed for want of a new token, milliseconds from now.
    pub expires_in_ms: u64,
}

/// `goodbye`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Goodbye {
    /// `shutdown`, or a word from a newer server.
    pub reason: String,
    /// When to come back, milliseconds from now. Spread, so that clients do not come all at once.
    pub retry_after_ms: u64,
}
