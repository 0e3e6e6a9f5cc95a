//! Stories: create, connect, run to quiescence, look.

mod commands;
mod connection;
mod following;

use rethread_shared::{
    Epoch, ErrorCode, EventId, Position, RunId, ThreadId, WireError,
    frame::{ClientFrame, Events, ServerFrame, Start, Subscribed, Welcome, WireErrorFrame},
    limits::Announced,
};

use super::*;

const HEARTBEAT: u64 = 15_000;
/// No story lasts longer, milliseconds.
const PATIENCE: u64 = 3_600_000;

impl Publishable for &str {}

/// A session, its clock, and what it last wanted and said.
struct Desk {
    session: Session<Vec<u64>, &'static str>,
    now: u64,
    connection: Option<ConnectionId>,
    wish: Option<TokenWish>,
    disconnected: bool,
    sent: Vec<ClientFrame<&'static str>>,
    notices: Vec<Notice<Vec<u64>>>,
}

impl Desk {
    /// Dialing.
    fn new() -> Self {
        let mut desk = Self {
            session: Session::new(Some("test".into()), 7),
            now: 1_000,
            connection: None,
            wish: None,
            disconnected: false,
            sent: Vec::new(),
            notices: Vec::new(),
        };
        desk.session.connect(desk.now);
        desk.drain();
        desk
    }

    /// Online.
    fn online() -> Self {
        let mut desk = Self::new();
        desk.open();
        desk.welcome();
        desk
    }

    /// Online, following thread `a` from its start, at `seq` of `head`.
    fn following(seq: u64) -> Self {
        let mut desk = Self::online();
        desk.session.subscribe(thread(), Start::Beginning, desk.now);
        desk.frame(subscribed(1, seq, 0));
        if seq > 0 {
            desk.frame(events(1, 1, seq));
        }
        desk.forget();
        desk
    }

    fn open(&mut self) {
        let connection = self.connection.expect("a dial");
        self.session.handle_opened(connection, "token".into(), self.now);
        self.drain();
    }

    fn welcome(&mut self) {
        let mut limits = Announced::default();
        limits.publishes_in_flight = 2;
        let session = String::new();
        self.frame(ServerFrame::Welcome(Welcome { session, heartbeat_ms: HEARTBEAT, limits }));
        assert_eq!(self.session.status(), Status::Online);
    }

    fn frame(&mut self, frame: ServerFrame<Vec<u64>>) {
        let connection = self.connection.expect("a connection");
        self.session.handle_frame(connection, frame, self.now);
        self.drain();
    }

    fn closed(&mut self, code: Option<u16>) {
        let connection = self.connection.expect("a connection");
        self.session.handle_closed(connection, code, self.now);
        self.drain();
    }

    /// Time passes, timers come.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        assert!(end < PATIENCE, "what is waited for does not come: {:?}", self.session.status());
        while let Some(at) = self.session.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Waits until it dials, and gets online again.
    fn come_back(&mut self) {
        while !matches!(self.session.status(), Status::Connecting { .. }) {
            self.pass(10);
        }
        self.open();
        self.welcome();
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Dial { connection, token } => {
                    (self.connection, self.wish) = (Some(connection), Some(token));
                    self.disconnected = false;
                }
                Action::Transmit(frame) => self.sent.push(frame),
                Action::Disconnect { .. } => self.disconnected = true,
            }
        }
        while let Some(notice) = self.session.poll_notice() {
            self.notices.push(notice);
        }
    }

    fn forget(&mut self) {
        self.drain();
        self.sent.clear();
        self.notices.clear();
    }

    /// What was sent since, as `op`s with what matters.
    fn ops(&mut self) -> Vec<String> {
        self.drain();
        std::mem::take(&mut self.sent).iter().map(describe).collect()
    }

    /// The events delivered since.
    fn delivered(&mut self) -> Vec<u64> {
        self.drain();
        let mut delivered = Vec::new();
        self.notices.retain(|notice| match notice {
            Notice::Events(delivery) => {
                assert_eq!(delivery.events.first(), Some(&delivery.first));
                assert_eq!(delivery.events.last(), Some(&delivery.last));
                delivered.extend(&delivery.events);
                false
            }
            _ => true,
        });
        delivered
    }

    fn is_told(&self, what: impl Fn(&Notice<Vec<u64>>) -> bool) -> bool {
        self.notices.iter().any(what)
    }
}

fn describe(frame: &ClientFrame<&'static str>) -> String {
    match frame {
        ClientFrame::Hello(hello) => format!("hello {}", hello.token),
        ClientFrame::Subscribe(subscribe) => match subscribe.after {
            Start::Beginning => format!("subscribe {} start", subscribe.thread.key()),
            Start::Now => format!("subscribe {} now", subscribe.thread.key()),
            Start::After(Position { seq, .. }) => {
                format!("subscribe {} after {seq}", subscribe.thread.key())
            }
        },
        ClientFrame::Unsubscribe(unsubscribe) => {
            format!("unsubscribe {}", unsubscribe.thread.key())
        }
        ClientFrame::Publish(publish) => format!("publish {} {:?}", publish.req, publish.events),
        ClientFrame::Send(send) => format!("send {} {}", send.req, send.message_id),
        ClientFrame::Cancel(cancel) => format!("cancel {}", cancel.req),
        ClientFrame::Serve(serve) => format!("serve {} {:?}", serve.agent, serve.runs),
        ClientFrame::Ping => "ping".into(),
    }
}

fn thread() -> ThreadId {
    "thread_a".parse().unwrap()
}

fn run_id() -> RunId {
    RunId::generate(&thread(), 5, [1, 2, 3, 4])
}

fn message_id() -> EventId {
    EventId::generate(6, [9; 10])
}

fn epoch(n: u8) -> Epoch {
    Epoch::generate([0, 0, 0, n])
}

fn events(of: u8, first: u64, last: u64) -> ServerFrame<Vec<u64>> {
    let events = (first..=last).collect();
    ServerFrame::Events(Events { thread: thread(), epoch: epoch(of), first, last, events })
}

fn subscribed(of: u8, head: u64, after: u64) -> ServerFrame<Vec<u64>> {
    ServerFrame::Subscribed(Subscribed { thread: thread(), epoch: epoch(of), head, after })
}

fn error(
    req: Option<u64>,
    thread: Option<ThreadId>,
    code: ErrorCode,
    retry_after_ms: Option<u64>,
) -> ServerFrame<Vec<u64>> {
    let error = WireError { retry_after_ms, ..WireError::new(code, "no") };
    ServerFrame::Error(WireErrorFrame { req, thread, error })
}
