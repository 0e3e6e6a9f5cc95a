//! What carries a connection's frames: a WebSocket, or where that is blocked a [`Tunnel`]. The loop above
//! knows no difference.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use futures_util::{SinkExt, StreamExt};

use super::{End, Inlet, tunnel::Tunnel};

/// What carries frames.
pub(crate) enum Wire {
    /// Each frame is a message.
    WebSocket(Box<WebSocketStream<Inlet<TokioIo<Upgraded>>>>),
    /// Frames go as server-sent events, and come as lines of requests.
    Tunnel(Tunnel),
}

impl Wire {
    /// The next message; `None` at the end. May be given up and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        match self {
            Self::WebSocket(ws) => ws.next().await,
            Self::Tunnel(tunnel) => tunnel.next().await.map(Ok),
        }
    }

    /// Takes a message into the buffer. Waits only when that has overflowed and the other side takes
    /// nothing.
    pub(super) async fn feed(&mut self, message: Message) -> Result<(), End> {
        match self {
            Self::WebSocket(ws) => Ok(ws.feed(message).await?),
            Self::Tunnel(tunnel) => tunnel.feed(&message).await,
        }
    }

    /// A message came that carries no frame; true when it shows that the client lives, which it does
    /// not while another message is unfinished.
    pub(super) fn control(&mut self, bytes: usize) -> bool {
        match self {
            Self::WebSocket(ws) => ws.get_mut().control(bytes),
            Self::Tunnel(_) => true,
        }
    }

    /// A whole message came.
    pub(super) fn whole(&mut self) {
        if let Self::WebSocket(ws) = self {
            ws.get_mut().whole();
        }
    }

    /// From now on messages may be as large as the protocol has them.
    pub(super) fn open(&mut self) {
        if let Self::WebSocket(ws) = self {
            ws.get_mut().open();
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        match self {
            Self::WebSocket(ws) => Ok(ws.flush().await?),
            Self::Tunnel(tunnel) => tunnel.flush().await,
        }
    }

    /// Says that this is the end, and why; waits until the other side has it.
    pub(super) async fn close(
        &mut self,
        code: CloseCode,
        reason: &'static str,
        is_unreadable: bool,
    ) {
        let ws = match self {
            Self::WebSocket(ws) => ws,
            Self::Tunnel(tunnel) => return tunnel.close(code.into(), reason).await,
        };
        let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if ws.send(Message::Close(Some(close))).await.is_err() {
            return;
        }
        while let Some(Ok(_)) = ws.next().await {}
        if is_unreadable {
            // What the client still writes is taken, or the system would answer with a reset, in
            // which the close frame is lost.
            let stream = ws.get_mut();
            let _ = stream.shutdown().await;
            let mut dropped = [0; 1024];
            while let Ok(1..) = stream.read(&mut dropped).await {}
        }
    }
}
