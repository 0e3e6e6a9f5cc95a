//! One connection without a WebSocket, frame by frame: server-sent events, and requests.

use std::{collections::VecDeque, pin::Pin};

use futures_util::{Stream as Bytes, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, answer},
    socket::Incoming,
    within,
};

/// Where such connections are opened.
pub const PATH: &str = "/v1/stream";

/// A connection. Frames that were not asked for wait until they are.
pub struct Stream {
    api: Api,
    /// What the server calls it.
    pub name: String,
    bytes: Pin<Box<dyn Bytes<Item = Option<Vec<u8>>> + Send>>,
    buffer: Vec<u8>,
    waiting: VecDeque<Value>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stream {
    /// Opens a connection with these frames, and reads its first event.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(api: &Api, frames: &[Value]) -> Self {
        let request = api.request(Method::POST, PATH).body(lines(frames));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store, no-transform"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        let bytes = response.bytes_stream().map(|chunk| chunk.ok().map(|chunk| chunk.to_vec()));
        let mut stream = Self {
            api: api.clone(),
            name: String::new(),
            bytes: Box::pin(bytes),
            buffer: Vec::new(),
            waiting: VecDeque::new(),
        };
        let (event, data) = within("the first event", stream.block()).await.expect("an event");
        assert_eq!(event, "open");
        stream.name = data["stream"].as_str().expect("a name").to_owned();
        stream
    }

    /// Opens a connection and is welcomed.
    ///
    /// # Panics
    /// When it is not.
    pub async fn welcomed(url: &str, token: &str) -> Self {
        let hello = json!({ "op": "hello", "token": token, "client": "tests" });
        let mut stream = Self::open(&Api::new(url, token), &[hello]).await;
        stream.expect("welcome").await;
        stream
    }

    /// Where further frames go.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{PATH}/{}", self.name)
    }

    /// Sends frames, and gives what the request was answered with.
    pub async fn try_send(&self, frames: &[Value]) -> Answer {
        answer(self.api.request(Method::POST, &self.path()).body(lines(frames))).await
    }

    /// Sends frames.
    ///
    /// # Panics
    /// When they are not taken.
    pub async fn send(&self, frames: &[Value]) {
        let answer = self.try_send(frames).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Sends later frames with another token.
    pub fn renew(&mut self, token: &str) {
        self.api = self.api.with_token(token);
    }

    /// The next frame or the end.
    pub async fn next(&mut self) -> Incoming {
        if let Some(frame) = self.waiting.pop_front() {
            return Incoming::Frame(frame);
        }
        self.receive().await
    }

    /// The next frame of `op`; others wait. Beats are passed over.
    ///
    /// # Panics
    /// When none comes in time, or the connection ends.
    pub async fn expect(&mut self, op: &str) -> Value {
        if let Some(at) = self.waiting.iter().position(|frame| frame["op"] == op) {
            return self.waiting.remove(at).expect("it is there");
        }
        within(op, async {
            loop {
                match self.receive().await {
                    Incoming::Frame(frame) if frame["op"] == op => return frame,
                    Incoming::Frame(frame) => self.waiting.push_back(frame),
                    Incoming::Closed(code) => panic!("{op} was expected, the end ({code:?}) came"),
                }
            }
        })
        .await
    }

    /// Reads events until `last` has come; they must come in order.
    ///
    /// # Panics
    /// When they do not come so, or not in time.
    pub async fn events_until(&mut self, first: u64, last: u64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        while first + (events.len() as u64) <= last {
            let frame = self.expect("events").await;
            events.extend(frame["events"].as_array().expect("events").iter().cloned());
        }
        for (seq, event) in (first..).zip(&events) {
            assert_eq!(event["seq"], seq);
        }
        events
    }

    /// What still comes, to the end, and the end's close code. Beats are passed over.
    ///
    /// # Panics
    /// When the end does not come in time.
    pub async fn rest(&mut self) -> (Vec<Value>, Option<u16>) {
        within("the connection's end", async {
            let mut frames = Vec::new();
            loop {
                match self.next().await {
                    Incoming::Frame(frame) => frames.push(frame),
                    Incoming::Closed(code) => return (frames, code),
                }
            }
        })
        .await
    }

    async fn receive(&mut self) -> Incoming {
        loop {
            match self.block().await {
                None => return Incoming::Closed(None),
                Some((event, data)) if event == "close" => {
                    let code = data["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                    return Incoming::Closed(code);
                }
                Some((_, frame)) if frame["op"] == "beat" => {}
                Some((_, frame)) => return Incoming::Frame(frame),
            }
        }
    }

    /// The next event: its name and its data.
    async fn block(&mut self) -> Option<(String, Value)> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                break end;
            }
            self.buffer.extend(self.bytes.next().await.flatten()?);
        };
        let rest = self.buffer.split_off(end + 2);
        let text = String::from_utf8(std::mem::replace(&mut self.buffer, rest)).expect("UTF-8");
        let field = |name: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
        };
        let data = serde_json::from_str(&field("data").join("\n")).expect("data is JSON");
        Some((field("event").join(""), data))
    }
}

fn lines(frames: &[Value]) -> String {
    frames.iter().map(|frame| format!("{frame}\n")).collect()
}
