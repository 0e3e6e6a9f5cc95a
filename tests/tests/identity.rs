//! Who may do what, on a real server.

use std::time::{Duration, Instant};

use reqwest::Method;
use rethread_tests::{
    api::{Answer, Api, answer},
    make,
    server::{SCOPES, Server, token},
    socket::{Incoming, Socket},
    sse::Sse,
    until,
};
use serde_json::{Value, json};

#[tokio::test]
async fn only_operators_reach_the_admin_endpoints() {
    let server = Server::start();
    let nobody = Api::new(&server.url(), "");
    let refused = nobody.get("/v1/admin/me").await;
    assert_eq!((refused.status, refused.code()), (401, "unauthorized"));

    let refused = server.api().get("/v1/admin/me").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{SCOPES} is not admin");
    assert_eq!(refused.body["error"]["expected"], "admin");

    let operator = Api::new(&server.url(), &token(&["--user", "olga", "--scope", "admin"]));
    let me = operator.get("/v1/admin/me").await;
    assert_eq!((me.status, &me.body["user"]), (200, &"olga".into()), "{me:?}");
    assert_eq!(me.body["scopes"], serde_json::json!(["admin"]));
    let refused = operator.get("/v1/threads").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"), "admin grants no reading");
}

#[tokio::test]
async fn the_token_of_dev_mode_does_not_operate_the_server() {
    let server = Server::start_with(&["--dev"]);
    let dev = server.api().get("/v1/dev/token").await;
    let dev = Api::new(&server.url(), dev.body["token"].as_str().unwrap());
    assert_eq!(dev.get("/v1/threads").await.status, 200);
    assert_eq!(dev.get("/v1/admin/me").await.code(), "forbidden");
}

/// An operator of a server.
fn operator(server: &Server) -> Api {
    Api::new(&server.url(), &token(&["--user", "olga", "--scope", "admin"]))
}

