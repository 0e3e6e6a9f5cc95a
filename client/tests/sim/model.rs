//! What travels in the simulation, and the logs as they should be.

use std::collections::BTreeMap;

use rethread_shared::{
    Epoch, EventId, RunId, ThreadId,
    frame::{ClientFrame, ServerFrame},
};

use crate::session::Publishable;

/// Names one thing that an application did: an event it published, a message it sent, a run it
/// cancelled. However often it is sent, it may be in a log once.
pub(super) type Token = u64;

/// An event that a client publishes.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) id: EventId,
    pub(super) thread: usize,
    pub(super) token: Token,
}

impl Publishable for Outgoing {}

/// An event that a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) seq: u64,
    pub(super) token: Token,
}

/// To the server.
#[derive(Clone, Debug)]
pub(super) enum Up {
    Frame(ClientFrame<Outgoing>),
    Closed,
}

/// To a client.
#[derive(Clone, Debug)]
pub(super) enum Down {
    Frame(ServerFrame<Vec<Incoming>>),
    Closed(Option<u16>),
}

/// One incarnation of a thread's log, durable.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) epoch: Epoch,
    /// The seq of the first event that is still served.
    pub(super) first_kept: u64,
    /// What happened at seq 1, 2, …; kept for the checks also where it is served no more.
    pub(super) tokens: Vec<Token>,
    /// Events published, messages sent: id to seq.
    pub(super) ids: BTreeMap<EventId, u64>,
    /// Runs that messages started, in their order, with the seq of their end.
    pub(super) runs: Vec<Run>,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) run: RunId,
    pub(super) message: EventId,
    pub(super) seq: u64,
    pub(super) cancelled: Option<u64>,
    pub(super) work: WorkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkState {
    Waiting,
    /// Handed to this link.
    Handed(usize),
    Done,
}

impl Log {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, first_kept: 1, tokens: Vec::new(), ids: BTreeMap::new(), runs: Vec::new() }
    }

    pub(super) fn head(&self) -> u64 {
        self.tokens.len() as u64
    }

    pub(super) fn append(&mut self, token: Token) -> u64 {
        self.tokens.push(token);
        self.head()
    }

    /// Events `first` to `last`.
    pub(super) fn read(&self, first: u64, last: u64) -> Vec<Incoming> {
        (first..=last).map(|seq| Incoming { seq, token: self.tokens[seq as usize - 1] }).collect()
    }
}

/// The id of the `n`th thread.
pub(super) fn thread_id(n: usize) -> ThreadId {
    ThreadId::from_key(["a", "b", "c"][n]).expect("a letter is a key")
}
