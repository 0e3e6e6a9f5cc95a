//! The session: everything a client must remember and decide to follow threads and to get its
//! commands done, through lost connections, with no I/O of its own.
//!
//! ```text
//!                     ┌───────────────────────── Session ─────────────────────────┐
//!   handle_opened     │ state          Idle → Dialing → Greeting → Online         │
//!   handle_frame      │                  ▲ Waiting ◄──────┴──────────┘  → Closed  │ poll_action
//!   handle_closed  ──►│ timers         every deadline, in one table               │──► poll_notice
//!   handle_timeout    │ subscriptions  cursors: order, duplicates, holes, resets  │    next_timeout
//!   commands          │ outbox         what the server has not acknowledged       │
//!                     │ serving        agents offered, runs worked on             │
//!                     └───────────────────────────────────────────────────────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `session.rs` | the type, its contract, the application's commands, the outputs |
//! | `connection.rs` | the life of a connection: dial, greet, lose, wait; timers; the page's inputs |
//! | `receive.rs` | what each frame of the server's does |
//! | `subscriptions.rs` | one cursor a thread |
//! | `outbox.rs` | the commands, their ids, their retries |
//! | `serving.rs` | agents and runs |
//! | `state.rs`, `timers.rs`, `backoff.rs`, `output.rs` | the parts these are made of |

mod backoff;
mod connection;
mod outbox;
mod output;
mod receive;
mod serving;
mod state;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;

use rethread_shared::{
    EventId, Position, RunId, ThreadId, WireError,
    frame::{ClientFrame, Start, Unsubscribe},
    limits::Announced,
};

use self::{
    backoff::Backoff,
    outbox::{Body, Outbox},
    serving::Serving,
    state::State,
    subscriptions::Subscriptions,
    timers::{Timer, Timers},
};

pub use self::{
    output::{Action, Batch, Delivery, Failure, Notice, Publishable},
    state::{Closed, Lost, Status, TokenWish},
};

/// The protocol's client side. `B` carries a batch of events that comes in, `E` an event that goes
/// out; the session looks into neither.
///
/// # How to drive it
///
/// 1. Feed it: `handle_*` says what the world did, the other methods what the application wants.
/// 2. After *any* call, drain it: [`Session::poll_action`] until `None`, doing each action in its
///    order, and [`Session::poll_notice`] until `None`, telling the application in that order.
/// 3. Then take [`Session::next_timeout`] and call [`Session::handle_timeout`] when it is reached.
///    Being late does no harm; being early does nothing.
///
/// `now` is milliseconds since any fixed moment, by a clock that does not go back. Randomness is
/// the seed. What comes from a connection carries the id that [`Action::Dial`] gave it, and is
/// ignored once the session has given that connection up, so a late callback does no harm.
#[derive(Debug)]
pub struct Session<B, E> {
    client: Option<String>,
    state: State,
    timers: Timers,
    backoff: Backoff,
    subscriptions: Subscriptions,
    outbox: Outbox<E>,
    serving: Serving,
    wish: TokenWish,
    refused_token: Option<WireError>,
    connections: u32,
    dialed_at: Option<u64>,
    /// The server has asked this connection to come back not before this.
    return_at: Option<u64>,
    offline: bool,
    hidden: bool,
    actions: Vec<Action<E>>,
    notices: Vec<Notice<B>>,
}

/// Names one connection of a session, from its dial to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The connection of that number.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Names one command of a session. It is the command's `req` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(u64);

/// The outbox holds `limits::OUTBOX_MAX` commands that the server has not acknowledged. Try again
/// when one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxFull;

/// What a test of the tests breaks.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Events that the application has are delivered again.
    DuplicatesPass,
    /// Events are delivered although some are missing before them.
    HolesPass,
    /// A message is sent again under a new id.
    ResendWithoutId,
}

impl<B: Batch, E: Publishable> Session<B, E> {
    /// A session that does nothing yet. `client` is this program's name and version, for the
    /// server's operator; `seed` is any random number, and makes the waits.
    #[must_use]
    pub fn new(client: Option<String>, seed: u64) -> Self {
        Self {
            client,
            state: State::Idle,
            timers: Timers::default(),
            backoff: Backoff::new(seed),
            subscriptions: Subscriptions::default(),
            outbox: Outbox::new(),
            serving: Serving::default(),
            wish: TokenWish::Current,
            refused_token: None,
            connections: 0,
            dialed_at: None,
            return_at: None,
            offline: false,
            hidden: false,
            actions: Vec::new(),
            notices: Vec::new(),
        }
    }

