//! nchan, as its documents describe it: `/pub/{channel}` takes messages over a WebSocket and answers
//! each (`/keep/{channel}` does, and keeps more of them), `/sub/{channel}` gives them. A reader that wants to come back asks for the subprotocol
//! `ws+meta.nchan`, and gets each message's id with it.

use anyhow::Result;

use super::{From, Heard};
use crate::{check::Follower, wire::Opening};

/// What the names of channels begin with whose whole history is to be read.
pub(crate) const KEPT: &str = "kept_";
const META: &str = "ws+meta.nchan";

pub(super) fn publisher(thread: &str) -> Opening {
    let place = if thread.starts_with(KEPT) { "keep" } else { "pub" };
    Opening { path: format!("/{place}/{thread}"), ..Opening::default() }
}

pub(super) fn subscriber(thread: &str, from: From<'_>) -> Opening {
    match from {
        From::Start => Opening { path: format!("/sub/{thread}"), ..Opening::default() },
        From::Now => Opening { path: format!("/new/{thread}"), ..Opening::default() },
        From::Behind(follower) => {
            let after =
                follower.mark().map_or_else(String::new, |id| format!("?last_event_id={id}"));
            Opening {
                path: format!("/sub/{thread}{after}"),
                subprotocol: Some(META),
                texts: Vec::new(),
            }
        }
    }
}

pub(super) fn hear(
    follower: &mut Follower,
    payload: &[u8],
    each: impl FnMut(u64),
) -> Result<Heard> {
    let heard = Heard::Events(follower.take_marked(payload, each)?);
    if let Some(rest) = payload.strip_prefix(b"id: ") {
        follower.set_mark(&rest[..memchr::memchr(b'\n', rest).unwrap_or(0)]);
    }
    Ok(heard)
}
