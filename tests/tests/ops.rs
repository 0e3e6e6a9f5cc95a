//! What operators are given fits the server: every metric that an alert or the dashboard names is one
//! that a running server exports, every one that it exports is described, and `promtool` finds nothing
//! wrong with any of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use rethread_tests::{
    api::Api,
    server::{Server, token},
    sse::Sse,
    until,
};
use serde_json::{Value, json};

const ALERTS: &str = include_str!("../../ops/alerts.yml");
const DASHBOARD: &str = include_str!("../../ops/grafana.json");
const PAGE: &str = include_str!("../../docs/operating.md");

/// A server that has done something of everything, and what it exports then.
async fn after_traffic() -> (Server, String) {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let event = |kind: &str, data: Value| json!({ "run": run, "type": kind, "data": data });
    let mut started = event("agent_started", json!({ "agent": "test" }));
    started["id"] = "0199108a-e8a1-71a1-9c11-5e2f7b11d43a".into();
    let delta = event("message_delta", json!({ "message_id": "m", "text": "Hello." }));
    let end = event("agent_completed", json!({}));
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    socket.expect("subscribed").await;
    let path = format!("/v1/threads/{thread}/events");
    let mut stream = Sse::open(&api, &path, None).await;
    let answer = api.post("/v1/events", &json!([started, delta, end, started, delta])).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    socket.events_until(&thread, 1, 3).await;
    for _ in 0..3 {
        stream.event().await;
    }
    let text = until("the deliveries are counted", || async {
        let text = metrics(&server).await;
        let delivered: f64 = series(&text, "rethread_events_delivered_total").values().sum();
        (delivered >= 6.0).then_some(text)
    })
    .await;
    (server, text)
}

async fn metrics(server: &Server) -> String {
    let answer = Api::new(&server.url(), "none").get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_str().expect("metrics are text").to_owned()
}

/// The series of one name: their labels as they stand, and their values.
fn series(text: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        is_it.then(|| (labels.to_owned(), value.parse().expect("a number")))
    });
    lines.collect()
}

#[track_caller]
fn value(text: &str, name: &str, labels: &str) -> f64 {
    let all = series(text, name);
    *all.get(labels).unwrap_or_else(|| panic!("no {name}{labels} among {all:?}"))
}

/// The names of all series.
fn exported(text: &str) -> BTreeSet<&str> {
    let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    series.map(|line| line.split(['{', ' ']).next().expect("a name")).collect()
}

/// The metrics that have a type, and which.
fn typed(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}

