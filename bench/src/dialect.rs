//! What is said on a connection to each of the servers that are measured.
//!
//! A subscriber gets events, a publisher gives them, and a reader that was cut comes back to where it
//! was. Everything else is the same for all: the load, the checks, the clock.

mod bare;
mod nchan;
mod rethread;
mod socketio;

use anyhow::Result;

use crate::{check::Follower, load::Thread, wire::Opening};

pub(crate) use nchan::KEPT;
pub(crate) use rethread::{Rethread, SlowDown, idle_word};
pub(crate) use socketio::publisher_hears;

/// How one server is spoken to.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// PROTOCOL.md.
    Rethread(Rethread),
    /// A channel is a path; a message is a frame.
    Nchan,
    /// Engine.IO 4 and Socket.IO 5, as text over WebSocket.
    SocketIo,
    /// A channel is a path; a message is a frame; nothing is kept.
    Bare,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From<'a> {
    /// With the first event that there is.
    Start,
    /// With what comes.
    Now,
    /// After the last event that this one has seen.
    Behind(&'a Follower),
}

/// What a message to a subscriber was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// So many events.
    Events(u64),
    /// The subscription stands.
    Subscribed,
    /// Nothing of interest.
    Nothing,
    /// This is to be answered.
    Answer(&'static str),
}

impl Dialect {
    /// The text that a WebSocket sends from time to time, if the server wants one.
    pub(crate) fn ping(&self) -> Option<&'static str> {
        match self {
            Self::Rethread(_) => Some(rethread::PING),
            Self::Nchan | Self::SocketIo | Self::Bare => None,
        }
    }

    /// True when a publisher's connection is for one thread alone.
    pub(crate) fn binds_publishers(&self) -> bool {
        matches!(self, Self::Nchan | Self::Bare)
    }

    /// True when the server tells a publisher that it has taken its events.
    pub(crate) fn acknowledges(&self) -> bool {
        matches!(self, Self::Rethread(_) | Self::Nchan)
    }

    /// How the publisher of a thread is connected.
    pub(crate) fn publisher(&self, thread: &str) -> Opening {
        match self {
            Self::Rethread(rethread) => rethread.publisher(),
            Self::Nchan => nchan::publisher(thread),
            Self::SocketIo => socketio::publisher(),
            Self::Bare => bare::publisher(thread),
        }
    }

    /// How a subscriber of a thread is connected.
    pub(crate) fn subscriber(&self, thread: &str, from: From<'_>) -> Opening {
        match self {
            Self::Rethread(rethread) => rethread.subscriber(thread, from),
            Self::Nchan => nchan::subscriber(thread, from),
            Self::SocketIo => socketio::subscriber(thread, from),
            Self::Bare => bare::subscriber(thread),
        }
    }

    /// True when a subscription stands with its connection's handshake, without a word.
    pub(crate) fn subscribes_silently(&self) -> bool {
        matches!(self, Self::Nchan)
    }

    /// True when who subscribes late gets what came before.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Self::Rethread(_) | Self::Nchan)
    }

    /// Writes frames that publish events, each the next of its thread, with when it should be sent.
    /// Packed (which must be of one thread), peers get one message with all of them.
    pub(crate) fn publish(
        &self,
        req: u64,
        threads: &mut [Thread],
        events: &[(usize, u64)],
        is_packed: bool,
        unix_ms: u64,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Rethread(_) => rethread::publish(req, threads, events, unix_ms, out),
            Self::Nchan | Self::Bare => bare::publish(threads, events, is_packed, unix_ms, out),
            Self::SocketIo => socketio::publish(threads, events, is_packed, unix_ms, out),
        }
    }

    /// Takes a message to a subscriber; tells `each` when each event should have been sent.
    ///
    /// # Errors
    /// When it is not exactly what had to come next.
    pub(crate) fn hear(
        &self,
        follower: &mut Follower,
        payload: &[u8],
        each: impl FnMut(u64),
    ) -> Result<Heard> {
        match self {
            Self::Rethread(_) => rethread::hear(follower, payload, each),
            Self::Nchan => nchan::hear(follower, payload, each),
            Self::SocketIo => socketio::hear(follower, payload, each),
            Self::Bare => bare::hear(follower, payload, each),
        }
    }
}
