//! The connection of one client, over a WebSocket or what stands for one ([`wire`]): one task, which reads frames, answers them, and delivers what is
//! due to its subscriptions, all that is due in one write.

mod answers;
mod delivery;
mod gather;
mod requests;
#[cfg(test)]
mod tests;
mod tunnel;
mod websocket;
mod wire;

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rethread_shared::{
    CloseCode, ErrorCode, WireError,
    frame::{self, Goodbye, ServerFrame, TokenExpiring, WireErrorFrame},
    limits::{
        BAD_FRAMES_MAX, CLOSE_DEADLINE, HEARTBEATS_MISSED_MAX, HELLO_DEADLINE,
        MESSAGES_AT_ONCE_MAX, NOTES_WAITING_MAX,
    },
};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as Standard;

use crate::{
    auth::{Access, Gate},
    bridge::{
        Bridge,
        desk::{Inbox, Note, Notes, notes},
    },
    connections::{self, Connections, Place},
    guard::Guard,
    health::Health,
    metrics::meters::Outgoing,
    now,
    origins::Origins,
    refusals::Asker,
    request::Request,
};
use answers::Answers;
use delivery::Deliveries;
pub(crate) use requests::wrong_number;
pub use tunnel::Tunnels;
use websocket::Message;
pub(crate) use websocket::WebSocket;
pub(crate) use wire::Wire;

/// What every connection shares.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Events in, and reading.
    pub bridge: Arc<Bridge>,
    /// Tokens, and who is cut off.
    pub gate: Arc<Gate>,
    /// The open connections.
    pub connections: Arc<Connections>,
    /// Those of them that have no WebSocket.
    pub tunnels: Arc<Tunnels>,
    /// How the server is.
    pub health: Arc<Health>,
    /// See [`rethread_shared::limits::HEARTBEAT`].
    pub heartbeat: Duration,
    /// Which web pages may come.
    pub origins: Arc<Origins>,
    /// What one user and one address may take.
    pub guard: Arc<Guard>,
    /// How the server stops.
    pub shutdown: crate::config::Shutdown,
    /// Who may read the metrics.
    pub metrics: crate::metrics::Settings,
}

/// One client's connection.
struct Socket {
    shared: Shared,
    place: Place,
    /// Names what it asks in the logs.
    request: Request,
    wire: Wire,
    /// What the client may do; `None` until its `hello`.
    access: Option<Access>,
    deliveries: Deliveries,
    answers: Answers,
    notes: (Notes, Inbox),
    bad_frames: u32,
    /// True once it has gone on from a position.
    came_back: bool,
    /// Bytes of answers that have not been counted.
    buffered: u64,
    opened: Instant,
    sent: Instant,
    received: Instant,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client left, or the network did.
    Gone,
    /// The server closes it.
    Close(CloseCode),
    /// What came is no WebSocket message that can be read; nothing after it can be either.
    Unreadable(Standard, &'static str),
    /// The server stops; the client is to come back.
    Goodbye,
    /// At once, and without a word: what is half written may be what the client may not have any more.
    Cut,
    /// The user opens connections too fast; the client is to come back after so many milliseconds.
    TooFast(u64),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Close(CloseCode::SlowReader),
            _ => Self::Gone,
        }
    }
}

impl End {
    fn too_large() -> Self {
        Self::Unreadable(Standard::Size, "frame_too_large")
    }

    fn not_utf8() -> Self {
        Self::Unreadable(Standard::Invalid, "not_utf8")
    }

    fn not_websocket() -> Self {
        Self::Unreadable(Standard::Protocol, "not_websocket")
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "left",
            Self::Close(code) => code.reason(),
            Self::Unreadable(_, reason) => reason,
            Self::Goodbye => CloseCode::GoingAway.reason(),
            Self::TooFast(_) => "slow_down",
            Self::Cut => "cut",
        }
    }
}

