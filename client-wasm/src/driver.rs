//! The loop around the session: does what it says, tells it what happens. The sockets themselves are
//! JavaScript's: which kind there is, and with whom it is shared, is no matter of the session.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use rethread_client::session::{Action, Delivery, Notice, Session, Status, TokenWish};
use rethread_shared::ThreadId;
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
    /// When JavaScript's timer will fire; `u64::MAX` while it is not set.
    woken_at: Cell<u64>,
    /// The threads that were asked for, each by its number.
    threads: RefCell<Vec<ThreadId>>,
}

impl Inner {
    /// A driver that does nothing yet.
    pub(crate) fn new(seed: u64, sink: Sink) -> Self {
        let client = concat!("@rethread/client ", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            session: RefCell::new(Session::new(Some(client), seed)),
            sink: RefCell::new(Some(Rc::new(sink))),
            draining: Cell::new(false),
            woken_at: Cell::new(u64::MAX),
            threads: RefCell::default(),
        }
    }

    /// The number of a thread, by which [`Inner::thread`] gives it.
    pub(crate) fn number_of(&self, thread: &ThreadId) -> u32 {
        let mut threads = self.threads.borrow_mut();
        let place = threads.iter().position(|known| known == thread).unwrap_or_else(|| {
            threads.push(thread.clone());
            threads.len() - 1
        });
        place as u32
    }

    /// The thread of a number.
    pub(crate) fn thread(&self, number: u32) -> Option<ThreadId> {
        self.threads.borrow().get(number as usize).cloned()
    }

    /// The timer has fired, and is not set any more.
    pub(crate) fn woken(&self) {
        self.woken_at.set(u64::MAX);
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
        // Deadlines mostly move on with every frame; to be woken early does no harm.
        let next = self.session.borrow().next_timeout().unwrap_or(u64::MAX);
        if next < self.woken_at.get() {
            self.woken_at.set(next);
            sink.wake(next.saturating_sub(now()) as f64);
        }
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
            Notice::Events(Delivery { replayed, events, .. }) => {
                sink.events(&events.frame, events.dropped, replayed)
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
