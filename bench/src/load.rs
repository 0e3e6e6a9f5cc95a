//! Threads, their publishers and their subscribers: what the cases are played on.

use std::{
    collections::HashMap,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{
    check::{self, Follower},
    events::{Source, unix_ms},
    server::Server,
    swarm::{Message, Swarm},
    wire::{Protocol, open_socket, push_frame},
};

/// How long what has been published may take to arrive everywhere once nothing more is sent.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// One thread and what is under way in it.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Its id.
    pub(crate) id: String,
    /// Its events.
    pub(crate) source: Source,
    /// The connection that publishes to it.
    publisher: usize,
    /// The connections that follow it.
    subscribers: Vec<usize>,
    /// The number of the last event that the server has acknowledged.
    acknowledged: u64,
    /// The last event that every subscriber has.
    delivered: u64,
    /// The publishes without an answer: the number of their first event, and how many they have.
    asked: HashMap<u64, (u64, u64)>,
    is_touched: bool,
}

/// What a connection is for: a thread's publisher, or a subscriber.
#[derive(Debug)]
enum Role {
    Publisher(usize),
    Subscriber { thread: usize, follower: Follower, is_subscribed: bool },
}

/// Everything but the connections themselves: what is known of each.
#[derive(Debug, Default)]
pub(crate) struct Book {
    threads: Vec<Thread>,
    roles: Vec<Role>,
    touched: Vec<usize>,
    subscribed: usize,
    /// Events that came, counted once for each subscriber.
    pub(crate) deliveries: u64,
    /// Frames that they came in.
    pub(crate) frames: u64,
}

/// A load: threads, each with one publisher and some subscribers, every one a connection.
#[derive(Debug)]
pub(crate) struct Load {
    /// What is known.
    pub(crate) book: Book,
    swarm: Swarm,
    http: TcpStream,
    requests: u64,
    text: Vec<u8>,
    frame: Vec<u8>,
    start: Instant,
}

impl Load {
    /// Makes threads with a started run each, and connects their publishers.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn new(server: &Server, threads: usize) -> Result<Self> {
        let mut load = Self {
            book: Book::default(),
            swarm: Swarm::new()?,
            http: crate::wire::connect(server.address)?,
            requests: 0,
            text: Vec::new(),
            frame: Vec::new(),
            start: Instant::now(),
        };
        let mut hello = Vec::new();
        push_frame(server.hello().as_bytes(), &mut hello);
        for place in 0..threads {
            let (id, run) = server.thread_with_run(&mut load.http)?;
            let stream = open_socket(server.address, &hello)?;
            let publisher = load.swarm.add(stream, Protocol::WebSocket)?;
            load.book.roles.push(Role::Publisher(place));
            load.book.threads.push(Thread {
                id,
                source: Source::new(&run, place as u64 + 1),
                publisher,
                subscribers: Vec::new(),
                acknowledged: 0,
                delivered: 0,
                asked: HashMap::new(),
                is_touched: false,
            });
            load.publish(place, 1, 0)?;
        }
        load.drain()?;
        Ok(load)
    }

    /// Connects subscribers, each to one thread, the threads in turn.
    ///
    /// # Errors
    /// When the server refuses, or takes too long.
    pub(crate) fn subscribe(&mut self, server: &Server, subscribers: usize) -> Result<()> {
        let hello = server.hello();
        for place in 0..subscribers {
            let thread = place % self.book.threads.len();
            let id = &self.book.threads[thread].id;
            let subscribe = json!({"op": "subscribe", "thread": id, "after": "start"}).to_string();
            let mut frames = Vec::new();
            push_frame(hello.as_bytes(), &mut frames);
            push_frame(subscribe.as_bytes(), &mut frames);
            let stream = open_socket(server.address, &frames)
                .with_context(|| format!("subscriber {place}"))?;
            let link = self.swarm.add(stream, Protocol::WebSocket)?;
            let follower = Follower::new(id);
            self.book.roles.push(Role::Subscriber { thread, follower, is_subscribed: false });
            self.book.threads[thread].subscribers.push(link);
            self.book.threads[thread].delivered = 0;
        }
        let wanted = self.book.subscribed + subscribers;
        self.swarm.until(
            DRAIN,
            &mut self.book,
            |book, message| book.take(message, &mut |_, _| ()),
            |book| book.subscribed == wanted,
            |book| format!("{} of {wanted} subscriptions are answered", book.subscribed),
        )?;
        self.drain()
    }

    /// Microseconds since the load began, which is what events carry.
    pub(crate) fn clock_us(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_micros() as u64
    }

    /// When the load began.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.book.threads.len()
    }

    /// Publishes a thread's next events in one frame; they should have been sent at `due_us`.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) fn publish(&mut self, thread: usize, events: u64, due_us: u64) -> Result<()> {
        self.requests += 1;
        self.text.clear();
        self.text.extend_from_slice(br#"{"op":"publish","req":"#);
        self.text.extend_from_slice(self.requests.to_string().as_bytes());
        self.text.extend_from_slice(br#","events":["#);
        let thread = &mut self.book.threads[thread];
        thread.asked.insert(self.requests, (thread.source.made() + 1, events));
        let now = unix_ms();
        for event in 0..events {
            if event > 0 {
                self.text.push(b',');
            }
            thread.source.write_next(due_us, now, &mut self.text);
        }
        self.text.extend_from_slice(b"]}");
        self.frame.clear();
        push_frame(&self.text, &mut self.frame);
        self.swarm.send(thread.publisher, &self.frame)
    }

    /// Waits for at most `patience` and takes what has come; `each` is told of every event that
    /// arrives: when it should have been sent, and when it came.
    ///
    /// # Errors
    /// When anything arrives that must not.
    pub(crate) fn turn(
        &mut self,
        patience: Duration,
        mut each: impl FnMut(u64, Instant),
    ) -> Result<()> {
        let book = &mut self.book;
        self.swarm.turn(patience, |message| book.take(message, &mut each))?;
        self.book.settle();
        Ok(())
    }

    /// How many more events of a thread may be under way when `window` may: not acknowledged, or
    /// not with every subscriber.
    pub(crate) fn room(&self, thread: usize, window: u64) -> u64 {
        let thread = &self.book.threads[thread];
        let done = if thread.subscribers.is_empty() {
            thread.acknowledged
        } else {
            thread.acknowledged.min(thread.delivered)
        };
        window.saturating_sub(thread.source.made() - done)
    }

    /// Waits until all is acknowledged and delivered.
    ///
    /// # Errors
    /// When something is missing at the end.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.swarm.until(
            DRAIN,
            &mut self.book,
            |book, message| {
                book.take(message, &mut |_, _| ())?;
                book.settle();
                Ok(())
            },
            |book| book.threads.iter().all(Thread::is_done),
            |book| {
                let behind = book.threads.iter().find(|thread| !thread.is_done());
                behind.map_or_else(String::new, |thread| {
                    format!(
                        "{}: {} events published, {} acknowledged, {} delivered to every subscriber",
                        thread.id,
                        thread.source.made(),
                        thread.acknowledged,
                        thread.delivered
                    )
                })
            },
        )
    }

    /// Drains, then asks the server for each thread's end and compares it with every subscriber's.
    ///
    /// # Errors
    /// When they differ.
    pub(crate) fn finish(mut self, server: &Server) -> Result<()> {
        self.drain()?;
        for thread in &self.book.threads {
            let head = server.head(&mut self.http, &thread.id)?;
            if head != thread.source.made() {
                bail!("{}: {} events published, head is {head}", thread.id, thread.source.made());
            }
            for link in &thread.subscribers {
                if let Role::Subscriber { follower, .. } = &self.book.roles[*link] {
                    follower.finish(head)?;
                }
            }
        }
        Ok(())
    }
}

