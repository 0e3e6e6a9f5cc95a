//! Many connections on one thread: readiness from the operating system, one buffer for all reads.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::{
    stop,
    wire::{self, Opening, Parsed, Protocol, push_frame},
};

/// Bytes that are read at once. Grows when a single message is larger.
const SCRATCH_BYTES: usize = 512 * 1024;
/// Every WebSocket says so often that it is there; the server wants it every 15 s.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Handshakes under way while a load is set up: a crowd, but no storm.
const DIALS_AT_ONCE: usize = 200;
/// How long one connection may take from dialling to its handshake's end.
const DIAL_PATIENCE: Duration = Duration::from_secs(30);

/// The connections. Each is known by its number, counted from 0 as they were added.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    ready: Events,
    links: Vec<Link>,
    scratch: Vec<u8>,
    /// What every open WebSocket sends from time to time, if anything.
    ping: Option<&'static str>,
    pinged: usize,
    ping_at: Instant,
    opening: usize,
    /// Links that were allowed to end, and have.
    ended: usize,
    /// How often the system has said that a link is ready.
    woken: u64,
}

#[derive(Debug)]
struct Link {
    /// None once it was cut, or has ended where it may.
    stream: Option<TcpStream>,
    phase: Phase,
    pace: Pace,
    /// The beginning of a message whose end has not come.
    rest: Vec<u8>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    /// A WebSocket before its handshake has ended, and what it sends then.
    Upgrading(Vec<u8>),
    Open(Protocol),
}

