//! The browser's WebSocket.

use std::{future::poll_fn, pin::pin};

use futures_util::{Sink, Stream};
use gloo_net::websocket::{Message, State, WebSocketError, futures::WebSocket};
use js_sys::JsString;
use rethread_shared::frame::SUBPROTOCOL;
use wasm_bindgen::prelude::*;

/// The close code of an ordinary end (RFC 6455, section 7.4.1).
const NORMAL_CLOSE: u16 = 1000;

/// An open socket: sends and closes. What it receives goes to the [`Socket::listen`] of its dial.
#[derive(Clone)]
pub(crate) struct Socket(web_sys::WebSocket);

/// What a socket says, in this order: `Opened` at most once, `Text` any number of times.
pub(crate) enum Said {
    Opened,
    Text(String),
    /// A frame that is no text; the protocol has none.
    Binary,
}

impl Socket {
    /// Begins to open a socket.
    pub(crate) fn dial(url: &str) -> Result<Self, JsValue> {
        web_sys::WebSocket::new_with_str(url, SUBPROTOCOL).map(Self)
    }

    /// Hears the socket out. Ends with the close code that the server sent, if it sent one.
    pub(crate) async fn listen(&self, mut hear: impl FnMut(Said)) -> Option<u16> {
        let mut socket = pin!(WebSocket::try_from(self.0.clone()).ok()?);
        // A sink is ready once the socket is open, or has failed to open.
        poll_fn(|context| Sink::poll_ready(socket.as_mut(), context)).await.ok()?;
        if matches!(socket.state(), State::Open) {
            hear(Said::Opened);
        }
        loop {
            match poll_fn(|context| socket.as_mut().poll_next(context)).await {
                Some(Ok(Message::Text(text))) => hear(Said::Text(text)),
                Some(Ok(Message::Bytes(_))) => hear(Said::Binary),
                // 1005 and 1006 mean that there was no close frame, or none with a code.
                Some(Err(WebSocketError::ConnectionClose(close))) => {
                    return Some(close.code).filter(|code| !matches!(code, 1005 | 1006));
                }
                // A close follows.
                Some(Err(_)) => {}
                None => return None,
            }
        }
    }

    /// Sends a frame. What cannot be sent is lost with the socket, whose close is heard then.
    pub(crate) fn send(&self, text: &JsString) {
        let _ = self.0.unchecked_ref::<Sender>().send(text);
    }

    /// Closes the socket, or gives up opening it.
    pub(crate) fn close(&self, code: Option<u16>) {
        let _ = self.0.close_with_code(code.unwrap_or(NORMAL_CLOSE));
    }
}

#[wasm_bindgen]
extern "C" {
    /// A WebSocket that takes text as JavaScript has it. `web_sys` would have it copied twice.
    type Sender;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Sender, text: &JsString) -> Result<(), JsValue>;
}
