//! A reader that does not read costs bounded memory and nobody else's time, and loses nothing.

use rethread_shared::code::CloseClass;
use rethread_tests::{
    api::Api,
    follower::Follower,
    make,
    server::Server,
    socket::{Incoming, Socket},
    until, within,
};
use serde_json::{Value, json};

const EVENTS: usize = 3_000;
const EVENT_BYTES: usize = 20_000;
const SLEEPERS: usize = 16;
/// What the server may grow by while 60 MB wait for each of 16 readers that do not read, a gigabyte in
/// all: some write's worth a reader, and the engine's memory tables, which come and go.
const GROWTH_KIB_MAX: u64 = 128 * 1024;

/// Publishes a long run: far more than sockets buffer.
async fn flood(api: &Api, thread: &str) {
    let run = api.run(thread).await;
    let text = "x".repeat(EVENT_BYTES);
    api.publish(&[make::started(&run)]).await;
    for _ in 0..EVENTS / 100 {
        let events: Vec<_> = (0..100).map(|_| make::thinking(&run, &text)).collect();
        api.publish(&events).await;
    }
    api.publish(&[make::completed(&run)]).await;
}

async fn subscribed(server: &Server, thread: &str, after: Value) -> (Socket, Value) {
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "subscribe", "thread": thread, "after": after })).await;
    let subscribed = socket.expect("subscribed").await;
    (socket, subscribed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_nobody_up_and_comes_back() {
    let server = Server::start_with(&["--http-write-stall", "10s"]);
    let api = server.api();
    let thread = api.thread().await;
    // Warm, so that growth is what the readers cost.
    for _ in 0..2 {
        let warm = api.thread().await;
        flood(&api, &warm).await;
    }
    let before = server.memory_kib();

    let mut sleepers = Vec::new();
    for _ in 0..SLEEPERS {
        sleepers.push(subscribed(&server, &thread, json!("start")).await.0);
    }
    let mut awake = Follower::start(&server.url(), &server.token(), &thread);
    flood(&api, &thread).await;
    let log = api.log(&thread).await;
    assert_eq!(*awake.events_until(log.len()).await, log, "the one that reads has everything");
    assert_eq!(awake.record().welcomes, 1, "over one connection");
    let growth = server.memory_kib().saturating_sub(before);
    println!("memory grew by {growth} KiB");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB for readers that do not read");

    // Each is let go of; the follower stays.
    until("the server to let go of the readers", || async {
        let ready = api.get("/readyz").await;
        (ready.body["connections"] == 1).then_some(())
    })
    .await;
    assert_eq!(awake.record().welcomes, 1);
    for mut sleeper in sleepers {
        // What was on its way comes, then the end; its code may be lost with the connection.
        let mut position = 0;
        let code = loop {
            match within("the end", sleeper.next()).await {
                Incoming::Frame(frame) => {
                    assert_eq!(frame["first"], position + 1, "no hole on the way");
                    position = frame["last"].as_u64().unwrap();
                }
                Incoming::Closed(code) => break code,
            }
        };
        assert!(code.is_none_or(|code| CloseClass::of(code) == CloseClass::Transient), "{code:?}");
        assert!(position < log.len() as u64, "it was closed before the end");
        let (mut back, subscribed) = {
            let epoch = epoch(&api, &thread).await;
            subscribed(&server, &thread, json!({ "epoch": epoch, "seq": position })).await
        };
        assert_eq!(subscribed["after"], position);
        let rest = back.events_until(&thread, position + 1, log.len() as u64).await;
        assert_eq!(rest, log[usize::try_from(position).unwrap()..]);
    }
}

async fn epoch(api: &Api, thread: &str) -> Value {
    api.get(&format!("/v1/threads/{thread}/events?limit=1")).await.body["epoch"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_falls_behind_catches_up_from_the_log() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let (mut late, _) = subscribed(&server, &thread, json!("now")).await;
    flood(&api, &thread).await;
    let log = api.log(&thread).await;
    let seen = late.events_until(&thread, 1, log.len() as u64).await;
    assert_eq!(seen, log, "all of it, over the same connection");
    // And it is live again.
    let run = api.run(&thread).await;
    api.publish(&make::whole_run(&run, 0)).await;
    let next = log.len() as u64 + 1;
    assert_eq!(late.events_until(&thread, next, next + 1).await[1]["type"], "agent_completed");
}