/// How a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// What comes, when it comes.
    AsItComes,
    /// Only when [`Swarm::sip`] is called. It may be cut by the server without a failure.
    Sipping,
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
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn new(ping: Option<&'static str>) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("epoll")?,
            ready: Events::with_capacity(1_024),
            links: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            ping,
            pinged: 0,
            ping_at: Instant::now(),
            opening: 0,
            ended: 0,
            woken: 0,
        })
    }

    /// Dials, for requests over HTTP; gives the connection's number at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn dial_http(&mut self, address: SocketAddr) -> Result<usize> {
        self.take_in(TcpStream::connect(address), Phase::Open(Protocol::Http), Pace::AsItComes)
    }

    /// Dials a WebSocket; gives its number at once. What comes before its handshake has ended is
    /// an error.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn dial(&mut self, address: SocketAddr, opening: &Opening) -> Result<usize> {
        let stream = TcpStream::connect(address);
        self.upgrade(stream, opening, Pace::AsItComes)
    }

    /// Dials a WebSocket that is read only in sips, and whose socket takes in as little as it may.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn dial_slow(&mut self, address: SocketAddr, opening: &Opening) -> Result<usize> {
        let stream = wire::dial_with_small_buffer(address).map(TcpStream::from_std);
        self.upgrade(stream, opening, Pace::Sipping)
    }

    fn upgrade(
        &mut self,
        stream: std::io::Result<TcpStream>,
        opening: &Opening,
        pace: Pace,
    ) -> Result<usize> {
        let number = self.take_in(stream, Phase::Upgrading(opening.frames()), pace)?;
        self.opening += 1;
        // Before the connection stands nothing can be written; it is, when it does.
        self.links[number].out = opening.request();
        Ok(number)
    }

    fn take_in(
        &mut self,
        stream: std::io::Result<TcpStream>,
        phase: Phase,
        pace: Pace,
    ) -> Result<usize> {
        let mut stream = stream.context("a connection could not be dialled")?;
        stream.set_nodelay(true)?;
        let number = self.links.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        let stream = Some(stream);
        self.links.push(Link { stream, phase, pace, rest: Vec::new(), out: Vec::new() });
        Ok(number)
    }

    /// WebSockets whose handshake has not ended.
    pub(crate) fn opening(&self) -> usize {
        self.opening
    }

    /// How often the system has said that a connection is ready.
    pub(crate) fn woken(&self) -> u64 {
        self.woken
    }

    /// Connections that were allowed to end, and have been ended by the server.
    pub(crate) fn ended(&self) -> usize {
        self.ended
    }

    /// Waits until there is room for one more handshake.
    ///
    /// # Errors
    /// As [`Swarm::turn`]; and when handshakes take too long.
    pub(crate) fn make_room(
        &mut self,
        mut take: impl FnMut(Message<'_>) -> Result<Option<&'static str>>,
    ) -> Result<()> {
        let end = Instant::now() + DIAL_PATIENCE;
        while self.opening >= DIALS_AT_ONCE {
            if Instant::now() > end {
                bail!("{} handshakes take longer than {DIAL_PATIENCE:?}", self.opening);
            }
            self.turn(Duration::from_millis(20), &mut take)?;
        }
        Ok(())
    }

    /// Cuts a connection, without a word to the server.
    pub(crate) fn cut(&mut self, link: usize) {
        let link = &mut self.links[link];
        if matches!(link.phase, Phase::Upgrading(_)) && link.stream.is_some() {
            self.opening -= 1;
        }
        link.stream = None;
        link.rest = Vec::new();
        link.out = Vec::new();
    }

    /// Sends bytes, or keeps them until the socket takes them.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) fn send(&mut self, link: usize, bytes: &[u8]) -> Result<()> {
        let link = &mut self.links[link];
        link.out.extend_from_slice(bytes);
        link.flush()
    }

    /// Waits for at most `patience`, and gives what has come to `take`, which may give a text to
    /// answer with.
    ///
    /// # Errors
    /// When `take` fails, or a connection does.
    pub(crate) fn turn(
        &mut self,
        patience: Duration,
        mut take: impl FnMut(Message<'_>) -> Result<Option<&'static str>>,
    ) -> Result<()> {
        stop::look()?;
        match self.poll.poll(&mut self.ready, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("epoll")?,
        }
        for event in &self.ready {
            self.woken += 1;
            let number = event.token().0;
            let link = &mut self.links[number];
            let was_opening = matches!(link.phase, Phase::Upgrading(_));
            if event.is_writable() {
                link.flush().with_context(|| format!("connection {number}"))?;
            }
            if event.is_readable() && (link.pace == Pace::AsItComes || was_opening) {
                link.read(number, usize::MAX, &mut self.scratch, &mut take)
                    .with_context(|| format!("connection {number}"))?;
            }
            if was_opening && matches!(link.phase, Phase::Open(_)) {
                self.opening -= 1;
            }
        }
        self.ping()
    }

    /// Reads at most so many bytes of a connection that is read in sips.
    ///
    /// # Errors
    /// When `take` fails.
    pub(crate) fn sip(
        &mut self,
        link: usize,
        bytes: usize,
        mut take: impl FnMut(Message<'_>) -> Result<Option<&'static str>>,
    ) -> Result<()> {
        let number = link;
        let link = &mut self.links[number];
        if link.stream.is_none() {
            return Ok(());
        }
        let read = link.read(number, bytes, &mut self.scratch, &mut take);
        match read {
            Err(error) if error.is::<Ended>() || error.is::<wire::Closed>() => {
                link.stream = None;
                self.ended += 1;
                Ok(())
            }
            read => read,
        }
    }

    /// Turns until `is_done`, which looks at `state`.
    ///
    /// # Errors
    /// As [`Swarm::turn`]; and when the time is over, with what `missing` says.
    pub(crate) fn until<S>(
        &mut self,
        deadline: Duration,
        state: &mut S,
        mut take: impl FnMut(&mut S, Message<'_>) -> Result<Option<&'static str>>,
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
        let Some(ping) = self.ping.filter(|_| !self.links.is_empty()) else { return Ok(()) };
        let step = PING_EVERY / self.links.len() as u32;
        while self.ping_at <= now {
            self.ping_at += step;
            self.pinged = (self.pinged + 1) % self.links.len();
            let link = &mut self.links[self.pinged];
            if link.stream.is_some() && matches!(link.phase, Phase::Open(Protocol::WebSocket)) {
                push_frame(ping.as_bytes(), &mut link.out);
                match link.flush() {
                    Err(error) if link.pace == Pace::AsItComes => return Err(error),
                    // It is found ended when it is read.
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The server has ended a connection.
#[derive(Debug, thiserror::Error)]
#[error("the server ended a connection ({0})")]
struct Ended(String);

impl Link {
    fn flush(&mut self) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut written = 0;
        while written < self.out.len() {
            match stream.write(&self.out[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Dialled, and not there yet.
                Err(error) if error.kind() == ErrorKind::NotConnected => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Ended(error.to_string()).into()),
            }
        }
        self.out.drain(..written);
        // A connection that has sent much once does not keep the room for it.
        if self.out.is_empty() && self.out.capacity() > SCRATCH_BYTES {
            self.out = Vec::new();
        }
        Ok(())
    }

    fn read(
        &mut self,
        number: usize,
        bytes: usize,
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(Message<'_>) -> Result<Option<&'static str>>,
    ) -> Result<()> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(()) };
            let kept = self.rest.len();
            if scratch.len() < kept * 2 {
                scratch.resize(kept * 4, 0);
            }
            scratch[..kept].copy_from_slice(&self.rest);
            let room = scratch.len().min(kept.saturating_add(bytes));
            let read = match stream.read(&mut scratch[kept..room]) {
                Ok(0) => return Err(Ended("closed".into()).into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Ended(error.to_string()).into()),
            };
            let at = Instant::now();
            let end = kept + read;
            let mut from = 0;
            let mut is_answered = false;
            loop {
                let protocol = match &mut self.phase {
                    Phase::Open(protocol) => *protocol,
                    Phase::Upgrading(frames) => {
                        let Some(head) = wire::upgraded(&scratch[from..end])? else { break };
                        from += head;
                        self.out.extend_from_slice(frames);
                        self.phase = Phase::Open(Protocol::WebSocket);
                        is_answered = true;
                        continue;
                    }
                };
                match protocol.parse(&scratch[from..end])? {
                    Parsed::Incomplete => break,
                    Parsed::Skip(bytes) => from += bytes,
                    Parsed::Message(bytes, payload) => {
                        if let Some(answer) = take(Message { link: number, payload, at })? {
                            push_frame(answer.as_bytes(), &mut self.out);
                            is_answered = true;
                        }
                        from += bytes;
                    }
                }
            }
            self.rest.clear();
            self.rest.extend_from_slice(&scratch[from..end]);
            // Ten thousand connections that have waited for one large message each.
            if self.rest.is_empty() && self.rest.capacity() > 64 * 1024 {
                self.rest = Vec::new();
            }
            if is_answered {
                self.flush()?;
            }
            // Less than there was room for: the socket is empty (epoll(7), edge-triggered).
            if end < room || self.pace == Pace::Sipping {
                return Ok(());
            }
        }
    }
}
