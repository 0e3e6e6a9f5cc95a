//! The WebSocket of one client: one task, which reads frames, answers them, and delivers what is
//! due to its subscriptions, all that is due in one write.

mod answers;
mod delivery;
mod requests;

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rethread_shared::{
    CloseCode, ErrorCode, WireError,
    frame::{self, Goodbye, ServerFrame, WireErrorFrame},
    limits::{
        BAD_FRAMES_MAX, CLOCK_LEEWAY, CLOSE_DEADLINE, GOODBYE_SPREAD, HEARTBEATS_MISSED_MAX,
        HELLO_DEADLINE, NOTES_WAITING_MAX, WRITE_STALL,
    },
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    auth::{Grant, Keys},
    bridge::{Bridge, desk::Note},
    connections::{self, Connections, Place},
    health::Health,
    metrics::meters::Transport,
    now,
    refusals::Asker,
    request::Request,
};
use answers::Answers;
use delivery::Deliveries;
pub(crate) use requests::wrong_number;

/// What every connection shares.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Events in, and reading.
    pub bridge: Arc<Bridge>,
    /// Tokens.
    pub keys: Arc<Keys>,
    /// The open connections.
    pub connections: Arc<Connections>,
    /// How the server is.
    pub health: Arc<Health>,
    /// See [`rethread_shared::limits::HEARTBEAT`].
    pub heartbeat: Duration,
    /// Who may read the metrics.
    pub metrics: crate::metrics::Settings,
}

/// One client's connection.
struct Socket {
    shared: Shared,
    place: Place,
    /// Names what it asks in the logs.
    request: Request,
    ws: WebSocket,
    /// What the client may do; `None` until its `hello`.
    grant: Option<Arc<Grant>>,
    deliveries: Deliveries,
    answers: Answers,
    notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
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
    /// The server stops; the client is to come back.
    Goodbye,
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "left",
            Self::Close(code) => code.reason(),
            Self::Goodbye => CloseCode::GoingAway.reason(),
        }
    }
}

/// Serves one client until it leaves or has to.
pub async fn serve(ws: WebSocket, place: Place, request: Request, shared: Shared) {
    let now = Instant::now();
    let id = place.id;
    let mut socket = Socket {
        place,
        request,
        ws,
        grant: None,
        deliveries: Deliveries::default(),
        answers: Answers::default(),
        notes: mpsc::channel(NOTES_WAITING_MAX),
        bad_frames: 0,
        came_back: false,
        buffered: 0,
        opened: now,
        sent: now,
        received: now,
        shared,
    };
    let end = socket.live().await;
    socket.shared.bridge.disconnected(id);
    tracing::debug!(connection = id.0, ?end, "connection ended");
    connections::count_end(Transport::WebSocket, end.reason());
    socket.leave(end).await;
}

impl Socket {
    async fn live(&mut self) -> End {
        let leaving = self.shared.connections.leaving().clone();
        let timer = tokio::time::sleep_until(self.deadline().0);
        tokio::pin!(timer);
        let mut has_hello = false;
        loop {
            let end = tokio::select! {
                biased;
                () = leaving.cancelled() => Err(End::Goodbye),
                // Before the client's frames: however many come, deadlines are kept.
                () = &mut timer => {
                    let end = self.on_time().await;
                    timer.as_mut().reset(self.deadline().0);
                    end
                }
                message = self.ws.next() => match message {
                    Some(Ok(message)) => self.receive(message).await,
                    Some(Err(_)) | None => Err(End::Gone),
                },
                answer = self.answers.next(), if !self.answers.is_empty() => self.write(answer).await,
                Some(note) = self.notes.1.recv() => {
                    self.shared.bridge.has_room();
                    self.write(answers::note(note)).await
                }
                () = self.deliveries.due() => Ok(()),
            };
            if let Err(end) = end {
                return end;
            }
            if let Err(end) = self.write_all_due().await {
                return end;
            }
            if has_hello != self.grant.is_some() {
                has_hello = true;
                timer.as_mut().reset(self.deadline().0);
            }
        }
    }

