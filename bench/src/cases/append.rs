//! Durable append alone: publishers, and nobody who follows. An event counts when its publisher has
//! been told that it is stored.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Run, Window, busy, written};
use crate::{
    check,
    dialect::Dialect,
    events::{Source, unix_ms},
    load::{DRAIN, Load, Plan, make_threads},
    report::Measure,
    server::Cost,
    swarm::{Message, Swarm},
    wire::{ask, connect, push_request},
};

/// Threads, where there are not more publishers.
const THREADS: usize = 50;

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    publishers: usize,
    /// Events of one publish.
    batch: usize,
    /// Publishes of each without an answer, at most.
    under_way: usize,
}

impl Shape {
    pub(super) fn new(publishers: usize, batch: usize, under_way: usize) -> Self {
        Self { publishers, batch, under_way }
    }
}

fn measures(events: f64, cost: Cost, again: u64) -> Vec<Measure> {
    let mut measures = vec![
        Measure::new("stored, durable", "events/s", events / cost.seconds),
        Measure::new("server CPU per event", "us", cost.server / events * 1e6),
        written(cost, events),
        Measure::new("repeated at the end, stored once", "events", again as f64),
    ];
    measures.extend(busy(cost));
    measures
}

pub(super) fn over_socket(run: &Run<'_>, shape: Shape) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let threads = THREADS.max(shape.publishers);
    let plan = Plan::threads(threads).publishers(shape.publishers);
    let mut load = Load::new(&server.target, plan)?;
    // Each publisher's threads, and where it is among them.
    let mut turns: Vec<(Vec<usize>, usize)> = vec![(Vec::new(), 0); shape.publishers];
    for thread in 0..threads {
        turns[load.publisher_of(thread)].0.push(thread);
    }
    let mut last = (0, Vec::new());
    let mut window = Window::new(run.length);
    while window.is_open(&server, load.book.acknowledged)? {
        for (publisher, (threads, turn)) in turns.iter_mut().enumerate() {
            while load.unanswered(publisher) < shape.under_way {
                let events = (*turn..*turn + shape.batch).map(|k| (threads[k % threads.len()], 0));
                last = (publisher, events.collect());
                *turn = (*turn + shape.batch) % threads.len();
                load.publish_all(publisher, &last.1)?;
            }
        }
        load.turn(Duration::from_millis(20), |_| ())?;
    }
    let (events, cost) = window.close(&server, load.book.acknowledged)?;
    load.drain()?;
    // The last publish once more, as after a lost answer: the same places, nothing stored.
    let again = load.repeat_last(last.0, &last.1)?;
    load.finish()?;
    Ok(measures(events, cost, again))
}

/// One connection of HTTP, which has one request under way in its own thread.
struct Poster {
    source: Source,
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
    fn take(&mut self, message: Message<'_>) -> Result<Option<&'static str>> {
        let poster = &mut self.all[message.link];
        ensure!(poster.is_waiting, "an answer to what was not asked");
        poster.is_waiting = false;
        let expected = poster.first..poster.first + self.batch;
        self.stored += check::stored(message.payload, expected, self.is_again)?;
        Ok(None)
    }

    fn is_quiet(&self) -> bool {
        self.all.iter().all(|poster| !poster.is_waiting)
    }

    fn missing(&self) -> String {
        let waiting = self.all.iter().filter(|poster| poster.is_waiting).count();
        format!("{waiting} requests have no answer")
    }
}

pub(super) fn over_http(run: &Run<'_>, shape: Shape) -> Result<Vec<Measure>> {
    let server = run.start()?;
    let address = server.target.address;
    let Dialect::Rethread(rethread) = &server.target.dialect else {
        anyhow::bail!("only Rethread stores over HTTP");
    };
    let ids: Vec<String> =
        (0..shape.publishers).map(|place| format!("thread_{place:016x}")).collect();
    make_threads(address, &rethread.token, &ids)?;
    let mut swarm = Swarm::new(None)?;
    let mut posters =
        Posters { all: Vec::new(), batch: shape.batch as u64, stored: 0, is_again: false };
    for (place, id) in ids.iter().enumerate() {
        swarm.dial_http(address)?;
        let run = format!("{id}_run_1756919162904_{place:08x}");
        let source = Source::new(&run, place as u64 + 1);
        posters.all.push(Poster { source, request: Vec::new(), first: 0, is_waiting: false });
    }
    let mut window = Window::new(run.length);
    while window.is_open(&server, posters.stored)? {
        let unix_ms = unix_ms();
        for (link, poster) in posters.all.iter_mut().enumerate() {
            if !poster.is_waiting {
                poster.first = poster.source.made() + 1;
                poster.is_waiting = true;
                poster.request = request(&rethread.token, &mut poster.source, shape.batch, unix_ms);
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
    let mut http = connect(address)?;
    for (id, poster) in ids.iter().zip(&posters.all) {
        let path = format!("/v1/threads/{id}/events?limit=1");
        let head = ask(&mut http, &rethread.token, "GET", &path, "")?["head"].as_u64();
        let made = poster.source.made();
        ensure!(head == Some(made), "{id}: {made} published, head is {head:?}");
    }
    Ok(measures(events, cost, posters.stored - before))
}

/// One event alone, or an array.
fn request(token: &str, source: &mut Source, batch: usize, unix_ms: u64) -> Vec<u8> {
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
