//! The connection for networks that block WebSocket: the same frames and the same laws.

use reqwest::Method;
use rethread_tests::{
    api::{Api, answer},
    make,
    server::{Server, token},
    socket::Incoming,
    stream::{PATH, Stream},
    until, within,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_thread_is_followed_and_written_to() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run)]).await;

    let mut stream = Stream::welcomed(&server.url(), &server.token()).await;
    stream.send(&[json!({ "op": "subscribe", "thread": thread, "after": "start" })]).await;
    assert_eq!(stream.expect("subscribed").await["head"], 1);
    stream.events_until(1, 1).await;
    // Live, in the order of the frames, several in one request.
    let publish = |req: u64, text: &str| json!({ "op": "publish", "req": req, "events": [make::thinking(&run, text)] });
    let frames: Vec<_> =
        (1..=20).map(|req| publish(req, &format!("piece {req}\u{2028}"))).collect();
    stream.send(&frames).await;
    let events = stream.events_until(2, 21).await;
    assert_eq!(events, api.log(&thread).await[1..]);
    for (piece, event) in (1..).zip(&events) {
        assert_eq!(event["data"]["text"], format!("piece {piece}\u{2028}"));
    }
    // Line ends between JSON tokens are carried too.
    let id = make::thinking(&run, "")["id"].clone();
    let spread = format!(
        "{{\"id\":{id},\n\"run\":\"{run}\",\r\n\"type\":\"agent_thinking\",\"data\":\n{{\"text\":\"x\"}}}}"
    );
    assert_eq!(api.post_text("/v1/events", "application/json", spread).await.status, 200);
    assert_eq!(stream.events_until(22, 22).await[0]["data"]["text"], "x");

    let id = make::thinking(&run, "")["id"].clone();
    let other = api.thread().await;
    let send = json!({ "op": "send", "req": 30, "thread": other, "message_id": id, "text": "hi" });
    stream.send(std::slice::from_ref(&send)).await;
    let sent = stream.expect("sent").await;
    assert_eq!((&sent["req"], &sent["seq"]), (&json!(30), &json!(1)));
    // The same request again, as a proxy may send it: the same answer, and nothing twice.
    stream.send(&[send]).await;
    assert_eq!(stream.expect("sent").await, sent);
    assert_eq!(api.log(&other).await.len(), 1);

    let operator = Api::new(&server.url(), &token(&["--user", "olga", "--scope", "admin"]));
    let seen = operator.get("/v1/admin/connections").await;
    assert_eq!(seen.body["connections"][0]["transport"], "tunnel", "{seen:?}");
    drop(stream);
    until("the server to see that the client has left", || async {
        let seen = operator.get("/v1/admin/connections").await;
        (seen.body["open"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let server = Server::start();
    let stream = Stream::welcomed(&server.url(), &server.token_of("ada")).await;
    let ping = json!({ "op": "ping" });
    assert_eq!(stream.name.len(), 32, "128 bits: {}", stream.name);
    let ask = |token: String, path: String| {
        let api = Api::new(&server.url(), &token);
        answer(api.request(Method::POST, &path).body(ping.to_string()))
    };
    let guessed = format!("{PATH}/{}", "0".repeat(32));
    let missing = ask(server.token_of("ada"), guessed.clone()).await;
    assert_eq!((missing.status, missing.code()), (404, "not_found"));
    let others = ask(server.token_of("eve"), stream.path()).await;
    assert_eq!(others, missing, "another's is as good as none");
    assert_eq!(ask("nonsense".into(), stream.path()).await.code(), "unauthorized");
    assert_eq!(ask(server.token_of("ada"), stream.path()).await.status, 204);

    let api = server.api();
    for (body, code) in [
        (String::new(), "hello_required"),
        (ping.to_string(), "hello_required"),
        ("no JSON".into(), "hello_required"),
    ] {
        let refused = answer(api.request(Method::POST, PATH).body(body)).await;
        assert_eq!((refused.status, refused.code()), (400, code), "{refused:?}");
    }
    let hello = json!({ "op": "hello", "token": server.token() }).to_string();
    let request = api.request(Method::POST, PATH).header("origin", "https://evil.example");
    assert_eq!(answer(request.body(hello)).await.code(), "forbidden");
}

#[tokio::test]
async fn the_end_has_the_code_of_a_close_frame() {
    let server = Server::start();
    let operator = Api::new(&server.url(), &token(&["--user", "olga", "--scope", "admin"]));
    let api = server.api();
    let refused = json!({ "op": "hello", "token": "nonsense" });
    let (told, code) = Stream::open(&api, &[refused]).await.rest().await;
    assert_eq!((told[0]["code"].as_str(), code), (Some("unauthorized"), Some(4500)));

    let short = || token(&["--user", "ada", "--scope", "subscribe", "--ttl", "2s"]);
    let mut lets_it = Stream::welcomed(&server.url(), &short()).await;
    let mut renews = Stream::welcomed(&server.url(), &short()).await;
    renews.expect("token_expiring").await;
    let longer = token(&["--user", "ada", "--scope", "subscribe", "--ttl", "1h"]);
    renews.send(&[json!({ "op": "hello", "token": longer })]).await;
    renews.renew(&longer);
    renews.expect("welcome").await;
    let (told, code) = lets_it.rest().await;
    assert_eq!((told[0]["op"].as_str(), code), (Some("token_expiring"), Some(4200)));
    renews.send(&[json!({ "op": "ping" })]).await;

    let revoked = operator.post("/v1/admin/revoke", &json!({ "user": "ada" })).await;
    assert_eq!(
        (&revoked.body["connections"], &revoked.body["complete"]),
        (&json!(1), &json!(true))
    );
    let (told, code) = renews.rest().await;
    assert_eq!((told[0]["code"].as_str(), code), (Some("token_revoked"), Some(4201)));

    let mut bad = Stream::welcomed(&server.url(), &server.token_of("bob")).await;
    let junk: Vec<Value> = (0..40).map(|_| json!({ "op": "nonsense" })).collect();
    // The stream may end before all are taken.
    let answer = bad.try_send(&junk).await;
    assert!([204, 404].contains(&answer.status), "{answer:?}");
    assert_eq!(bad.rest().await.1, Some(4501));
    let gone = bad.try_send(&[json!({ "op": "ping" })]).await;
    assert_eq!((gone.status, gone.code()), (404, "not_found"), "{gone:?}");
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let server = Server::start();
    let mut stream = Stream::welcomed(&server.url(), &server.token()).await;
    server.terminate();
    let (told, code) = stream.rest().await;
    assert_eq!((told[0]["op"].as_str(), code), (Some("goodbye"), Some(4000)), "{told:?}");
}

#[tokio::test]
async fn silence_ends_it_and_beats_come() {
    let server = Server::start_with(&["--heartbeat", "200ms"]);
    let (_, code) = Stream::welcomed(&server.url(), &server.token()).await.rest().await;
    assert_eq!(code, Some(4002));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_is_let_go_and_loses_nothing() {
    let server = Server::start_with(&["--http-write-stall", "3s"]);
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run)]).await;
    let text = "x".repeat(20_000);
    for _ in 0..15 {
        let events: Vec<_> = (0..100).map(|_| make::thinking(&run, &text)).collect();
        api.publish(&events).await;
    }
    let mut sleeper = Stream::welcomed(&server.url(), &server.token()).await;
    sleeper.send(&[json!({ "op": "subscribe", "thread": thread, "after": "start" })]).await;
    until("the server to let go of the reader", || async {
        (api.get("/readyz").await.body["connections"] == 0).then_some(())
    })
    .await;
    let mut seen = 0;
    while let Incoming::Frame(frame) = within("the end", sleeper.next()).await {
        if frame["op"] == "events" {
            assert_eq!(frame["first"], seen + 1, "no hole on the way");
            seen = frame["last"].as_u64().unwrap();
        }
    }
    let log = api.log(&thread).await;
    assert!(seen < log.len() as u64, "it was let go before the end");
    let epoch =
        api.get(&format!("/v1/threads/{thread}/events?limit=1")).await.body["epoch"].clone();
    let mut back = Stream::welcomed(&server.url(), &server.token()).await;
    let after = json!({ "epoch": epoch, "seq": seen });
    back.send(&[json!({ "op": "subscribe", "thread": thread, "after": after })]).await;
    let rest = back.events_until(seen + 1, log.len() as u64).await;
    assert_eq!(rest, log[usize::try_from(seen).unwrap()..]);
}