    /// The next moment at which something must happen, and what. After `hello` moments move only
    /// later, so the timer is set anew only when it has rung.
    fn deadline(&self) -> (Instant, Timer) {
        let Some(grant) = &self.grant else {
            return (self.opened + HELLO_DEADLINE, Timer::Hello);
        };
        let heartbeat = self.shared.heartbeat;
        let ends_at = (grant.expires_at() + CLOCK_LEEWAY.as_secs()) * 1_000;
        let left = ends_at.saturating_sub(now::unix_ms());
        let expiry = Instant::now() + Duration::from_millis(left);
        [
            (self.sent + heartbeat, Timer::Beat),
            (self.received + heartbeat * HEARTBEATS_MISSED_MAX, Timer::Silent),
            (expiry, Timer::Expiry),
        ]
        .into_iter()
        .min_by_key(|(at, _)| *at)
        .expect("there are three")
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
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        self.received = Instant::now();
        let outcome = match &message {
            Message::Text(text) => self.request(text).await,
            Message::Binary(_) => Err(answers::error(WireError::new(
                ErrorCode::BadFrame,
                "a binary frame came; this protocol is JSON in text frames",
            ))),
            Message::Close(_) => return Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
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
        let code = refusal.error.code.clone();
        self.write(answers::text(&ServerFrame::Error(refusal))).await?;
        match code {
            ErrorCode::Unauthorized => return Err(End::Close(CloseCode::Unauthorized)),
            ErrorCode::TokenExpired => return Err(End::Close(CloseCode::TokenExpired)),
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
        let user = self.grant.as_ref().map(|grant| grant.user());
        let op = requests::OPS.iter().find(|known| **known == op).unwrap_or(&"frame");
        let asker = Asker { request, asked: op, user };
        self.shared.bridge.refusals().note(asker, &refusal.error);
    }

    /// Puts a frame into the write buffer; it leaves with the next flush.
    async fn write(&mut self, text: String) -> Result<(), End> {
        self.buffer(Message::Text(text.into())).await
    }

    async fn buffer(&mut self, message: Message) -> Result<(), End> {
        if let Message::Text(text) = &message {
            self.buffered += text.len() as u64;
        }
        // Waits only when the buffer has overflowed into the socket and that is full.
        in_time(self.ws.feed(message)).await?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Writes what is due to the subscriptions, up to one write's worth, and flushes everything.
    async fn write_all_due(&mut self) -> Result<(), End> {
        // Answers that are ready now go along.
        while let Some(answer) = self.answers.ready() {
            self.write(answer).await?;
        }
        let taken = self.deliveries.take(&**self.shared.bridge.log(), self.place.id).await;
        if !taken.messages.is_empty() {
            self.sent = Instant::now();
        }
        let ws = &mut self.ws;
        let writing = async {
            for frame in taken.messages {
                ws.feed(frame).await?;
            }
            ws.flush().await
        };
        in_time(writing).await?;
        let outgoing = self.shared.connections.delivery().of(Transport::WebSocket);
        outgoing.written(taken.events, taken.bytes + std::mem::take(&mut self.buffered));
        if let Some(since) = taken.since {
            outgoing.latency.record(since.elapsed());
        }
        Ok(())
    }

    async fn leave(&mut self, end: End) {
        let code = match end {
            End::Gone => return,
            End::Close(code) => code,
            End::Goodbye => {
                let spread = GOODBYE_SPREAD.as_millis() as u64;
                let retry_after_ms = u64::from_be_bytes(now::random()) % spread.max(1);
                let goodbye = Goodbye { reason: "shutdown".into(), retry_after_ms };
                let _ = self.write(answers::text(&answers::Frame::Goodbye(goodbye))).await;
                CloseCode::GoingAway
            }
        };
        let close = CloseFrame { code: code.number(), reason: code.reason().into() };
        // The client may be beyond reach; it learns of the end by itself then.
        let closing = async {
            if self.ws.send(Message::Close(Some(close))).await.is_ok() {
                while let Some(Ok(_)) = self.ws.next().await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_DEADLINE, closing).await;
    }
}

/// Ends the connection of a reader that does not take what is written.
async fn in_time(writing: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match tokio::time::timeout(WRITE_STALL, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Close(CloseCode::SlowReader)),
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
}
