//! What waits to be written.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// Pieces that one call writes at most; a frame has two.
const SLICES_MAX: usize = 64;
/// Bytes that one call writes where it cannot take pieces.
const JOINED_BYTES_MAX: usize = 16 * 1024;
/// A frame that goes together with others has no more bytes: to copy it must cost less than a piece of its own.
const JOINED_FRAME_BYTES_MAX: usize = 1024;
/// Frames whose places are kept while none waits: what most writes have.
const PLACES_KEPT: usize = 4;

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Text = 0x1,
    Close = 0x8,
    Pong = 0xa,
}

/// Frames in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    frames: VecDeque<Frame>,
    /// Bytes of the first of them that are written already.
    written: usize,
    /// Bytes of all of them.
    bytes: usize,
}

#[derive(Debug)]
struct Frame {
    head: [u8; 10],
    head_length: u8,
    payload: Payload,
}

#[derive(Debug)]
enum Payload {
    /// Of one frame, written from where it lies.
    Shared(Bytes),
    /// Small frames one behind the other, their heads in between.
    Joined(Vec<u8>),
}

impl Frame {
    fn new(op: Op, payload: Bytes) -> Self {
        let (head, head_length) = head(op, payload.len());
        Self { head, head_length, payload: Payload::Shared(payload) }
    }

    fn joined(room: usize) -> Self {
        Self { head: [0; 10], head_length: 0, payload: Payload::Joined(Vec::with_capacity(room)) }
    }

    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_length)]
    }

    fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Shared(payload) => payload,
            Payload::Joined(frames) => frames,
        }
    }

    fn len(&self) -> usize {
        usize::from(self.head_length) + self.payload().len()
    }
}

/// The head of a frame, and how long it is.
fn head(op: Op, length: usize) -> ([u8; 10], u8) {
    let mut head = [0; 10];
    // The last part of its message, as every frame here.
    head[0] = 0x80 | op as u8;
    let head_length = if length < 126 {
        head[1] = length as u8;
        2
    } else if let Ok(length) = u16::try_from(length) {
        head[1] = 126;
        head[2..4].copy_from_slice(&length.to_be_bytes());
        4
    } else {
        head[1] = 127;
        head[2..].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    (head, head_length)
}

impl Outgoing {
    pub(super) fn push(&mut self, op: Op, payload: Bytes) {
        let frame = Frame::new(op, payload);
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Takes a payload that nobody else has. A small one goes together with others: many frames in one piece
    /// cost less than the pieces that they would be.
    pub(super) fn push_own(&mut self, op: Op, payload: String) {
        if payload.len() > JOINED_FRAME_BYTES_MAX {
            return self.push(op, payload.into());
        }
        let (head, head_length) = head(op, payload.len());
        let head = &head[..usize::from(head_length)];
        let length = head.len() + payload.len();
        let is_joined = |last: &Frame| matches!(last.payload, Payload::Joined(_));
        if !self.frames.back().is_some_and(is_joined) {
            self.frames.push_back(Frame::joined(length));
        }
        let Some(Frame { payload: Payload::Joined(frames), .. }) = self.frames.back_mut() else {
            unreachable!("it was there or was just put there");
        };
        frames.extend_from_slice(head);
        frames.extend_from_slice(payload.as_bytes());
        self.bytes += length;
    }

    /// Bytes that wait, those included that are written of a frame that has not gone whole.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let joined = self.frames.iter().map(|frame| match &frame.payload {
            Payload::Shared(_) => 0,
            Payload::Joined(frames) => frames.capacity(),
        });
        self.frames.capacity() * size_of::<Frame>() + joined.sum::<usize>()
    }

    /// Writes until nothing waits.
    pub(super) fn poll_write(
        &mut self,
        mut io: Pin<&mut impl AsyncWrite>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.fill(&mut slices);
            let slices = &slices[..count];
            let written = if io.is_write_vectored() {
                io.as_mut().poll_write_vectored(context, slices)
            } else {
                io.as_mut().poll_write(context, &joined(slices))
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        if self.frames.capacity() > PLACES_KEPT {
            self.frames = VecDeque::new();
        }
        io.poll_flush(context)
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let pieces = self.frames.iter().flat_map(|frame| [frame.head(), frame.payload()]);
        let mut written = self.written;
        let left = pieces.filter_map(|piece| {
            let skipped = written.min(piece.len());
            written -= skipped;
            Some(&piece[skipped..]).filter(|piece| !piece.is_empty())
        });
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(left) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.frames.front().map(Frame::len)
            && first <= self.written
        {
            self.written -= first;
            self.bytes -= first;
            self.frames.pop_front();
        }
    }
}

/// The pieces as one, up to so many bytes: small frames must not go in two packets.
fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut joined = Vec::new();
    for slice in slices {
        let room = JOINED_BYTES_MAX - joined.len();
        joined.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    joined
}