/// Everything in a text that is named as our metrics are.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("process_") || word.starts_with("rethread_"))
        .filter(|word| *word != "rethread_")
        .collect()
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (_server, text) = after_traffic().await;
    for (name, labels, expected) in [
        ("rethread_events_received_total", r#"{transport="http"}"#, 5.0),
        ("rethread_events_stored_total", "", 3.0),
        ("rethread_events_duplicate_total", "", 1.0),
        ("rethread_events_refused_total", r#"{code="run_ended"}"#, 1.0),
        ("rethread_events_delivered_total", r#"{transport="websocket"}"#, 3.0),
        ("rethread_events_delivered_total", r#"{transport="sse"}"#, 3.0),
        ("rethread_connections", r#"{transport="websocket"}"#, 1.0),
        ("rethread_connections", r#"{transport="sse"}"#, 1.0),
        ("rethread_feeds", r#"{state="live"}"#, 2.0),
        ("rethread_feeds", r#"{state="lagging"}"#, 0.0),
        ("rethread_runs", r#"{state="running"}"#, 0.0),
        ("rethread_runs_ended_total", r#"{outcome="completed"}"#, 1.0),
        ("rethread_publish_duration_seconds_count", "", 1.0),
        ("rethread_health_state", r#"{part="log",state="active"}"#, 1.0),
    ] {
        assert_eq!(value(&text, name, labels), expected, "{name}{labels}");
    }
    for name in ["rethread_commit_duration_seconds_count", "process_resident_memory_bytes"] {
        assert!(value(&text, name, "") > 0.0, "{name}");
    }
    let latency = r#"{transport="websocket"}"#;
    assert!(value(&text, "rethread_delivery_duration_seconds_count", latency) >= 1.0);
    assert!(value(&text, "rethread_sent_bytes_total", latency) > 100.0);
}

#[tokio::test]
async fn alerts_and_dashboard_name_what_is_exported_and_the_page_describes_it() {
    let (_server, text) = after_traffic().await;
    let exported = exported(&text);
    for (file, content) in [("ops/alerts.yml", ALERTS), ("ops/grafana.json", DASHBOARD)] {
        let names = named(content);
        assert!(names.len() > 10, "{file} names too few: {names:?}");
        for name in names {
            assert!(exported.contains(name), "{file} names {name}, which is not exported");
        }
    }
    for (name, kind) in typed(&text) {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        let row = row.unwrap_or_else(|| panic!("docs/operating.md does not list {name}"));
        assert!(row.contains(&format!("| {kind} |")), "{name} is a {kind}: {row}");
    }
}

#[test]
fn every_alert_has_its_section() {
    let names: Vec<_> =
        ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in &names {
        assert!(PAGE.contains(&format!("### {name}\n")), "docs/operating.md has no section {name}");
        let runbook = format!("runbook: docs/operating.md#{}\n", name.to_lowercase());
        assert!(ALERTS.contains(&runbook), "{name} does not lead to its section");
    }
    for (word, count) in [("summary: ", names.len()), ("description: ", names.len())] {
        assert_eq!(ALERTS.matches(word).count(), count, "each alert has one {word}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let Some(promtool) = promtool() else {
        eprintln!(
            "!! promtool is not there: metrics and rules are NOT checked; see xtask/src/setup.rs"
        );
        return;
    };
    let (_server, text) = after_traffic().await;
    check(Command::new(&promtool).args(["check", "metrics"]), &text);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for what in [["rules", "ops/alerts.yml"], ["config", "ops/prometheus.yml"]] {
        check(Command::new(&promtool).arg("check").args(what).current_dir(root), "");
    }
    // It does find what is wrong.
    let mut wrong = Command::new(&promtool);
    assert!(!feed(wrong.args(["check", "metrics"]), "# TYPE x counter\nx 1\n").0);
}

/// `PROMTOOL`, that of the system, or that which `cargo xtask test` keeps.
fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kept = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/promtool"));
    let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let found = std::env::split_paths(&path).map(|folder| folder.join("promtool")).chain([kept]);
    named.or_else(|| found.into_iter().find(|path| path.is_file()))
}

#[track_caller]
fn check(command: &mut Command, input: &str) {
    let (is_fine, said) = feed(command, input);
    println!("{command:?}:\n{said}");
    assert!(is_fine, "{command:?} says:\n{said}");
}

fn feed(command: &mut Command, input: &str) -> (bool, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("promtool runs");
    // One that is given files does not read, and may have ended already.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_request_is_named_from_its_answer_to_its_refusal() {
    let server = Server::start();
    let api = server.api();
    let body =
        json!({ "run": "run_5d1f0c9a77e2", "type": "agent_started", "data": { "agent": "x" } });
    let named = api.request(reqwest::Method::POST, "/v1/events").header("X-Request-Id", "night-1");
    let answer = named.json(&body).send().await.expect("an answer");
    assert_eq!(answer.headers()["x-request-id"], "night-1");
    assert_eq!(answer.status(), 422);
    let bad = api.request(reqwest::Method::GET, "/v1/threads/nonsense/events");
    let answer = bad.header("X-Request-Id", "a name").send().await.expect("an answer");
    let made = answer.headers()["x-request-id"].to_str().expect("it is plain").to_owned();
    assert!(made.len() == 16 && made != "a name", "{made}");
    let admin = operator(&server);
    let refusals = admin.get("/v1/admin/refusals").await.body["refusals"].clone();
    assert_eq!(refusals[0]["request"], made.as_str());
    assert_eq!(refusals[0]["code"], "bad_id");
    assert_eq!(refusals[1]["request"], "night-1");
    assert_eq!(refusals[1]["code"], "run_unresolved");
    assert_eq!((&refusals[1]["asked"], &refusals[1]["events"]), (&json!("publish"), &json!(1)));
    assert!(refusals[2].is_null(), "each refusal stands there once: {refusals}");
}

#[tokio::test]
async fn what_a_client_wrote_is_in_no_refusal() {
    let server = Server::start();
    let mut socket = server.socket().await;
    let secrets = ["hunter2 of the frame", "hunter2 of the event"];
    socket.send(json!({ "op": "subscribe", "thread": 7, "token": secrets[0] })).await;
    socket.expect("error").await;
    let api = server.api();
    let event = json!({ "run": "run_5d1f0c9a77e2", "type": "agent_started", "data": secrets[1] });
    assert_ne!(api.post("/v1/events", &event).await.status, 200);
    let answer = operator(&server).get("/v1/admin/refusals").await;
    let kept = answer.body.to_string();
    assert_eq!(answer.body["refusals"].as_array().expect("a list").len(), 2, "{kept}");
    assert!(!kept.contains("hunter2"), "{kept}");
}

#[tokio::test]
async fn operators_see_who_is_connected_and_how_far() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let started = json!({ "run": run, "type": "agent_started", "data": { "agent": "test" } });
    api.publish(&[started]).await;
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    socket.expect("subscribed").await;
    socket.events_until(&thread, 1, 1).await;
    let admin = operator(&server);
    let page = admin.get(&format!("/v1/admin/connections?thread={thread}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    let connection = &page.body["connections"][0];
    assert_eq!(connection["transport"], "websocket");
    assert_eq!(connection["address"], "127.0.0.1");
    assert_eq!((&connection["lag"], &connection["following"]), (&json!(0), &json!(1)));
    assert_eq!(connection["threads"][0]["seq"], 1);
    let nobody = admin.get("/v1/admin/connections?user=nobody").await;
    assert_eq!(nobody.body["connections"], json!([]));
    assert_eq!(nobody.body["open"], 1);

    let live = admin.get(&format!("/v1/admin/threads/{thread}")).await.body;
    assert_eq!(live["thread"]["head"], 1);
    assert_eq!(live["runs"][0]["run"], run.as_str());
    assert_eq!(live["runs"][0]["state"], "running");
    assert_eq!(live["subscribers"][0]["connection"], connection["connection"]);

    let runs = admin.get("/v1/admin/runs?state=running").await.body;
    assert_eq!(runs["runs"][0]["thread"], thread.as_str());
    assert_eq!(admin.get("/v1/admin/runs?state=asked").await.body["runs"], json!([]));

    for path in ["connections", "threads", "runs", "refusals"] {
        let refused = api.get(&format!("/v1/admin/{path}")).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_name_each_thread_once() {
    let server = Server::start();
    let (api, admin) = (server.api(), operator(&server));
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, api.thread().await);
    }
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/v1/admin/threads?limit=2{after}")).await.body;
        let threads = page["threads"].as_array().expect("a list");
        assert!(threads.len() <= 2);
        listed.extend(threads.iter().map(|t| t["thread"].as_str().expect("an id").to_owned()));
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(listed, made);
    let nobody = admin.get("/v1/admin/threads?owner=nobody").await;
    assert_eq!(nobody.body["threads"], json!([]));
}

fn operator(server: &Server) -> Api {
    Api::new(&server.url(), &token(&["--user", "ops", "--scope", "admin"]))
}

#[tokio::test]
async fn a_request_can_be_followed_through_the_log() {
    let server =
        Server::start_with(&["--logs-format", "json", "--logs-level", "rethread_server=debug"]);
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    socket.expect("subscribed").await;
    let text = "what stands in an event";
    let started =
        json!({ "run": run, "type": "agent_started", "data": { "agent": "a", "message": text } });
    let named = api.request(reqwest::Method::POST, "/v1/events").header("X-Request-Id", "night-2");
    assert_eq!(named.json(&started).send().await.expect("an answer").status(), 200);
    socket.events_until(&thread, 1, 1).await;
    let legs = ["published", "committed", "delivered"];
    until("all three legs are logged", || async {
        let log = server.log();
        let of_request = log.lines().filter(|line| line.contains("night-2"));
        let lines: Vec<Value> =
            of_request.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let is_logged = |leg: &&str| lines.iter().any(|line| line["message"] == **leg);
        legs.iter().all(is_logged).then_some(())
    })
    .await;
    let log = server.log();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    assert!(!log.contains(text) && !log.contains("eyJ"), "neither events nor tokens: {log}");
}
