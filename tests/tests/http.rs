//! The HTTP endpoints of a real server.

use rethread_tests::{
    api::{Answer, Api, answer, client},
    make,
    server::{Server, token},
    sse::Sse,
};
use serde_json::{Value, json};

const NDJSON: &str = "application/x-ndjson";

#[tokio::test]
async fn a_server_says_where_it_listens() {
    let server = Server::start_on_any_port();
    assert_ne!(server.port(), 0);
    let api = server.api();
    assert_eq!(api.get("/healthz").await.status, 200);
    assert_eq!(api.get("/readyz").await.status, 200);
    let answer = api.get("/v1/nothing").await;
    assert_eq!((answer.status, answer.code()), (404, "not_found"));
}

#[tokio::test]
async fn threads_are_made_once_and_listed() {
    let server = Server::start();
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let bob = Api::new(&server.url(), &server.token_of("bob"));

    let made = ada.post("/v1/threads", &json!({ "title": "Network drops" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(members(&made.body), members(&golden("thread")));
    assert_eq!((&made.body["head"], &made.body["owner"]), (&json!(0), &json!("ada")));
    let first = made.body["thread"].as_str().unwrap().to_owned();

    let named = format!("thread_named_{}", make::unix_ms());
    let request = json!({ "thread": named });
    assert_eq!(ada.post("/v1/threads", &request).await.status, 201);
    assert_eq!(ada.post("/v1/threads", &request).await.status, 200, "it is there, and hers");
    let taken = bob.post("/v1/threads", &request).await;
    assert_eq!((taken.status, taken.code()), (409, "thread_taken"));

    let run = ada.run(&first).await;
    ada.publish(&[make::started(&run)]).await;
    let list = ada.get("/v1/threads").await;
    assert_eq!(ids(&list), [named, first.clone()], "the newest first");
    assert_eq!(list.body["threads"][1]["head"], 1);
    assert_eq!(bob.get("/v1/threads").await.body, json!({ "threads": [] }));

    let granted = token(&["--user", "bob", "--scope", "subscribe", "--thread", &first]);
    let granted = Api::new(&server.url(), &granted);
    assert_eq!(ids(&granted.get("/v1/threads").await), [first]);
}

#[tokio::test]
async fn a_threads_id_is_checked() {
    let server = Server::start();
    let api = server.api();
    let doubled = "thread_thread_x";
    for id in ["", "x", "thread_", doubled, "thread_a/b", "thread_ü", "thread_x_run_1_0a1b2c3d"] {
        let refused = api.post("/v1/threads", &json!({ "thread": id })).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_id"), "{id}: {refused:?}");
        let text = refused.body.to_string();
        assert!(text.contains("thread_{key}"), "says the format: {text}");
    }
    for body in ["[]", "7", "{", r#"{"thread":7}"#] {
        let refused = api.post_text("/v1/threads", "application/json", body).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_frame"), "{body}: {refused:?}");
    }
}

#[tokio::test]
async fn a_run_is_published_in_each_form_and_read_back() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    assert!(run.starts_with(&format!("{thread}_run_")), "{run}");

    let one = api.post("/v1/events", &make::started(&run)).await;
    assert_eq!((one.status, &one.body["results"][0]["seq"]), (200, &json!(1)), "{one:?}");

    let several = api.publish(&[make::thinking(&run, "a"), make::thinking(&run, "b")]).await;
    assert_eq!((&several[0]["seq"], &several[1]["seq"]), (&json!(2), &json!(3)));

    let lines = [make::thinking(&run, "c"), make::completed(&run)];
    let body = format!("{}\r\n\n{}\n", lines[0], lines[1]);
    let lined = api.post_text("/v1/events", NDJSON, body).await;
    assert_eq!((lined.status, &lined.body["results"][1]["seq"]), (200, &json!(5)), "{lined:?}");

    let log = api.log(&thread).await;
    let kinds: Vec<_> = log.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let thinking = "agent_thinking";
    assert_eq!(kinds, ["agent_started", thinking, thinking, thinking, "agent_completed"]);
    assert_eq!(log[3]["data"]["text"], "c");
}

#[tokio::test]
async fn what_is_published_comes_back_as_it_was() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let id = make::id();
    let data = r#"{ "city" : "Z\u00fcrich", "n":[1.50,1e2,12345678901234567890123], "k":1 }"#;
    let start = make::started(&run);
    let odd = format!(
        r#"{{"trace":"4b","id":"{id}","run":"{run}","type":"weather","at":7,"data":{data}}}"#
    );
    let answer = api.post_text("/v1/events", "application/json", format!("[{start},{odd}]")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let path = format!("/v1/threads/{thread}/events?after=1");
    let response = api.request(reqwest::Method::GET, &path).send().await.unwrap();
    let text = response.text().await.unwrap();
    let stored = format!(
        r#"{{"seq":2,"id":"{id}","run":"{run}","type":"weather","at":7,"data":{data},"trace":"4b"}}"#
    );
    assert!(text.contains(&stored), "{text}");
}

#[tokio::test]
async fn each_event_has_its_own_result() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let start = make::started(&run);
    let nowhere = make::started(&make::run(&make::thread()));
    let events = json!([
        start,
        start,
        make::event(&run, "tool_completed", json!({ "call_id": "c" })),
        { "type": "custom" },
        nowhere,
        make::completed(&run),
        make::thinking(&run, "late"),
    ]);
    let answer = api.post("/v1/events", &events).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    let brief = |result: &Value| match result["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => format!("{}{}", result["seq"], if result["duplicate"] == true { "d" } else { "" }),
    };
    let all: Vec<_> = results.iter().map(brief).collect();
    assert_eq!(
        all,
        ["1", "1d", "run_order", "bad_event", "thread_not_found", "2", "run_ended"],
        "{answer:?}"
    );
    assert_eq!(results[2]["id"], events[2]["id"], "a refusal names its event");
    assert_eq!(results[3].get("id"), None, "there was none");

    for (event, status, code) in [
        (make::thinking(&run, "late"), 409, "run_ended"),
        (json!({ "type": "custom" }), 422, "bad_event"),
        (make::started("run_x"), 422, "bad_id"),
        (nowhere, 404, "thread_not_found"),
    ] {
        let answer = api.post("/v1/events", &event).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    }
    assert_eq!(api.log(&thread).await.len(), 2);
}

#[tokio::test]
async fn publishing_again_stores_nothing_also_after_a_crash() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let events = make::whole_run(&api.run(&thread).await, 5);
    let first = api.publish(&events).await;
    for _ in 0..2 {
        let again = api.publish(&events).await;
        for (before, now) in first.iter().zip(&again) {
            assert_eq!((&before["seq"], &now["duplicate"]), (&now["seq"], &json!(true)));
        }
        server.kill();
        server.restart();
    }
    assert_eq!(api.log(&thread).await.len(), events.len());
}

