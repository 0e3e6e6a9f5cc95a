use rethread_shared::{
    Epoch, Position, RunId, ThreadId, WireError,
    frame::{ClientFrame, Outcome, ResetReason, Work},
};

use super::{CommandId, ConnectionId, Status, TokenWish};

/// What carries the events of one `events` frame. The session reads nothing in it; it only cuts off
/// what the application has.
pub trait Batch {
    /// How many events there are.
    fn len(&self) -> usize;

    /// True when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the first `count` events; `count` is less than [`Batch::len`].
    fn drop_first(&mut self, count: usize);
}

impl<T> Batch for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn drop_first(&mut self, count: usize) {
        self.drain(..count);
    }
}

/// What the driver must do, in order. From [`super::Session::poll_action`].
#[derive(Clone, Debug)]
pub enum Action<E> {
    /// Get a token, open a socket, then call `handle_opened`; or `handle_closed`, when either fails;
    /// or `handle_no_token`, when a new token is wished for and there cannot be one.
    Dial {
        /// Names the connection in every `handle_*` call about it.
        connection: ConnectionId,
        /// Which token it needs.
        token: TokenWish,
    },
    /// Send a frame on the open connection.
    Transmit(ClientFrame<E>),
    /// Give the connection (or the dial) up at once, without waiting for the other side. Whatever
    /// still comes from it is ignored.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// The code for the close frame; none where there was no socket yet, or it is gone.
        code: Option<u16>,
    },
}

/// What the application is told, in order. From [`super::Session::poll_notice`].
#[derive(Clone, Debug)]
pub enum Notice<B> {
    /// The status has changed.
    Status(Status),
    /// A subscription stands. `position` is where events continue from.
    Subscribed {
        /// The thread.
        thread: ThreadId,
        /// Everything up to here has been delivered (or was not asked for).
        position: Position,
        /// The seq of the last event in the log now.
        head: u64,
    },
    /// Events, each once, in order, without holes.
    Events(Delivery<B>),
    /// Everything that was in the log when the subscription stood has been delivered.
    CaughtUp {
        /// The thread.
        thread: ThreadId,
        /// How many events that took.
        replayed: u64,
    },
    /// What the application has of this thread is void; events follow from the first one kept.
    Reset {
        /// The thread.
        thread: ThreadId,
        /// The incarnation of its log now.
        epoch: Epoch,
        /// Why.
        reason: ResetReason,
    },
    /// The subscription was refused and is gone.
    Unsubscribed {
        /// The thread.
        thread: ThreadId,
        /// Why.
        error: WireError,
    },
    /// A `publish` was answered; results stand in the order of the events. An event that an earlier
    /// try had stored already says `duplicate`.
    Published {
        /// The command.
        command: CommandId,
        /// What became of each event.
        results: Vec<Outcome>,
    },
    /// A `send` was answered.
    Sent {
        /// The command.
        command: CommandId,
        /// The run that will answer.
        run: RunId,
        /// The place of the message in the thread.
        seq: u64,
    },
    /// A `cancel` was answered.
    Cancelled {
        /// The command.
        command: CommandId,
        /// The run that is over.
        run: RunId,
        /// The place of its `agent_cancelled` in the thread.
        seq: u64,
    },
    /// A command will not be done.
    Failed {
        /// The command.
        command: CommandId,
        /// Why.
        failure: Failure,
    },
    /// The token of this connection ends soon. A new one is brought with
    /// [`super::Session::renew`]; without one, the server closes the connection when it ends, and a new
    /// token is asked for on the way back.
    TokenExpiring,
    /// Work for an agent that this session serves. Each run once.
    Work(Work),
    /// A run that this session's agents work on was cancelled.
    RunCancelled {
        /// The run.
        run: RunId,
        /// The place of its `agent_cancelled` in the thread.
        seq: u64,
    },
    /// The server refused something that is no command and no subscription (a `serve`, or a frame
    /// it could not read). For the log.
    Refused(WireError),
}

/// Events for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<B> {
    /// The thread.
    pub thread: ThreadId,
    /// The incarnation of its log.
    pub epoch: Epoch,
    /// The seq of the first event.
    pub first: u64,
    /// The seq of the last. `(epoch, last)` is the position afterwards.
    pub last: u64,
    /// True when the events were in the log before the subscription stood.
    pub replayed: bool,
    /// The events: `last - first + 1` of them.
    pub events: B,
}

/// Why a command will not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused it.
    Refused(WireError),
    /// The session was closed before the server answered. It may or may not have been done.
    Closed,
}
