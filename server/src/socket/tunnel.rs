//! A connection where WebSocket is blocked: the server's frames are the body of one answer, as
//! server-sent events, and the client's come in the bodies of requests.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rethread_shared::limits::{
    TUNNEL_FRAMES_WAITING_MAX, TUNNEL_WRITES_WAITING_MAX, WRITE_BYTES_MAX,
};
use serde::Serialize;
use tokio::sync::mpsc;

use super::End;
use crate::{
    connections::{Card, Place},
    now,
};

/// The tunnels that are open, by their names.
#[derive(Debug, Default)]
pub struct Tunnels(Mutex<HashMap<String, Entrance>>);

/// Where the frames of a tunnel's client go in.
#[derive(Debug)]
struct Entrance {
    frames: mpsc::Sender<String>,
    card: Arc<Card>,
}

/// The server's side of one tunnel. Its entrance is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Tunnel {
    name: String,
    tunnels: Weak<Tunnels>,
    /// The frames that the client opened it with.
    first: std::vec::IntoIter<String>,
    incoming: mpsc::Receiver<String>,
    outgoing: mpsc::Sender<Bytes>,
    /// Written, and not flushed.
    buffer: String,
}

/// The first event: the name of the stream, to which the client sends its further frames.
#[derive(Serialize)]
struct StreamOpen<'a> {
    /// Known to this client only.
    stream: &'a str,
}

/// The last event: what the close frame of a WebSocket says.
#[derive(Serialize)]
struct StreamClose {
    /// The close code.
    code: u16,
    /// Its name.
    reason: &'static str,
}

impl Tunnels {
    /// Opens a tunnel. Gives it with the body of its answer.
    pub(crate) fn open(
        self: &Arc<Self>,
        place: &Place,
        first: Vec<String>,
    ) -> (Tunnel, mpsc::Receiver<Bytes>) {
        let (frames, incoming) = mpsc::channel(TUNNEL_FRAMES_WAITING_MAX);
        let (outgoing, body) = mpsc::channel(TUNNEL_WRITES_WAITING_MAX);
        let name = format!("{:032x}", u128::from_be_bytes(now::random()));
        let mut buffer = String::new();
        event(&mut buffer, "open", &StreamOpen { stream: &name });
        self.0.lock().insert(name.clone(), Entrance { frames, card: place.card().clone() });
        let (tunnels, first) = (Arc::downgrade(self), first.into_iter());
        (Tunnel { name, tunnels, first, incoming, outgoing, buffer }, body)
    }

    /// Where the frames of a user's tunnel go in; `None` also for the tunnels of others, and before
    /// its `hello` was taken.
    #[must_use]
    pub fn entrance(&self, name: &str, user: &str) -> Option<mpsc::Sender<String>> {
        let open = self.0.lock();
        let entrance = open.get(name)?;
        (entrance.card.user().as_deref() == Some(user)).then(|| entrance.frames.clone())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(tunnels) = self.tunnels.upgrade() {
            tunnels.0.lock().remove(&self.name);
        }
    }
}

impl Tunnel {
    /// The next frame of the client's; `None` when it has left.
    pub(super) async fn next(&mut self) -> Option<String> {
        if let Some(frame) = self.first.next() {
            return Some(frame);
        }
        tokio::select! {
            biased;
            () = self.outgoing.closed() => None,
            frame = self.incoming.recv() => frame,
        }
    }

    pub(super) async fn feed(&mut self, frame: &[u8]) -> Result<(), End> {
        let frame = std::str::from_utf8(frame).expect("a frame is UTF-8");
        // The publisher's own line breaks between JSON tokens would end the field.
        for line in frame.split(['\n', '\r']) {
            let _ = writeln!(self.buffer, "data: {line}");
        }
        self.buffer.push('\n');
        if self.buffer.len() >= WRITE_BYTES_MAX { self.flush().await } else { Ok(()) }
    }

    /// Hands everything to the answer. Waits while the other side takes nothing; when that lasts too
    /// long its connection is cut below, which ends this too.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = std::mem::take(&mut self.buffer).into();
        self.outgoing.send(written).await.map_err(|_| End::Gone)
    }

    pub(super) async fn close(&mut self, code: u16, reason: &'static str) {
        event(&mut self.buffer, "close", &StreamClose { code, reason });
        if self.flush().await.is_ok() {
            // There is room again when it has been taken.
            let _ = self.outgoing.reserve_many(TUNNEL_WRITES_WAITING_MAX).await;
        }
    }
}

fn event(buffer: &mut String, name: &str, data: &impl Serialize) {
    let data = serde_json::to_string(data).expect("its members are all JSON");
    let _ = write!(buffer, "event: {name}\ndata: {data}\n\n");
}
