//! The loop around the session: does what it says, tells it what happens.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use rethread_client::session::{
    Action, ConnectionId, Delivery, Notice, Session, Status, TokenWish,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::{
    hex,
    sink::{self, Sink},
    socket::{Said, Socket},
    wire::{self, Heard, JsBatch, NoEvent, error_to_js},
};

/// The session with its surroundings. Shared by the surface and the task of each connection.
pub(crate) struct Inner {
    session: RefCell<Session<JsBatch, NoEvent>>,
    url: String,
    sink: RefCell<Option<Rc<Sink>>>,
    /// The connection that the session counts on, with its socket once it has one.
    connection: RefCell<Option<(ConnectionId, Option<Socket>)>>,
    draining: Cell<bool>,
}

impl Inner {
    /// A driver that does nothing yet.
    pub(crate) fn new(url: String, seed: u64, sink: Sink) -> Rc<Self> {
        let client = concat!("@rethread/client ", env!("CARGO_PKG_VERSION")).to_owned();
        Rc::new(Self {
            session: RefCell::new(Session::new(Some(client), seed)),
            url,
            sink: RefCell::new(Some(Rc::new(sink))),
            connection: RefCell::default(),
            draining: Cell::new(false),
        })
    }

    /// Says something to the session. [`Inner::drain`] must follow.
    pub(crate) fn say<T>(&self, say: impl FnOnce(&mut Session<JsBatch, NoEvent>, u64) -> T) -> T {
        let now = now();
        say(&mut self.session.borrow_mut(), now)
    }

    /// Goes on with the dial that waits for a token; or ends it when there is none, for now or for
    /// good.
    pub(crate) fn open(self: &Rc<Self>, token: Option<String>, for_good: bool) {
        let connection = match &*self.connection.borrow() {
            Some((connection, None)) => *connection,
            _ => return,
        };
        if let Some(token) = token
            && let Ok(socket) = Socket::dial(&self.url)
        {
            self.connection.replace(Some((connection, Some(socket.clone()))));
            spawn_local(self.clone().attend(connection, socket, token));
            return;
        }
        self.say(|session, now| match for_good {
            true => session.handle_no_token(connection),
            false => session.handle_closed(connection, None, now),
        });
    }

    /// Does what the session says until it says no more. JavaScript that is called on the way may
    /// come back here; what it adds is done by the loop that runs already.
    pub(crate) fn drain(&self) {
        if self.draining.replace(true) {
            return;
        }
        let Some(sink) = self.sink.borrow().clone() else { return };
        loop {
            let action = self.session.borrow_mut().poll_action();
            if let Some(action) = action {
                self.act(action, &sink);
                continue;
            }
            let notice = self.session.borrow_mut().poll_notice();
            let Some(notice) = notice else { break };
            self.tell(notice, &sink);
        }
        self.draining.set(false);
        let next = self.session.borrow().next_timeout();
        sink.wake(next.map_or(-1.0, |at| at.saturating_sub(now()) as f64));
    }

    fn act(&self, action: Action<NoEvent>, sink: &Sink) {
        match action {
            Action::Dial { connection, token } => {
                self.connection.replace(Some((connection, None)));
                sink.dial(token == TokenWish::New);
            }
            Action::Transmit(frame) => {
                if let Some((_, Some(socket))) = &*self.connection.borrow() {
                    socket.send(&wire::write(&frame));
                }
            }
            Action::Disconnect { connection, code } => {
                if let Some((_, Some(socket))) = self.leave(connection) {
                    socket.close(code);
                }
            }
        }
    }

    /// One connection, from its socket's opening to its end.
    async fn attend(self: Rc<Self>, connection: ConnectionId, socket: Socket, token: String) {
        let mut token = Some(token);
        let code = socket.listen(|said| self.hear(connection, said, &mut token)).await;
        self.leave(connection);
        self.say(|session, now| session.handle_closed(connection, code, now));
        self.drain();
    }

    fn hear(&self, connection: ConnectionId, said: Said, token: &mut Option<String>) {
        let heard = match said {
            Said::Text(text) => wire::read(&text),
            Said::Binary => Heard::Broken,
            Said::Opened => Heard::Unknown,
        };
        self.say(|session, now| match (token.take(), heard) {
            (Some(token), _) => session.handle_opened(connection, token, now),
            (None, Heard::Frame(frame)) => session.handle_frame(connection, frame, now),
            (None, Heard::Unknown) => session.handle_unknown_frame(connection, now),
            (None, Heard::Broken) => session.handle_broken_frame(connection, now),
        });
        self.drain();
    }

    fn tell(&self, notice: Notice<JsBatch>, sink: &Sink) {
        match notice {
            Notice::Status(status) => {
                sink::tell_status(sink, &status, now());
                if matches!(status, Status::Closed(_)) {
                    // Lets go of what keeps the application's objects alive.
                    self.sink.take();
                }
            }
            Notice::Subscribed { thread, position, .. } => {
                let epoch = hex::epoch(position.epoch);
                sink.subscribed(thread.as_str(), &epoch, position.seq as f64)
            }
            Notice::Events(Delivery { thread, epoch, first, last, replayed, events }) => {
                let (epoch, first, last) = (hex::epoch(epoch), first as f64, last as f64);
                sink.events(thread.as_str(), &events.0, &epoch, first, last, replayed)
            }
            Notice::CaughtUp { thread, .. } => sink.caught_up(thread.as_str()),
            Notice::Reset { thread, epoch, reason } => {
                sink.reset(thread.as_str(), &hex::epoch(epoch), sink::reset_reason(reason))
            }
            Notice::Unsubscribed { thread, error } => {
                sink.refused(thread.as_str(), error_to_js(&error))
            }
            Notice::Sent { command, run, seq } | Notice::Cancelled { command, run, seq } => {
                sink.done(command.number() as f64, run.as_str(), seq as f64)
            }
            Notice::Failed { command, failure } => {
                sink.failed(command.number() as f64, sink::failure(&failure))
            }
            Notice::Refused(error) => sink.warn(error_to_js(&error)),
            // A page does neither publish nor serve; and a token that ended is asked for anew on the
            // way back, which a page hardly notices.
            Notice::Published { .. }
            | Notice::Work(_)
            | Notice::RunCancelled { .. }
            | Notice::TokenExpiring => {}
        }
    }

    /// Counts on this connection no more.
    fn leave(&self, connection: ConnectionId) -> Option<(ConnectionId, Option<Socket>)> {
        self.connection.borrow_mut().take_if(|(current, _)| *current == connection)
    }
}

/// Milliseconds by a clock that does not go back.
fn now() -> u64 {
    monotonic() as u64
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn monotonic() -> f64;
}
