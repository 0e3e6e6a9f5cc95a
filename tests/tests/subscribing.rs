//! Where a subscription begins, what it brings, and how it ends.

use std::{path::Path, process::Command};

use rethread_tests::{
    api::Api,
    follower::Follower,
    make,
    publisher::Publisher,
    server::{Server, binary, token},
    socket::{Incoming, Socket},
    within,
};
use serde_json::{Value, json};

async fn subscribe(socket: &mut Socket, thread: &str, after: Value) -> Value {
    socket.send(json!({ "op": "subscribe", "thread": thread, "after": after })).await;
    let is_answer = |frame: &Value| {
        frame["thread"] == thread && (frame["op"] == "subscribed" || frame["op"] == "error")
    };
    socket.expect_where("subscribed", is_answer).await
}

/// A thread with a run of `thoughts` thoughts in it.
async fn thread_with(api: &Api, thoughts: usize) -> String {
    let thread = api.thread().await;
    api.publish(&make::whole_run(&api.run(&thread).await, thoughts)).await;
    thread
}

#[tokio::test]
async fn a_subscription_begins_where_it_was_asked_to() {
    let server = Server::start();
    let api = server.api();
    let thread = thread_with(&api, 8).await;
    let log = api.log(&thread).await;
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    let subscribed = socket.expect("subscribed").await;
    assert_eq!((&subscribed["head"], &subscribed["after"]), (&json!(10), &json!(0)));
    assert_eq!(socket.events_until(&thread, 1, 10).await, log);

    // Each subscription replaces the one before.
    let epoch = subscribed["epoch"].clone();
    for after in [0_u64, 4, 9] {
        let position = json!({ "epoch": epoch, "seq": after });
        assert_eq!(subscribe(&mut socket, &thread, position).await["after"], after);
        let rest = socket.events_until(&thread, after + 1, 10).await;
        assert_eq!(rest, log[usize::try_from(after).unwrap()..]);
    }
    let end = json!({ "epoch": epoch, "seq": 10 });
    assert_eq!(subscribe(&mut socket, &thread, end).await["after"], 10);
    assert_eq!(subscribe(&mut socket, &thread, json!("now")).await["after"], 10);
    api.publish(&make::whole_run(&api.run(&thread).await, 0)).await;
    let next = socket.events_until(&thread, 11, 12).await;
    assert_eq!(next, api.log(&thread).await[10..], "once, though it was asked for often");
}

#[tokio::test]
async fn a_position_that_cannot_be_served_is_answered_with_a_reset() {
    let server = Server::start();
    let api = server.api();
    let thread = thread_with(&api, 1).await;
    let log = api.log(&thread).await;
    let mut socket = server.socket().await;
    let epoch = subscribe(&mut socket, &thread, json!("now")).await["epoch"].clone();
    for (position, reason) in [
        (json!({ "epoch": "00000000", "seq": 2 }), "epoch_changed"),
        (json!({ "epoch": "00000000", "seq": 0 }), "epoch_changed"),
        (json!({ "epoch": epoch, "seq": 4 }), "position_ahead"),
    ] {
        socket.send(json!({ "op": "subscribe", "thread": thread, "after": position })).await;
        let reset = within("reset", socket.next()).await;
        let expected = json!({ "op": "reset", "thread": thread, "epoch": epoch, "reason": reason });
        assert_eq!(reset, Incoming::Frame(expected), "it comes first");
        assert_eq!(socket.expect("subscribed").await["after"], 0);
        assert_eq!(socket.events_until(&thread, 1, 3).await, log);
    }
}

#[tokio::test]
async fn a_log_that_was_wiped_is_noticed() {
    let mut server = Server::start();
    let api = server.api();
    let thread = make::thread();
    let create = json!({ "thread": thread });
    api.post("/v1/threads", &create).await;
    api.publish(&make::whole_run(&make::run(&thread), 20)).await;
    let mut follower = Follower::start(&server.url(), &server.token(), &thread);
    follower.events_until(22).await;
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    server.restart();
    assert_eq!(api.post("/v1/threads", &create).await.status, 201);
    api.publish(&make::whole_run(&make::run(&thread), 30)).await;
    let record =
        follower.wait("a reset and the new log", |r| r.resets == 1 && r.events.len() == 32).await;
    assert_eq!(*record.events, api.log(&thread).await);
}

