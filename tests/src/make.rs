//! Ids and events for tests.

use std::time::{SystemTime, UNIX_EPOCH};

use rethread_shared::{EventId, RunId, ThreadId};
use serde_json::{Value, json};

/// Now, milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    u64::try_from(since.as_millis()).expect("the clock is before the year 500 million")
}

/// A new event's or message's id.
#[must_use]
pub fn id() -> String {
    EventId::generate(unix_ms(), rand::random()).to_string()
}

/// A new thread's id.
#[must_use]
pub fn thread() -> String {
    ThreadId::generate(rand::random()).to_string()
}

/// A new run of a thread.
///
/// # Panics
/// When `thread` is no thread's id.
#[must_use]
pub fn run(thread: &str) -> String {
    let thread = thread.parse().expect("a thread's id");
    RunId::generate(&thread, unix_ms(), rand::random()).to_string()
}

/// An event with an id, as a publisher sends it.
#[must_use]
pub fn event(run: &str, kind: &str, data: Value) -> Value {
    json!({ "id": id(), "run": run, "type": kind, "at": unix_ms(), "data": data })
}

/// `agent_started`
#[must_use]
pub fn started(run: &str) -> Value {
    event(run, "agent_started", json!({ "agent": "test" }))
}

/// `agent_thinking`
#[must_use]
pub fn thinking(run: &str, text: &str) -> Value {
    event(run, "agent_thinking", json!({ "text": text }))
}

/// `agent_completed`
#[must_use]
pub fn completed(run: &str) -> Value {
    event(run, "agent_completed", json!({}))
}

/// A whole small run: start, `thoughts` thoughts, end.
#[must_use]
pub fn whole_run(run: &str, thoughts: usize) -> Vec<Value> {
    let mut events = vec![started(run)];
    events.extend((0..thoughts).map(|n| thinking(run, &n.to_string())));
    events.push(completed(run));
    events
}
