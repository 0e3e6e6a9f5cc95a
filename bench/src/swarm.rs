//! Many connections on one thread: readiness from the operating system, one buffer for all reads.

use std::{
    io::{ErrorKind, Read, Write},
    net,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::wire::{Parsed, Protocol, push_frame};

/// Bytes that are read at once. Grows when a single message is larger.
const SCRATCH_BYTES: usize = 512 * 1024;
/// Every WebSocket says so often that it is there; the server wants it every 15 s.
const PING_EVERY: Duration = Duration::from_secs(10);

/// The connections. Each is known by its number, counted from 0 as they were added.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    ready: Events,
    links: Vec<Link>,
    scratch: Vec<u8>,
    pinged: usize,
    ping_at: Instant,
}

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    protocol: Protocol,
    /// The beginning of a message whose end has not come.
    rest: Vec<u8>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

/// A message that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The number of its connection.
    pub(crate) link: usize,
    /// The text of a frame, or the body of an answer.
    pub(crate) payload: &'a [u8],
    /// When it was read.
    pub(crate) at: Instant,
}

impl Swarm {
    /// No connections yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("epoll")?,
            ready: Events::with_capacity(1_024),
            links: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            pinged: 0,
            ping_at: Instant::now(),
        })
    }

    /// Takes a connection in; gives its number.
    pub(crate) fn add(&mut self, stream: net::TcpStream, protocol: Protocol) -> Result<usize> {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let number = self.links.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        self.links.push(Link { stream, protocol, rest: Vec::new(), out: Vec::new() });
        Ok(number)
    }

    /// Sends bytes, or keeps them until the socket takes them.
    pub(crate) fn send(&mut self, link: usize, bytes: &[u8]) -> Result<()> {
        let link = &mut self.links[link];
        link.out.extend_from_slice(bytes);
        link.flush()
    }

    /// Waits for at most `patience`, and gives what has come to `take`.
    ///
    /// # Errors
    /// When `take` fails, or a connection does.
    pub(crate) fn turn(
        &mut self,
        patience: Duration,
        mut take: impl FnMut(Message<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.poll.poll(&mut self.ready, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("epoll")?,
        }
        for event in &self.ready {
            let number = event.token().0;
            let link = &mut self.links[number];
            if event.is_writable() {
                link.flush()?;
            }
            if event.is_readable() {
                link.read(number, &mut self.scratch, &mut take)
                    .with_context(|| format!("connection {number}"))?;
            }
        }
        self.ping()
    }

    /// Turns until `is_done`, which looks at `state`.
    ///
    /// # Errors
    /// As [`Swarm::turn`]; and when the time is over, with what `missing` says.
    pub(crate) fn until<S>(
        &mut self,
        deadline: Duration,
        state: &mut S,
        mut take: impl FnMut(&mut S, Message<'_>) -> Result<()>,
        is_done: impl Fn(&S) -> bool,
        missing: impl Fn(&S) -> String,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        while !is_done(state) {
            if Instant::now() > end {
                bail!("after {} s: {}", deadline.as_secs(), missing(state));
            }
            self.turn(Duration::from_millis(20), |message| take(state, message))?;
        }
        Ok(())
    }

    /// Pings one connection after the other, spread over the time, so that there are no bursts.
    fn ping(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.links.is_empty() {
            return Ok(());
        }
        let step = PING_EVERY / self.links.len() as u32;
        while self.ping_at <= now {
            self.ping_at += step;
            self.pinged = (self.pinged + 1) % self.links.len();
            if self.links[self.pinged].protocol == Protocol::WebSocket {
                let mut frame = Vec::new();
                push_frame(br#"{"op":"ping"}"#, &mut frame);
                self.send(self.pinged, &frame)?;
            }
        }
        Ok(())
    }
}

impl Link {
    fn flush(&mut self) -> Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the server cut a connection"),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    fn read(
        &mut self,
        number: usize,
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(Message<'_>) -> Result<()>,
    ) -> Result<()> {
        loop {
            let kept = self.rest.len();
            if scratch.len() < kept * 2 {
                scratch.resize(kept * 4, 0);
            }
            scratch[..kept].copy_from_slice(&self.rest);
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => bail!("the server closed it"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            let at = Instant::now();
            let end = kept + read;
            let mut from = 0;
            loop {
                match self.protocol.parse(&scratch[from..end])? {
                    Parsed::Incomplete => break,
                    Parsed::Skip(bytes) => from += bytes,
                    Parsed::Message(bytes, payload) => {
                        take(Message { link: number, payload, at })?;
                        from += bytes;
                    }
                }
            }
            self.rest.clear();
            self.rest.extend_from_slice(&scratch[from..end]);
            // Less than there was room for: the socket is empty (epoll(7), edge-triggered).
            if end < scratch.len() {
                return Ok(());
            }
        }
    }
}
