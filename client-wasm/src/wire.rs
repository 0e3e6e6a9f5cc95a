//! Frames from and to JSON text. The browser's own `JSON.parse` makes the objects; of an `events`
//! frame only the head is read, and its array goes to the application as it is.
//!
//! Frames are read member by member and written as rows of members, because every type that serde
//! reads or writes costs about a kilobyte of download.

mod record;

use std::str::FromStr;

use js_sys::{Array, JSON, JsString};
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
    let members: Members = value.unchecked_into();
    let Some(op) = members.text("op") else { return Heard::Broken };
    let frame = match op.as_str() {
        "events" => events(&members),
        "beat" | "welcome" | "subscribed" | "sent" | "cancelled" | "reset" | "error"
        | "goodbye" => control(&op, &members),
        _ => return Heard::Unknown,
    };
    frame.map_or(Heard::Broken, Heard::Frame)
}

/// Writes a frame.
pub(crate) fn write(frame: &ClientFrame<NoEvent>) -> JsString {
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
    JSON::stringify(&to_js(&record)).unwrap_or_else(JsString::from)
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

fn events(members: &Members) -> Option<ServerFrame<JsBatch>> {
    let events = members.value("events");
    Some(ServerFrame::Events(Events {
        thread: members.parsed("thread")?,
        epoch: members.parsed("epoch")?,
        first: members.whole("first")?,
        last: members.whole("last")?,
        events: JsBatch(Array::is_array(&events).then(|| events.unchecked_into())?),
    }))
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
    /// An object that `JSON.parse` made.
    type Members;

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
