//! What JavaScript calls. Errors are thrown as plain objects with the members of a server's error;
//! `js/error.js` makes a `RethreadError` of them.
//!
//! Texts come as any value and are read here, which takes less code on both sides than to declare them
//! as strings; what is no string counts as an empty one.
//!
//! Nothing that is asked for here happens before `flush`, so that the caller can first note down
//! what the answer will be for. Only `events` asks for nothing, and needs no `flush`.

use std::{fmt, str::FromStr};

use rethread_client::session::{CommandId, ConnectionId, OutboxFull, Status};
use rethread_shared::{
    Epoch, ErrorCode, IdError, Position, RunId, ThreadId, WireError,
    frame::{Events, ServerFrame, Start},
};
use wasm_bindgen::prelude::*;

use crate::{
    driver::Inner,
    sink::{Sink, local_error},
    wire::{self, Heard, JsBatch, error_to_js},
};

/// A connection to a server, with its session.
#[wasm_bindgen]
pub struct Driver(Inner);

#[wasm_bindgen]
impl Driver {
    /// A driver, which has not begun. `sink` is told everything; `seed` is any random number.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64, sink: JsValue) -> Self {
        Self(Inner::new(seed.to_bits(), sink.unchecked_into::<Sink>()))
    }

    /// Does what is due. To be called after every other call but `events`, and when the sink's `wake` said.
    pub fn flush(&self) {
        self.0.say(|session, now| session.handle_timeout(now));
        self.0.drain();
    }

    /// Says what has happened to the page, or what it wants: `"connect"`, `"close"`, `"online"`,
    /// `"offline"`, `"visible"` or `"hidden"`; `"again"`: there is reason to try now; `"woken"`: the
    /// timer has fired.
    pub fn page(&self, what: JsValue) {
        let what = text(&what);
        self.0.say(|session, now| match what.as_str() {
            "connect" => session.connect(now),
            "close" => session.close(),
            "online" => session.handle_online(now),
            "offline" => session.handle_offline(now),
            "visible" => session.handle_visible(now),
            "again" => session.handle_hint(now),
            "woken" => self.0.woken(),
            _ => session.handle_hidden(now),
        });
    }

    /// The token for a connection: the socket of its dial is open; or it stands, and goes on with
    /// this one.
    pub fn greet(&self, connection: u32, token: JsValue) {
        let token = text(&token);
        self.0.say(|session, now| match session.status() {
            Status::Online => session.renew(token, now),
            _ => session.handle_opened(named(connection), token, now),
        });
    }

    /// An `events` frame came, for the thread of this number; there are `count` in it. What is due is
    /// done, too: this is called more than all else together, so that nothing is looked up by name, and
    /// no text is read.
    #[allow(clippy::too_many_arguments)]
    pub fn events(
        &self,
        connection: u32,
        thread: u32,
        epoch: u32,
        first: f64,
        last: f64,
        count: u32,
        frame: JsValue,
    ) {
        let heard = match self.0.thread(thread) {
            Some(thread) => Heard::Frame(ServerFrame::Events(Events {
                thread,
                epoch: Epoch::from_u32(epoch),
                first: first as u64,
                last: last as u64,
                events: JsBatch { frame, dropped: 0, left: count },
            })),
            // Of one that is followed no more: all it says is that the server is there.
            None => Heard::Unknown,
        };
        self.hear(connection, heard);
        self.0.drain();
    }

    /// Another frame came: what `JSON.parse` made of it, or anything else where it is no JSON.
    pub fn frame(&self, connection: u32, frame: JsValue) {
        self.hear(connection, wire::read(frame));
    }

    /// The connection is gone, with the code that the server sent, or 0; or there was no token, or
    /// no socket. 1: a new token was wanted, and there will be none.
    pub fn closed(&self, connection: u32, code: u16) {
        let connection = named(connection);
        self.0.say(|session, now| match code {
            1 => session.handle_no_token(connection),
            // 1005 and 1006 mean that there was no close frame, or none with a code.
            0 | 1005 | 1006 => session.handle_closed(connection, None, now),
            _ => session.handle_closed(connection, Some(code), now),
        });
    }

    /// Follows a thread after `"start"`, `"now"`, or a position: its epoch, and `seq`. Or changes
    /// how it is followed: `"pause"`, `"resume"`, `"leave"`; `"check"` looks at the id only. Gives the
    /// thread's number.
    ///
    /// # Errors
    /// `bad_id` for thread or epoch.
    pub fn follow(&self, thread: JsValue, how: JsValue, seq: f64) -> Result<u32, JsValue> {
        let (thread, how): (ThreadId, _) = (id(&thread)?, text(&how));
        let start = match how.as_str() {
            "start" | "pause" | "resume" | "leave" | "check" => Start::Beginning,
            "now" => Start::Now,
            _ => Start::After(Position { epoch: parse(&how)?, seq: seq as u64 }),
        };
        let number = self.0.number_of(&thread);
        self.0.say(|session, now| match how.as_str() {
            "pause" => session.pause(&thread, now),
            "resume" => session.resume(&thread, now),
            "leave" => session.unsubscribe(&thread, now),
            "check" => {}
            _ => session.subscribe(thread, start, now),
        });
        Ok(number)
    }

    /// Says something in a thread. Gives the command's number, with which the sink will be told
    /// `done` or `failed`.
    ///
    /// # Errors
    /// `bad_id`, `outbox_full`.
    pub fn send(
        &self,
        thread: JsValue,
        said: JsValue,
        agent: JsValue,
        message_id: JsValue,
    ) -> Result<f64, JsValue> {
        let (thread, message_id) = (id(&thread)?, id(&message_id)?);
        let (text, agent) = (text(&said), agent.as_string());
        number(self.0.say(|session, now| session.send(thread, message_id, text, agent, now)))
    }

    /// Stops a run. As [`Driver::send`].
    ///
    /// # Errors
    /// `bad_id`, `outbox_full`.
    pub fn cancel(&self, run: JsValue, reason: JsValue) -> Result<f64, JsValue> {
        let run: RunId = id(&run)?;
        number(self.0.say(|session, now| session.cancel(run, reason.as_string(), now)))
    }
}

impl Driver {
    /// In one place, for all of the session is behind it.
    #[inline(never)]
    fn hear(&self, connection: u32, heard: Heard) {
        let connection = named(connection);
        self.0.say(|session, now| {
            match heard {
                Heard::Frame(frame) => session.handle_frame(connection, frame, now),
                Heard::Unknown => session.handle_unknown_frame(connection, now),
                Heard::Broken => session.handle_broken_frame(connection, now),
            }
            session.handle_timeout(now);
        });
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

fn named(connection: u32) -> ConnectionId {
    ConnectionId::from_number(connection)
}

fn text(value: &JsValue) -> String {
    value.as_string().unwrap_or_default()
}

fn id<T: FromStr<Err = IdError>>(value: &JsValue) -> Result<T, JsValue> {
    parse(&text(value))
}

fn parse<T: FromStr<Err = IdError>>(text: &str) -> Result<T, JsValue> {
    text.parse().map_err(bad_id)
}

fn bad_id(error: IdError) -> JsValue {
    error_to_js(&WireError {
        expected: Some(error.expected.to_owned()),
        received: Some(error.received),
        ..WireError::new(ErrorCode::BadId, "")
    })
}

fn number(command: Result<CommandId, OutboxFull>) -> Result<f64, JsValue> {
    command.map(|command| command.number() as f64).map_err(|OutboxFull| local_error("outbox_full"))
}