/// Serves one client until it leaves or has to.
pub(crate) async fn serve(wire: Wire, place: Place, request: Request, shared: Shared) {
    let now = Instant::now();
    let id = place.id;
    let mut socket = Socket {
        place,
        request,
        wire,
        access: None,
        deliveries: Deliveries::default(),
        answers: Answers::default(),
        notes: notes(NOTES_WAITING_MAX),
        bad_frames: 0,
        came_back: false,
        buffered: 0,
        opened: now,
        sent: now,
        received: now,
        shared,
    };
    let end = socket.live().await;
    // Nothing more is delivered: who waits for that need not wait for the farewell.
    socket.access = None;
    socket.shared.bridge.disconnected(id);
    tracing::debug!(connection = id.0, ?end, "connection ended");
    connections::count_end(socket.place.card().transport, end.reason());
    socket.leave(end).await;
}

impl Socket {
    async fn live(&mut self) -> End {
        let leaving = self.shared.connections.leaving().clone();
        let mut leaving = pin!(leaving.cancelled());
        let timer = tokio::time::sleep_until(self.deadline().0);
        tokio::pin!(timer);
        let mut timed_for = None;
        loop {
            let end = tokio::select! {
                biased;
                () = &mut leaving => Err(End::Goodbye),
                () = questioned(self.access.as_ref()) => self.reconsider().await,
                // Before the client's frames: however many come, deadlines are kept.
                () = &mut timer => {
                    let end = self.on_time().await;
                    timer.as_mut().reset(self.deadline().0);
                    end
                }
                message = self.wire.next() => match message {
                    Some(Ok(message)) => self.receive_all(message).await,
                    Some(Err(error)) => Err(error),
                    None => Err(End::Gone),
                },
                note = self.notes.1.next() => {
                    self.shared.bridge.has_room();
                    self.tell(note).await
                }
                () = due(&self.answers, &self.deliveries) => Ok(()),
            };
            if let Err(end) = end {
                return end;
            }
            if let Err(end) = self.write_all_due().await {
                return end;
            }
            // A new token may end sooner than the one before.
            let granted = self.access.as_ref().map(|access| access.grant().expires_at());
            if timed_for != granted {
                timed_for = granted;
                timer.as_mut().reset(self.deadline().0);
            }
        }
    }

