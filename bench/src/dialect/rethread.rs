//! PROTOCOL.md, as far as a load needs it.

use anyhow::{Result, bail};
use rethread_shared::frame::{SOCKET_PATH, SUBPROTOCOL};
use serde_json::json;

use super::{From, Heard};
use crate::{
    check::Follower,
    load::Thread,
    wire::{Opening, push_frame},
};

pub(super) const PING: &str = r#"{"op":"ping"}"#;

/// The token that every connection brings.
#[derive(Clone, Debug)]
pub(crate) struct Rethread {
    /// May do everything.
    pub(crate) token: String,
}

impl Rethread {
    pub(super) fn publisher(&self) -> Opening {
        Opening {
            path: SOCKET_PATH.into(),
            subprotocol: Some(SUBPROTOCOL),
            texts: vec![
                json!({"op": "hello", "token": self.token, "client": "rethread-bench"}).to_string(),
            ],
        }
    }

    pub(super) fn subscriber(&self, thread: &str, from: From<'_>) -> Opening {
        let after = match from {
            From::Start => json!("start"),
            From::Now => json!("now"),
            From::Behind(follower) => match follower.mark() {
                Some(epoch) => json!({"epoch": epoch, "seq": follower.last()}),
                None => json!("start"),
            },
        };
        let mut opening = self.publisher();
        let subscribe = json!({"op": "subscribe", "thread": thread, "after": after});
        opening.texts.push(subscribe.to_string());
        opening
    }
}

/// One frame, whatever threads the events are of.
pub(super) fn publish(
    req: u64,
    threads: &mut [Thread],
    events: &[(usize, u64)],
    unix_ms: u64,
    out: &mut Vec<u8>,
) {
    let mut text = format!(r#"{{"op":"publish","req":{req},"events":["#).into_bytes();
    for (thread, due_us) in events {
        threads[*thread].source.write_next(*due_us, unix_ms, &mut text);
        text.push(b',');
    }
    text.pop();
    text.extend_from_slice(b"]}");
    push_frame(&text, out);
}

pub(super) fn hear(
    follower: &mut Follower,
    payload: &[u8],
    each: impl FnMut(u64),
) -> Result<Heard> {
    if payload.starts_with(br#"{"op":"events""#) {
        return Ok(Heard::Events(follower.take(payload, each)?));
    }
    if payload.starts_with(br#"{"op":"subscribed""#) {
        follower.begin(payload)?;
        return Ok(Heard::Subscribed);
    }
    idle_word(payload)?;
    Ok(Heard::Nothing)
}

/// The server has turned a publish away, for it has more to do than it can.
#[derive(Debug, thiserror::Error)]
#[error("the server said {0}")]
pub(crate) struct SlowDown(String);

/// What a server may say at any time; everything else is a failure of the measurement.
///
/// # Errors
/// When it has said anything else.
pub(crate) fn idle_word(payload: &[u8]) -> Result<()> {
    if payload.starts_with(br#"{"op":"beat""#) || payload.starts_with(br#"{"op":"welcome""#) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&payload[..payload.len().min(500)]);
    if said.contains(r#""code":"slow_down""#) {
        return Err(SlowDown(said.into_owned()).into());
    }
    bail!("the server said {said}")
}
