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

/// A frame for each event, or one with an array of all.
pub(super) fn publish(
    threads: &mut [Thread],
    events: &[(usize, u64)],
    is_packed: bool,
    unix_ms: u64,
    out: &mut Vec<u8>,
) {
    for message in events.chunks(if is_packed { events.len() } else { 1 }) {
        let mut text = Vec::with_capacity(300 * message.len());
        write_events(threads, message, unix_ms, &mut text);
        push_frame(&text, out);
    }
}

/// An event, or an array of several.
pub(super) fn write_events(
    threads: &mut [Thread],
    events: &[(usize, u64)],
    unix_ms: u64,
    out: &mut Vec<u8>,
) {
    if let [(thread, due_us)] = events {
        threads[*thread].source.write_next(*due_us, unix_ms, out);
        return;
    }
    out.push(b'[');
    for (thread, due_us) in events {
        threads[*thread].source.write_next(*due_us, unix_ms, out);
        out.push(b',');
    }
    out.pop();
    out.push(b']');
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
