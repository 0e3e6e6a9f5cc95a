//! SIGTERM: everybody is told when to come back, and nothing acknowledged is lost.

use rethread_tests::{
    follower::Follower, make, publisher::Publisher, server::Server, socket::Socket, sse::Sse, until,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_come_back_and_have_everything() {
    let mut server = Server::start();
    let (url, token, api) = (server.url(), server.token(), server.api());
    let thread = api.thread().await;
    let mut follower = Follower::start(&url, &token, &thread);
    let mut over_socket = Publisher::over_socket(&url, &token, &thread);
    let mut over_http = Publisher::over_http(&url, &token, &thread);
    for round in 1..=3 {
        let mut idle = server.socket().await;
        let mut before_hello = Socket::open(&url).await.unwrap();
        over_socket.wait_beyond(over_socket.highest()).await;
        over_http.wait_beyond(over_http.highest()).await;
        server.terminate();
        for socket in [&mut idle, &mut before_hello] {
            let goodbye = socket.expect("goodbye").await;
            assert_eq!(goodbye["reason"], "shutdown");
            assert!(goodbye["retry_after_ms"].as_u64().unwrap() < 1_000, "{goodbye}");
            assert_eq!(socket.expect_end().await, Some(4000));
        }
        let status = server.ended().await;
        assert!(status.success(), "{status}");
        server.restart();
        follower.wait("the follower's return", |record| record.welcomes > round).await;
    }
    let mut made = 0;
    for publisher in [over_socket, over_http] {
        made += publisher.finish().await.events.len();
    }
    let log = api.log(&thread).await;
    assert_eq!(log.len(), made, "what was made was acknowledged, and is there once");
    assert_eq!(*follower.events_until(log.len()).await, log);
    assert_eq!((follower.record().holes, follower.record().resets), (0, 0));
}

#[tokio::test]
async fn a_stream_of_server_sent_events_does_not_hold_the_server_up() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    api.publish(&make::whole_run(&api.run(&thread).await, 1)).await;
    let path = format!("/v1/threads/{thread}/events");
    let mut stream = Sse::open(&api, &path, None).await;
    let last = {
        let _ = (stream.event().await, stream.event().await);
        stream.event().await
    };
    assert_eq!(last.data["type"], "agent_completed");
    assert!(server.stop().await.success());
    server.restart();
    let mut stream = Sse::open(&api, &path, Some(&last.id)).await;
    api.publish(&make::whole_run(&api.run(&thread).await, 0)).await;
    assert_eq!(stream.event().await.data["seq"], 4);
}

#[tokio::test]
async fn what_waits_and_what_works_survives_a_stop() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut person = server.socket().await;
    let ask = |text: &str| json!({ "op": "send", "thread": thread, "message_id": make::id(), "text": text });
    let mut docs = server.socket().await;
    docs.send(json!({ "op": "serve", "agent": "docs" })).await;
    let works = person.ask(ask("works")).await["run"].clone();
    docs.expect("work").await;
    docs.publish(&[make::started(works.as_str().unwrap())]).await;
    let mut second = ask("waits");
    second["agent"] = json!("nobody yet");
    let waits = person.ask(second).await["run"].clone();
    assert!(server.stop().await.success());
    server.restart();

    let mut docs = server.socket().await;
    docs.send(json!({ "op": "serve", "agent": "docs", "runs": [works] })).await;
    docs.publish(&[make::completed(works.as_str().unwrap())]).await;
    docs.send(json!({ "op": "serve", "agent": "nobody yet" })).await;
    assert_eq!(docs.expect("work").await["run"], waits);
    docs.publish(&make::whole_run(waits.as_str().unwrap(), 0)).await;
    until("both ends", || async {
        let log = api.log(&thread).await;
        (log.iter().filter(|event| event["type"] == "agent_completed").count() == 2).then_some(())
    })
    .await;
}
