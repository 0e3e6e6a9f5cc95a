//! A server with little room: pieces of text are asked to come later, what matters is taken, and an
//! emitter delivers all of it in the end.

use rethread_client::native::{Client, Config};
use rethread_tests::{make, server::Server, within};
use serde_json::json;

/// Hardly any room, and a log that counts as slow from the first moment.
const TIGHT: [&str; 4] = ["--queue-events", "16", "--queue-shed-after", "0ms"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_come_later_and_everything_arrives() {
    let server = Server::start_with(&TIGHT);
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    socket.publish(&[make::started(&run)]).await;
    let batch: Vec<_> = (0..12).map(|_| make::thinking(&run, "a piece")).collect();
    // As fast as they can be written: the answers come when they come.
    let (sent, mut shed, mut stored) = (60_u64, 0, 0);
    for req in 1_000..1_000 + sent {
        socket.send(json!({ "op": "publish", "req": req, "events": batch })).await;
    }
    for req in 1_000..1_000 + sent {
        let answer = socket.expect_where("an answer", |frame| frame["req"] == req).await;
        match answer["op"].as_str() {
            Some("published") => {
                let results = answer["results"].as_array().unwrap();
                assert!(results.iter().all(|result| result["seq"].is_u64()), "{answer}");
                stored += 1;
            }
            _ => {
                assert_eq!(answer["code"], "slow_down", "{answer}");
                assert!((1..=2_000).contains(&answer["retry_after_ms"].as_u64().unwrap()));
                shed += 1;
            }
        }
    }
    println!("{stored} publishes were stored, {shed} were asked to come later");
    assert!(shed > 0 && stored > 0);
    let metrics = api.get("/metrics").await.body;
    let line = format!("rethread_publishes_shed_total {shed}");
    assert!(metrics.as_str().unwrap().contains(&line), "{line}");
    // What matters is taken, however full it is.
    let end = socket.publish(&[make::completed(&run)]).await;
    assert!(end[0]["seq"].is_u64(), "{end:?}");
    // The same events each time: once they are stored, they are there.
    let log = api.log(&thread).await.len();
    assert_eq!(log, 2 + 12, "a publish is taken whole or not at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emitter_does_as_it_is_asked_and_delivers_in_order() {
    let server = Server::start_with(&TIGHT);
    let api = server.api();
    let mut emitting = Vec::new();
    let client = Client::connect(Config::new(server.url(), server.token())).await.unwrap();
    let mut threads = Vec::new();
    for _ in 0..4 {
        let thread = api.thread().await;
        let run: rethread_shared::RunId = api.run(&thread).await.parse().unwrap();
        threads.push(thread);
        let client = client.clone();
        emitting.push(tokio::spawn(async move {
            let emitter = client.emitter(&run);
            emitter.agent_started("a", None).await.unwrap();
            for piece in 0..100 {
                emitter.thinking(&piece.to_string()).await.unwrap();
            }
            emitter.completed(None, None).await.unwrap();
            emitter.flush().await.unwrap();
        }));
    }
    for emitting in emitting {
        within("an emitter", emitting).await.unwrap();
    }
    for thread in threads {
        let log = api.log(&thread).await;
        assert_eq!(log.len(), 102);
        for (piece, event) in log[1..101].iter().enumerate() {
            assert_eq!(event["data"]["text"], piece.to_string(), "in the order of the calls");
        }
    }
}