impl Thread {
    fn is_done(&self) -> bool {
        let made = self.source.made();
        self.acknowledged == made && (self.subscribers.is_empty() || self.delivered == made)
    }
}

impl Book {
    /// Takes one message.
    fn take(&mut self, message: Message<'_>, each: &mut impl FnMut(u64, Instant)) -> Result<()> {
        let payload = message.payload;
        match &mut self.roles[message.link] {
            Role::Subscriber { thread, follower, is_subscribed } => {
                if payload.starts_with(br#"{"op":"events""#) {
                    let events = follower.take(payload, |due| each(due, message.at))?;
                    self.deliveries += events;
                    self.frames += 1;
                    if !std::mem::replace(&mut self.threads[*thread].is_touched, true) {
                        self.touched.push(*thread);
                    }
                } else if payload.starts_with(br#"{"op":"subscribed""#) {
                    self.subscribed += usize::from(!std::mem::replace(is_subscribed, true));
                } else {
                    idle_word(payload)?;
                }
            }
            Role::Publisher(thread) => {
                let Some(req) = check::published(payload) else { return idle_word(payload) };
                let thread = &mut self.threads[*thread];
                let asked = thread.asked.remove(&req);
                let (first, events) = asked.context("an answer to what was not asked")?;
                check::stored(payload, first..first + events, false)?;
                thread.acknowledged += events;
            }
        }
        Ok(())
    }

    /// Finds how far the threads are that something came for.
    fn settle(&mut self) {
        for place in self.touched.drain(..) {
            let thread = &mut self.threads[place];
            thread.is_touched = false;
            let last = thread.subscribers.iter().map(|link| match &self.roles[*link] {
                Role::Subscriber { follower, .. } => follower.last(),
                Role::Publisher(_) => u64::MAX,
            });
            thread.delivered = last.min().unwrap_or(0);
        }
    }
}

/// What a server may say at any time; everything else is a failure of the measurement.
pub(crate) fn idle_word(payload: &[u8]) -> Result<()> {
    if payload.starts_with(br#"{"op":"beat""#) || payload.starts_with(br#"{"op":"welcome""#) {
        return Ok(());
    }
    bail!("the server said {}", String::from_utf8_lossy(&payload[..payload.len().min(500)]))
}
