//! The fallback in the browser: a connection without WebSocket. A module of its own beside the client's,
//! because a page downloads it only when it cannot do without.
//!
//! The server's frames are read from the answer to one request, as server-sent events; the client's go in
//! requests of their own, one at a time, so that they stay in order. What comes while one is under way
//! goes along in the next. When there is a connection, and when WebSocket is tried again, is the matter of
//! `js/fallback.js`.
#![deny(missing_docs)]

mod events;

use std::{cell::RefCell, fmt, rc::Rc};

use gloo_net::http::{Request, RequestBuilder, Response};
use js_sys::{JSON, Reflect, Uint8Array};
use rethread_shared::limits::FRAME_BYTES_MAX;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, ReadableStreamDefaultReader, RequestRedirect};

use events::Events;

/// See the same in `rethread-client-wasm`.
// SAFETY: `new_global` must be used once and as the global allocator, on a target with one thread.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
#[global_allocator]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };

#[wasm_bindgen]
extern "C" {
    /// What is told of a connection.
    pub type Hear;

    /// A frame came; undefined for what is no JSON.
    #[wasm_bindgen(method, structural)]
    fn frame(this: &Hear, frame: JsValue);

    /// It is over, with the code that the server sent, or 0.
    #[wasm_bindgen(method, structural)]
    fn closed(this: &Hear, code: u16);

    /// It is over: a request was answered by what is no stream, or not as the server does.
    #[wasm_bindgen(method, structural)]
    fn refused(this: &Hear, answer: web_sys::Response);
}

/// A connection. It begins with the first frame that is sent, which must be `hello`.
#[wasm_bindgen]
pub struct Stream(Rc<Inner>);

struct Inner {
    address: String,
    hear: Hear,
    abort: AbortController,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The token of the last `hello`.
    token: String,
    /// Frames that wait, as JSON.
    waiting: Vec<String>,
    /// The first request is under way.
    has_begun: bool,
    /// What the server calls this connection.
    name: Option<String>,
    is_sending: bool,
    is_over: bool,
}

#[wasm_bindgen]
impl Stream {
    /// A connection to this address (`https://host/v1/stream`).
    ///
    /// # Errors
    /// In a browser without `AbortController`.
    #[wasm_bindgen(constructor)]
    pub fn new(address: String, hear: Hear) -> Result<Self, JsValue> {
        let abort = AbortController::new()?;
        Ok(Self(Rc::new(Inner { address, hear, abort, state: RefCell::default() })))
    }

    /// Sends a frame.
    pub fn send(&self, frame: &JsValue) {
        let Some(text) = JSON::stringify(frame).ok().and_then(|text| text.as_string()) else {
            return;
        };
        let state = &mut *self.0.state.borrow_mut();
        if let Some(token) = member(frame, "token") {
            state.token = token;
        }
        state.waiting.push(text);
        if !state.has_begun {
            state.has_begun = true;
            let first = std::mem::take(&mut state.waiting);
            spawn_local(self.0.clone().follow(lines(&first)));
        } else if state.name.is_some() {
            self.0.clone().pass_on(state);
        }
    }

    /// Ends it. Nothing more is told.
    pub fn close(&self) {
        self.0.state.borrow_mut().is_over = true;
        self.0.abort.abort();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Inner {
    /// Reads the stream to its end.
    async fn follow(self: Rc<Self>, first: String) {
        let code = self.read(first).await.unwrap_or(0);
        self.end(code);
    }

    async fn read(self: &Rc<Self>, first: String) -> Option<u16> {
        let answer = self.post(&self.address).body(first).ok()?.send().await.ok()?;
        let kind = answer.headers().get("content-type").unwrap_or_default();
        // A page that asks to log in is no stream.
        if !answer.ok() || !kind.starts_with("text/event-stream") {
            self.refuse(answer);
            return None;
        }
        let reader: ReadableStreamDefaultReader = answer.body()?.get_reader().unchecked_into();
        let mut events = Events::default();
        loop {
            let read = JsFuture::from(reader.read()).await.ok()?;
            let bytes: Uint8Array = Reflect::get(&read, &"value".into()).ok()?.dyn_into().ok()?;
            events.push(&bytes.to_vec());
            while let Some(event) = events.next() {
                let data = JSON::parse(&event.data).unwrap_or_default();
                match event.name.as_str() {
                    "open" => self.opened(member(&data, "stream")?),
                    "close" => {
                        let code = Reflect::get(&data, &"code".into()).ok()?;
                        return Some(code.as_f64()? as u16);
                    }
                    _ if self.state.borrow().is_over => return None,
                    _ => self.hear.frame(data),
                }
            }
        }
    }

    fn opened(self: &Rc<Self>, name: String) {
        let state = &mut *self.state.borrow_mut();
        state.name = Some(name);
        self.clone().pass_on(state);
    }

    /// Sends what waits, unless that is being done.
    fn pass_on(self: Rc<Self>, state: &mut State) {
        if !state.waiting.is_empty() && !std::mem::replace(&mut state.is_sending, true) {
            spawn_local(self.send_all());
        }
    }

    async fn send_all(self: Rc<Self>) {
        loop {
            let batch = {
                let state = &mut *self.state.borrow_mut();
                if state.waiting.is_empty() || state.is_over {
                    state.is_sending = false;
                    return;
                }
                let mut bytes = 0;
                let fitting = state.waiting.iter().take_while(|frame| {
                    bytes += frame.len();
                    bytes <= FRAME_BYTES_MAX
                });
                // One that is too large is the server's to refuse.
                let count = fitting.count().max(1);
                lines(&state.waiting.drain(..count).collect::<Vec<_>>())
            };
            if self.send_batch(batch).await.is_none() {
                return self.end(0);
            }
        }
    }

    async fn send_batch(&self, batch: String) -> Option<()> {
        let request = {
            let state = self.state.borrow();
            let address = [&self.address, "/", state.name.as_ref()?].concat();
            let token = ["Bearer ", &state.token].concat();
            self.post(&address).header("authorization", &token)
        };
        let answer = request.body(batch).ok()?.send().await.ok()?;
        if !answer.ok() {
            self.refuse(answer);
            return None;
        }
        Some(())
    }

    fn post(&self, address: &str) -> RequestBuilder {
        Request::post(address)
            .header("content-type", "application/x-ndjson")
            // The server sends nobody elsewhere; a page to log in to the network does.
            .redirect(RequestRedirect::Manual)
            .abort_signal(Some(&self.abort.signal()))
    }

    fn end(&self, code: u16) {
        if self.is_first_end() {
            self.abort.abort();
            self.hear.closed(code);
        }
    }

    /// Ends it; what the answer says is still to be read.
    fn refuse(&self, answer: Response) {
        if self.is_first_end() {
            self.hear.refused(answer.into());
        }
    }

    fn is_first_end(&self) -> bool {
        !std::mem::replace(&mut self.state.borrow_mut().is_over, true)
    }
}

fn lines(frames: &[String]) -> String {
    frames.join("\n")
}

fn member(of: &JsValue, name: &str) -> Option<String> {
    Reflect::get(of, &name.into()).ok()?.as_string()
}
