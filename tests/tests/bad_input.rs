//! Whatever comes over a socket: the named error, and everything else goes on.

use jsonwebtoken::{EncodingKey, Header, encode};
use rethread_tests::{
    make,
    server::{SCOPES, SECRET, Server, token},
    socket::{Incoming, Socket},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn bad_frames_are_named_and_the_connection_goes_on() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    socket.publish(&[make::started(&run)]).await;
    let deep = "[".repeat(50_000);
    let ask = |op: &str, rest: &str| format!(r#"{{"op":"{op}","req":77{rest}}}"#);
    let message = make::id();
    for (frame, code) in [
        (String::new(), "bad_frame"),
        ("x".into(), "bad_frame"),
        ("{".into(), "bad_frame"),
        ("7".into(), "bad_frame"),
        ("null".into(), "bad_frame"),
        ("[]".into(), "bad_frame"),
        ("{}".into(), "bad_frame"),
        (r#"{"op":7}"#.into(), "bad_frame"),
        (r#"{"op":null}"#.into(), "bad_frame"),
        (r#"{"op":"ping","op":"ping"}"#.into(), "bad_frame"),
        (r#"{"op":"ping"}x"#.into(), "bad_frame"),
        (r#"{"op":"jump"}"#.into(), "unknown_op"),
        (r#"{"op":"PING"}"#.into(), "unknown_op"),
        (r#"{"op":"welcome"}"#.into(), "unknown_op"),
        (r#"{"op":"hello"}"#.into(), "bad_frame"),
        (r#"{"op":"hello","token":7}"#.into(), "bad_frame"),
        (r#"{"op":"subscribe"}"#.into(), "bad_frame"),
        (r#"{"op":"subscribe","thread":7}"#.into(), "bad_frame"),
        (format!(r#"{{"op":"subscribe","thread":{deep}"#), "bad_frame"),
        (format!(r#"{{"op":"subscribe","thread":"{thread}","after":"end"}}"#), "bad_frame"),
        (format!(r#"{{"op":"subscribe","thread":"{thread}","after":{{"seq":1}}}}"#), "bad_frame"),
        (format!(r#"{{"op":"subscribe","thread":"{thread}","after":7}}"#), "bad_frame"),
        (r#"{"op":"publish","req":-1,"events":[]}"#.into(), "bad_frame"),
        (r#"{"op":"publish","req":"x","events":[]}"#.into(), "bad_frame"),
        (r#"{"op":"publish","events":[]}"#.into(), "bad_frame"),
        (ask("publish", ""), "bad_frame"),
        (ask("publish", r#","events":{}"#), "bad_frame"),
        (ask("publish", r#","events":[]"#), "bad_frame"),
        (ask("send", &format!(r#","thread":"{thread}","message_id":"{message}""#)), "bad_frame"),
        (ask("send", &format!(r#","thread":"{thread}","message_id":"x","text":"t""#)), "bad_id"),
        (ask("cancel", ""), "bad_frame"),
        (ask("cancel", r#","run":7"#), "bad_frame"),
        (r#"{"op":"serve"}"#.into(), "bad_frame"),
        (r#"{"op":"serve","agent":""}"#.into(), "bad_frame"),
        (r#"{"op":"serve","agent":"a\u0000"}"#.into(), "bad_frame"),
        (r#"{"op":"serve","agent":"a","runs":["x"]}"#.into(), "bad_id"),
    ] {
        let has_req = frame.contains(r#""req":77"#);
        socket.send_raw(Message::text(frame.clone())).await;
        let error = socket.expect("error").await;
        assert_eq!(error["code"], code, "{frame}: {error}");
        assert_eq!(error["req"] == 77, has_req, "{frame}: {error}");
        // Another request, on the same connection.
        let stored = socket.publish(&[make::thinking(&run, "goes on")]).await;
        assert!(stored[0]["seq"].is_u64(), "{stored:?}");
    }
    socket.send_raw(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.expect("error").await["code"], "bad_frame");
    socket.publish(&[make::completed(&run)]).await;
    assert_eq!(api.log(&thread).await.len(), 38, "what was acknowledged is there");
}

#[tokio::test]
async fn broken_ids_are_refused_with_the_form_that_was_expected() {
    let server = Server::start();
    let mut socket = server.socket().await;
    let long = format!("thread_{}", "k".repeat(129));
    let threads = [
        "",
        "x",
        "thread_",
        "Thread_x",
        "thread_thread_x",
        "thread_a/b",
        "thread_a b",
        "thread_\u{e9}",
        "thread_a\n",
        "thread_\u{202e}",
        "thread_x_run_1_0a1b2c3d",
        "run_5d1f0c9a77e2",
        &long,
    ];
    for id in threads {
        for op in ["subscribe", "unsubscribe"] {
            socket.send(json!({ "op": op, "thread": id })).await;
            let error = socket.expect("error").await;
            assert_eq!(error["code"], "bad_id", "{id}: {error}");
            assert!(error["expected"].as_str().unwrap().contains("thread_{key}"), "{error}");
        }
        let send = json!({ "op": "send", "thread": id, "message_id": make::id(), "text": "t" });
        assert_eq!(socket.ask(send).await["code"], "bad_id", "{id}");
    }
    for id in [
        "",
        "x",
        "run_",
        "run_12",
        "run_5D1F0C9A77E2",
        "run_x_0a1b2c3",
        "thread__run_1_0a1b2c3d",
        "thread_thread_x_run_1_0a1b2c3d",
        "thread_a/b_run_1_0a1b2c3d",
        "thread_\u{e9}_run_1_0a1b2c3d",
        "7b2e4c669f314b7a8f4e2a3d5b6c7d8e",
    ] {
        let error = socket.ask(json!({ "op": "cancel", "run": id })).await;
        assert_eq!(error["code"], "bad_id", "{id}: {error}");
        let results = socket.publish(&[make::started(id)]).await;
        let error = &results[0]["error"];
        assert_eq!(error["code"], "bad_id", "{id}: {error}");
        assert!(error["expected"].as_str().unwrap().contains("_run_{unix_ms}_"), "{error}");
    }
}

#[tokio::test]
async fn bad_events_do_not_stop_the_good_ones_beside_them() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let mut extra = make::thinking(&run, "x");
    for nth in 0..33 {
        extra[format!("x{nth}")] = json!(nth);
    }
    let mut numbered = make::thinking(&run, "x");
    numbered["seq"] = json!(7);
    let mut odd_id = make::thinking(&run, "x");
    odd_id["id"] = json!("7");
    let bad = [
        (json!(7), "bad_event"),
        (json!([]), "bad_event"),
        (json!({}), "bad_event"),
        (make::event(&run, "agent_thinking", json!({})), "bad_event"),
        (make::event(&run, "agent_thinking", json!({ "text": 7 })), "bad_event"),
        (make::event(&run, "", json!({})), "bad_event"),
        (make::event(&run, "weather", deep), "bad_event"),
        (make::thinking(&run, &"x".repeat(256 * 1024)), "event_too_large"),
        (extra, "bad_event"),
        (numbered, "bad_event"),
        (odd_id, "bad_event"),
        (make::started(&run), "run_order"),
        (make::event(&run, "tool_completed", json!({ "call_id": "c" })), "run_order"),
        (make::started("run_5d1f0c9a77e2"), "run_unresolved"),
        (make::started(&make::run(&make::thread())), "thread_not_found"),
    ];
    let mut events = vec![make::started(&run)];
    for (event, _) in &bad {
        events.push(event.clone());
        events.push(make::thinking(&run, "good"));
    }
    let results = socket.publish(&events).await;
    assert_eq!(results.len(), events.len(), "a result for each");
    for (nth, (event, code)) in bad.iter().enumerate() {
        let result = &results[2 * nth + 1];
        assert_eq!(result["error"]["code"], *code, "{event}: {result}");
        assert_eq!(results[2 * nth + 2]["seq"], nth + 2, "the good one behind it");
    }
    assert_eq!(api.log(&thread).await.len(), 1 + bad.len());
}

#[tokio::test]
async fn a_client_that_speaks_only_nonsense_is_sent_away() {
    let server = Server::start();
    let mut nonsense = server.socket().await;
    let mut other = server.socket().await;
    for _ in 0..32 {
        nonsense.send_raw(Message::text("nonsense")).await;
        assert_eq!(nonsense.expect("error").await["code"], "bad_frame");
    }
    nonsense.send_raw(Message::text("nonsense")).await;
    assert_eq!(nonsense.expect_end().await, Some(4501));
    other.send(json!({ "op": "ping" })).await;
    let answer = other.ask(json!({ "op": "cancel", "run": "run_5d1f0c9a77e2" })).await;
    assert_eq!(answer["code"], "run_not_found", "others are served");
}

#[tokio::test]
async fn what_is_no_websocket_frame_ends_that_connection_only() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut other = server.socket().await;
    // Masked text frames: one that is not UTF-8, one with a reserved opcode.
    for frame in [[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], [0x83, 0x82, 0, 0, 0, 0, 0x7b, 0x7d]] {
        let mut socket = server.socket().await;
        socket.publish(&make::whole_run(&api.run(&thread).await, 1)).await;
        socket.send_bytes(&frame).await;
        socket.expect_end().await;
    }
    let mut huge = server.socket().await;
    // A frame that says it has five megabytes: more than is read to refuse it.
    huge.send_bytes(&[0x81, 0xff, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0]).await;
    huge.expect_end().await;
    other.publish(&make::whole_run(&run, 1)).await;
    assert_eq!(api.log(&thread).await.len(), 9, "what was acknowledged is there");
}

#[tokio::test]
async fn hello_comes_first_and_soon() {
    let server = Server::start();
    let mut silent = Socket::open(&server.url()).await.unwrap();
    let mut early = Socket::open(&server.url()).await.unwrap();
    for frame in [
        json!({ "op": "ping" }),
        json!({ "op": "subscribe", "thread": "thread_x" }),
        json!({ "op": "publish", "req": 1, "events": [] }),
    ] {
        early.send(frame).await;
        assert_eq!(early.expect("error").await["code"], "hello_required");
    }
    early.send(json!({ "op": "hello", "token": server.token() })).await;
    let welcome = early.expect("welcome").await;
    let limits: Value =
        serde_json::to_value(rethread_shared::limits::Announced::default()).unwrap();
    assert_eq!((&welcome["heartbeat_ms"], &welcome["limits"]), (&json!(15_000), &limits));
    assert_eq!(silent.expect_end().await, Some(4003));
    // The other one is still there.
    early.send(json!({ "op": "jump" })).await;
    assert_eq!(early.expect("error").await["code"], "unknown_op");
}

#[tokio::test]
async fn bad_tokens_end_the_connection_with_what_to_do() {
    let server = Server::start();
    let now = make::unix_ms() / 1_000;
    let claims = json!({ "sub": "ada", "scope": "subscribe", "exp": now + 60 });
    let mut expired = claims.clone();
    expired["exp"] = json!(now - 60);
    let mut endless = claims.clone();
    endless.as_object_mut().unwrap().remove("exp");
    let mut nobody = claims.clone();
    nobody["sub"] = json!("");
    let mut odd = claims.clone();
    odd["threads"] = json!(["x"]);
    let foreign =
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another")).unwrap();
    let unsigned = format!("{}.", signed(&claims).rsplit_once('.').unwrap().0);
    for (token, code, close) in [
        (String::new(), "unauthorized", 4500),
        ("x".into(), "unauthorized", 4500),
        (foreign, "unauthorized", 4500),
        (unsigned, "unauthorized", 4500),
        (signed(&nobody), "unauthorized", 4500),
        (signed(&endless), "unauthorized", 4500),
        (signed(&odd), "unauthorized", 4500),
        ("x".repeat(20_000), "unauthorized", 4500),
        (signed(&expired), "token_expired", 4200),
    ] {
        let mut socket = Socket::open(&server.url()).await.unwrap();
        socket.send(json!({ "op": "hello", "token": token })).await;
        let error = socket.expect("error").await;
        assert_eq!(error["code"], code, "{token}: {error}");
        assert_eq!(socket.expect_end().await, Some(close), "{token}");
    }
    let mut far = claims.clone();
    far["exp"] = json!(u64::MAX);
    far["iat"] = json!(now);
    for good in [claims, far] {
        let mut socket = Socket::welcomed(&server.url(), &signed(&good)).await;
        socket.send(json!({ "op": "jump" })).await;
        assert_eq!(socket.expect("error").await["code"], "unknown_op", "it is served");
    }
}

#[tokio::test]
async fn a_token_that_expires_is_renewed_or_ends_the_connection() {
    let server = Server::start();
    // Within what clocks may differ, for a few seconds more.
    let soon = json!({ "sub": "ada", "scope": "subscribe", "exp": make::unix_ms() / 1_000 - 2 });
    let mut kept = Socket::welcomed(&server.url(), &signed(&soon)).await;
    let mut left = Socket::welcomed(&server.url(), &signed(&soon)).await;
    let fresh = token(&["--user", "ada", "--scope", SCOPES]);
    kept.send(json!({ "op": "hello", "token": fresh })).await;
    kept.expect("welcome").await;
    assert_eq!(left.expect_end().await, Some(4200));
    let answer = kept.ask(json!({ "op": "cancel", "run": "run_5d1f0c9a77e2" })).await;
    assert_eq!(answer["code"], "run_not_found", "the new token is the one that counts");
}

#[tokio::test]
async fn a_scope_that_is_not_there_is_named() {
    let server = Server::start();
    let thread = server.api().thread().await;
    let token = token(&["--user", "eve", "--scope", "send", "--thread", &thread]);
    let mut socket = Socket::welcomed(&server.url(), &token).await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    let error = socket.expect("error").await;
    assert_eq!((&error["code"], &error["thread"]), (&json!("forbidden"), &json!(thread)));
    socket.send(json!({ "op": "serve", "agent": "a" })).await;
    assert_eq!(socket.expect("error").await["code"], "forbidden");
    let events = [make::started(&make::run(&thread))];
    let refused = socket.ask(json!({ "op": "publish", "events": events })).await;
    assert_eq!(refused["code"], "forbidden");
    let send = json!({ "op": "send", "thread": thread, "message_id": make::id(), "text": "t" });
    assert_eq!(socket.ask(send).await["op"], "sent");
}

#[tokio::test]
async fn a_thread_of_somebody_else_looks_like_none() {
    let server = Server::start();
    let mut ada = Socket::welcomed(&server.url(), &server.token_of("ada")).await;
    let hers = rethread_tests::api::Api::new(&server.url(), &server.token_of("ada")).thread().await;
    let run = make::run(&hers);
    ada.publish(&[make::started(&run)]).await;
    let none = make::thread();
    let mut bob = Socket::welcomed(&server.url(), &server.token_of("bob")).await;
    let message = make::id();
    let mut answers = Vec::new();
    for thread in [&hers, &none] {
        let run = run.replace(&hers, thread);
        bob.send(json!({ "op": "subscribe", "thread": thread })).await;
        let mut about = vec![bob.expect("error").await];
        let send = json!({ "op": "send", "thread": thread, "message_id": message, "text": "t" });
        about.push(bob.ask(send).await);
        about.push(bob.ask(json!({ "op": "cancel", "run": run })).await);
        let mut event = make::thinking(&run, "x");
        event["id"] = json!(message);
        about.push(bob.ask(json!({ "op": "publish", "events": [event] })).await);
        let texts: Vec<_> = about
            .into_iter()
            .map(|mut answer| {
                answer.as_object_mut().unwrap().remove("req");
                answer.to_string().replace(thread.as_str(), "THREAD")
            })
            .collect();
        answers.push(texts);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0][0].contains("thread_not_found") && answers[0][2].contains("run_not_found"));
}

#[tokio::test]
async fn each_limit_is_named_and_the_connection_goes_on() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    socket.publish(&[make::started(&run)]).await;

    let large = format!(r#"{{"op":"publish","req":1,"x":"{}"}}"#, "x".repeat(1 << 20));
    socket.send_raw(Message::text(large)).await;
    assert_eq!(socket.expect("error").await["code"], "frame_too_large");

    let many: Vec<_> = (0..1_025).map(|n| json!(n)).collect();
    let refused = socket.ask(json!({ "op": "publish", "events": many })).await;
    assert_eq!(refused["code"], "too_many_events");

    let text = "x".repeat(64 * 1024 + 1);
    let send = json!({ "op": "send", "thread": thread, "message_id": make::id(), "text": text });
    assert_eq!(socket.ask(send).await["code"], "event_too_large");

    for nth in 0..16 {
        socket.send(json!({ "op": "serve", "agent": format!("agent {nth}") })).await;
    }
    socket.send(json!({ "op": "serve", "agent": "agent 3" })).await;
    socket.send(json!({ "op": "serve", "agent": "one more" })).await;
    assert_eq!(socket.expect("error").await["code"], "too_many_subscriptions");

    let mut threads = Vec::new();
    for _ in 0..257 {
        threads.push(api.thread().await);
    }
    for thread in &threads[..256] {
        socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    }
    socket.send(json!({ "op": "subscribe", "thread": threads[256] })).await;
    let error = socket.expect("error").await;
    assert_eq!(
        (&error["code"], &error["thread"]),
        (&json!("too_many_subscriptions"), &json!(threads[256]))
    );
    socket.send(json!({ "op": "unsubscribe", "thread": threads[7] })).await;
    socket.send(json!({ "op": "subscribe", "thread": threads[256] })).await;
    let last = &threads[256];
    let is_last = |frame: &Value| frame["op"] == "subscribed" && frame["thread"] == *last;
    socket.expect_where("the last subscription", is_last).await;
    socket.publish(&make::whole_run(&api.run(last).await, 0)).await;
    socket.events_until(last, 1, 2).await;
}

#[tokio::test]
async fn too_many_in_flight_is_refused_and_nothing_acknowledged_is_lost() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    socket.publish(&[make::started(&run)]).await;
    const REQUESTS: u64 = 2_000;
    for req in 1_000..1_000 + REQUESTS {
        let events: Vec<_> = (0..4).map(|n| make::thinking(&run, &format!("{req} {n}"))).collect();
        socket.send(json!({ "op": "publish", "req": req, "events": events })).await;
    }
    let (mut stored, mut refused) = (Vec::new(), 0);
    for _ in 0..REQUESTS {
        let answer = rethread_tests::within("an answer", socket.next()).await;
        let Incoming::Frame(answer) = answer else { panic!("{answer:?}") };
        if answer["op"] == "published" {
            stored.push(answer["req"].as_u64().unwrap());
        } else {
            assert_eq!(answer["code"], "too_many_in_flight", "{answer}");
            refused += 1;
        }
    }
    println!("{} stored, {refused} refused", stored.len());
    let log = api.log(&thread).await;
    assert_eq!(log.len(), 1 + 4 * stored.len(), "no more and no less than was acknowledged");
    for req in stored {
        let first = format!("{req} 0");
        assert!(log.iter().any(|event| event["data"]["text"] == first), "{req} is not there");
    }
}

fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}
