//! What JavaScript calls. Errors are thrown as plain objects with the members of a server's error;
//! `js/error.js` makes a `RethreadError` of them.
//!
//! Nothing that is asked for here happens before `flush`, so that the caller can first note down
//! what the answer will be for.

use std::{fmt, rc::Rc, str::FromStr};

use rethread_client::session::{CommandId, OutboxFull};
use rethread_shared::{ErrorCode, IdError, Position, RunId, ThreadId, WireError, frame::Start};
use wasm_bindgen::prelude::*;

use crate::{
    driver::Inner,
    sink::{Sink, local_error},
    wire::error_to_js,
};

/// A connection to a server, with its session.
#[wasm_bindgen]
pub struct Driver(Rc<Inner>);

#[wasm_bindgen]
impl Driver {
    /// A driver for the WebSocket at `url`, which has not begun. `sink` is told everything; `seed`
    /// is any random number.
    #[wasm_bindgen(constructor)]
    pub fn new(url: String, seed: f64, sink: JsValue) -> Self {
        Self(Inner::new(url, seed.to_bits(), sink.unchecked_into::<Sink>()))
    }

    /// Does what is due. To be called after every other call, and when the sink's `wake` said.
    pub fn flush(&self) {
        self.0.say(|session, now| session.handle_timeout(now));
        self.0.drain();
    }

    /// Says what has happened to the page, or what it wants: `"connect"`, `"close"`, `"online"`,
    /// `"offline"`, `"visible"` or `"hidden"`.
    pub fn page(&self, what: &str) {
        self.0.say(|session, now| match what {
            "connect" => session.connect(now),
            "close" => session.close(),
            "online" => session.handle_online(now),
            "offline" => session.handle_offline(now),
            "visible" => session.handle_visible(now),
            _ => session.handle_hidden(now),
        });
    }

    /// The token that `dial` asked for.
    pub fn open(&self, token: String) {
        self.0.open(token);
    }

    /// There is no token, for now or for good.
    #[wasm_bindgen(js_name = noToken)]
    pub fn no_token(&self, for_good: bool) {
        self.0.no_token(for_good);
    }

    /// Follows a thread after `"start"`, `"now"`, or a position: its epoch, and `seq`. Or changes
    /// how it is followed: `"pause"`, `"resume"`, `"leave"`.
    ///
    /// # Errors
    /// `bad_id` for thread or epoch.
    pub fn follow(&self, thread: &str, how: &str, seq: f64) -> Result<(), JsValue> {
        let thread: ThreadId = id(thread)?;
        let start = match how {
            "start" | "pause" | "resume" | "leave" => Start::Beginning,
            "now" => Start::Now,
            epoch => Start::After(Position { epoch: id(epoch)?, seq: seq as u64 }),
        };
        self.0.say(|session, now| match how {
            "pause" => session.pause(&thread, now),
            "resume" => session.resume(&thread, now),
            "leave" => session.unsubscribe(&thread, now),
            _ => session.subscribe(thread, start, now),
        });
        Ok(())
    }

    /// Says something in a thread. Gives the command's number, with which the sink will be told
    /// `done` or `failed`.
    ///
    /// # Errors
    /// `bad_id`, `outbox_full`.
    pub fn send(
        &self,
        thread: &str,
        text: String,
        agent: Option<String>,
        message_id: &str,
    ) -> Result<f64, JsValue> {
        let (thread, message_id) = (id(thread)?, id(message_id)?);
        number(self.0.say(|session, now| session.send(thread, message_id, text, agent, now)))
    }

    /// Stops a run. As [`Driver::send`].
    ///
    /// # Errors
    /// `bad_id`, `outbox_full`.
    pub fn cancel(&self, run: &str, reason: Option<String>) -> Result<f64, JsValue> {
        let run: RunId = id(run)?;
        number(self.0.say(|session, now| session.cancel(run, reason, now)))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

/// Checks a thread's id.
///
/// # Errors
/// `bad_id`.
#[wasm_bindgen(js_name = checkThread)]
pub fn check_thread(thread: &str) -> Result<(), JsValue> {
    id::<ThreadId>(thread).map(drop)
}

fn id<T: FromStr<Err = IdError>>(text: &str) -> Result<T, JsValue> {
    text.parse().map_err(|error: IdError| {
        error_to_js(&WireError {
            expected: Some(error.expected.to_owned()),
            received: Some(error.received),
            ..WireError::new(ErrorCode::BadId, "")
        })
    })
}

fn number(command: Result<CommandId, OutboxFull>) -> Result<f64, JsValue> {
    command.map(|command| command.number() as f64).map_err(|OutboxFull| local_error("outbox_full"))
}
