//! Frames from and to JSON text. The browser's own `JSON.parse` makes the objects; of an `events`
//! frame only the head is read, and its array goes to the application as it is.
//!
//! Frames are read member by member and written as rows of members, because every type that serde
//! reads or writes costs about a kilobyte of download.

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

use self::record::{Record, Value};
use crate::hex;

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
    let (epoch, message_id);
    let mut record = Record::default();
    match frame {
        ClientFrame::Hello(hello) => record
            .text("op", "hello")
            .text("token", &hello.token)
            .text_if("client", hello.client.as_deref()),
        ClientFrame::Subscribe(subscribe) => {
            let after = match subscribe.after {
                Start::Beginning => Value::Text("start"),
                Start::Now => Value::Text("now"),
                Start::After(position) => {
                    epoch = hex::epoch(position.epoch);
                    let mut after = Record::default();
                    after.text("epoch", &epoch).number("seq", position.seq);
                    Value::Record(after)
                }
            };
            record
                .text("op", "subscribe")
                .text("thread", subscribe.thread.as_str())
                .put("after", after)
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            record.text("op", "unsubscribe").text("thread", unsubscribe.thread.as_str())
        }
        ClientFrame::Send(send) => {
            message_id = hex::event_id(send.message_id);
            record
                .text("op", "send")
                .number("req", send.req)
                .text("thread", send.thread.as_str())
                .text("message_id", &message_id)
                .text("text", &send.text)
                .text_if("agent", send.agent.as_deref())
        }
        ClientFrame::Cancel(cancel) => record
            .text("op", "cancel")
            .number("req", cancel.req)
            .text("run", cancel.run.as_str())
            .text_if("reason", cancel.reason.as_deref()),
        // A page does neither publish nor serve.
        ClientFrame::Ping | ClientFrame::Publish(_) | ClientFrame::Serve(_) => {
            record.text("op", "ping")
        }
    };
    JSON::stringify(&to_js(&record)).ok().map(String::from).unwrap_or_default()
}

/// An error as JavaScript gets it: the members of a server's.
pub(crate) fn error_to_js(error: &WireError) -> JsValue {
    let mut record = Record::default();
    record
        .text("code", error.code.as_str())
        .text("message", &error.message)
        .text_if("expected", error.expected.as_deref())
        .text_if("received", error.received.as_deref());
    if !error.tried.is_empty() {
        record.put("tried", Value::Texts(&error.tried));
    }
    if let Some(wait) = error.retry_after_ms {
        record.number("retry_after_ms", wait);
    }
    to_js(&record)
}

fn to_js(record: &Record<'_>) -> JsValue {
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true);
    record.serialize(&serializer).unwrap_or_default()
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
                tried: frame.texts("tried"),
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

    fn texts(&self, name: &str) -> Vec<String> {
        let value = self.value(name);
        match Array::is_array(&value) {
            true => Array::from(&value).iter().filter_map(|text| text.as_string()).collect(),
            false => Vec::new(),
        }
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
