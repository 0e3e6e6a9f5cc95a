//! Threads, their publishers and their subscribers: what the cases are played on.

mod book;
mod crowd;
mod making;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    check::Follower,
    dialect::{Dialect, From, KEPT},
    events::{EVENT_BYTES, Source, unix_ms},
    server::Target,
    swarm::Swarm,
    wire,
};

use book::Role;
pub(crate) use book::{Book, Came, Thread};
use crowd::Away;
pub(crate) use crowd::Crowd;
pub(crate) use making::make as make_threads;

/// How long what has been published may take to arrive everywhere once nothing more is sent.
pub(crate) const DRAIN: Duration = Duration::from_secs(60);
/// Threads whose end is asked for when a load is over: enough to find a server that lies.
const HEADS: usize = 1_000;
/// Publishes that a connection may have unanswered, a little below PROTOCOL.md's limit.
const UNANSWERED_MAX: usize = 60;
/// Events of one publish while a load is set up.
const BATCH: usize = 256;

/// What a load is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many threads.
    pub(crate) threads: usize,
    /// How many connections publish to them, the threads in turn; `None`: one for each.
    pub(crate) publishers: Option<usize>,
    /// Bytes of an event.
    pub(crate) bytes: usize,
    /// Whether all that is published is to be read again, and not only what is under way.
    pub(crate) is_kept: bool,
    /// Whether peers get what is published at once as one message, as an application could pack it.
    pub(crate) is_packed: bool,
}

impl Plan {
    /// So many threads with a publisher each.
    pub(crate) fn threads(threads: usize) -> Self {
        Self { threads, publishers: None, bytes: EVENT_BYTES, is_kept: false, is_packed: false }
    }

    /// With so many publishers.
    pub(crate) fn publishers(self, publishers: usize) -> Self {
        Self { publishers: Some(publishers), ..self }
    }
}

/// A load: threads, their publishers and their subscribers, every one of these a connection.
#[derive(Debug)]
pub(crate) struct Load {
    /// What is known of each.
    pub(crate) book: Book,
    swarm: Swarm,
    target: Target,
    is_packed: bool,
    requests: u64,
    frame: Vec<u8>,
    start: Instant,
}