    /// The next moment at which something must happen, and what. After `hello` moments move only
    /// later, so the timer is set anew only when it has rung.
    fn deadline(&self) -> (Instant, Timer) {
        let Some(access) = &self.access else {
            return (self.opened + HELLO_DEADLINE, Timer::Hello);
        };
        let heartbeat = self.shared.heartbeat;
        [
            Some((self.sent + heartbeat, Timer::Beat)),
            Some((self.received + heartbeat * HEARTBEATS_MISSED_MAX, Timer::Silent)),
            Some((access.ends_at(), Timer::Expiry)),
            access.warn_at().map(|at| (at, Timer::Warning)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
        .expect("there are three at least")
    }

    async fn on_time(&mut self) -> Result<(), End> {
        let (at, timer) = self.deadline();
        if at > Instant::now() {
            return Ok(());
        }
        match timer {
            Timer::Hello => Err(End::Close(CloseCode::HelloTimeout)),
            Timer::Beat => self.write(answers::text(&answers::Frame::Beat)).await,
            Timer::Silent => Err(End::Close(CloseCode::Silent)),
            Timer::Expiry => Err(End::Close(CloseCode::TokenExpired)),
            Timer::Warning => {
                let Some(access) = &mut self.access else { return Ok(()) };
                let expiring = TokenExpiring { expires_in_ms: access.warned() };
                self.write(answers::text(&answers::Frame::TokenExpiring(expiring))).await
            }
        }
    }

    /// A revocation may concern this connection. Ends it, or those of its subscriptions that are not
    /// granted any more.
    async fn reconsider(&mut self) -> Result<(), End> {
        let Some(access) = &self.access else { return Ok(()) };
        // Before a word is written: whoever waits for this must not wait for a slow reader.
        let refused = match self.deliveries.reconsider(&self.shared.bridge, access) {
            Err(error) => vec![answers::error(error)],
            Ok(refused) => refused,
        };
        for refusal in refused {
            let code = refusal.error.code.clone();
            self.write(answers::text(&ServerFrame::Error(refusal))).await?;
            if let Some(end) = ends_by(&code) {
                return Err(End::Close(end));
            }
        }
        Ok(())
    }

    /// Brings a note of the desk's; work in a thread that is granted no longer goes to others when it is
    /// not started.
    async fn tell(&mut self, note: Note) -> Result<(), End> {
        if let (Note::Work(work), Some(access)) = (&note, &self.access)
            && self.shared.bridge.thread(&work.thread, access.grant()).is_err()
        {
            return Ok(());
        }
        self.write(answers::note(note)).await
    }

    /// Takes a message, and those that came with it, up to as many as one turn may have: what they lead to is
    /// written together.
    async fn receive_all(&mut self, message: Message) -> Result<(), End> {
        self.receive(message).await?;
        for _ in 1..MESSAGES_AT_ONCE_MAX {
            // A revocation does not wait for them.
            if self.access.as_ref().is_some_and(Access::is_questioned) {
                break;
            }
            let Some(message) = self.wire.at_hand() else { break };
            self.receive(message?).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        // Whoever sends pieces of a message that never ends is not kept alive by pings between them.
        let is_amid = matches!(
            message,
            Message::Ping { is_amid: true, .. } | Message::Pong { is_amid: true }
        );
        if !is_amid {
            self.received = Instant::now();
        }
        let outcome = match &message {
            Message::Text(text) => self.request(text).await,
            Message::Binary => Err(answers::error(WireError::new(
                ErrorCode::BadFrame,
                "a binary frame came; this protocol is JSON in text frames",
            ))),
            Message::Close(_) => return Err(End::Gone),
            Message::Ping { .. } | Message::Pong { .. } => return Ok(()),
        };
        let refusal = match outcome {
            Ok(()) => {
                self.bad_frames = 0;
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        if let Message::Text(text) = &message {
            let op = frame::op(text).unwrap_or_default();
            self.note(&op, &refusal);
        }
        let (code, retry_after_ms) = (refusal.error.code.clone(), refusal.error.retry_after_ms);
        self.write(answers::text(&ServerFrame::Error(refusal))).await?;
        // A connection that has a good token goes on with it while the keys for another cannot be had.
        let goes_on = code == ErrorCode::KeysUnavailable && self.access.is_some();
        if let Some(end) = ends_by(&code).filter(|_| !goes_on) {
            return Err(End::Close(end));
        }
        match code {
            ErrorCode::SlowDown if self.access.is_none() => {
                return Err(End::TooFast(retry_after_ms.unwrap_or(1_000)));
            }
            ErrorCode::BadFrame
            | ErrorCode::UnknownOp
            | ErrorCode::FrameTooLarge
            | ErrorCode::HelloRequired => {
                self.bad_frames += 1;
            }
            _ => self.bad_frames = 0,
        }
        if self.bad_frames > BAD_FRAMES_MAX {
            return Err(End::Close(CloseCode::ProtocolError));
        }
        Ok(())
    }

    fn note(&self, op: &str, refusal: &WireErrorFrame) {
        let request = refusal.req.map(|req| self.request.within(req));
        let request = request.as_ref().unwrap_or(&self.request);
        let user = self.access.as_ref().map(|access| access.grant().user());
        let op = requests::OPS.iter().find(|known| **known == op).unwrap_or(&"frame");
        let asker = Asker { request, asked: op, user };
        self.shared.bridge.refusals().note(asker, &refusal.error);
    }

    /// Queues a frame; it leaves with the next flush.
    async fn write(&mut self, text: String) -> Result<(), End> {
        self.buffered += text.len() as u64;
        // Waits only when much is queued and the socket is full.
        unless_cut(self.access.as_ref(), self.wire.feed_own(text)).await?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Writes what is due to the subscriptions, up to one write's worth, and flushes everything.
    async fn write_all_due(&mut self) -> Result<(), End> {
        // Answers that are ready now go along.
        let answers = self.answers.take();
        if !answers.is_empty() {
            self.buffered += answers.iter().map(|answer| answer.len() as u64).sum::<u64>();
            self.sent = Instant::now();
            let wire = &mut self.wire;
            let feeding = async {
                for answer in answers {
                    wire.feed_own(answer).await?;
                }
                Ok(())
            };
            unless_cut(self.access.as_ref(), feeding).await?;
        }
        if self.access.as_ref().is_some_and(Access::is_questioned) {
            return Ok(());
        }
        let taken = self.deliveries.take(&**self.shared.bridge.log(), self.place.id).await;
        if !taken.frames.is_empty() {
            self.sent = Instant::now();
        }
        let is_replayed = taken.is_replayed;
        let (wire, deliveries) = (&mut self.wire, &mut self.deliveries);
        let writing = async {
            for frame in taken.frames {
                wire.feed(frame).await?;
            }
            let mut flushing = pin!(wire.flush());
            let at_once = poll_fn(|context| Poll::Ready(flushing.as_mut().poll(context))).await;
            if let Poll::Ready(flushed) = at_once {
                return flushed;
            }
            deliveries.wait_for_reader();
            flushing.await
        };
        unless_cut(self.access.as_ref(), writing).await?;
        let buffered = std::mem::take(&mut self.buffered);
        let outgoing = self.outgoing();
        outgoing.written(taken.events, taken.bytes + buffered);
        if let Some(since) = taken.since {
            outgoing.latency.record(since.elapsed());
        }
        if is_replayed {
            // Those who follow live go first: what a replay has to say is old.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What counts what leaves this way.
    fn outgoing(&self) -> &Outgoing {
        self.shared.connections.delivery().of(self.place.card().transport)
    }

    async fn say_goodbye(
        &mut self,
        reason: &'static str,
        retry_after_ms: u64,
    ) -> (Standard, &'static str) {
        let goodbye = Goodbye { reason: reason.into(), retry_after_ms };
        let _ = self.write(answers::text(&answers::Frame::Goodbye(goodbye))).await;
        (CloseCode::GoingAway.number().into(), CloseCode::GoingAway.reason())
    }

    async fn leave(&mut self, end: End) {
        let is_unreadable = matches!(end, End::Unreadable(..));
        self.wire.open();
        let (code, reason) = match end {
            End::Gone => {
                let _ = tokio::time::timeout(CLOSE_DEADLINE, self.wire.part()).await;
                return;
            }
            End::Cut => return,
            End::Close(code) => (code.number().into(), code.reason()),
            End::Unreadable(code, reason) => (code, reason),
            End::Goodbye => {
                let spread = self.shared.shutdown.spread.as_ms();
                let retry_after_ms = u64::from_be_bytes(now::random()) % spread.max(1);
                self.say_goodbye("shutdown", retry_after_ms).await
            }
            End::TooFast(retry_after_ms) => self.say_goodbye("slow_down", retry_after_ms).await,
        };
        // The client may be beyond reach; it learns of the end by itself then.
        let closing = self.wire.close(code, reason, is_unreadable);
        let _ = tokio::time::timeout(CLOSE_DEADLINE, closing).await;
    }
}

/// Completes when what is granted must be looked at again.
async fn questioned(access: Option<&Access>) {
    match access {
        Some(access) => access.questioned().await,
        None => std::future::pending().await,
    }
}

/// Completes when there is something to write that others have brought.
async fn due(answers: &Answers, deliveries: &Deliveries) {
    let either = |context: &mut Context<'_>| {
        // Both are asked, so that either wakes.
        match (answers.poll(context), deliveries.poll(context)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    };
    poll_fn(either).await;
}

/// What is being written to a slow reader is broken off when it may have been revoked: the client
/// comes back, if it may, and goes on from its position.
async fn unless_cut(
    access: Option<&Access>,
    writing: impl Future<Output = Result<(), End>>,
) -> Result<(), End> {
    tokio::select! {
        biased;
        written = writing => written,
        () = questioned(access) => Err(End::Cut),
    }
}

/// The close code of an error that ends the connection.
fn ends_by(code: &ErrorCode) -> Option<CloseCode> {
    match code {
        ErrorCode::Unauthorized => Some(CloseCode::Unauthorized),
        ErrorCode::TokenExpired => Some(CloseCode::TokenExpired),
        ErrorCode::TokenRevoked => Some(CloseCode::TokenRevoked),
        ErrorCode::KeysUnavailable => Some(CloseCode::KeysUnavailable),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    /// `hello` must have come.
    Hello,
    /// The server must show that it is there.
    Beat,
    /// The client must have shown that it is there.
    Silent,
    /// The token ends.
    Expiry,
    /// The client must be told that its token ends soon.
    Warning,
}
