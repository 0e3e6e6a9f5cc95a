//! From bytes to messages.

use std::{
    io::{self, Cursor},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use rethread_shared::limits::{FRAME_BYTES_HARD_MAX, READ_BYTES_MAX};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};
use tokio_util::io::poll_read_buf;

use crate::socket::End;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A frame of the protocol.
    Text(String),
    /// What this protocol has not.
    Binary,
    /// A question whether the server is there.
    Ping {
        /// What the answer repeats.
        bytes: Bytes,
        /// It came between the parts of a message.
        is_amid: bool,
    },
    /// An answer to a ping, or a sign of life.
    Pong {
        /// It came between the parts of a message.
        is_amid: bool,
    },
    /// The client leaves; the code with which it is answered.
    Close(Option<u16>),
}

/// What has come of messages that are not whole.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// Where in `bytes` begins what was not taken.
    at: usize,
    /// The frame whose payload begins there, and its length.
    frame: Option<(FrameHeader, usize)>,
    /// The message that came in parts so far.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    is_text: bool,
    bytes: Vec<u8>,
}

impl Incoming {
    /// Reads once. Gives the number of bytes, 0 at the end.
    pub(super) fn poll_read(
        &mut self,
        io: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let missing = self.missing();
        if missing > READ_BYTES_MAX {
            // No more room than has come already: a length alone costs nobody memory.
            if self.bytes.len() == self.bytes.capacity() {
                self.bytes.reserve_exact(missing.min(self.bytes.len().max(READ_BYTES_MAX)));
            }
            return poll_read_buf(io, context, &mut self.bytes);
        }
        let mut room = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(io.poll_read(context, &mut room))?;
        self.bytes.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity() + self.parts.as_ref().map_or(0, |parts| parts.bytes.capacity())
    }

    /// Bytes of the frame that is under way that have not come.
    fn missing(&self) -> usize {
        self.frame.as_ref().map_or(0, |(_, length)| length - (self.bytes.len() - self.at))
    }

    /// The next message, if it is here.
    pub(super) fn take(&mut self) -> Result<Option<Message>, End> {
        while let Some((head, payload)) = self.frame()? {
            let amid = self.parts.is_some();
            let message = match head.opcode {
                OpCode::Control(control) => Some(control_message(control, payload, amid)?),
                OpCode::Data(data) => self.data(data, head.is_final, payload)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// The next frame, if it is here.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, End> {
        if self.frame.is_none() {
            let mut cursor = Cursor::new(&self.bytes[self.at..]);
            let Some((head, length)) = FrameHeader::parse(&mut cursor).map_err(broken)? else {
                self.close_up();
                return Ok(None);
            };
            self.at += cursor.position() as usize;
            self.frame = Some((head.clone(), self.allowed(&head, length)?));
        }
        if self.bytes.len() - self.at < self.frame.as_ref().map_or(0, |(_, length)| *length) {
            self.close_up();
            return Ok(None);
        }
        let (head, length) = self.frame.take().expect("it was found or read");
        let mut payload = if self.at == 0 && self.bytes.len() == length {
            std::mem::take(&mut self.bytes)
        } else {
            self.at += length;
            self.bytes[self.at - length..self.at].to_vec()
        };
        unmask(&mut payload, head.mask.expect("required"));
        Ok(Some((head, payload)))
    }

    /// The payload's length, if the frame is one that a client may send now.
    fn allowed(&self, head: &FrameHeader, length: u64) -> Result<usize, End> {
        let is_plain = !head.rsv1 && !head.rsv2 && !head.rsv3;
        let is_control = matches!(head.opcode, OpCode::Control(_));
        if !is_plain || head.mask.is_none() || is_control && (!head.is_final || length > 125) {
            return Err(End::not_websocket());
        }
        let before = self.parts.as_ref().map_or(0, |parts| parts.bytes.len());
        let length = usize::try_from(length).map_err(|_| End::too_large())?;
        if length > FRAME_BYTES_HARD_MAX - before {
            return Err(End::too_large());
        }
        Ok(length)
    }

    /// Gives back what was taken, with its room: the beginning of the next frame may be all that is left.
    fn close_up(&mut self) {
        if self.at > 0 {
            self.bytes = self.bytes[self.at..].to_vec();
            self.at = 0;
        }
    }

    fn data(
        &mut self,
        data: Data,
        is_final: bool,
        payload: Vec<u8>,
    ) -> Result<Option<Message>, End> {
        let mut parts = match (data, self.parts.take()) {
            (Data::Text, None) => Parts { is_text: true, bytes: payload },
            (Data::Binary, None) => Parts { is_text: false, bytes: payload },
            (Data::Continue, Some(mut parts)) => {
                parts.bytes.extend_from_slice(&payload);
                parts
            }
            _ => return Err(End::not_websocket()),
        };
        if !is_final {
            // Not each time: that would move the whole message for every part.
            if parts.bytes.capacity() / 2 > parts.bytes.len() {
                parts.bytes.shrink_to_fit();
            }
            self.parts = Some(parts);
            return Ok(None);
        }
        if !parts.is_text {
            return Ok(Some(Message::Binary));
        }
        let text = String::from_utf8(parts.bytes).map_err(|_| End::not_utf8())?;
        Ok(Some(Message::Text(text)))
    }
}

fn control_message(control: Control, payload: Vec<u8>, is_amid: bool) -> Result<Message, End> {
    match control {
        Control::Ping => Ok(Message::Ping { bytes: payload.into(), is_amid }),
        Control::Pong => Ok(Message::Pong { is_amid }),
        Control::Close => match &payload[..] {
            [] => Ok(Message::Close(None)),
            [_] => Err(End::not_websocket()),
            [high, low, reason @ ..] => {
                std::str::from_utf8(reason).map_err(|_| End::not_utf8())?;
                let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
                let code = if code.is_allowed() { code } else { CloseCode::Protocol };
                Ok(Message::Close(Some(code.into())))
            }
        },
        Control::Reserved(_) => Err(End::not_websocket()),
    }
}

/// The bytes of a client come masked (RFC 6455, section 5.3).
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let open = u64::from_ne_bytes((&*chunk).try_into().expect("eight bytes")) ^ wide;
        chunk.copy_from_slice(&open.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

fn broken(_: tokio_tungstenite::tungstenite::Error) -> End {
    End::not_websocket()
}