#[tokio::test]
async fn a_run_that_resolves_to_nothing_is_refused_in_words() {
    let server = Server::start();
    let api = server.api();
    for run in ["run_5d1f0c9a77e2", "7b2e4c66-9f31-4b7a-8f4e-2a3d5b6c7d8e"] {
        let answer = api.post("/v1/events", &make::started(run)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        let error = &answer.body["error"];
        assert_eq!(error["code"], "run_unresolved");
        assert_eq!(error["received"], run);
        assert!(error["expected"].as_str().unwrap().contains("thread_{key}_run_{unix_ms}"));
        let tried = error["tried"].as_array().unwrap();
        assert!(tried.len() >= 3, "each step is named: {tried:?}");
        assert!(tried[0].as_str().unwrap().contains("registry"), "{tried:?}");
        assert!(error["message"].as_str().unwrap().contains(run));
    }
}

#[tokio::test]
async fn every_form_of_a_run_finds_its_thread() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let key = &thread["thread_".len()..];
    let legacy = format!("run_{thread}_0a1b2c3d");
    let short = format!("run_{key}_0a1b2c3d4e5f");
    for (nth, id) in [&make::run(&thread), &legacy, &short, &thread].into_iter().enumerate() {
        let results = api.publish(&make::whole_run(id, 0)).await;
        assert_eq!(results[0]["thread"], thread, "{id}");
        assert_eq!(results[1]["seq"], 2 * nth + 2, "{id}");
    }
    assert_eq!(api.log(&thread).await[2]["run"], legacy, "a legacy id is kept as it came");
}

