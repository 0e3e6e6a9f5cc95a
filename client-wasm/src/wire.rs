//! Frames from and to JavaScript's objects, which the browser's own `JSON` makes and writes. An `events`
//! frame is not read here: JavaScript says what is in its head, and its array goes to the application as
//! it is.
//!
//! Frames are read and written member by member, because every type that serde reads or writes costs
//! about a kilobyte of download.

use std::str::FromStr;

use js_sys::{Array, Object};
use rethread_client::session::{Batch, Publishable};
use rethread_shared::{
    WireError,
    frame::{
        Cancelled, ClientFrame, Goodbye, Reset, ResetReason, Sent, ServerFrame, Start, Subscribed,
        TokenExpiring, Welcome, WireErrorFrame,
    },
    limits::Announced,
};
use wasm_bindgen::prelude::*;

use crate::hex;

/// The events of one frame, which stay in the object that `JSON.parse` made.
#[derive(Clone, Debug)]
pub(crate) struct JsBatch {
    pub(crate) frame: JsValue,
    /// How many of them the application has.
    pub(crate) dropped: u32,
    /// How many it has not.
    pub(crate) left: u32,
}

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

impl Publishable for NoEvent {
    const IS_AGENT: bool = false;
}

impl Batch for JsBatch {
    fn len(&self) -> usize {
        self.left as usize
    }

    fn drop_first(&mut self, count: usize) {
        self.dropped += count as u32;
        self.left -= count as u32;
    }
}

/// Reads a frame that carries no events.
pub(crate) fn read(frame: JsValue) -> Heard {
    if !frame.is_object() {
        return Heard::Broken;
    }
    let members: Members = frame.unchecked_into();
    let Some(op) = members.text("op") else { return Heard::Broken };
    let frame = match op.as_str() {
        "beat" | "welcome" | "subscribed" | "sent" | "cancelled" | "reset" | "error"
        | "goodbye" | "token_expiring" => control(&op, &members),
        _ => return Heard::Unknown,
    };
    frame.map_or(Heard::Broken, Heard::Frame)
}

/// Writes a frame.
pub(crate) fn write(frame: &ClientFrame<NoEvent>) -> Object {
    let record = Record::new();
    match frame {
        ClientFrame::Hello(hello) => {
            record.text("op", "hello");
            record.text("token", &hello.token);
            record.text_if("client", hello.client.as_deref());
        }
        ClientFrame::Subscribe(subscribe) => {
            record.text("op", "subscribe");
            record.text("thread", subscribe.thread.as_str());
            match subscribe.after {
                Start::Beginning => record.text("after", "start"),
                Start::Now => record.text("after", "now"),
                Start::After(position) => {
                    let after = Record::new();
                    after.text("epoch", &hex::epoch(position.epoch));
                    after.number("seq", position.seq);
                    record.0.put("after", &after.into());
                }
            }
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            record.text("op", "unsubscribe");
            record.text("thread", unsubscribe.thread.as_str());
        }
        ClientFrame::Send(send) => {
            record.text("op", "send");
            record.number("req", send.req);
            record.text("thread", send.thread.as_str());
            record.text("message_id", &hex::event_id(send.message_id));
            record.text("text", &send.text);
            record.text_if("agent", send.agent.as_deref());
        }
        ClientFrame::Cancel(cancel) => {
            record.text("op", "cancel");
            record.number("req", cancel.req);
            record.text("run", cancel.run.as_str());
            record.text_if("reason", cancel.reason.as_deref());
        }
        // A page does neither publish nor serve.
        ClientFrame::Ping | ClientFrame::Publish(_) | ClientFrame::Serve(_) => {
            record.text("op", "ping");
        }
    }
    record.into()
}

