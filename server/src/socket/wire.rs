//! What carries a connection's frames: a WebSocket, or where that is blocked a [`Tunnel`]. The loop above
//! knows no difference.

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    End,
    tunnel::Tunnel,
    websocket::{Message, WebSocket},
};

/// What carries frames.
pub(crate) enum Wire {
    /// Each frame is a message.
    WebSocket(WebSocket<TokioIo<Upgraded>>),
    /// Frames go as server-sent events, and come as lines of requests.
    Tunnel(Tunnel),
}

impl Wire {
    /// The next message; `None` at the end. May be given up and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<Message, End>> {
        match self {
            Self::WebSocket(ws) => ws.next().await,
            Self::Tunnel(tunnel) => tunnel.next().await.map(|frame| Ok(Message::Text(frame))),
        }
    }

    /// A message that has come already.
    pub(super) fn at_hand(&mut self) -> Option<Result<Message, End>> {
        match self {
            Self::WebSocket(ws) => ws.at_hand(),
            Self::Tunnel(_) => None,
        }
    }

    /// Takes a frame's text. Waits only when much waits already and the other side takes nothing.
    pub(super) async fn feed(&mut self, text: Bytes) -> Result<(), End> {
        match self {
            Self::WebSocket(ws) => Ok(ws.feed(text).await?),
            Self::Tunnel(tunnel) => tunnel.feed(&text).await,
        }
    }

    /// The same for a text that goes to nobody else.
    pub(super) async fn feed_own(&mut self, text: String) -> Result<(), End> {
        match self {
            Self::WebSocket(ws) => Ok(ws.feed_own(text).await?),
            Self::Tunnel(tunnel) => tunnel.feed(text.as_bytes()).await,
        }
    }

    /// From now on messages may be as large as the protocol has them.
    pub(super) fn open(&mut self) {
        if let Self::WebSocket(ws) = self {
            ws.open();
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
        match self {
            Self::WebSocket(ws) => ws.close(code, reason, is_unreadable).await,
            Self::Tunnel(tunnel) => tunnel.close(code.into(), reason).await,
        }
    }

    /// Answers a client that has said that it leaves.
    pub(super) async fn part(&mut self) {
        if let Self::WebSocket(ws) = self {
            ws.part().await;
        }
    }
}
