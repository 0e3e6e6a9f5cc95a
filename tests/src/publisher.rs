//! A publisher at full speed that comes back after every interruption, written from PROTOCOL.md alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    api::Api,
    make,
    socket::{Incoming, Socket},
    within,
};

/// Publishes unanswered at once. Events of one of them at most.
const WINDOW: usize = 6;
const BATCH: usize = 24;
/// Events of one run, about.
const RUN: u32 = 300;

/// Publishes runs of a thread until it is told to stop.
#[derive(Debug)]
pub struct Publisher {
    acked: watch::Receiver<Acked>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Value>>,
}

/// What was acknowledged: the `seq` of each event's id, and the highest of them.
#[derive(Clone, Debug, Default)]
pub struct Acked {
    /// Seq by id.
    pub seqs: Arc<HashMap<String, u64>>,
    /// The highest seq.
    pub highest: u64,
    /// Acknowledgements that said `duplicate`.
    pub duplicates: u64,
}

/// Everything of a publisher that has stopped.
#[derive(Debug)]
pub struct Finished {
    /// The events it made, in their order. Each was acknowledged.
    pub events: Vec<Value>,
    /// The acknowledgements.
    pub acked: Acked,
}

impl Publisher {
    /// Publishes over WebSockets, several publishes at once.
    #[must_use]
    pub fn over_socket(url: &str, token: &str, thread: &str) -> Self {
        let (url, token) = (url.to_owned(), token.to_owned());
        Self::spawn(thread, |work| over_socket(url, token, work))
    }

    /// Publishes over HTTP, one request after the other.
    #[must_use]
    pub fn over_http(url: &str, token: &str, thread: &str) -> Self {
        let api = Api::new(url, token);
        Self::spawn(thread, |work| over_http(api, work))
    }

    fn spawn<F>(thread: &str, run: impl FnOnce(Work) -> F) -> Self
    where
        F: Future<Output = Vec<Value>> + Send + 'static,
    {
        let (sender, acked) = watch::channel(Acked::default());
        let (stop, stopped) = watch::channel(false);
        let source =
            Source { thread: thread.to_owned(), run: String::new(), left: 0, made: vec![] };
        let work = Work { source, acked: sender, stopped, unanswered: VecDeque::new() };
        Self { acked, stop, task: tokio::spawn(run(work)) }
    }

    /// The highest `seq` that was acknowledged by now.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.acked.borrow().highest
    }

    /// Waits until something beyond `seq` has been acknowledged.
    ///
    /// # Panics
    /// When nothing is.
    pub async fn wait_beyond(&mut self, seq: u64) {
        within("an acknowledgement", self.acked.wait_for(|acked| acked.highest > seq))
            .await
            .expect("the publisher works");
    }

    /// Lets it end its run, waits until everything was acknowledged.
    ///
    /// # Panics
    /// When it is not, or something was refused.
    pub async fn finish(self) -> Finished {
        self.stop.send(true).expect("the publisher works");
        let events = within("the last acknowledgements", self.task).await.expect("no refusal");
        Finished { events, acked: self.acked.borrow().clone() }
    }
}

/// Makes a thread's runs.
struct Source {
    thread: String,
    run: String,
    left: u32,
    made: Vec<Value>,
}

impl Source {
    fn batch(&mut self) -> Vec<Value> {
        (0..rand::random_range(1..=BATCH)).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Value {
        let event = match self.left {
            0 => {
                self.run = make::run(&self.thread);
                // After the start a multiple of 16, so that a tool's begin comes before its end.
                self.left = 16 * rand::random_range(RUN / 32..=RUN / 16) + 1;
                make::started(&self.run)
            }
            1 => make::completed(&self.run),
            // Pairs of a tool's begin and end.
            left if left % 16 == 3 => make::event(
                &self.run,
                "tool_executing",
                json!({ "call_id": "call", "tool": "clock" }),
            ),
            left if left % 16 == 2 => make::event(
                &self.run,
                "tool_completed",
                json!({ "call_id": "call", "output": left }),
            ),
            _ => make::thinking(&self.run, &"x".repeat(rand::random_range(0..300))),
        };
        self.left -= 1;
        self.made.push(event.clone());
        event
    }

    /// What ends the run that goes on, if one does.
    fn ending(&mut self) -> Option<Vec<Value>> {
        if self.left == 0 {
            return None;
        }
        self.left = 0;
        let event = make::completed(&self.run);
        self.made.push(event.clone());
        Some(vec![event])
    }
}

/// What a publisher's task works on.
struct Work {
    source: Source,
    acked: watch::Sender<Acked>,
    stopped: watch::Receiver<bool>,
    unanswered: VecDeque<Vec<Value>>,
}

impl Work {
    /// The next batch, which is unanswered from now on; `None` when everything has been made.
    fn next(&mut self) -> Option<Vec<Value>> {
        let batch =
            if *self.stopped.borrow() { self.source.ending()? } else { self.source.batch() };
        self.unanswered.push_back(batch.clone());
        Some(batch)
    }

