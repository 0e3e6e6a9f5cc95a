//! A subscriber that comes back after every interruption, written from PROTOCOL.md alone.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    socket::{Incoming, Socket},
    within,
};

/// Follows one thread from its beginning, and keeps what it was given.
#[derive(Debug)]
pub struct Follower {
    record: watch::Receiver<Record>,
    task: JoinHandle<()>,
}

/// What a follower has seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The seq that its events follow: 0, or what a server said that keeps only the newest.
    pub after: u64,
    /// The events, in the order in which they came.
    pub events: Arc<Vec<Value>>,
    /// How often it was welcomed.
    pub welcomes: u64,
    /// How often a frame began beyond the next event.
    pub holes: u64,
    /// How often it was told to begin again.
    pub resets: u64,
}

impl Follower {
    /// Follows `thread` at `url`.
    #[must_use]
    pub fn start(url: &str, token: &str, thread: &str) -> Self {
        let (sender, record) = watch::channel(Record::default());
        let (url, token, thread) = (url.to_owned(), token.to_owned(), thread.to_owned());
        let task = tokio::spawn(async move {
            let mut epoch = None;
            loop {
                if let Some(socket) = Socket::try_welcomed(&url, &token).await {
                    sender.send_modify(|record| record.welcomes += 1);
                    follow(socket, &thread, &mut epoch, &sender).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { record, task }
    }

    /// What it has seen by now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Waits until what it has seen fits.
    ///
    /// # Panics
    /// When that does not come.
    pub async fn wait(&mut self, what: &str, fits: impl Fn(&Record) -> bool) -> Record {
        within(what, self.record.wait_for(|record| fits(record)))
            .await
            .expect("the follower works")
            .clone()
    }

    /// Waits until it has seen `last`; gives the events.
    pub async fn events_until(&mut self, last: usize) -> Arc<Vec<Value>> {
        let what = format!("event {last} at the follower");
        self.wait(&what, |record| record.events.len() >= last).await.events
    }
}

impl Record {
    /// The seq of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.after + self.events.len() as u64
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, until it ends.
async fn follow(
    mut socket: Socket,
    thread: &str,
    epoch: &mut Option<String>,
    sender: &watch::Sender<Record>,
) {
    loop {
        let seq = sender.borrow().last();
        let after = match epoch {
            Some(epoch) => json!({ "epoch": epoch, "seq": seq }),
            None => json!("start"),
        };
        let subscribe = json!({ "op": "subscribe", "thread": thread, "after": after });
        if socket.try_send(&subscribe).await.is_none() || receive(&mut socket, epoch, sender).await
        {
            return;
        }
    }
}

/// Takes frames until the connection ends (true) or the subscription must be repaired (false).
async fn receive(
    socket: &mut Socket,
    epoch: &mut Option<String>,
    sender: &watch::Sender<Record>,
) -> bool {
    loop {
        let Incoming::Frame(mut frame) = socket.next().await else { return true };
        match frame["op"].as_str() {
            Some("subscribed") => {
                *epoch = frame["epoch"].as_str().map(ToOwned::to_owned);
                let after = frame["after"].as_u64().expect("after");
                sender.send_if_modified(|record| {
                    let is_new = record.events.is_empty() && record.after != after;
                    record.after = if is_new { after } else { record.after };
                    is_new
                });
            }
            Some("reset") => sender.send_modify(|record| {
                record.resets += 1;
                record.events = Arc::default();
            }),
            Some("events") => {
                assert_eq!(frame["epoch"].as_str(), epoch.as_deref(), "an epoch changed unsaid");
                let next = sender.borrow().last() + 1;
                let first = frame["first"].as_u64().expect("first");
                if first > next {
                    sender.send_modify(|record| record.holes += 1);
                    return false;
                }
                let overlap = usize::try_from(next - first).expect("small");
                let Value::Array(events) = frame["events"].take() else { panic!("no events") };
                sender.send_if_modified(|record| {
                    let before = record.events.len();
                    Arc::make_mut(&mut record.events).extend(events.into_iter().skip(overlap));
                    record.events.len() > before
                });
            }
            Some("goodbye") => {}
            Some("error") if frame["retry_after_ms"].is_u64() => {
                // The subscription is over; it is asked for again when the server says.
                let wait = frame["retry_after_ms"].as_u64().unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(wait)).await;
                return false;
            }
            _ => panic!("the follower was sent {frame}"),
        }
    }
}
