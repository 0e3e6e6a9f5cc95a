//! `kill -9` at any moment loses nothing that was acknowledged, doubles nothing, and moves nothing.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rethread_tests::{
    api::Api,
    follower::Follower,
    publisher::{Finished, Publisher},
    server::Server,
    until,
};
use serde_json::Value;

const ROUNDS: usize = 100;

/// Publishers at full speed over sockets and over HTTP, two threads, two followers of each; the
/// server is killed at a random moment, started again, and everybody comes back. `RETHREAD_SEED`
/// gives the moments again; what they meet depends on the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_in_100_crashes() {
    let seed = match std::env::var("RETHREAD_SEED") {
        Ok(seed) => seed.parse().expect("RETHREAD_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    println!("RETHREAD_SEED={seed}");
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);

    let mut server = Server::start();
    let (url, token, api) = (server.url(), server.token(), server.api());
    let threads = [api.thread().await, api.thread().await];
    let epochs = [epoch(&api, &threads[0]).await, epoch(&api, &threads[1]).await];
    let mut publishers: Vec<(usize, Publisher)> = Vec::new();
    let mut followers: Vec<(usize, Follower)> = Vec::new();
    for (nth, thread) in threads.iter().enumerate() {
        publishers.push((nth, Publisher::over_socket(&url, &token, thread)));
        publishers.push((nth, Publisher::over_socket(&url, &token, thread)));
        publishers.push((nth, Publisher::over_http(&url, &token, thread)));
        followers.push((nth, Follower::start(&url, &token, thread)));
        followers.push((nth, Follower::start(&url, &token, thread)));
    }

    for round in 0..ROUNDS {
        for (_, publisher) in &mut publishers {
            let seen = publisher.highest();
            publisher.wait_beyond(seen).await;
        }
        // The moment is the point here: anything may be under way in it.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
        let acked: Vec<_> = publishers.iter().map(|(nth, p)| (*nth, p.highest())).collect();
        server.kill();
        server.restart();
        for (nth, highest) in acked {
            let head = head(&api, &threads[nth]).await;
            assert!(
                head >= highest,
                "round {round}: {highest} was acknowledged, {head} is the head"
            );
        }
    }

    let mut finished: Vec<(usize, Finished)> = Vec::new();
    for (nth, publisher) in publishers {
        finished.push((nth, publisher.finish().await));
    }
    let mut duplicates = 0;
    for (nth, thread) in threads.iter().enumerate() {
        assert_eq!(epoch(&api, thread).await, epochs[nth], "a crash makes no new log");
        // Reading checks that the seqs are 1, 2, 3, …
        let log = api.log(thread).await;
        println!("{thread}: {} events", log.len());
        let ids: HashSet<&str> = log.iter().map(id).collect();
        assert_eq!(ids.len(), log.len(), "an event is in the log twice");
        let here = || finished.iter().filter(|(of, _)| *of == nth).map(|(_, f)| f);
        let made: usize = here().map(|finished| finished.events.len()).sum();
        assert_eq!(log.len(), made, "as many as were made, all of which were acknowledged");
        for publisher in here() {
            check_publisher(&log, publisher);
            duplicates += publisher.acked.duplicates;
        }
        for (_, follower) in followers.iter_mut().filter(|(of, _)| *of == nth) {
            let record = follower.wait("the end", |record| record.events.len() >= log.len()).await;
            assert_eq!(*record.events, log, "a follower's record is the log");
            assert_eq!((record.holes, record.resets), (0, 0));
        }
    }
    println!("{duplicates} events were published again and stored once");
    assert!(duplicates > 0, "{ROUNDS} crashes and no answer was lost: is anything killed?");
}

/// Its events are in the log in its order, each at the place that was acknowledged, with its content.
fn check_publisher(log: &[Value], publisher: &Finished) {
    let by_id: HashMap<&str, &Value> = log.iter().map(|event| (id(event), event)).collect();
    let mut before = 0;
    for made in &publisher.events {
        let stored = by_id[id(made)];
        let seq = stored["seq"].as_u64().expect("a seq");
        assert_eq!(seq, publisher.acked.seqs[id(made)], "not where it was acknowledged");
        assert!(seq > before, "{seq} was published after {before}");
        for member in ["run", "type", "at", "data"] {
            assert_eq!(stored[member], made[member], "{seq} has another {member}");
        }
        before = seq;
    }
}

fn id(event: &Value) -> &str {
    event["id"].as_str().expect("an id")
}

async fn page(api: &Api, thread: &str) -> Value {
    let path = format!("/v1/threads/{thread}/events?limit=1");
    until("a page", || async { Some(api.get(&path).await).filter(|page| page.status == 200) })
        .await
        .body
}

async fn head(api: &Api, thread: &str) -> u64 {
    page(api, thread).await["head"].as_u64().expect("a head")
}

async fn epoch(api: &Api, thread: &str) -> String {
    page(api, thread).await["epoch"].as_str().expect("an epoch").to_owned()
}