impl Load {
    /// Makes threads with a started run each, and connects their publishers.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn new(target: &Target, plan: Plan) -> Result<Self> {
        let prefix =
            if plan.is_kept && matches!(target.dialect, Dialect::Nchan) { KEPT } else { "thread_" };
        Self::with_prefix(target, prefix, plan)
    }

    /// The same, with ids that begin so: for a load beside another on the same server.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn with_prefix(target: &Target, prefix: &str, plan: Plan) -> Result<Self> {
        let mut load = Self {
            book: Book::new(target.dialect.clone(), plan.is_packed),
            swarm: Swarm::new(target.dialect.ping())?,
            target: target.clone(),
            is_packed: plan.is_packed,
            requests: 0,
            frame: Vec::new(),
            start: Instant::now(),
        };
        load.add_threads(prefix, plan)?;
        Ok(load)
    }

    /// Makes threads, beside those that there are.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn add_threads(&mut self, prefix: &str, plan: Plan) -> Result<()> {
        let old = self.book.threads.len();
        let ids: Vec<String> =
            (old..old + plan.threads).map(|place| format!("{prefix}{place:016x}")).collect();
        if let Dialect::Rethread(rethread) = &self.target.dialect {
            make_threads(self.target.address, &rethread.token, &ids)?;
        }
        let binds = self.target.dialect.binds_publishers();
        let publishers =
            plan.publishers.filter(|_| !binds).unwrap_or(plan.threads).min(plan.threads);
        let first = self.book.publishers.len();
        let run = |id: &str, place| format!("{id}_run_1756919162904_{place:08x}");
        for (place, id) in (old..).zip(ids) {
            if place - old < publishers {
                let book = &mut self.book;
                self.swarm.make_room(|message| book.take(message, &mut |_| ()))?;
                let opening = self.target.dialect.publisher(&id);
                let link = self.swarm.dial(self.target.address, &opening)?;
                self.book.add_publisher(link);
            }
            let source = Source::with_size(&run(&id, place), place as u64 + 1, plan.bytes);
            self.book.add_thread(id, source, first + (place - old) % publishers);
        }
        self.wait("handshakes", |load| (load.swarm.opening() > 0).then(|| load.opening_still()))?;
        // A server that keeps nothing has nobody yet to tell of it.
        if self.target.dialect.keeps() {
            for publisher in first..first + publishers {
                let threads = (old + publisher - first..old + plan.threads).step_by(publishers);
                let events: Vec<(usize, u64)> = threads.map(|thread| (thread, 0)).collect();
                for events in events.chunks(BATCH) {
                    self.wait_for_an_answer(publisher)?;
                    self.publish_all(publisher, events)?;
                }
            }
            self.drain()?;
        }
        Ok(())
    }

    /// Waits until a publisher may send one more.
    ///
    /// # Errors
    /// When it may not for too long.
    pub(crate) fn wait_for_an_answer(&mut self, publisher: usize) -> Result<()> {
        self.wait("answers", |load| {
            let unanswered = load.unanswered(publisher);
            (unanswered >= UNANSWERED_MAX).then(|| format!("{unanswered} publishes unanswered"))
        })
    }

    fn opening_still(&self) -> String {
        format!("{} handshakes are not done", self.swarm.opening())
    }

    /// Connects subscribers, each to one thread, the threads in turn; gives their numbers.
    ///
    /// # Errors
    /// When the server refuses, or takes too long.
    pub(crate) fn subscribe(&mut self, subscribers: usize, from: Begin) -> Result<Vec<usize>> {
        let mut links = Vec::with_capacity(subscribers);
        for place in 0..subscribers {
            let thread = place % self.book.threads.len();
            let book = &mut self.book;
            self.swarm.make_room(|message| book.take(message, &mut |_| ()))?;
            let id = &self.book.threads[thread].id;
            // Who comes late to a server that keeps nothing begins with what comes, too.
            let is_now = matches!(from, Begin::Now) || !self.target.dialect.keeps();
            let last = if is_now { self.book.threads[thread].source.made() } else { 0 };
            let follower = Follower::after(id, last);
            let opening = match from {
                Begin::Start | Begin::Slow => self.target.dialect.subscriber(id, From::Start),
                Begin::Now => self.target.dialect.subscriber(id, From::Now),
                Begin::Resumable => self.target.dialect.subscriber(id, From::Behind(&follower)),
            };
            let link = if matches!(from, Begin::Slow) {
                self.swarm.dial_slow(self.target.address, &opening)?
            } else {
                self.swarm.dial(self.target.address, &opening)?
            };
            let is_slow = matches!(from, Begin::Slow);
            self.book.add_subscriber(link, thread, follower, is_slow);
            links.push(link);
        }
        self.wait_for_subscriptions()?;
        if !matches!(from, Begin::Slow) {
            self.drain()?;
        }
        Ok(links)
    }

    /// Waits until every subscription stands.
    ///
    /// # Errors
    /// When the server refuses, or takes too long.
    pub(crate) fn wait_for_subscriptions(&mut self) -> Result<()> {
        self.wait("subscriptions", |load| {
            if load.swarm.opening() > 0 {
                return Some(load.opening_still());
            }
            let silent = load.target.dialect.subscribes_silently();
            let missing = load.book.unsubscribed();
            (missing > 0 && !silent).then(|| format!("{missing} subscriptions are not answered"))
        })
    }

    /// Cuts connections of subscribers, without a word to the server.
    pub(crate) fn cut(&mut self, links: &[usize]) {
        for link in links {
            self.swarm.cut(*link);
            self.book.leave(*link);
        }
    }

    /// Subscribers that were cut dial again, all at once, from where they were. They are no part of this
    /// load any more.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn come_back(&mut self, links: &[usize]) -> Result<Crowd> {
        let mut away = Vec::with_capacity(links.len());
        for link in links {
            let (thread, follower) = self.book.let_go(*link).context("a subscriber")?;
            let Thread { id, source, .. } = &self.book.threads[thread];
            away.push(Away { id: id.clone(), thread, follower, goal: source.made() });
        }
        Crowd::start(self.target.clone(), away)
    }

    /// Events of every thread that have been published.
    pub(crate) fn made_of_each(&self) -> Vec<u64> {
        self.book.threads.iter().map(|thread| thread.source.made()).collect()
    }

    /// Reads so many bytes at most of each connection that is read in sips.
    ///
    /// # Errors
    /// When what comes must not.
    pub(crate) fn sip(&mut self, links: &[usize], bytes: usize) -> Result<()> {
        let book = &mut self.book;
        for link in links {
            self.swarm.sip(*link, bytes, |message| book.take(message, &mut |_| ()))?;
        }
        Ok(())
    }

    /// Slow readers that the server has cut.
    pub(crate) fn ended(&self) -> usize {
        self.swarm.ended()
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

    /// How many publishers there are.
    pub(crate) fn publishers(&self) -> usize {
        self.book.publishers.len()
    }

    /// Events of a thread that have been published.
    pub(crate) fn made(&self, thread: usize) -> u64 {
        self.book.threads[thread].source.made()
    }

    /// Events that have been published, in all.
    pub(crate) fn made_in_all(&self) -> u64 {
        self.book.threads.iter().map(|thread| thread.source.made()).sum()
    }

    /// Publishes that have been made.
    pub(crate) fn publishes(&self) -> u64 {
        self.requests
    }

    /// Goes up whenever there was anything to do.
    pub(crate) fn work(&self) -> u64 {
        self.requests + self.swarm.woken()
    }

    /// The publisher of a thread.
    pub(crate) fn publisher_of(&self, thread: usize) -> usize {
        self.book.threads[thread].publisher
    }

    /// Publishes of a publisher that have no answer.
    pub(crate) fn unanswered(&self, publisher: usize) -> usize {
        self.book.publishers[publisher].asked.len()
    }

    /// Whether a publisher may send one more.
    pub(crate) fn may_publish(&self, publisher: usize) -> bool {
        self.unanswered(publisher) < UNANSWERED_MAX
    }

    /// Publishes a thread's next events at once; they should have been sent at `due_us`.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) fn publish(&mut self, thread: usize, events: u64, due_us: u64) -> Result<()> {
        let events = vec![(thread, due_us); events as usize];
        self.publish_all(self.book.threads[thread].publisher, &events)
    }

    /// Publishes the next events of threads at once over one connection, which must be theirs; with
    /// each, when it should have been sent.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) fn publish_all(&mut self, publisher: usize, events: &[(usize, u64)]) -> Result<()> {
        self.requests += 1;
        self.frame.clear();
        let asked = self.book.ask(events);
        let threads = &mut self.book.threads;
        let (is_packed, now) = (self.is_packed, unix_ms());
        let dialect = &self.target.dialect;
        dialect.publish(self.requests, threads, events, is_packed, now, &mut self.frame);
        if dialect.acknowledges() {
            self.book.publishers[publisher].asked.insert(self.requests, asked);
        }
        self.swarm.send(self.book.publishers[publisher].link, &self.frame)
    }

    /// Sends the last publish of Rethread once more, as after a lost answer, and waits for it to be
    /// known as a repetition. Gives the number of its events.
    ///
    /// # Errors
    /// When it was stored again.
    pub(crate) fn repeat_last(&mut self, publisher: usize, last: &[(usize, u64)]) -> Result<u64> {
        let asked = self.book.ask_again(last);
        self.book.publishers[publisher].asked.insert(self.requests, asked);
        self.swarm.send(self.book.publishers[publisher].link, &self.frame)?;
        self.drain()?;
        Ok(last.len() as u64)
    }

    /// Waits for at most `patience` and takes what has come; `each` is told of every event that
    /// arrives.
    ///
    /// # Errors
    /// When anything arrives that must not.
    pub(crate) fn turn(&mut self, patience: Duration, mut each: impl FnMut(Came)) -> Result<()> {
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
        self.wait("the end", |load| load.book.behind())
    }

    /// What is not acknowledged, or not with every subscriber, in words.
    pub(crate) fn missing(&self) -> Option<String> {
        self.book.behind()
    }

    /// Waits until all is acknowledged, whether delivered or not.
    ///
    /// # Errors
    /// When an answer is missing at the end.
    pub(crate) fn drain_answers(&mut self) -> Result<()> {
        self.wait("answers", |load| load.book.unacknowledged())
    }

    /// Turns until `missing` says that nothing is.
    fn wait(
        &mut self,
        what: &'static str,
        missing: impl Fn(&Self) -> Option<String>,
    ) -> Result<()> {
        let end = Instant::now() + DRAIN;
        while let Some(missing) = missing(self) {
            if Instant::now() > end {
                bail!("waited {} s for {what}: {missing}", DRAIN.as_secs());
            }
            self.turn(Duration::from_millis(20), |_| ())?;
        }
        Ok(())
    }

    /// Drains, then asks the server for the threads' ends and compares them with every subscriber's.
    ///
    /// # Errors
    /// When they differ.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.drain()?;
        self.compare()
    }

    /// Compares what the server has with what was published, and with what every subscriber has.
    ///
    /// # Errors
    /// When they differ.
    pub(crate) fn compare(&self) -> Result<()> {
        let mut http = match &self.target.dialect {
            Dialect::Rethread(rethread) => {
                Some((wire::connect(self.target.address)?, rethread.token.clone()))
            }
            _ => None,
        };
        let step = self.book.threads.len().div_ceil(HEADS);
        for (place, thread) in self.book.threads.iter().enumerate() {
            let made = thread.source.made();
            if let Some((stream, token)) = &mut http
                && place % step == 0
            {
                let path = format!("/v1/threads/{}/events?limit=1", thread.id);
                let page = wire::ask(stream, token, "GET", &path, "")?;
                let head = page["head"].as_u64();
                ensure!(head == Some(made), "{}: {made} published, head is {head:?}", thread.id);
            }
            for link in &thread.subscribers {
                if let Role::Subscriber { follower, .. } = &self.book.roles[*link] {
                    follower.finish(made)?;
                }
            }
        }
        Ok(())
    }
}

/// Where subscribers begin, and how they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the first event.
    Start,
    /// With what comes.
    Now,
    /// With the first event, and able to come back to where they were.
    Resumable,
    /// With the first event, reading in sips.
    Slow,
}