    // What the application wants -----------------------------------------------------------------

    /// Begins. Does nothing when it has begun.
    pub fn connect(&mut self, now: u64) {
        if matches!(self.state, State::Idle) {
            self.dial(now);
        }
    }

    /// Ends for good: commands that were not acknowledged fail, threads are followed no more.
    pub fn close(&mut self) {
        self.end(Closed::Asked, Some(NORMAL_CLOSE));
    }

    /// Follows a thread. A thread that is followed already stays as it is, wherever `start` points.
    pub fn subscribe(&mut self, thread: ThreadId, start: Start, now: u64) {
        if !self.is_closed() {
            self.subscriptions.subscribe(thread, start);
            self.send_due(now);
        }
    }

    /// Follows a thread no more, and forgets its cursor.
    pub fn unsubscribe(&mut self, thread: &ThreadId, now: u64) {
        if self.subscriptions.unsubscribe(thread) {
            self.transmit_unsubscribe(thread, now);
        }
    }

    /// Takes no more events of a thread for now, for its application is behind. Nothing is lost:
    /// [`Session::resume`] goes on from the cursor.
    pub fn pause(&mut self, thread: &ThreadId, now: u64) {
        if self.subscriptions.pause(thread) {
            self.transmit_unsubscribe(thread, now);
        }
    }

    /// Goes on with a paused thread.
    pub fn resume(&mut self, thread: &ThreadId, now: u64) {
        self.subscriptions.resume(thread);
        self.ask_due(now);
    }

    /// Up to where a thread's events have been delivered. `None` for a thread that is not followed,
    /// or whose start the server has not yet said.
    #[must_use]
    pub fn position(&self, thread: &ThreadId) -> Option<Position> {
        self.subscriptions.position(thread)
    }

    /// Publishes events, 1 to `limits().publish_events`, in one frame of at most
    /// `limits().frame_bytes`. Ends with [`Notice::Published`] or [`Notice::Failed`]. Every event
    /// should carry an id: without, sending again after a lost connection stores it twice.
    ///
    /// # Errors
    /// [`OutboxFull`].
    pub fn publish(&mut self, events: Vec<E>, now: u64) -> Result<CommandId, OutboxFull> {
        self.command(Body::Publish(events), now)
    }

    /// Says something in a thread. Ends with [`Notice::Sent`] or [`Notice::Failed`]. `message_id`
    /// makes sending again harmless, also by a later session.
    ///
    /// # Errors
    /// [`OutboxFull`].
    pub fn send(
        &mut self,
        thread: ThreadId,
        message_id: EventId,
        text: String,
        agent: Option<String>,
        now: u64,
    ) -> Result<CommandId, OutboxFull> {
        self.command(Body::Send { thread, message_id, text, agent }, now)
    }

    /// Stops a run. Ends with [`Notice::Cancelled`] or [`Notice::Failed`].
    ///
    /// # Errors
    /// [`OutboxFull`].
    pub fn cancel(
        &mut self,
        run: RunId,
        reason: Option<String>,
        now: u64,
    ) -> Result<CommandId, OutboxFull> {
        self.command(Body::Cancel { run, reason }, now)
    }

    /// Offers to take work for an agent; it comes as [`Notice::Work`]. Said again, with the runs
    /// still worked on, whenever the connection is new.
    pub fn serve(&mut self, agent: String, now: u64) {
        if self.is_closed() || !self.serving.add(agent.clone()) {
            return;
        }
        if matches!(self.state, State::Online(_)) {
            let serve = rethread_shared::frame::Serve { agent, runs: Vec::new() };
            self.transmit(ClientFrame::Serve(serve), now);
        }
    }

    /// Takes no more work for an agent. The protocol has no word for it, so the connection is made
    /// anew.
    pub fn unserve(&mut self, agent: &str, now: u64) {
        if self.serving.remove(agent) && matches!(self.state, State::Online(_)) {
            self.lose(Lost::Left, Some(NORMAL_CLOSE), now);
        }
    }

