//! Frames from and to JSON text. The browser's own `JSON.parse` makes the objects; of an `events`
//! frame only the head is read, and its array goes to the application as it is.
//!
//! Each way goes through one flat record with all members that any frame has, because every type
//! that serde reads or writes costs about a kilobyte of download.

mod record;

use std::str::FromStr;

use js_sys::{Array, JSON, Reflect};
use rethread_client::session::Batch;
use rethread_shared::{
    WireError,
    frame::{
        Cancelled, ClientFrame, Events, Goodbye, Reset, ResetReason, Sent, ServerFrame, Start,
        Subscribed, Welcome, WireErrorFrame,
    },
    limits::Announced,
};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use self::record::{Out, OutAfter};

/// The events of one frame: the array that `JSON.parse` made.
#[derive(Clone, Debug)]
pub(crate) struct JsBatch(pub(crate) Array);

/// An event that this client publishes. There is none: a page sends messages, agents publish.
#[derive(Clone, Debug)]
pub(crate) enum NoEvent {}

/// What a text turned out to be.
pub(crate) enum Heard {
    Frame(ServerFrame<JsBatch>),
    /// Of an `op` that this version does not know, or that is not meant for a page.
    Unknown,
    /// Not what its `op` says, or no frame at all.
    Broken,
}

impl Batch for JsBatch {
    fn len(&self) -> usize {
        self.0.length() as usize
    }

    fn drop_first(&mut self, count: usize) {
        self.0 = self.0.slice(count as u32, self.0.length());
    }
}

/// Reads a frame.
pub(crate) fn read(text: &str) -> Heard {
    let Ok(value) = JSON::parse(text) else { return Heard::Broken };
    if !value.is_object() {
        return Heard::Broken;
    }
    let frame = Members(value);
    let Some(op) = frame.text("op") else { return Heard::Broken };
    match op.as_str() {
        "events" | "beat" | "welcome" | "subscribed" | "sent" | "cancelled" | "reset" | "error"
        | "goodbye" => control(&op, &frame).map_or(Heard::Broken, Heard::Frame),
        _ => Heard::Unknown,
    }
}

/// Writes a frame.
pub(crate) fn write(frame: &ClientFrame<NoEvent>) -> String {
    let mut out = Out::default();
    out.op = Some(match frame {
        ClientFrame::Hello(hello) => {
            out.token = Some(&hello.token);
            out.client = hello.client.as_deref();
            "hello"
        }
        ClientFrame::Subscribe(subscribe) => {
            out.thread = Some(subscribe.thread.as_str());
            out.after = Some(match subscribe.after {
                Start::Beginning => OutAfter::Word("start"),
                Start::Now => OutAfter::Word("now"),
                Start::After(position) => OutAfter::Position {
                    epoch: position.epoch.to_string(),
                    seq: position.seq as f64,
                },
            });
            "subscribe"
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            out.thread = Some(unsubscribe.thread.as_str());
            "unsubscribe"
        }
        ClientFrame::Send(send) => {
            out.req = Some(send.req as f64);
            out.thread = Some(send.thread.as_str());
            out.message_id = Some(send.message_id.to_string());
            out.text = Some(&send.text);
            out.agent = send.agent.as_deref();
            "send"
        }
        ClientFrame::Cancel(cancel) => {
            out.req = Some(cancel.req as f64);
            out.run = Some(cancel.run.as_str());
            out.reason = cancel.reason.as_deref();
            "cancel"
        }
        // A page does neither publish nor serve.
        ClientFrame::Ping | ClientFrame::Publish(_) | ClientFrame::Serve(_) => "ping",
    });
    JSON::stringify(&to_js(&out)).ok().map(String::from).unwrap_or_default()
}

/// An error as JavaScript gets it: the members of a server's.
pub(crate) fn error_to_js(error: &WireError) -> JsValue {
    to_js(&Out {
        code: Some(error.code.as_str()),
        message: Some(&error.message),
        expected: error.expected.as_deref(),
        received: error.received.as_deref(),
        tried: Some(&error.tried).filter(|tried| !tried.is_empty()).map(Vec::as_slice),
        retry_after_ms: error.retry_after_ms.map(|wait| wait as f64),
        ..Out::default()
    })
}

fn to_js(record: &Out<'_>) -> JsValue {
    record.serialize(&serde_wasm_bindgen::Serializer::new()).unwrap_or_default()
}

fn events(frame: &Members) -> Option<Events<JsBatch>> {
    let events = frame.value("events");
    Some(Events {
        thread: frame.parsed("thread")?,
        epoch: frame.parsed("epoch")?,
        first: frame.whole("first")?,
        last: frame.whole("last")?,
        events: JsBatch(Array::is_array(&events).then(|| events.unchecked_into())?),
    })
}

fn control(op: &str, frame: &Members) -> Option<ServerFrame<JsBatch>> {
    let (req, seq) = (frame.whole("req"), frame.whole("seq"));
    Some(match op {
        "beat" => ServerFrame::Beat,
        "events" => ServerFrame::Events(events(frame)?),
        "welcome" => ServerFrame::Welcome(Welcome {
            session: String::new(),
            heartbeat_ms: frame.whole("heartbeat_ms")?,
            // They bind publishers; what a page sends is checked by the server.
            limits: Announced::default(),
        }),
        "subscribed" => ServerFrame::Subscribed(Subscribed {
            thread: frame.parsed("thread")?,
            epoch: frame.parsed("epoch")?,
            head: frame.whole("head")?,
            after: frame.whole("after")?,
        }),
        "sent" => ServerFrame::Sent(Sent { req: req?, run: frame.parsed("run")?, seq: seq? }),
        "cancelled" => {
            ServerFrame::Cancelled(Cancelled { req, run: frame.parsed("run")?, seq: seq? })
        }
        "reset" => ServerFrame::Reset(Reset {
            thread: frame.parsed("thread")?,
            epoch: frame.parsed("epoch")?,
            reason: match frame.text("reason")?.as_str() {
                "epoch_changed" => ResetReason::EpochChanged,
                "position_ahead" => ResetReason::PositionAhead,
                "retention" => ResetReason::Retention,
                _ => ResetReason::Other,
            },
        }),
        "goodbye" => ServerFrame::Goodbye(Goodbye {
            reason: frame.text("reason")?,
            retry_after_ms: frame.whole("retry_after_ms")?,
        }),
        _ => ServerFrame::Error(WireErrorFrame {
            req,
            thread: frame.parsed("thread"),
            error: WireError {
                code: frame.text("code")?.as_str().into(),
                message: frame.text("message")?,
                expected: frame.text("expected"),
                received: frame.text("received"),
                tried: Vec::new(),
                retry_after_ms: frame.whole("retry_after_ms"),
            },
        }),
    })
}

/// An object that `JSON.parse` made.
struct Members(JsValue);

impl Members {
    fn value(&self, name: &str) -> JsValue {
        Reflect::get(&self.0, &JsValue::from_str(name)).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).as_string()
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A number that counts something. JavaScript keeps them exactly up to 2^53.
    fn whole(&self, name: &str) -> Option<u64> {
        let number = self.value(name).as_f64()?;
        let whole = number as u64;
        (whole as f64 == number).then_some(whole)
    }
}