    fn is_done(&self) -> bool {
        *self.stopped.borrow() && self.unanswered.is_empty() && self.source.left == 0
    }

    /// Takes the results of the oldest unanswered batch. False when they say to try again.
    fn answered(&mut self, results: &[Value]) -> bool {
        let batch = self.unanswered.front().expect("an answer has its request");
        assert_eq!(batch.len(), results.len(), "a result for each event");
        let transient = |result: &Value| {
            ["shutting_down", "log_unavailable"].iter().any(|code| result["error"]["code"] == *code)
        };
        if results.iter().any(transient) {
            return false;
        }
        let batch = self.unanswered.pop_front().expect("it is there");
        self.acked.send_modify(|acked| {
            let seqs = Arc::make_mut(&mut acked.seqs);
            for (event, result) in batch.iter().zip(results) {
                assert_eq!(event["id"], result["id"], "refused or mixed up: {result} for {event}");
                let seq = result["seq"].as_u64().unwrap_or_else(|| panic!("not stored: {result}"));
                let id = event["id"].as_str().expect("an id").to_owned();
                assert!(seqs.insert(id, seq).is_none_or(|before| before == seq), "{result}");
                acked.highest = acked.highest.max(seq);
                acked.duplicates += u64::from(result["duplicate"] == true);
            }
        });
        true
    }
}

async fn over_socket(url: String, token: String, mut work: Work) -> Vec<Value> {
    while !work.is_done() {
        if let Some(socket) = Socket::try_welcomed(&url, &token).await {
            one_connection(socket, &mut work).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    work.source.made
}

/// Publishes over one connection, first what is unanswered, until it ends or all is done.
async fn one_connection(mut socket: Socket, work: &mut Work) -> Option<()> {
    let mut sent = 0_u64;
    // By what was sent: answers may overtake one another.
    let mut answers: HashMap<u64, Vec<Value>> = HashMap::new();
    let mut answered = 0_u64;
    for batch in &work.unanswered {
        sent += 1;
        socket.try_send(&json!({ "op": "publish", "req": sent, "events": batch })).await?;
    }
    loop {
        while work.unanswered.len() < WINDOW
            && let Some(batch) = work.next()
        {
            sent += 1;
            socket.try_send(&json!({ "op": "publish", "req": sent, "events": batch })).await?;
        }
        if work.is_done() {
            return Some(());
        }
        match socket.next().await {
            Incoming::Frame(frame) if frame["op"] == "published" => {
                let results = frame["results"].as_array().expect("results").clone();
                answers.insert(frame["req"].as_u64().expect("req"), results);
                while let Some(results) = answers.remove(&(answered + 1)) {
                    answered += 1;
                    if !work.answered(&results) {
                        return None;
                    }
                }
            }
            Incoming::Frame(frame) if frame["op"] == "goodbye" => {}
            Incoming::Frame(frame) => {
                let code = frame["code"].as_str().unwrap_or_default();
                let transient = matches!(code, "shutting_down" | "log_unavailable");
                assert!(transient, "the publisher was sent {frame}");
                return None;
            }
            Incoming::Closed(_) => return None,
        }
    }
}

async fn over_http(api: Api, mut work: Work) -> Vec<Value> {
    while !work.is_done() {
        if work.unanswered.is_empty() && work.next().is_none() {
            break;
        }
        let body = json!(work.unanswered.front().expect("a batch"));
        let request = api.request(reqwest::Method::POST, "/v1/events").json(&body);
        let Ok(response) = request.send().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let status = response.status().as_u16();
        let Ok(body) = response.text().await else { continue };
        if status == 503 {
            continue;
        }
        let body: Value = serde_json::from_str(&body).expect("the body is JSON");
        let results = body["results"].as_array().unwrap_or_else(|| panic!("{status}: {body}"));
        work.answered(results);
    }
    work.source.made
}