#[tokio::test]
async fn the_order_of_a_run_is_kept_also_after_a_crash() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let code = |answer: Answer| answer.code().to_owned();
    let tool = |kind: &str| make::event(&run, kind, json!({ "call_id": "c", "tool": "t" }));

    assert_eq!(code(api.post("/v1/events", &make::thinking(&run, "x")).await), "run_order");
    api.publish(&[make::started(&run), tool("tool_executing")]).await;
    server.kill();
    server.restart();
    assert_eq!(code(api.post("/v1/events", &make::started(&run)).await), "run_order");
    assert_eq!(code(api.post("/v1/events", &tool("tool_executing")).await), "run_order");
    api.publish(&[tool("tool_completed")]).await;
    assert_eq!(code(api.post("/v1/events", &tool("tool_completed")).await), "run_order");
    api.publish(&[make::completed(&run)]).await;
    server.kill();
    server.restart();
    let refused = api.post("/v1/events", &make::thinking(&run, "x")).await;
    assert_eq!(refused.status, 409);
    let error = &refused.body["error"];
    assert_eq!(
        (&error["code"], &error["received"]),
        (&json!("run_ended"), &json!("agent_thinking"))
    );
}

#[tokio::test]
async fn pages_are_read_from_any_position() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let path = format!("/v1/threads/{thread}/events");
    let empty = api.get(&path).await;
    assert_eq!(members(&empty.body), members(&golden("page")));
    let numbers = ["head", "first", "last"].map(|name| empty.body[name].as_u64().unwrap());
    assert_eq!((numbers, &empty.body["more"]), ([0, 1, 0], &json!(false)));
    api.publish(&make::whole_run(&api.run(&thread).await, 8)).await;
    let epoch = empty.body["epoch"].as_str().unwrap().to_owned();
    for (query, first, last, more) in [
        ("", 1, 10, false),
        ("?limit=4", 1, 4, true),
        ("?after=4&limit=4", 5, 8, true),
        ("?after=6&limit=4", 7, 10, false),
        (&format!("?after={epoch}:9"), 10, 10, false),
        ("?after=10", 11, 10, false),
        ("?after=now", 11, 10, false),
        ("?after=start", 1, 10, false),
        ("?limit=100000", 1, 10, false),
    ] {
        let page = api.get(&format!("{path}{query}")).await;
        assert_eq!(page.status, 200, "{query}: {page:?}");
        let body = &page.body;
        assert_eq!((&body["first"], &body["last"]), (&json!(first), &json!(last)), "{query}");
        assert_eq!((&body["more"], &body["head"]), (&json!(more), &json!(10)), "{query}");
        let count = last + 1 - first;
        assert_eq!(body["events"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["?after=11", &format!("?after={epoch}:11"), "?after=00000000:1"] {
        let refused = api.get(&format!("{path}{query}")).await;
        assert_eq!((refused.status, refused.code()), (409, "position_lost"), "{query}");
    }
    for query in ["?after=x", "?after=-1", "?after=9f3a12b:1", "?limit=x", "?limit=-1"] {
        let refused = api.get(&format!("{path}{query}")).await;
        assert!(matches!(refused.status, 400 | 422), "{query}: {refused:?}");
        assert!(!refused.code().is_empty());
    }
}

#[tokio::test]
async fn server_sent_events_replay_follow_and_resume() {
    let server = Server::start_with(&["--heartbeat", "200ms"]);
    let api = server.api();
    let thread = api.thread().await;
    let path = format!("/v1/threads/{thread}/events");
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run), make::thinking(&run, "a")]).await;

    let mut live = Sse::open(&api, &path, None).await;
    let first = live.event().await;
    assert_eq!((first.event.as_str(), &first.data["seq"]), ("agent_started", &json!(1)));
    let second = live.event().await;
    let (epoch, seq) = second.id.split_once(':').expect("EPOCH:SEQ");
    assert_eq!((epoch.len(), seq), (8, "2"));
    assert_eq!(live.next().await.comment, "beat", "nothing has happened");

    // Data with every kind of line end in it must not break the stream's lines.
    let odd = make::event(&run, "weather", json!("@"))
        .to_string()
        .replace("\"@\"", "{\n\"a\":\r\n1,\r\"b\":2}");
    let answer = api.post_text("/v1/events", "application/json", odd).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let third = live.event().await;
    assert_eq!(third.data["data"], json!({ "a": 1, "b": 2 }));
    drop(live);

    api.publish(&[make::completed(&run)]).await;
    let mut again = Sse::open(&api, &format!("{path}?after=0"), Some(&second.id)).await;
    assert_eq!(again.event().await, third, "Last-Event-ID goes before `after`");
    assert_eq!(again.event().await.data["type"], "agent_completed");

    let mut other_epoch = Sse::open(&api, &path, Some("00000000:2")).await;
    let reset = other_epoch.event().await;
    assert_eq!((reset.event.as_str(), &reset.data["reason"]), ("reset", &json!("epoch_changed")));
    assert_eq!(other_epoch.event().await.data["seq"], 1);
    let mut ahead = Sse::open(&api, &path, Some(&format!("{epoch}:99"))).await;
    assert_eq!(ahead.event().await.data["reason"], "position_ahead");
}

