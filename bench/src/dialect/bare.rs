//! The bare broadcast of `peers/axum`: `/pub/{thread}` takes frames, `/sub/{thread}` gives them. Its
//! first word says that the subscription stands.

use anyhow::Result;

use super::Heard;
use crate::{
    check::Follower,
    load::Thread,
    wire::{Opening, push_frame},
};

pub(super) fn publisher(thread: &str) -> Opening {
    Opening { path: format!("/pub/{thread}"), ..Opening::default() }
}

pub(super) fn subscriber(thread: &str) -> Opening {
    Opening { path: format!("/sub/{thread}"), ..Opening::default() }
}

/// A frame for each event.
pub(super) fn publish(
    threads: &mut [Thread],
    events: &[(usize, u64)],
    unix_ms: u64,
    out: &mut Vec<u8>,
) {
    let mut text = Vec::with_capacity(300);
    for (thread, due_us) in events {
        text.clear();
        threads[*thread].source.write_next(*due_us, unix_ms, &mut text);
        push_frame(&text, out);
    }
}

pub(super) fn hear(
    follower: &mut Follower,
    payload: &[u8],
    each: impl FnMut(u64),
) -> Result<Heard> {
    if payload == b"subscribed" {
        return Ok(Heard::Subscribed);
    }
    Ok(Heard::Events(follower.take_marked(payload, each)?))
}