    /// A run that came as [`Notice::Work`] is done: it is not named any more after a reconnect.
    pub fn release(&mut self, run: &RunId) {
        self.serving.release(run);
    }

    // Outputs ------------------------------------------------------------------------------------

    /// What the driver must do next.
    pub fn poll_action(&mut self) -> Option<Action<E>> {
        pop(&mut self.actions)
    }

    /// What the application must be told next.
    pub fn poll_notice(&mut self) -> Option<Notice<B>> {
        pop(&mut self.notices)
    }

    /// When [`Session::handle_timeout`] must be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.timers.next_timeout()
    }

    /// Where the connection is.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.state {
            State::Idle => Status::Idle,
            State::Waiting { until, .. } if self.offline => Status::Offline { until: *until },
            State::Waiting { until, attempt, why, .. } => {
                Status::Waiting { until: *until, attempt: *attempt, why: *why }
            }
            State::Dialing { attempt, .. } | State::Greeting { attempt, .. } => {
                Status::Connecting { attempt: *attempt }
            }
            State::Online(_) => Status::Online,
            State::Closed(closed) => Status::Closed(closed.clone()),
        }
    }

    /// The limits that the server has announced; the defaults while there is no connection.
    #[must_use]
    pub fn limits(&self) -> Announced {
        match &self.state {
            State::Online(online) => online.limits.clone(),
            _ => Announced::default(),
        }
    }

    /// How many commands the server has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }

    // Within -------------------------------------------------------------------------------------

    fn command(&mut self, body: Body<E>, now: u64) -> Result<CommandId, OutboxFull> {
        let command = self.outbox.push(body)?;
        if self.is_closed() {
            self.fail_commands();
        } else {
            self.send_due(now);
        }
        Ok(command)
    }

    fn fail_commands(&mut self) {
        for command in self.outbox.drain() {
            self.notices.push(Notice::Failed { command, failure: Failure::Closed });
        }
    }

    /// Sends what may be sent, and sets the timers for what may not yet.
    fn send_due(&mut self, now: u64) {
        let State::Online(online) = &mut self.state else { return };
        let publishes_max = online.limits.publishes_in_flight.max(1);
        let before = self.actions.len();
        while let Some(subscribe) = self.subscriptions.poll_frame(now) {
            self.actions.push(Action::Transmit(ClientFrame::Subscribe(subscribe)));
        }
        while let Some(frame) = self.outbox.poll_frame(now, publishes_max) {
            self.actions.push(Action::Transmit(frame));
        }
        if self.actions.len() > before {
            online.sent_at = now;
            self.timers.set(Timer::KeepAlive, now + online.heartbeat);
        }
        match self.outbox.next_at().filter(|at| *at > now) {
            Some(at) => self.timers.set(Timer::Outbox, at),
            None => self.timers.stop(Timer::Outbox),
        }
    }

    fn transmit(&mut self, frame: ClientFrame<E>, now: u64) {
        if let State::Online(online) = &mut self.state {
            online.sent_at = now;
            self.timers.set(Timer::KeepAlive, now + online.heartbeat);
        }
        self.actions.push(Action::Transmit(frame));
    }

    fn transmit_unsubscribe(&mut self, thread: &ThreadId, now: u64) {
        let unsubscribe = Unsubscribe { thread: thread.clone() };
        self.transmit(ClientFrame::Unsubscribe(unsubscribe), now);
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    #[cfg(test)]
    pub(crate) fn sabotage(&mut self, sabotage: Sabotage) {
        self.outbox.resend_without_id = sabotage == Sabotage::ResendWithoutId;
        self.subscriptions.sabotage = Some(sabotage);
    }
}

impl CommandId {
    /// The number, which is the command's `req` on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl ConnectionId {
    /// The number: 1 for the first connection of a session, and so on.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The close code of an ordinary end (RFC 6455, section 7.4.1).
const NORMAL_CLOSE: u16 = 1000;

/// Takes the first. There are a few at most, for a driver takes all after each call.
fn pop<T>(queue: &mut Vec<T>) -> Option<T> {
    if queue.is_empty() { None } else { Some(queue.remove(0)) }
}