/// What is read with a new token of ada's. One that is made in the very second of a revocation is
/// concerned by it, so another is made until one is not.
async fn read_with_a_later_token(api: &Api, path: &str) -> Answer {
    until("a token that was made later", || async {
        let token = token(&["--user", "ada", "--scope", "subscribe"]);
        let answer = api.with_token(&token).get(path).await;
        (answer.status == 200).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn a_revoked_user_is_cut_off_everywhere_within_a_second_and_across_restarts() {
    let mut server = Server::start();
    let operator = operator(&server);
    let everything = ["--user", "eve", "--scope", SCOPES, "--all-threads"];
    let other = Api::new(&server.url(), &token(&everything));
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let thread = ada.thread().await;
    let run = ada.run(&thread).await;
    ada.publish(&[make::started(&run)]).await;
    let path = format!("/v1/threads/{thread}/events");
    let mut stream = Sse::open(&ada, &path, None).await;
    let mut socket = Socket::welcomed(&server.url(), &server.token_of("ada")).await;
    let mut bystander = Socket::welcomed(&server.url(), &server.token_of("bob")).await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    socket.events_until(&thread, 1, 1).await;
    assert_eq!(stream.event().await.event, "agent_started");

    let revoked = operator.post("/v1/admin/revoke", &json!({ "user": "ada", "reason": "r" })).await;
    let answered = Instant::now();
    assert_eq!((revoked.status, &revoked.body["complete"]), (200, &json!(true)), "{revoked:?}");
    assert_eq!((&revoked.body["user"], &revoked.body["by"]), (&json!("ada"), &json!("olga")));
    assert_eq!(revoked.body["connections"], 2);
    // Nothing of this may reach them.
    other.publish(&[make::thinking(&run, "a secret")]).await;
    let (told, closed) = socket.rest().await;
    assert_eq!(closed, Some(4201));
    assert!(told.iter().any(|frame| frame["code"] == "token_revoked"), "{told:?}");
    assert!(told.iter().all(|frame| frame["op"] != "events"), "{told:?}");
    let last = stream.rest().await;
    assert_eq!((last.len(), last[0].event.as_str()), (1, "end"), "{last:?}");
    assert_eq!(last[0].data["code"], "token_revoked");
    assert!(answered.elapsed() < Duration::from_secs(1), "{:?}", answered.elapsed());

    for answer in [ada.get("/v1/threads").await, ada.get(&path).await] {
        assert_eq!((answer.status, answer.code()), (401, "token_revoked"));
    }
    bystander.send(json!({ "op": "ping" })).await;
    assert_eq!(bystander.next_raw().await, Incoming::Frame(json!({ "op": "beat" })));

    server.kill();
    server.restart();
    assert_eq!(ada.get(&path).await.code(), "token_revoked", "it outlives a restart");
    assert_eq!(read_with_a_later_token(&ada, &path).await.body["head"], 2);

    let list = operator.get("/v1/admin/revocations").await;
    assert_eq!(list.body["revocations"][0]["user"], "ada", "{list:?}");
    let undo = |path| answer(operator.request(Method::DELETE, path));
    assert_eq!(undo("/v1/admin/revocations?user=ada").await.status, 200);
    assert_eq!(ada.get(&path).await.status, 200, "it was undone");
    assert_eq!(undo("/v1/admin/revocations?user=ada").await.code(), "not_found");
    server.kill();
    server.restart();
    assert_eq!(ada.get(&path).await.status, 200, "and that outlives a restart too");
}

#[tokio::test]
async fn one_token_is_revoked_and_the_users_others_are_not() {
    let server = Server::start();
    let operator = operator(&server);
    let (one, other) = (server.token_of("ada"), server.token_of("ada"));
    let mut cut = Socket::welcomed(&server.url(), &one).await;
    let mut kept = Socket::welcomed(&server.url(), &other).await;
    let id = claims(&one)["jti"].as_str().unwrap().to_owned();
    let revoked = operator.post("/v1/admin/revoke", &json!({ "token": id })).await;
    assert_eq!(
        (&revoked.body["connections"], &revoked.body["complete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(cut.expect_end().await, Some(4201));
    let (one, other) = (Api::new(&server.url(), &one), Api::new(&server.url(), &other));
    assert_eq!(one.get("/v1/threads").await.code(), "token_revoked");
    assert_eq!(other.get("/v1/threads").await.status, 200);
    kept.send(json!({ "op": "ping" })).await;
    assert_eq!(kept.next_raw().await, Incoming::Frame(json!({ "op": "beat" })));
}

#[tokio::test]
async fn a_revoked_thread_is_gone_for_every_token_of_before() {
    let server = Server::start();
    let operator = operator(&server);
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let (thread, other) = (ada.thread().await, ada.thread().await);
    let guest = token(&["--user", "bob", "--scope", "subscribe", "--thread", &thread]);
    let guest = Api::new(&server.url(), &guest);
    let path = format!("/v1/threads/{thread}/events");
    let mut stream = Sse::open(&guest, &path, None).await;
    let mut socket = Socket::welcomed(&server.url(), &server.token_of("ada")).await;
    for thread in [&thread, &other] {
        socket.send(json!({ "op": "subscribe", "thread": thread })).await;
        socket.expect("subscribed").await;
    }
    let revoked = operator.post("/v1/admin/revoke", &json!({ "thread": thread })).await;
    assert_eq!((revoked.status, &revoked.body["complete"]), (200, &json!(true)), "{revoked:?}");
    let refused = socket.expect("error").await;
    assert_eq!(
        (&refused["thread"], &refused["code"]),
        (&json!(thread), &json!("thread_not_found"))
    );
    assert_eq!(stream.rest().await.last().unwrap().data["code"], "thread_not_found");
    // Its owner too.
    for api in [&ada, &guest] {
        let (revoked, absent) =
            (api.get(&path).await, api.get("/v1/threads/thread_absent/events").await);
        let expected = absent.body.to_string().replace("thread_absent", &thread);
        assert_eq!((revoked.status, revoked.body.to_string()), (404, expected));
    }
    assert_eq!(ada.get("/v1/threads").await.body["threads"].as_array().unwrap().len(), 1);
    // The rest of the connection goes on.
    let run = ada.run(&other).await;
    ada.publish(&[make::started(&run)]).await;
    socket.events_until(&other, 1, 1).await;
    assert_eq!(read_with_a_later_token(&ada, &path).await.body["head"], 0);
}

#[tokio::test]
async fn what_cannot_be_revoked_is_refused() {
    let server = Server::start();
    let operator = operator(&server);
    for (ask, code) in [
        (json!({}), "bad_frame"),
        (json!({ "user": "ada", "token": "x" }), "bad_frame"),
        (json!({ "user": "" }), "bad_frame"),
        (json!({ "user": "x".repeat(257) }), "bad_frame"),
        (json!({ "user": 7 }), "bad_frame"),
        (json!({ "thread": "nonsense" }), "bad_id"),
        (json!({ "user": "ada", "reason": "x".repeat(257) }), "bad_frame"),
        (json!({ "user": "ada", "until": 7 }), "bad_frame"),
    ] {
        let refused = operator.post("/v1/admin/revoke", &ask).await;
        assert_eq!(refused.code(), code, "{ask}: {refused:?}");
    }
    let refused = server.api().post("/v1/admin/revoke", &json!({ "user": "ada" })).await;
    assert_eq!(refused.code(), "forbidden");
    assert_eq!(operator.get("/v1/admin/revocations").await.body, json!({ "revocations": [] }));
}

#[tokio::test]
async fn a_connection_is_warned_and_then_closed_unless_a_new_token_is_brought() {
    let server = Server::start();
    let short = || token(&["--user", "ada", "--scope", "subscribe", "--ttl", "2s"]);
    let thread = server.api().thread().await;
    let (mut lets_it, mut renews) = (
        Socket::welcomed(&server.url(), &short()).await,
        Socket::welcomed(&server.url(), &short()).await,
    );
    let api = Api::new(&server.url(), &short());
    let mut stream = Sse::open(&api, &format!("/v1/threads/{thread}/events"), None).await;
    for socket in [&mut lets_it, &mut renews] {
        let warned = socket.expect("token_expiring").await;
        let left = warned["expires_in_ms"].as_u64().unwrap();
        assert!(left > 0 && left <= 7_000, "{warned}");
    }
    let token = token(&["--user", "ada", "--scope", "subscribe", "--ttl", "1h"]);
    renews.send(json!({ "op": "hello", "token": token })).await;
    renews.expect("welcome").await;
    assert_eq!(stream.event().await.event, "token_expiring");
    let last = stream.rest().await;
    assert_eq!(last.last().unwrap().data["code"], "token_expired", "{last:?}");
    assert_eq!(lets_it.expect_end().await, Some(4200));
    renews.send(json!({ "op": "ping" })).await;
    assert_eq!(renews.next_raw().await, Incoming::Frame(json!({ "op": "beat" })));
}

#[tokio::test]
async fn a_grant_by_prefix_is_for_what_begins_so() {
    let server = Server::start();
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    for thread in ["thread_team7_a", "thread_team7_b", "thread_team8_a"] {
        assert_eq!(ada.post("/v1/threads", &json!({ "thread": thread })).await.status, 201);
    }
    let member = token(&["--user", "mia", "--scope", "subscribe", "--thread", "thread_team7_*"]);
    let member = Api::new(&server.url(), &member);
    assert_eq!(member.get("/v1/threads/thread_team7_a/events").await.status, 200);
    assert_eq!(member.get("/v1/threads/thread_team8_a/events").await.status, 404);
    let list = member.get("/v1/threads").await;
    let listed = list.body["threads"].as_array().unwrap().iter().map(|t| t["thread"].clone());
    assert_eq!(listed.collect::<Vec<_>>(), ["thread_team7_b", "thread_team7_a"], "{list:?}");
}

/// What a token says, without asking whether it is true.
fn claims(token: &str) -> Value {
    jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims
}
