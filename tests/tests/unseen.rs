//! What is not granted is not there: no request tells a thread or a run of somebody else from one that
//! never was, by status, by header or by a byte of the body.

use reqwest::Method;
use rethread_tests::{api::Api, make, server::Server, socket::Socket};
use serde_json::{Value, json};

/// Ids of one kind: of what belongs to somebody else, and of nothing, of the same length.
struct Pair {
    what: &'static str,
    foreign: String,
    absent: String,
}

impl Pair {
    fn new(what: &'static str, foreign: &str) -> Self {
        // The last sign before what an id must end with is changed.
        let at = foreign.rfind("_run_").filter(|at| *at > 0).unwrap_or(foreign.len()) - 1;
        let other = if &foreign[at..=at] == "0" { "1" } else { "0" };
        let absent = format!("{}{other}{}", &foreign[..at], &foreign[at + 1..]);
        Self { what, foreign: foreign.to_owned(), absent }
    }

    /// `text` as it would be if it were about nothing. It may name a part of the id only.
    fn hidden(&self, text: &str) -> String {
        let mut pairs = self.foreign.bytes().zip(self.absent.bytes());
        let at = pairs.position(|(foreign, absent)| foreign != absent).expect("they differ");
        // What stands before the difference as well, but not what stands before a thread's id.
        let from = self.foreign[..at].rfind("thread_").unwrap_or(0);
        text.replace(&self.foreign[from..=at], &self.absent[from..=at])
    }
}

/// All of an answer that a client sees, but what differs from one request to the next.
async fn seen(request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.expect("an answer");
    let (status, mut headers) = (response.status(), response.headers().clone());
    for changing in ["date", "x-request-id"] {
        headers.remove(changing);
    }
    let mut headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    format!("{status}\n{}\n{}", headers.join("\n"), response.text().await.expect("a body"))
}

/// Threads and runs of ada's, in every form that an id has.
async fn of_ada(server: &Server) -> (Vec<Pair>, Vec<Pair>) {
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let (thread, empty) = (ada.thread().await, ada.thread().await);
    let run = ada.run(&thread).await;
    ada.publish(&make::whole_run(&run, 3)).await;
    let minted = ada.run(&thread).await;
    let legacy = format!("run_{thread}_0a1b2c3d4e5f");
    ada.publish(&[make::started(&legacy)]).await;
    let migrate = json!({ "run": "run_5d1f0c9a77e2", "thread": thread });
    let migrated = server.operator().post("/v1/admin/migrate", &migrate).await;
    assert_eq!(migrated.status, 200, "{migrated:?}");
    let threads = vec![Pair::new("a thread", &thread), Pair::new("an empty thread", &empty)];
    let opaque = Pair {
        what: "an opaque run",
        foreign: "run_5d1f0c9a77e2".into(),
        absent: "run_5d1f0c9a77e3".into(),
    };
    let in_legacy = Pair {
        what: "a run of an old form",
        absent: legacy.replace(&thread, &threads[0].absent),
        foreign: legacy,
    };
    let runs = vec![
        Pair::new("a run that has ended", &run),
        Pair::new("a run that was minted", &minted),
        Pair::new("a thread's id as a run's", &thread),
        in_legacy,
        opaque,
    ];
    (threads, runs)
}

#[tokio::test]
async fn no_endpoint_tells_what_is_forbidden_from_what_is_absent() {
    let server = Server::start();
    let (threads, runs) = of_ada(&server).await;
    let eve = Api::new(&server.url(), &server.token_of("eve"));
    // Every endpoint that names a thread or a run, and is not for operators only.
    let document = eve.get("/openapi.json").await.body;
    let named: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .filter(|path| path.contains('{') && !path.starts_with("/v1/admin"))
        .collect();
    let known = ["/v1/threads/{thread}/events", "/v1/threads/{thread}/runs"];
    assert_eq!(named, known, "ask the new endpoint here, too");

    for pair in &threads {
        for (method, path, accept) in [
            (Method::GET, "events", "application/json"),
            (Method::GET, "events?after=0&limit=5", "application/json"),
            (Method::GET, "events?after=0000000a:7", "application/json"),
            (Method::GET, "events", "text/event-stream"),
            (Method::POST, "runs", "application/json"),
            (Method::DELETE, "events", "application/json"),
        ] {
            let ask = |id: &str| {
                let path = format!("/v1/threads/{id}/{path}");
                seen(eve.request(method.clone(), &path).header("accept", accept))
            };
            let (foreign, absent) = (ask(&pair.foreign).await, ask(&pair.absent).await);
            assert_eq!(pair.hidden(&foreign), absent, "{method} {path} {accept} of {}", pair.what);
        }
    }
    for pair in &runs {
        for kind in ["agent_started", "agent_thinking", "agent_completed", "nonsense"] {
            let ask = |run: &str| {
                let mut event = make::event(run, kind, json!({ "text": "hm", "agent": "a" }));
                event["id"] = "0199108a-e818-71a0-9c10-5e2f7b10d43a".into();
                seen(eve.request(Method::POST, "/v1/events").json(&event))
            };
            let (foreign, absent) = (ask(&pair.foreign).await, ask(&pair.absent).await);
            assert_eq!(pair.hidden(&foreign), absent, "{kind} in {}", pair.what);
            assert!(!foreign.starts_with("200"), "{foreign}");
        }
    }
    assert_eq!(eve.get("/v1/threads").await.body, json!({ "threads": [] }));
}

#[tokio::test]
async fn no_frame_tells_what_is_forbidden_from_what_is_absent() {
    let server = Server::start();
    let (threads, runs) = of_ada(&server).await;
    let mut socket = Socket::welcomed(&server.url(), &server.token_of("eve")).await;
    let position = json!({ "epoch": "0000000a", "seq": 2 });
    for pair in &threads {
        for after in [json!("start"), json!("now"), position.clone()] {
            let frame = |id: &str| json!({ "op": "subscribe", "thread": id, "after": after });
            told_alike(&mut socket, pair, frame).await;
        }
        let message_id = make::id();
        let frame = |id: &str| json!({ "op": "send", "req": 7, "thread": id, "message_id": message_id, "text": "hi" });
        told_alike(&mut socket, pair, frame).await;
    }
    for pair in &runs {
        let frame = |id: &str| json!({ "op": "cancel", "req": 8, "run": id });
        told_alike(&mut socket, pair, frame).await;
        let event = |id: &str| {
            let mut event = make::started(id);
            event["id"] = "0199108a-e818-71a0-9c10-5e2f7b10d43a".into();
            event
        };
        let frame = |id: &str| json!({ "op": "publish", "req": 9, "events": [event(id)] });
        told_alike(&mut socket, pair, frame).await;
    }
}

/// Sends a frame about what is somebody else's and about nothing, and compares what is answered.
async fn told_alike(socket: &mut Socket, pair: &Pair, frame: impl Fn(&str) -> Value) {
    let mut answers = Vec::new();
    for id in [&pair.foreign, &pair.absent] {
        socket.send(frame(id)).await;
        let answer = socket.expect_where("an answer", |frame| frame["op"] != "beat").await;
        assert!(answer["op"] == "error" || answer["op"] == "published", "{answer}");
        answers.push(answer.to_string());
    }
    let asked = frame("…");
    assert_eq!(pair.hidden(&answers[0]), answers[1], "{} of {}", asked["op"], pair.what);
}