/// An error as JavaScript gets it: the members of a server's.
pub(crate) fn error_to_js(error: &WireError) -> JsValue {
    let record = Record::new();
    record.text("code", error.code.as_str());
    record.text("message", &error.message);
    record.text_if("expected", error.expected.as_deref());
    record.text_if("received", error.received.as_deref());
    if !error.tried.is_empty() {
        let tried: Array = error.tried.iter().map(|text| JsValue::from_str(text)).collect();
        record.0.put("tried", &tried);
    }
    if let Some(wait) = error.retry_after_ms {
        record.number("retry_after_ms", wait);
    }
    Object::from(record).into()
}

/// An object on its way to JavaScript.
struct Record(Members);

impl Record {
    fn new() -> Self {
        Self(Object::new().unchecked_into())
    }

    fn text(&self, name: &str, text: &str) {
        self.0.put(name, &JsValue::from_str(text));
    }

    /// Leaves the member out where there is no text.
    fn text_if(&self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// JavaScript keeps numbers exactly up to 2^53, and nothing here is larger.
    fn number(&self, name: &str, number: u64) {
        self.0.put(name, &JsValue::from_f64(number as f64));
    }
}

impl From<Record> for Object {
    fn from(record: Record) -> Self {
        record.0.unchecked_into()
    }
}

impl From<Record> for JsValue {
    fn from(record: Record) -> Self {
        record.0.into()
    }
}

/// Each member is read in one place only, which is why it is read for every frame.
fn control(op: &str, members: &Members) -> Option<ServerFrame<JsBatch>> {
    let (thread, epoch, run) =
        (members.parsed("thread"), members.parsed("epoch"), members.parsed("run"));
    let (req, seq) = (members.whole("req"), members.whole("seq"));
    let (reason, wait) = (members.text("reason"), members.whole("retry_after_ms"));
    Some(match op {
        "welcome" => ServerFrame::Welcome(Welcome {
            session: String::new(),
            heartbeat_ms: members.whole("heartbeat_ms")?,
            // They bind publishers; what a page sends is checked by the server.
            limits: Announced::default(),
        }),
        "subscribed" => ServerFrame::Subscribed(Subscribed {
            thread: thread?,
            epoch: epoch?,
            head: members.whole("head")?,
            after: members.whole("after")?,
        }),
        "sent" => ServerFrame::Sent(Sent { req: req?, run: run?, seq: seq? }),
        "cancelled" => ServerFrame::Cancelled(Cancelled { req, run: run?, seq: seq? }),
        "reset" => ServerFrame::Reset(Reset {
            thread: thread?,
            epoch: epoch?,
            reason: match reason?.as_str() {
                "epoch_changed" => ResetReason::EpochChanged,
                "position_ahead" => ResetReason::PositionAhead,
                "retention" => ResetReason::Retention,
                _ => ResetReason::Other,
            },
        }),
        "goodbye" => ServerFrame::Goodbye(Goodbye { reason: reason?, retry_after_ms: wait? }),
        "beat" => ServerFrame::Beat,
        "token_expiring" => ServerFrame::TokenExpiring(TokenExpiring {
            expires_in_ms: members.whole("expires_in_ms")?,
        }),
        _ => ServerFrame::Error(WireErrorFrame {
            req,
            thread,
            error: WireError {
                code: members.text("code")?.as_str().into(),
                message: members.text("message")?,
                expected: members.text("expected"),
                received: members.text("received"),
                tried: members.texts("tried"),
                retry_after_ms: wait,
            },
        }),
    })
}

#[wasm_bindgen]
extern "C" {
    /// An object of JSON.
    type Members;

    #[wasm_bindgen(method, structural, indexing_setter)]
    fn put(this: &Members, name: &str, value: &JsValue);

    #[wasm_bindgen(method, structural, indexing_getter)]
    fn value(this: &Members, name: &str) -> JsValue;
}

impl Members {
    fn text(&self, name: &str) -> Option<String> {
        self.value(name).as_string()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let value = self.value(name);
        if !Array::is_array(&value) {
            return Vec::new();
        }
        let texts: Array = value.unchecked_into();
        (0..texts.length()).filter_map(|index| texts.get(index).as_string()).collect()
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
