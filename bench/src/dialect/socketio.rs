//! Socket.IO 5 over Engine.IO 4 over WebSocket: `0` opens, `40` connects to the main namespace, `42`
//! carries an event, `2` is a ping that `3` answers. With connection-state recovery every event has an
//! offset behind it, and a client that comes back names its session and the last offset.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use serde_json::{Value, json};

use super::{From, Heard, bare::write_events};
use crate::{
    check::Follower,
    load::Thread,
    wire::{Opening, push_frame},
};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

pub(super) fn publisher() -> Opening {
    Opening { path: PATH.into(), subprotocol: None, texts: vec!["40".into()] }
}

pub(super) fn subscriber(thread: &str, from: From<'_>) -> Opening {
    let connect = match from {
        From::Behind(follower) => match follower.mark().and_then(|mark| mark.split_once(' ')) {
            Some((session, offset)) => json!({"thread": thread, "pid": session, "offset": offset}),
            None => json!({"thread": thread}),
        },
        From::Start | From::Now => json!({"thread": thread}),
    };
    Opening { path: PATH.into(), subprotocol: None, texts: vec![format!("40{connect}")] }
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
        let mut text = format!(r#"42["pub","{}","#, threads[message[0].0].id).into_bytes();
        write_events(threads, message, unix_ms, &mut text);
        text.push(b']');
        push_frame(&text, out);
    }
}

pub(super) fn hear(
    follower: &mut Follower,
    payload: &[u8],
    each: impl FnMut(u64),
) -> Result<Heard> {
    if payload.starts_with(b"42") {
        let events = follower.take_marked(payload, each)?;
        // `42["event",{…},"offset"]`
        if let Some(offset) = payload.strip_suffix(b"\"]") {
            let from = memmem::rfind(offset, b"\"").map_or(0, |at| at + 1);
            let session = follower.mark().map_or("", |mark| mark.split(' ').next().unwrap_or(mark));
            let mark = [session.as_bytes(), b" ", &offset[from..]].concat();
            follower.set_mark(&mark);
        }
        return Ok(Heard::Events(events));
    }
    match payload {
        b"2" => Ok(Heard::Answer("3")),
        [b'0', ..] => Ok(Heard::Nothing),
        [b'4', b'0', rest @ ..] => {
            let connected: Value = serde_json::from_slice(rest).context("a connect packet")?;
            if let Some(session) = connected["pid"].as_str() {
                follower.set_mark(session.as_bytes());
            }
            Ok(Heard::Subscribed)
        }
        other => {
            bail!("the server said {}", String::from_utf8_lossy(&other[..other.len().min(500)]))
        }
    }
}

/// What a publisher hears.
///
/// # Errors
/// When it was refused.
pub(crate) fn publisher_hears(payload: &[u8]) -> Result<Option<&'static str>> {
    match payload {
        b"2" => Ok(Some("3")),
        [b'0', ..] | [b'4', b'0', ..] => Ok(None),
        other => {
            bail!("the server said {}", String::from_utf8_lossy(&other[..other.len().min(500)]))
        }
    }
}
