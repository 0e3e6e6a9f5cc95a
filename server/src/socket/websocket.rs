//! A WebSocket (RFC 6455), the server's side of it, after its handshake.
//!
//! It holds nothing while nothing is under way: what comes is read into room on the stack, and only a message
//! that has not come whole is kept; what goes is written from where it lies, many frames in one call, so the
//! text of a frame that a thousand connections share is there once.
//!
//! Calling contract: [`WebSocket::next`] gives what came; what it queues in answer (pongs, the answer to a
//! close) goes with the next [`WebSocket::flush`].

mod incoming;
mod outgoing;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use rethread_shared::limits::{HELLO_BYTES_MAX, WRITE_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::End;
use incoming::Incoming;
pub(crate) use incoming::Message;
use outgoing::{Op, Outgoing};

/// One side of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    io: S,
    incoming: Incoming,
    outgoing: Outgoing,
    /// How many bytes may still come; `None` once the client is known, or what it sends is thrown away.
    left: Option<usize>,
    /// The other side has said that this is the end.
    is_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            left: Some(HELLO_BYTES_MAX),
            is_closed: false,
        }
    }

    /// From now on messages may be as large as the protocol has them.
    pub(super) fn open(&mut self) {
        self.left = None;
    }

    /// The next message; `None` at the end. May be given up and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<Message, End>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, End>>> {
        loop {
            if self.is_closed {
                return Poll::Ready(None);
            }
            if let Some(message) = self.at_hand() {
                return Poll::Ready(Some(message));
            }
            if self.left == Some(0) {
                return Poll::Ready(Some(Err(End::too_large())));
            }
            let bytes = ready!(self.incoming.poll_read(Pin::new(&mut self.io), context))?;
            if bytes == 0 {
                return Poll::Ready(None);
            }
            self.left = self.left.map(|left| left.saturating_sub(bytes));
        }
    }

    /// The next message, if it has come already.
    pub(super) fn at_hand(&mut self) -> Option<Result<Message, End>> {
        if self.is_closed {
            return None;
        }
        let message = self.incoming.take().transpose()?;
        if let Ok(message) = &message {
            self.answer(message);
        }
        Some(message)
    }

    /// What the protocol itself answers.
    fn answer(&mut self, message: &Message) {
        match message {
            Message::Ping { bytes, .. } => self.outgoing.push(Op::Pong, bytes.clone()),
            Message::Close(code) => {
                self.is_closed = true;
                let code = code.map(|code| Bytes::copy_from_slice(&code.to_be_bytes()));
                self.outgoing.push(Op::Close, code.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Takes a message's text, which must be UTF-8. Waits only when much waits already and the other side
    /// takes nothing.
    pub(super) async fn feed(&mut self, text: Bytes) -> io::Result<()> {
        self.outgoing.push(Op::Text, text);
        self.relieve().await
    }

    /// The same for a text that goes to nobody else.
    pub(super) async fn feed_own(&mut self, text: String) -> io::Result<()> {
        self.outgoing.push_own(Op::Text, text);
        self.relieve().await
    }

    async fn relieve(&mut self) -> io::Result<()> {
        if self.outgoing.bytes() > WRITE_BYTES_MAX { self.flush().await } else { Ok(()) }
    }

    /// Writes all that waits. May be given up and asked again.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let Self { io, outgoing, .. } = self;
        poll_fn(|context| outgoing.poll_write(Pin::new(io), context)).await
    }

    /// Says that this is the end, and why; waits until the other side has it.
    pub(super) async fn close(
        &mut self,
        code: CloseCode,
        reason: &'static str,
        is_unreadable: bool,
    ) {
        let mut why = u16::from(code).to_be_bytes().to_vec();
        why.extend_from_slice(reason.as_bytes());
        self.outgoing.push(Op::Close, why.into());
        if self.flush().await.is_err() {
            return;
        }
        if is_unreadable {
            // What the client still writes is taken, or the system would answer with a reset, in
            // which the close frame is lost.
            let _ = self.io.shutdown().await;
            let mut dropped = [0; 1024];
            while let Ok(1..) = self.io.read(&mut dropped).await {}
        } else {
            while let Some(Ok(_)) = self.next().await {
                // Nothing is answered any more (RFC 6455, section 5.5.1), and must not gather.
                self.outgoing = Outgoing::default();
            }
        }
    }

    /// Answers a client that has said that it leaves.
    pub(super) async fn part(&mut self) {
        if self.is_closed && self.flush().await.is_ok() {
            let _ = self.io.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests;