#[tokio::test]
async fn a_thread_of_somebody_else_looks_like_none() {
    let server = Server::start();
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let bob = Api::new(&server.url(), &server.token_of("bob"));
    let hers = ada.thread().await;
    ada.publish(&make::whole_run(&ada.run(&hers).await, 1)).await;
    let none = make::thread();
    let alike = |on_hers: Answer, on_none: Answer| {
        assert_eq!(on_hers.status, 404, "{on_hers:?}");
        let text = on_none.body.to_string().replace(&none, &hers);
        assert_eq!((on_hers.status, on_hers.body.to_string()), (on_none.status, text));
    };
    let events = |thread: &str| format!("/v1/threads/{thread}/events");
    let runs = |thread: &str| format!("/v1/threads/{thread}/runs");
    alike(bob.get(&events(&hers)).await, bob.get(&events(&none)).await);
    alike(bob.post(&runs(&hers), &json!({})).await, bob.post(&runs(&none), &json!({})).await);
    let stream = |thread: &str| {
        let request = bob.request(reqwest::Method::GET, &events(thread));
        answer(request.header("accept", "text/event-stream"))
    };
    alike(stream(&hers).await, stream(&none).await);

    let id = make::id();
    let start = |run: String| {
        let mut event = make::started(&run);
        event["id"] = json!(id);
        event
    };
    let on_hers = bob.post("/v1/events", &start(format!("{hers}_run_1_0a1b2c3d"))).await;
    let on_none = bob.post("/v1/events", &start(format!("{none}_run_1_0a1b2c3d"))).await;
    alike(on_hers, on_none);
    assert_eq!(ada.log(&hers).await.len(), 3, "nothing got in");
}

#[tokio::test]
async fn a_token_is_required_and_its_scope_counts() {
    let server = Server::start();
    for bad in ["x", "a.b.c", &format!("{}x", server.token())] {
        let answer = Api::new(&server.url(), bad).get("/v1/threads").await;
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{bad}");
    }
    let without = client().get(format!("{}/v1/threads", server.url()));
    assert_eq!(answer(without).await.status, 401);
    let reader = token(&["--user", "ada", "--scope", "subscribe"]);
    let reader = Api::new(&server.url(), &reader);
    assert_eq!(reader.get("/v1/threads").await.status, 200);
    let event = make::started(&make::run(&make::thread()));
    for (path, body) in [("/v1/threads", json!({})), ("/v1/events", event)] {
        let refused = reader.post(path, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn limits_are_named_when_they_are_met() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run)]).await;

    let large = api.post("/v1/events", &make::thinking(&run, &"x".repeat(256 * 1024))).await;
    assert_eq!((large.status, large.code()), (413, "event_too_large"));

    let many: Vec<_> = (0..1_025).map(|_| make::thinking(&run, "x")).collect();
    let many = api.post("/v1/events", &json!(many)).await;
    assert_eq!((many.status, many.code()), (413, "too_many_events"));

    let body = api.post_text("/v1/events", NDJSON, "x".repeat(4 * 1024 * 1024 + 1)).await;
    assert_eq!((body.status, body.code()), (413, "frame_too_large"));

    let nested = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let deep = make::event(&run, "weather", json!("@")).to_string().replace("\"@\"", &nested);
    let deep = api.post_text("/v1/events", "application/json", deep).await;
    assert_eq!((deep.status, deep.code()), (422, "bad_event"));

    let full: Vec<_> = (0..1_024).map(|_| make::thinking(&run, "x")).collect();
    api.publish(&full).await;
    assert_eq!(api.log(&thread).await.len(), 1_025, "only what was acknowledged is there");
}

/// The names of an object's members.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn golden(name: &str) -> Value {
    let golden: Value =
        serde_json::from_str(include_str!("../../shared/golden/http.json")).expect("JSON");
    golden[name].clone()
}

/// The ids in a list of threads.
fn ids(list: &Answer) -> Vec<String> {
    let threads = list.body["threads"].as_array().expect("threads");
    threads.iter().map(|thread| thread["thread"].as_str().expect("an id").to_owned()).collect()
}
