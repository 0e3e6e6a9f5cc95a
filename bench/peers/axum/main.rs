//! The least that a broadcast over axum can be: a channel of tokio's for each path, and nothing kept.
//!
//! `/pub/{thread}` takes text frames, `/sub/{thread}` gives them to everybody who is there. No ids, no
//! order to check, no disk, no way back for who was away: what is left is what the stack itself costs.

use std::{collections::HashMap, process::exit, sync::Arc};

use axum::{
    Router,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    response::Response,
    routing::get,
};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, Sender, error::RecvError},
};

/// Frames that a subscriber may be behind, which is more than a load has under way.
const BEHIND_MAX: usize = 1_024;

type Threads = Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>;

// As many workers as there are cores to use: one, where the load generator starts it.
#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/pub/{thread}", get(publish))
        .route("/sub/{thread}", get(subscribe))
        .with_state(Threads::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}

async fn publish(
    upgrade: WebSocketUpgrade,
    State(threads): State<Threads>,
    Path(thread): Path<String>,
) -> Response {
    let sender = of(&threads, thread);
    upgrade.on_upgrade(move |mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                // Nobody there is no error.
                let _ = sender.send(text);
            }
        }
    })
}

async fn subscribe(
    upgrade: WebSocketUpgrade,
    State(threads): State<Threads>,
    Path(thread): Path<String>,
) -> Response {
    let sender = of(&threads, thread);
    upgrade.on_upgrade(move |socket| deliver(socket, sender))
}

async fn deliver(mut socket: WebSocket, sender: Sender<Utf8Bytes>) {
    let mut receiver = sender.subscribe();
    if socket.send(Message::Text("subscribed".into())).await.is_err() {
        return;
    }
    loop {
        let text = tokio::select! {
            received = receiver.recv() => match received {
                Ok(text) => text,
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(lost)) => {
                    eprintln!("a subscriber was too slow: {lost} frames are lost");
                    exit(1);
                }
            },
            said = socket.recv() => match said {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        if socket.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
}

fn of(threads: &Threads, thread: String) -> Sender<Utf8Bytes> {
    threads.lock().entry(thread).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).clone()
}
