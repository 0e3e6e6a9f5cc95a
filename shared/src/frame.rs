//! What travels over the WebSocket: one JSON text frame, one `op`.
//!
//! [`ClientFrame`] goes to the server, [`ServerFrame`] comes from it. Both are generic over what
//! carries events, so that each side keeps them in the form that costs it least: text on the
//! server, an untouched JavaScript array in the browser, [`crate::Event`] in Rust agents.
//!
//! Reading is in two steps, because a tagged enum would copy every event on its way: [`op`] finds
//! the op, then the struct of that op reads the text.

mod client;
mod server;

pub use client::{Cancel, ClientFrame, Hello, Publish, Send, Serve, Start, Subscribe, Unsubscribe};
pub use server::{
    Cancelled, Events, EventsHead, Goodbye, Message, Outcome, Published, Reset, ResetReason, Sent,
    ServerFrame, Subscribed, TokenExpiring, Welcome, WireErrorFrame, Work,
};

use std::borrow::Cow;

use serde::Deserialize;

/// The WebSocket subprotocol, offered by the client and chosen by the server.
pub const SUBPROTOCOL: &str = "rethread.v1";
/// The path of the WebSocket endpoint.
pub const SOCKET_PATH: &str = "/v1/ws";

/// The `op` of a frame, whatever else is in it.
///
/// # Errors
/// When the text is not a JSON object with a text member `op`.
pub fn op(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Op<'a> {
        #[serde(borrow)]
        op: Cow<'a, str>,
    }
    serde_json::from_str::<Op<'_>>(text).map(|op| op.op)
}