#[tokio::test]
async fn a_log_that_was_put_back_from_a_backup_is_noticed() {
    let mut server = Server::start();
    let api = server.api();
    let thread = thread_with(&api, 10).await;
    server.stop().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&server.data(), backup.path());
    server.restart();
    api.publish(&make::whole_run(&api.run(&thread).await, 10)).await;
    let mut follower = Follower::start(&server.url(), &server.token(), &thread);
    follower.events_until(24).await;
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    copy(backup.path(), &server.data());
    let output = Command::new(binary()).arg("restored").arg("--data").arg(server.data()).output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(said, "1 thread with a new epoch\n");
    server.restart();
    // Another history, that is longer than the one which was seen.
    api.publish(&make::whole_run(&api.run(&thread).await, 30)).await;
    let record =
        follower.wait("a reset and the new log", |r| r.resets == 1 && r.events.len() == 44).await;
    assert_eq!(*record.events, api.log(&thread).await);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.expect("cp is there").success());
}

#[tokio::test]
async fn threads_on_one_connection_are_followed_and_left_each_by_itself() {
    let server = Server::start();
    let api = server.api();
    let threads = [thread_with(&api, 300).await, thread_with(&api, 0).await];
    let mut socket = server.socket().await;
    for thread in &threads {
        subscribe(&mut socket, thread, json!("start")).await;
    }
    socket.events_until(&threads[1], 1, 2).await;
    socket.events_until(&threads[0], 1, 302).await;
    socket.send(json!({ "op": "unsubscribe", "thread": threads[0] })).await;
    socket.send(json!({ "op": "unsubscribe", "thread": "thread_never_followed" })).await;
    // Answered after the unsubscribe was taken.
    socket.ask(json!({ "op": "cancel", "run": "run_5d1f0c9a77e2" })).await;
    for thread in &threads {
        api.publish(&make::whole_run(&api.run(thread).await, 0)).await;
    }
    let next = within("the next frame", socket.next()).await;
    let Incoming::Frame(next) = next else { panic!("{next:?}") };
    assert_eq!(next["thread"], threads[1], "nothing comes of the one that was left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_followers_who_come_at_any_time_have_the_log() {
    let server = Server::start();
    let (url, token, api) = (server.url(), server.token(), server.api());
    let thread = api.thread().await;
    let mut publisher = Publisher::over_socket(&url, &token, &thread);
    let mut followers = Vec::new();
    for _ in 0..50 {
        publisher.wait_beyond(publisher.highest()).await;
        followers.push(Follower::start(&url, &token, &thread));
    }
    publisher.finish().await;
    let log = api.log(&thread).await;
    println!("{} events, 50 followers", log.len());
    for mut follower in followers {
        assert_eq!(*follower.events_until(log.len()).await, log);
        let record = follower.record();
        assert_eq!((record.welcomes, record.holes, record.resets), (1, 0, 0));
    }
}

#[tokio::test]
async fn the_server_is_never_silent_and_notices_who_is() {
    let server = Server::start_with(&["--heartbeat", "150ms"]);
    let mut silent = server.socket().await;
    let mut alive = server.socket().await;
    let mut beats = 0;
    let code = loop {
        tokio::select! {
            frame = silent.next_raw() => match frame {
                Incoming::Frame(frame) => {
                    assert_eq!(frame, json!({ "op": "beat" }));
                    beats += 1;
                }
                Incoming::Closed(code) => break code,
            },
            frame = alive.next_raw() => {
                assert_eq!(frame, Incoming::Frame(json!({ "op": "beat" })));
                alive.send(json!({ "op": "ping" })).await;
            }
        }
    };
    assert_eq!(code, Some(4002));
    assert!(beats >= 1, "it was told that the server is there");
    alive.send(json!({ "op": "jump" })).await;
    assert_eq!(alive.expect("error").await["code"], "unknown_op", "the other one lives");
}

#[tokio::test]
async fn a_new_token_that_grants_less_ends_what_it_no_longer_grants() {
    let server = Server::start();
    let api = server.api();
    let (kept, lost) = (api.thread().await, api.thread().await);
    let grant = |threads: &[&String]| {
        let mut args = vec!["--user", "bob", "--scope", "subscribe"];
        for thread in threads {
            args.extend(["--thread", thread.as_str()]);
        }
        token(&args)
    };
    let mut bob = Socket::welcomed(&server.url(), &grant(&[&kept, &lost])).await;
    for thread in [&kept, &lost] {
        assert_eq!(subscribe(&mut bob, thread, json!("start")).await["op"], "subscribed");
    }
    bob.send(json!({ "op": "hello", "token": grant(&[&kept]) })).await;
    bob.expect("welcome").await;
    let error = bob.expect("error").await;
    assert_eq!((&error["code"], &error["thread"]), (&json!("thread_not_found"), &json!(lost)));
    api.publish(&[make::started(&api.run(&lost).await)]).await;
    api.publish(&[make::started(&api.run(&kept).await)]).await;
    let next = within("the next frame", bob.next()).await;
    let Incoming::Frame(next) = next else { panic!("{next:?}") };
    assert_eq!(next["thread"], kept, "nothing comes of the other");
}
