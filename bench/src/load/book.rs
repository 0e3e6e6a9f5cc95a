//! What is known of every thread and of every connection, and what a message changes in it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use anyhow::{Context, Result};

use crate::{
    check::{self, Follower},
    dialect::{Dialect, Heard, idle_word, publisher_hears},
    events::Source,
    swarm::Message,
};

/// One thread and what is under way in it.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Its id.
    pub(crate) id: String,
    /// Its events.
    pub(crate) source: Source,
    /// Who publishes to it.
    pub(super) publisher: usize,
    /// The connections that follow it.
    pub(super) subscribers: Vec<usize>,
    /// The number of the last event that the server has acknowledged; of the last that was sent,
    /// where it acknowledges nothing.
    pub(super) acknowledged: u64,
    /// The last event that every subscriber has.
    pub(super) delivered: u64,
    is_touched: bool,
    /// The number of the last event that was asked to be stored.
    asked: u64,
}

/// A connection that publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) link: usize,
    /// Publishes without an answer.
    pub(super) asked: BTreeMap<u64, Asked>,
}

/// What was published at once: of which threads, from which number on, how many.
#[derive(Debug, Default)]
pub(super) struct Asked {
    parts: Vec<(usize, u64, u64)>,
    /// True when the server has it already.
    is_again: bool,
    /// Events of it that were acknowledged, where that is done one by one.
    words: u64,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Role {
    Publisher(usize),
    Subscriber {
        thread: usize,
        follower: Follower,
        is_subscribed: bool,
    },
    /// Cut; or never a connection of this book's.
    Gone,
}

/// An event that has come to a subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    /// The subscriber.
    pub(crate) link: usize,
    /// When it should have been sent, microseconds on the load's clock.
    pub(crate) due_us: u64,
    /// When it came.
    pub(crate) at: Instant,
}

/// Everything but the connections themselves.
#[derive(Debug)]
pub(crate) struct Book {
    dialect: Dialect,
    is_packed: bool,
    pub(super) threads: Vec<Thread>,
    pub(super) publishers: Vec<Publisher>,
    /// What each connection is for, by its number.
    pub(super) roles: Vec<Role>,
    touched: Vec<usize>,
    unsubscribed: usize,
    /// Events that came, counted once for each subscriber.
    pub(crate) deliveries: u64,
    /// Messages that they came in.
    pub(crate) frames: u64,
    /// Events that were acknowledged.
    pub(crate) acknowledged: u64,
}

impl Book {
    pub(super) fn new(dialect: Dialect, is_packed: bool) -> Self {
        Self {
            dialect,
            is_packed,
            threads: Vec::new(),
            publishers: Vec::new(),
            roles: Vec::new(),
            touched: Vec::new(),
            unsubscribed: 0,
            deliveries: 0,
            frames: 0,
            acknowledged: 0,
        }
    }

    pub(super) fn add_publisher(&mut self, link: usize) {
        *self.role(link) = Role::Publisher(self.publishers.len());
        self.publishers.push(Publisher { link, asked: BTreeMap::new() });
    }

    pub(super) fn add_thread(&mut self, id: String, source: Source, publisher: usize) {
        self.threads.push(Thread {
            id,
            source,
            publisher,
            subscribers: Vec::new(),
            acknowledged: 0,
            delivered: 0,
            is_touched: false,
            asked: 0,
        });
    }

    /// `is_slow`: whoever waits for a thread's subscribers does not wait for this one.
    pub(super) fn add_subscriber(
        &mut self,
        link: usize,
        thread: usize,
        follower: Follower,
        is_slow: bool,
    ) {
        *self.role(link) = Role::Subscriber { thread, follower, is_subscribed: is_slow };
        if !is_slow {
            self.unsubscribed += 1;
            self.threads[thread].subscribers.push(link);
            self.touch(thread);
        }
    }

    fn role(&mut self, link: usize) -> &mut Role {
        if self.roles.len() <= link {
            self.roles.resize_with(link + 1, || Role::Gone);
        }
        &mut self.roles[link]
    }

    fn touch(&mut self, thread: usize) {
        if !std::mem::replace(&mut self.threads[thread].is_touched, true) {
            self.touched.push(thread);
        }
    }

    /// A subscriber's connection is no more; what it has is remembered. Nobody waits for it.
    pub(super) fn leave(&mut self, link: usize) {
        if let Role::Subscriber { thread, .. } = self.roles[link] {
            self.threads[thread].subscribers.retain(|other| *other != link);
            self.touch(thread);
        }
    }

    /// A subscriber is this book's no more; its thread, and what it has.
    pub(super) fn let_go(&mut self, link: usize) -> Option<(usize, Follower)> {
        match std::mem::replace(self.role(link), Role::Gone) {
            Role::Subscriber { thread, follower, .. } => Some((thread, follower)),
            _ => None,
        }
    }

    /// Subscribers whose subscription does not stand.
    pub(super) fn unsubscribed(&self) -> usize {
        self.unsubscribed
    }

