//! A rolling restart under load: 500 clients follow, a publisher goes on; nothing is lost or comes twice,
//! all are back soon, and not all at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rethread_client::native::{Client, Config, Delivery, Outcome, Start, Status, Subscription};
use rethread_shared::ThreadId;
use rethread_tests::{make, server::Server, within};
use serde_json::{Value, value::to_raw_value};
use tokio::{sync::mpsc, task::JoinSet};

const CLIENTS: usize = 500;
const THREADS: usize = 10;
const RESTARTS: usize = 2;
/// What is promised, and what a machine that does other things besides may take.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(20);
const BIN: Duration = Duration::from_millis(100);

/// Follows a thread and takes every event once, in order, until `last`.
async fn follow(mut subscription: Subscription, last: Arc<AtomicBool>) -> u64 {
    let mut seen = 0;
    while let Some(delivery) = subscription.next().await {
        let Delivery::Events(batch) = delivery else { panic!("a reset: {delivery:?}") };
        for event in batch.events {
            assert_eq!(event.seq, seen + 1, "nothing is lost, nothing comes twice");
            seen = event.seq;
            if event.kind.is_end() && last.load(Ordering::SeqCst) {
                return seen;
            }
        }
    }
    panic!("the subscription ended: {:?}", subscription.error());
}

/// Says when a client came back, each time.
async fn watch(client: Client, back: mpsc::UnboundedSender<Instant>) {
    let mut status = client.watch_status();
    loop {
        if status.wait_for(|status| !matches!(status, Status::Online)).await.is_err() {
            return;
        }
        if status.wait_for(|status| matches!(status, Status::Online)).await.is_err() {
            return;
        }
        let _ = back.send(Instant::now());
    }
}

/// Publishes to every thread, steadily, until told to stop; then ends each run. How many events each
/// thread has.
async fn publish(client: Client, runs: Vec<String>, last: Arc<AtomicBool>) -> u64 {
    let mut made = 0;
    let send = |events: Vec<Value>| {
        let events = events.iter().map(|event| to_raw_value(event).unwrap()).collect();
        let client = client.clone();
        async move {
            for outcome in client.publish(events).await.unwrap() {
                assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
            }
        }
    };
    send(runs.iter().map(|run| make::started(run)).collect()).await;
    made += 1;
    let mut every = tokio::time::interval(Duration::from_millis(50));
    while !last.load(Ordering::SeqCst) {
        every.tick().await;
        send(runs.iter().map(|run| make::thinking(run, "steadily")).collect()).await;
        made += 1;
    }
    send(runs.iter().map(|run| make::completed(run)).collect()).await;
    made + 1
}

fn histogram(times: &[Duration]) -> Vec<usize> {
    let mut bins = Vec::new();
    for time in times {
        let bin = (time.as_millis() / BIN.as_millis()) as usize;
        bins.resize(bins.len().max(bin + 1), 0);
        bins[bin] += 1;
    }
    bins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_come_back_after_a_restart_and_miss_nothing() {
    let mut server = Server::start();
    let api = server.api();
    let mut runs = Vec::new();
    let mut threads: Vec<ThreadId> = Vec::new();
    for _ in 0..THREADS {
        let thread = api.thread().await;
        runs.push(api.run(&thread).await);
        threads.push(thread.parse().unwrap());
    }
    let token = server.token();
    let (back, mut returns) = mpsc::unbounded_channel();
    let last = Arc::new(AtomicBool::new(false));
    let (mut followers, mut watchers) = (JoinSet::new(), JoinSet::new());
    for place in 0..CLIENTS {
        let connecting = Client::connect(Config::new(server.url(), token.clone()));
        let client = within("a connection", connecting).await.unwrap();
        let thread = threads[place % THREADS].clone();
        let subscription = client.subscribe(thread, Start::Beginning).await.unwrap();
        followers.spawn(follow(subscription, last.clone()));
        watchers.spawn(watch(client, back.clone()));
    }
    let publisher = Client::connect(Config::new(server.url(), token)).await.unwrap();
    let publishing = tokio::spawn(publish(publisher, runs, last.clone()));

    for restart in 1..=RESTARTS {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let stopped_at = Instant::now();
        assert!(server.stop().await.success());
        server.restart();
        let up = stopped_at.elapsed();
        let mut times = Vec::new();
        while times.len() < CLIENTS {
            let left = (BACK_WITHIN + SLACK).saturating_sub(stopped_at.elapsed());
            let time = tokio::time::timeout(left, returns.recv()).await;
            let time = time.unwrap_or_else(|_| panic!("{} are back of {CLIENTS}", times.len()));
            times.push(time.unwrap().duration_since(stopped_at));
        }
        times.sort();
        let bins = histogram(&times);
        println!("restart {restart}: the server was up again after {up:.2?}");
        println!(
            "back: the first after {:.2?}, half after {:.2?}, all after {:.2?} (promised: {BACK_WITHIN:?})",
            times[0],
            times[CLIENTS / 2],
            times[CLIENTS - 1]
        );
        for (place, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            println!("{:>5} ms {count:>4} {}", place * 100, "#".repeat(count.div_ceil(4)));
        }
        let most = bins.iter().max().unwrap();
        assert!(*most < CLIENTS / 2, "{most} of {CLIENTS} came back within {BIN:?}: a spike");
    }
    last.store(true, Ordering::SeqCst);
    let made = within("the publisher", publishing).await.unwrap();
    println!("{made} events in each of {THREADS} threads");
    let all = within("all events at all clients", followers.join_all()).await;
    assert!(all.iter().all(|seen| *seen == made), "everybody has everything: {made} and {all:?}");
    for thread in &threads {
        let log = api.log(thread.as_str()).await;
        assert_eq!(log.len() as u64, made, "zero lost, zero twice");
    }
    watchers.abort_all();
}
