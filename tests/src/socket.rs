//! One WebSocket connection, frame by frame.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use rethread_shared::frame::{SOCKET_PATH, SUBPROTOCOL};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::within;

/// A connection. Frames that were not asked for wait until they are.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<Value>,
    req: u64,
}

/// What comes over a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A frame.
    Frame(Value),
    /// The end, with the close code; none where the connection just broke.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens a connection.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let url = format!("{}{SOCKET_PATH}", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (stream, response) = connect_async(request).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        Ok(Self { stream, waiting: VecDeque::new(), req: 0 })
    }

    /// Opens a connection and says hello; `None` when either fails.
    pub async fn try_welcomed(url: &str, token: &str) -> Option<Self> {
        let mut socket = Self::open(url).await.ok()?;
        socket.try_send(&json!({ "op": "hello", "token": token, "client": "tests" })).await?;
        match socket.next().await {
            Incoming::Frame(frame) if frame["op"] == "welcome" => Some(socket),
            Incoming::Frame(frame) => panic!("welcome was expected, {frame} came"),
            Incoming::Closed(_) => None,
        }
    }

    /// Opens a connection and says hello.
    ///
    /// # Panics
    /// When it is not welcomed.
    pub async fn welcomed(url: &str, token: &str) -> Self {
        within("welcome", Self::try_welcomed(url, token)).await.expect("a welcome")
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send(&mut self, frame: Value) {
        self.try_send(&frame).await.unwrap_or_else(|| panic!("the connection has ended: {frame}"));
    }

    /// Sends a frame; `None` when the connection has ended.
    pub async fn try_send(&mut self, frame: &Value) -> Option<()> {
        self.stream.send(Message::text(frame.to_string())).await.ok()
    }

    /// Sends anything.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("the connection is open");
    }

    /// Sends bytes as they are, below the WebSocket.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt;
        self.stream.get_mut().write_all(bytes).await.expect("the connection is open");
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
        self.expect_where(op, |frame| frame["op"] == op).await
    }

    /// The next frame that `fits`; others wait.
    ///
    /// # Panics
    /// When none comes in time, or the connection ends.
    pub async fn expect_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).expect("it is there");
        }
        within(what, async {
            loop {
                match self.receive().await {
                    Incoming::Frame(frame) if fits(&frame) => return frame,
                    Incoming::Frame(frame) => self.waiting.push_back(frame),
                    Incoming::Closed(code) => {
                        panic!("{what} was expected, the end ({code:?}) came; {:?}", self.waiting)
                    }
                }
            }
        })
        .await
    }

    /// Waits for the end; gives its close code.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn expect_end(&mut self) -> Option<u16> {
        within("the connection's end", async {
            loop {
                if let Incoming::Closed(code) = self.receive().await {
                    return code;
                }
            }
        })
        .await
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

    /// Sends a frame with a new `req` and waits for its answer, which may be an error.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn ask(&mut self, mut frame: Value) -> Value {
        self.req += 1;
        let req = self.req;
        frame["req"] = req.into();
        let what = format!("the answer to {}", frame["op"]);
        self.send(frame).await;
        self.expect_where(&what, |frame| frame["req"] == req).await
    }

    /// Publishes, and gives the results.
    ///
    /// # Panics
    /// When the whole request is refused.
    pub async fn publish(&mut self, events: &[Value]) -> Vec<Value> {
        let answer = self.ask(json!({ "op": "publish", "events": events })).await;
        assert_eq!(answer["op"], "published", "{answer}");
        answer["results"].as_array().expect("results").clone()
    }

    /// Reads events of a thread that this connection follows, until `last` has come.
    ///
    /// # Panics
    /// When they do not come in order, or not in time.
    pub async fn events_until(&mut self, thread: &str, first: u64, last: u64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let mut next = first;
        while next <= last {
            let frame = self
                .expect_where("events", |frame| {
                    frame["op"] == "events" && frame["thread"] == thread
                })
                .await;
            let from = frame["first"].as_u64().expect("first");
            assert!(from <= next, "a hole before {from}, {next} was expected");
            for event in frame["events"].as_array().expect("events") {
                if event["seq"] == next {
                    events.push(event.clone());
                    next += 1;
                }
            }
            assert_eq!(frame["last"], frame["events"].as_array().unwrap().last().unwrap()["seq"]);
        }
        events
    }

    async fn receive(&mut self) -> Incoming {
        loop {
            match self.next_raw().await {
                Incoming::Frame(frame) if frame["op"] == "beat" => {}
                other => return other,
            }
        }
    }

    /// The next frame off the wire, be it a beat, or the end.
    ///
    /// # Panics
    /// When a frame is not JSON.
    pub async fn next_raw(&mut self) -> Incoming {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Incoming::Frame(serde_json::from_str(&text).expect("a frame is JSON"));
                }
                Some(Ok(Message::Close(close))) => {
                    return Incoming::Closed(close.map(|close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Incoming::Closed(None),
            }
        }
    }
}