    /// Notes what is about to be published.
    pub(super) fn ask(&mut self, events: &[(usize, u64)]) -> Asked {
        let acknowledges = self.dialect.acknowledges();
        let mut asked = Asked::default();
        for (place, _) in events {
            let thread = &mut self.threads[*place];
            thread.asked += 1;
            thread.acknowledged += u64::from(!acknowledges);
            match asked.parts.last_mut() {
                Some((last, _, count)) if last == place => *count += 1,
                _ => asked.parts.push((*place, thread.asked, 1)),
            }
        }
        asked
    }

    /// The same for what was the last to be published.
    pub(super) fn ask_again(&self, events: &[(usize, u64)]) -> Asked {
        let mut behind: HashMap<usize, u64> = HashMap::new();
        for (thread, _) in events {
            *behind.entry(*thread).or_default() += 1;
        }
        let parts = events.iter().map(|(thread, _)| {
            let left = behind.get_mut(thread).expect("it was counted");
            *left -= 1;
            (*thread, self.threads[*thread].source.made() - *left, 1)
        });
        Asked { parts: parts.collect(), is_again: true, words: 0 }
    }

    /// Takes one message; gives what is to be answered.
    pub(super) fn take(
        &mut self,
        message: Message<'_>,
        each: &mut impl FnMut(Came),
    ) -> Result<Option<&'static str>> {
        let payload = message.payload;
        match &mut self.roles[message.link] {
            Role::Subscriber { thread, follower, is_subscribed } => {
                let each = |due_us| each(Came { link: message.link, due_us, at: message.at });
                match self.dialect.hear(follower, payload, each)? {
                    Heard::Events(events) => {
                        self.deliveries += events;
                        self.frames += 1;
                        let thread = *thread;
                        self.touch(thread);
                    }
                    Heard::Subscribed => {
                        if !std::mem::replace(is_subscribed, true) {
                            self.unsubscribed -= 1;
                            // It may have begun at the end.
                            let thread = *thread;
                            self.touch(thread);
                        }
                    }
                    Heard::Nothing => {}
                    Heard::Answer(text) => return Ok(Some(text)),
                }
            }
            Role::Publisher(publisher) => {
                let publisher = *publisher;
                return self.answered(publisher, payload);
            }
            Role::Gone => {}
        }
        Ok(None)
    }

    fn answered(&mut self, publisher: usize, payload: &[u8]) -> Result<Option<&'static str>> {
        match self.dialect {
            Dialect::Rethread(_) => {
                let Some(req) = check::published(payload) else {
                    idle_word(payload)?;
                    return Ok(None);
                };
                let asked = self.publishers[publisher].asked.remove(&req);
                let Asked { parts, is_again, .. } =
                    asked.context("an answer to what was not asked")?;
                let expected = parts.iter().flat_map(|(_, first, count)| *first..first + count);
                let stored = check::stored(payload, expected, is_again)?;
                if !is_again {
                    self.acknowledged += stored;
                    for (thread, _, count) in parts {
                        self.threads[thread].acknowledged += count;
                    }
                }
            }
            Dialect::Nchan => self.one_word_more(publisher)?,
            Dialect::SocketIo => return publisher_hears(payload),
            Dialect::Bare => {}
        }
        Ok(None)
    }

    /// A server that answers each message, in order, on a connection that is for one thread.
    fn one_word_more(&mut self, publisher: usize) -> Result<()> {
        let asked = &mut self.publishers[publisher].asked;
        let mut oldest = asked.first_entry().context("an answer to what was not asked")?;
        let Asked { parts, words, .. } = oldest.get_mut();
        let count: u64 = parts.iter().map(|part| part.2).sum();
        let events = if self.is_packed { count } else { 1 };
        *words += events;
        if *words == count {
            oldest.remove();
        }
        self.acknowledged += events;
        self.threads[publisher].acknowledged += events;
        Ok(())
    }

    /// Finds how far the threads are that something came for.
    pub(super) fn settle(&mut self) {
        for place in self.touched.drain(..) {
            let thread = &mut self.threads[place];
            thread.is_touched = false;
            let last = thread.subscribers.iter().map(|link| match &self.roles[*link] {
                Role::Subscriber { follower, .. } => follower.last(),
                _ => u64::MAX,
            });
            thread.delivered = last.min().unwrap_or(0);
        }
    }

    /// What is not acknowledged, or not with every subscriber.
    pub(super) fn behind(&self) -> Option<String> {
        let thread = self.threads.iter().find(|thread| {
            let made = thread.source.made();
            let is_delivered = thread.subscribers.is_empty() || thread.delivered == made;
            thread.acknowledged != made || !is_delivered
        })?;
        Some(format!(
            "{}: {} events published, {} acknowledged, {} delivered to every subscriber",
            thread.id,
            thread.source.made(),
            thread.acknowledged,
            thread.delivered
        ))
    }

    /// What is not acknowledged.
    pub(super) fn unacknowledged(&self) -> Option<String> {
        let is_open = |thread: &&Thread| thread.acknowledged != thread.source.made();
        let thread = self.threads.iter().find(is_open)?;
        let made = thread.source.made();
        Some(format!("{}: {made} published, {} acknowledged", thread.id, thread.acknowledged))
    }
}
