//! Durable append alone: publishers, and nobody who follows. An event counts when its publisher has
//! been told that it is stored.

use std::{
    collections::HashMap,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{THREADS, WARM_UP};
use crate::{
    check,
    events::{Source, unix_ms},
    load::{DRAIN, idle_word},
    report::Measure,
    server::{Cost, Home, Server, Span},
    swarm::{Message, Swarm},
    wire::{Protocol, connect, open_socket, push_frame, push_request},
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Events of one publish.
    pub(super) batch: u64,
    /// Publishes without an answer, at most.
    pub(super) under_way: usize,
}

/// The threads, each with its run.
struct Threads {
    ids: Vec<String>,
    sources: Vec<Source>,
    http: TcpStream,
}

impl Threads {
    fn make(server: &Server) -> Result<Self> {
        let mut http = connect(server.address)?;
        let (mut ids, mut sources) = (Vec::new(), Vec::new());
        for place in 0..THREADS {
            let (id, run) = server.thread_with_run(&mut http)?;
            ids.push(id);
            sources.push(Source::new(&run, place as u64 + 1));
        }
        Ok(Self { ids, sources, http })
    }

    /// Checks that the server has of each thread what was published, and no more.
    fn finish(&mut self, server: &Server) -> Result<()> {
        for (id, source) in self.ids.iter().zip(&self.sources) {
            let head = server.head(&mut self.http, id)?;
            ensure!(head == source.made(), "{id}: {} published, head is {head}", source.made());
        }
        Ok(())
    }
}

/// What is measured of a run: not its warm-up, and not its end.
struct Window {
    warm: Instant,
    length: Duration,
    open: Option<(Span, u64, Instant)>,
}

impl Window {
    fn new(length: Duration) -> Self {
        Self { warm: Instant::now() + WARM_UP, length, open: None }
    }

    /// False when it is time to stop.
    fn is_open(&mut self, server: &Server, stored: u64) -> Result<bool> {
        let now = Instant::now();
        match &self.open {
            None if now >= self.warm => {
                self.open = Some((server.span()?, stored, now + self.length));
            }
            Some((.., end)) => return Ok(now < *end),
            None => {}
        }
        Ok(true)
    }

    /// The events that were stored in it, and what they cost.
    fn close(self, server: &Server, stored: u64) -> Result<(u64, Cost)> {
        let (span, before, _) = self.open.context("it has not begun")?;
        Ok((stored - before, span.end(server)?))
    }
}

fn measures(events: u64, cost: Cost, again: u64) -> Vec<Measure> {
    let events = events as f64;
    vec![
        Measure::new("stored, durable", "events/s", events / cost.seconds),
        Measure::new("server CPU per event", "us", cost.server / events * 1e6),
        Measure::new("server busy", "% of a core", cost.server / cost.seconds * 100.0),
        Measure::new("load generator busy", "% of a core", cost.generator / cost.seconds * 100.0),
        Measure::new("repeated at the end, stored once", "events", again as f64),
    ]
}

/// The publishes of one WebSocket. Event `k` of all goes to thread `k % THREADS`.
#[derive(Default)]
struct Asked {
    /// Without an answer: the place of their first event among all.
    waiting: HashMap<u64, u64>,
    batch: u64,
    stored: u64,
    /// True when the same events are published again.
    is_again: bool,
}

impl Asked {
    fn take(&mut self, message: Message<'_>) -> Result<()> {
        let Some(req) = check::published(message.payload) else {
            return idle_word(message.payload);
        };
        let first = self.waiting.remove(&req).context("an answer to what was not asked")?;
        let expected = (first..first + self.batch).map(|k| k / THREADS as u64 + 1);
        self.stored += check::stored(message.payload, expected, self.is_again)?;
        Ok(())
    }
}

pub(super) fn over_socket(home: &Home, length: Duration, shape: Shape) -> Result<Vec<Measure>> {
    let server = Server::start(home)?;
    let mut threads = Threads::make(&server)?;
    let mut hello = Vec::new();
    push_frame(server.hello().as_bytes(), &mut hello);
    let mut swarm = Swarm::new()?;
    let link = swarm.add(open_socket(server.address, &hello)?, Protocol::WebSocket)?;

    let mut asked = Asked { batch: shape.batch, ..Asked::default() };
    let (mut req, mut made) = (0_u64, 0_u64);
    let (mut text, mut frame) = (Vec::new(), Vec::new());
    let mut window = Window::new(length);
    while window.is_open(&server, asked.stored)? {
        while asked.waiting.len() < shape.under_way {
            req += 1;
            asked.waiting.insert(req, made);
            text.clear();
            text.extend_from_slice(
                format!(r#"{{"op":"publish","req":{req},"events":["#).as_bytes(),
            );
            let unix_ms = unix_ms();
            for _ in 0..shape.batch {
                threads.sources[made as usize % THREADS].write_next(0, unix_ms, &mut text);
                text.push(b',');
                made += 1;
            }
            text.pop();
            text.extend_from_slice(b"]}");
            frame.clear();
            push_frame(&text, &mut frame);
            swarm.send(link, &frame)?;
        }
        swarm.turn(Duration::from_millis(20), |message| asked.take(message))?;
    }
    let (events, cost) = window.close(&server, asked.stored)?;
    let answered = |asked: &Asked| asked.waiting.is_empty();
    let missing = |asked: &Asked| format!("{} publishes have no answer", asked.waiting.len());
    swarm.until(DRAIN, &mut asked, Asked::take, answered, missing)?;

    // The last publish once more, as after a lost answer: the same places, nothing stored.
    asked.is_again = true;
    asked.waiting.insert(req, made - shape.batch);
    let before = asked.stored;
    swarm.send(link, &frame)?;
    swarm.until(DRAIN, &mut asked, Asked::take, answered, missing)?;
    threads.finish(&server)?;
    Ok(measures(events, cost, asked.stored - before))
}

/// One connection of HTTP, which has one request under way in its own thread.
struct Poster {
    request: Vec<u8>,
    /// The number of the first event in it.
    first: u64,
    is_waiting: bool,
}

struct Posters {
    all: Vec<Poster>,
    batch: u64,
    stored: u64,
    is_again: bool,
}

impl Posters {
    fn take(&mut self, message: Message<'_>) -> Result<()> {
        let poster = &mut self.all[message.link];
        ensure!(poster.is_waiting, "an answer to what was not asked");
        poster.is_waiting = false;
        let expected = poster.first..poster.first + self.batch;
        self.stored += check::stored(message.payload, expected, self.is_again)?;
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.all.iter().all(|poster| !poster.is_waiting)
    }

    fn missing(&self) -> String {
        let waiting = self.all.iter().filter(|poster| poster.is_waiting).count();
        format!("{waiting} requests have no answer")
    }
}

pub(super) fn over_http(home: &Home, length: Duration, shape: Shape) -> Result<Vec<Measure>> {
    let server = Server::start(home)?;
    let mut threads = Threads::make(&server)?;
    let mut swarm = Swarm::new()?;
    let mut posters = Posters { all: Vec::new(), batch: shape.batch, stored: 0, is_again: false };
    for _ in 0..THREADS {
        swarm.add(connect(server.address)?, Protocol::Http)?;
        posters.all.push(Poster { request: Vec::new(), first: 0, is_waiting: false });
    }
    let mut window = Window::new(length);
    while window.is_open(&server, posters.stored)? {
        let unix_ms = unix_ms();
        for (link, (poster, source)) in posters.all.iter_mut().zip(&mut threads.sources).enumerate()
        {
            if !poster.is_waiting {
                poster.first = source.made() + 1;
                poster.is_waiting = true;
                poster.request = request(&server.token, source, shape.batch, unix_ms);
                swarm.send(link, &poster.request)?;
            }
        }
        swarm.turn(Duration::from_millis(20), |message| posters.take(message))?;
    }
    let (events, cost) = window.close(&server, posters.stored)?;
    swarm.until(DRAIN, &mut posters, Posters::take, Posters::is_quiet, Posters::missing)?;

    posters.is_again = true;
    let before = posters.stored;
    for (link, poster) in posters.all.iter_mut().enumerate() {
        poster.is_waiting = true;
        swarm.send(link, &poster.request)?;
    }
    swarm.until(DRAIN, &mut posters, Posters::take, Posters::is_quiet, Posters::missing)?;
    threads.finish(&server)?;
    Ok(measures(events, cost, posters.stored - before))
}

/// One event alone, or an array.
fn request(token: &str, source: &mut Source, batch: u64, unix_ms: u64) -> Vec<u8> {
    let mut body = Vec::new();
    if batch == 1 {
        source.write_next(0, unix_ms, &mut body);
    } else {
        body.push(b'[');
        for _ in 0..batch {
            source.write_next(0, unix_ms, &mut body);
            body.push(b',');
        }
        body.pop();
        body.push(b']');
    }
    let mut request = Vec::new();
    push_request("POST", "/v1/events", token, &body, &mut request);
    request
}
