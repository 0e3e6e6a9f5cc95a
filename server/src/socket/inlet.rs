//! What a client sends, counted: a stranger gets little room, and whoever sends pieces of a message that
//! never ends is not kept alive by WebSocket pings between them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rethread_shared::limits::HELLO_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A masked control frame's bytes beside what it carries.
const CONTROL_HEAD_BYTES: u64 = 6;

/// A connection below its WebSocket.
#[derive(Debug)]
pub(crate) struct Inlet<S> {
    io: S,
    /// How many bytes may still come; `None` once the client is known.
    left: Option<usize>,
    /// Bytes that came since the last whole message, without pings and pongs. What was read along with
    /// the end of that message is not counted: a read buffer's worth at most.
    unfinished: u64,
}

impl<S> Inlet<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, left: Some(HELLO_BYTES_MAX), unfinished: 0 }
    }

    /// The client is known, or what it still sends is thrown away.
    pub(super) fn open(&mut self) {
        self.left = None;
    }

    /// A whole message was read.
    pub(super) fn whole(&mut self) {
        self.unfinished = 0;
    }

    /// A ping or a pong was read, with so many bytes. False when there is more than that: a part of a
    /// message.
    pub(super) fn control(&mut self, bytes: usize) -> bool {
        self.unfinished = self.unfinished.saturating_sub(CONTROL_HEAD_BYTES + bytes as u64);
        self.unfinished == 0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.unfinished += bytes as u64;
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inlet<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_stranger_gets_little_room() {
        let mut inlet = Inlet::new(tokio::io::repeat(b'x'));
        let mut buffer = vec![0; HELLO_BYTES_MAX];
        inlet.read_exact(&mut buffer).await.unwrap();
        let refused = inlet.read_u8().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        inlet.open();
        inlet.read_exact(&mut buffer).await.expect("one who is known has room");
    }

    #[tokio::test]
    async fn pings_between_the_pieces_of_a_message_show_nothing() {
        let mut inlet = Inlet::new(tokio::io::repeat(b'x'));
        inlet.open();
        let take = async |inlet: &mut Inlet<_>, bytes: usize| {
            inlet.read_exact(&mut vec![0; bytes]).await.unwrap();
        };
        take(&mut inlet, 10).await;
        assert!(inlet.control(4), "a ping alone");
        take(&mut inlet, 100 + 10).await;
        assert!(!inlet.control(4), "a ping after a piece");
        take(&mut inlet, 10).await;
        assert!(!inlet.control(4), "and the next");
        take(&mut inlet, 100).await;
        inlet.whole();
        take(&mut inlet, 10).await;
        assert!(inlet.control(4), "the message was whole");
    }
}
