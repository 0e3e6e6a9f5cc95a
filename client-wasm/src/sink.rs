//! What the driver calls in JavaScript: the methods of one object that `js/client.js` makes.

use js_sys::Object;
use rethread_client::session::{Closed, Failure, Lost, Status};
use rethread_shared::{WireError, frame::ResetReason};
use wasm_bindgen::prelude::*;

use crate::wire::error_to_js;

#[wasm_bindgen]
extern "C" {
    /// None of its methods throws; `js/client.js` sees to that.
    pub(crate) type Sink;

    /// A connection is wanted, and a token for it: any, or a new one because the last was refused.
    /// Answered with `Driver.greet` or `Driver.closed`.
    #[wasm_bindgen(method)]
    pub(crate) fn dial(this: &Sink, connection: u32, new: bool);

    /// A frame for the connection that was dialled last, as an object.
    #[wasm_bindgen(method)]
    pub(crate) fn transmit(this: &Sink, frame: &Object);

    /// The connection is given up, or its dial is.
    #[wasm_bindgen(method)]
    pub(crate) fn disconnect(this: &Sink, connection: u32, code: u16);

    /// Time must be told in so many milliseconds, instead of when it was asked for before.
    #[wasm_bindgen(method)]
    pub(crate) fn wake(this: &Sink, wait_ms: f64);

    /// The status has changed. `detail` is the attempt for "connecting" and "waiting"; `wait_ms`
    /// the time until the next one; `reason` a word for why, or for "closed" an error.
    #[wasm_bindgen(method)]
    fn status(this: &Sink, state: &str, attempt: u32, wait_ms: f64, reason: JsValue);

    /// A subscription stands; events continue after this position.
    #[wasm_bindgen(method)]
    pub(crate) fn subscribed(this: &Sink, thread: &str, epoch: &str, seq: f64);

    /// Events, each once, in order: those of a frame without so many that were there before.
    #[wasm_bindgen(method)]
    pub(crate) fn events(this: &Sink, frame: &JsValue, dropped: u32, replayed: bool);

    /// What had happened before the subscription stood has been delivered.
    #[wasm_bindgen(method, js_name = caughtUp)]
    pub(crate) fn caught_up(this: &Sink, thread: &str);

    /// What there was of this thread is void.
    #[wasm_bindgen(method)]
    pub(crate) fn reset(this: &Sink, thread: &str, epoch: &str, reason: &str);

    /// The thread may not be followed.
    #[wasm_bindgen(method)]
    pub(crate) fn refused(this: &Sink, thread: &str, error: JsValue);

    /// A command is done.
    #[wasm_bindgen(method)]
    pub(crate) fn done(this: &Sink, command: f64, run: &str, seq: f64);

    /// A command will not be done.
    #[wasm_bindgen(method)]
    pub(crate) fn failed(this: &Sink, command: f64, error: JsValue);

    /// The token ends soon. A new one is brought with `Driver.greet`.
    #[wasm_bindgen(method)]
    pub(crate) fn expiring(this: &Sink);

    /// Something for the console.
    #[wasm_bindgen(method)]
    pub(crate) fn warn(this: &Sink, error: JsValue);
}

/// Tells a status.
pub(crate) fn tell_status(sink: &Sink, status: &Status, now: u64) {
    let none = JsValue::UNDEFINED;
    match status {
        Status::Idle => {}
        Status::Connecting { attempt } => sink.status("connecting", *attempt, 0.0, none),
        Status::Online => sink.status("online", 0, 0.0, none),
        Status::Waiting { until, attempt, why } => {
            let wait = until.saturating_sub(now) as f64;
            sink.status("waiting", *attempt, wait, lost(*why).into())
        }
        Status::Offline { .. } => sink.status("offline", 0, 0.0, none),
        Status::Closed(closed) => sink.status(
            "closed",
            0,
            0.0,
            match closed {
                Closed::Asked => local_error("closed"),
                Closed::ByServer(_) => local_error("closed_by_server"),
                Closed::Unauthorized(Some(error)) => error_to_js(error),
                Closed::Unauthorized(None) => local_error("unauthorized"),
            },
        ),
    }
}

/// Why a command failed.
pub(crate) fn failure(failure: &Failure) -> JsValue {
    match failure {
        Failure::Refused(error) => error_to_js(error),
        Failure::Closed => local_error("closed"),
    }
}

/// An error that this side makes, shaped as one of the server's. `js/error.js` has its message.
pub(crate) fn local_error(code: &str) -> JsValue {
    error_to_js(&WireError::new(code.into(), ""))
}

/// A reset's reason in its word.
pub(crate) fn reset_reason(reason: ResetReason) -> &'static str {
    match reason {
        ResetReason::EpochChanged => "epoch_changed",
        ResetReason::PositionAhead => "position_ahead",
        ResetReason::Retention => "retention",
        _ => "other",
    }
}

/// A word for why a connection is gone; `js/status.js` has the sentence.
fn lost(why: Lost) -> &'static str {
    match why {
        Lost::Failed => "failed",
        Lost::TimedOut => "timed_out",
        Lost::Silent => "silent",
        Lost::Closed(_) | Lost::Left => "closed",
        Lost::Goodbye => "goodbye",
        Lost::TokenRefused => "token_refused",
        Lost::Unreadable => "unreadable",
    }
}
