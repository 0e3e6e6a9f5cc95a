//! One stream of server-sent events.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::Value;

use crate::{api::Api, within};

/// A stream that is open.
pub struct Sse {
    bytes: Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>,
    buffer: Vec<u8>,
}

/// One block of a stream, ended by an empty line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The field `id`.
    pub id: String,
    /// The field `event`.
    pub event: String,
    /// The fields `data`, with line ends between, read as JSON.
    pub data: Value,
    /// The comments.
    pub comment: String,
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sse").finish_non_exhaustive()
    }
}

impl Sse {
    /// Opens a stream at a path; `last` is the header `Last-Event-ID`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(api: &Api, path: &str, last: Option<&str>) -> Self {
        let mut request = api.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let bytes =
            response.bytes_stream().map(|chunk| chunk.expect("the stream goes on").to_vec());
        Self { bytes: Box::pin(bytes), buffer: Vec::new() }
    }

    /// The next block.
    ///
    /// # Panics
    /// When none comes in time, or the stream ends.
    pub async fn next(&mut self) -> Block {
        let text = within("a block of server-sent events", async {
            loop {
                if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                    let rest = self.buffer.split_off(end + 2);
                    return std::mem::replace(&mut self.buffer, rest);
                }
                let chunk = self.bytes.next().await.expect("the stream goes on");
                self.buffer.extend(chunk);
            }
        })
        .await;
        read(std::str::from_utf8(&text).expect("a stream is UTF-8"))
    }

    /// The blocks that still come, to the stream's end; comments are passed over.
    ///
    /// # Panics
    /// When the end does not come in time.
    pub async fn rest(&mut self) -> Vec<Block> {
        within("the stream's end", async {
            while let Some(chunk) = self.bytes.next().await {
                self.buffer.extend(chunk);
            }
        })
        .await;
        let text = String::from_utf8(std::mem::take(&mut self.buffer)).expect("a stream is UTF-8");
        let blocks = text.split_inclusive("\n\n").map(|block| read(&block[..block.len() - 1]));
        blocks.filter(|block| block.data != Value::Null).collect()
    }

    /// The next block of events; comments are passed over.
    ///
    /// # Panics
    /// As [`Sse::next`].
    pub async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await;
            if block.data != Value::Null {
                return block;
            }
        }
    }
}

fn read(text: &str) -> Block {
    let mut block = Block::default();
    let mut data: Vec<&str> = Vec::new();
    // Any of CR, LF, CRLF ends a line.
    for line in text.split(['\n', '\r']) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => block.id = value.to_owned(),
            "event" => block.event = value.to_owned(),
            "data" => data.push(value),
            "" => block.comment += value,
            other => panic!("an unknown field {other:?} in {text:?}"),
        }
    }
    if !data.is_empty() {
        block.data = serde_json::from_str(&data.join("\n")).expect("data is JSON");
    }
    block
}
