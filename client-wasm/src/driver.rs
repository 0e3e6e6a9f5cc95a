//! The loop around the session: does what it says, tells it what happens. The sockets themselves are
//! JavaScript's: which kind there is, and with whom it is shared, is no matter of the session.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use rethread_client::session::{Action, Delivery, Notice, Session, Status, TokenWish};
use wasm_bindgen::prelude::*;

use crate::{
    hex,
    sink::{self, Sink},
    wire::{self, JsBatch, NoEvent, error_to_js},
};

/// The session with its surroundings.
pub(crate) struct Inner {
    session: RefCell<Session<JsBatch, NoEvent>>,
    sink: RefCell<Option<Rc<Sink>>>,
    draining: Cell<bool>,
}

impl Inner {
    /// A driver that does nothing yet.
    pub(crate) fn new(seed: u64, sink: Sink) -> Self {
        let client = concat!("@rethread/client ", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            session: RefCell::new(Session::new(Some(client), seed)),
            sink: RefCell::new(Some(Rc::new(sink))),
            draining: Cell::new(false),
        }
    }

    /// Says something to the session. [`Inner::drain`] must follow.
    pub(crate) fn say<T>(&self, say: impl FnOnce(&mut Session<JsBatch, NoEvent>, u64) -> T) -> T {
        let now = now();
        say(&mut self.session.borrow_mut(), now)
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
                match action {
                    Action::Dial { connection, token } => {
                        sink.dial(connection.number(), token == TokenWish::New);
                    }
                    Action::Transmit(frame) => sink.transmit(&wire::write(&frame)),
                    Action::Disconnect { connection, code } => {
                        sink.disconnect(connection.number(), code.unwrap_or(NORMAL_CLOSE));
                    }
                }
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
            Notice::TokenExpiring => sink.expiring(),
            // A page does neither publish nor serve.
            Notice::Published { .. } | Notice::Work(_) | Notice::RunCancelled { .. } => {}
        }
    }
}

/// The close code of an ordinary end (RFC 6455, section 7.4.1).
const NORMAL_CLOSE: u16 = 1000;

/// Milliseconds by a clock that does not go back.
fn now() -> u64 {
    monotonic() as u64
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn monotonic() -> f64;
}
