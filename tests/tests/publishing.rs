//! Many publishers, many threads, one answer for each event.

use std::collections::HashMap;

use rethread_tests::{
    make,
    publisher::Publisher,
    server::Server,
    socket::{Incoming, Socket},
    within,
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_publishers_share_a_thread() {
    let server = Server::start();
    let (url, token, api) = (server.url(), server.token(), server.api());
    let thread = api.thread().await;
    let mut publishers: Vec<_> = (0..20)
        .map(|_| Publisher::over_socket(&url, &token, &thread))
        .chain((0..10).map(|_| Publisher::over_http(&url, &token, &thread)))
        .collect();
    for publisher in &mut publishers {
        publisher.wait_beyond(publisher.highest()).await;
    }
    let mut finished = Vec::new();
    for publisher in publishers {
        finished.push(publisher.finish().await);
    }
    let log = api.log(&thread).await;
    println!("{} events", log.len());
    let seqs: HashMap<&str, u64> = log
        .iter()
        .map(|event| (event["id"].as_str().unwrap(), event["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(log.len(), finished.iter().map(|f| f.events.len()).sum::<usize>());
    for publisher in finished {
        let mine: Vec<_> =
            publisher.events.iter().map(|event| seqs[event["id"].as_str().unwrap()]).collect();
        assert!(mine.is_sorted(), "a publisher's events keep its order");
        assert!(
            publisher
                .events
                .iter()
                .zip(mine)
                .all(|(event, seq)| { publisher.acked.seqs[event["id"].as_str().unwrap()] == seq })
        );
    }
}

#[tokio::test]
async fn one_publish_reaches_several_threads() {
    let server = Server::start();
    let api = server.api();
    let threads = [api.thread().await, api.thread().await, api.thread().await];
    let runs = threads.each_ref().map(|thread| make::run(thread));
    let mut events = Vec::new();
    for round in 0..4 {
        for run in &runs {
            events.push(match round {
                0 => make::started(run),
                3 => make::completed(run),
                _ => make::thinking(run, "x"),
            });
        }
        events.push(make::started("run_5d1f0c9a77e2"));
    }
    let results = server.socket().await.publish(&events).await;
    for (nth, (event, result)) in events.iter().zip(&results).enumerate() {
        assert_eq!(result["id"], event["id"], "results stand in the order of the events");
        if nth % 4 == 3 {
            assert_eq!(result["error"]["code"], "run_unresolved");
        } else {
            assert_eq!(
                (&result["thread"], &result["seq"]),
                (&json!(threads[nth % 4]), &json!(nth / 4 + 1))
            );
        }
    }
    for thread in &threads {
        assert_eq!(api.log(thread).await.len(), 4);
    }
}

#[tokio::test]
async fn an_id_is_stored_once_in_a_thread_whoever_brings_it() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let start = make::started(&run);
    let thought = make::thinking(&run, "once");
    let brief = |results: &[Value]| -> Vec<(u64, bool)> {
        let brief = |r: &Value| (r["seq"].as_u64().unwrap(), r["duplicate"] == true);
        results.iter().map(brief).collect()
    };
    let mut first = server.socket().await;
    let all = [start.clone(), thought.clone(), thought.clone(), start.clone()];
    let results = first.publish(&all).await;
    assert_eq!(brief(&results), [(1, false), (2, false), (2, true), (1, true)]);

    // From twelve connections at once, before any has an answer.
    let contested = make::thinking(&run, "contested");
    let mut sockets: Vec<Socket> = Vec::new();
    for _ in 0..12 {
        sockets.push(server.socket().await);
    }
    for socket in &mut sockets {
        socket.send(json!({ "op": "publish", "req": 1, "events": [contested, start] })).await;
    }
    let mut stored = 0;
    for socket in &mut sockets {
        let Incoming::Frame(answer) = within("an answer", socket.next()).await else {
            panic!("the connection ended");
        };
        let results = brief(answer["results"].as_array().unwrap());
        assert_eq!((results[0].0, results[1]), (3, (1, true)));
        stored += usize::from(!results[0].1);
    }
    assert_eq!(stored, 1, "one of them was the first");

    // The first content counts; another thread is another matter.
    let mut changed = thought.clone();
    changed["data"]["text"] = json!("changed");
    assert_eq!(brief(&first.publish(&[changed]).await), [(2, true)]);
    let elsewhere = api.thread().await;
    let mut there = make::started(&make::run(&elsewhere));
    there["id"] = start["id"].clone();
    assert_eq!(brief(&first.publish(&[there]).await), [(1, false)]);
    let log = api.log(&thread).await;
    assert_eq!((log.len(), &log[1]["data"]["text"]), (3, &json!("once")));
}

#[tokio::test]
async fn an_event_without_an_id_is_given_one() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let event = json!({ "run": run, "type": "agent_started", "data": { "agent": "a" } });
    let results = server.socket().await.publish(&[event]).await;
    let stored = &api.log(&thread).await[0];
    assert_eq!(stored["id"], results[0]["id"]);
    let at = stored["at"].as_u64().unwrap();
    assert!(at.abs_diff(make::unix_ms()) < 60_000, "the server's clock stands in: {at}");
}
