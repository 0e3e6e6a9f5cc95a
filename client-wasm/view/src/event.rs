//! Events as `JSON.parse` made them. They are read member by member: reading them with serde would
//! triple what is downloaded.

use std::borrow::Cow;

use rethread_shared::{
    EventKind,
    view::{Happening, Touched, View},
};
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// Any JSON, as the object that it is in JavaScript.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Json(#[serde(with = "serde_wasm_bindgen::preserve")] JsValue);

#[wasm_bindgen]
extern "C" {
    /// An object that `JSON.parse` made.
    pub(crate) type Members;

    #[wasm_bindgen(method, structural, indexing_getter)]
    fn value(this: &Members, name: &str) -> JsValue;
}

/// Takes a thread's next event. One whose data is not as its type says, which no server sends, is shown
/// as it is.
pub(crate) fn fold_into(view: &mut View<Json>, event: &Members) -> Touched {
    let (run, kind) = (event.text("run"), event.text("type"));
    let (run, kind) = (run.unwrap_or_default(), kind.unwrap_or_default());
    let data = event.value("data");
    let happening = if data.is_object() {
        happening(&EventKind::from(&*kind), data.unchecked_ref())
    } else {
        None
    };
    let happening = happening.unwrap_or_else(|| Happening::Other { name: kind, value: Json(data) });
    view.fold(event.number("seq"), &run, event.number("at"), happening)
}

/// What an event of a known kind says.
fn happening(kind: &EventKind, data: &Members) -> Option<Happening<'static, Json>> {
    Some(match kind {
        EventKind::UserMessage => Happening::UserMessage {
            message_id: data.text("message_id")?,
            text: data.text("text")?,
            by: data.text("by"),
        },
        EventKind::AgentStarted => {
            Happening::AgentStarted { agent: data.text("agent")?, message: data.text("message") }
        }
        EventKind::AgentThinking => Happening::AgentThinking { text: data.text("text")? },
        EventKind::MessageDelta => Happening::MessageDelta {
            message_id: data.text("message_id")?,
            text: data.text("text")?,
        },
        EventKind::ToolExecuting => Happening::ToolExecuting {
            call_id: data.text("call_id")?,
            tool: data.text("tool")?,
            input: data.json("input"),
        },
        EventKind::ToolCompleted => Happening::ToolCompleted {
            call_id: data.text("call_id")?,
            output: data.json("output"),
            error: data.text("error"),
            took_ms: data.value("took_ms").as_f64().map(|took| took as u64),
        },
        EventKind::AgentCompleted => Happening::AgentCompleted,
        EventKind::AgentFailed => {
            Happening::AgentFailed { code: data.text("code")?, message: data.text("message")? }
        }
        EventKind::AgentCancelled => {
            Happening::AgentCancelled { by: data.text("by")?, reason: data.text("reason") }
        }
        EventKind::Custom => {
            Happening::Other { name: data.text("name")?, value: Json(data.value("value")) }
        }
        EventKind::Other(_) => return None,
    })
}

impl Members {
    fn text(&self, name: &str) -> Option<Cow<'static, str>> {
        self.value(name).as_string().map(Cow::Owned)
    }

    /// JavaScript keeps numbers exactly up to 2^53, and nothing here is larger.
    fn number(&self, name: &str) -> u64 {
        self.value(name).as_f64().unwrap_or_default() as u64
    }

    /// Null is as good as nothing, as it is on the wire.
    fn json(&self, name: &str) -> Option<Json> {
        let value = self.value(name);
        (!value.is_null() && !value.is_undefined()).then_some(Json(value))
    }
}
