//! The parts of the hot path, for whoever measures them: time in `hot_path`, instructions in
//! `instructions`. Each is what the server does with one event, or with one group of them.
#![allow(dead_code, reason = "each of the two uses some of it")]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use rethread_server::log::{
    Appended, LocalLog, Log, NewRecord, NewThread, Record, engine::memory::MemoryEngine,
    frame::Frame,
};
use rethread_shared::{
    Epoch, EventId, RunId, ThreadId,
    event::{Checked, Envelope},
};
use tokio::runtime::{Builder, Runtime};

/// A run's id, in the form that agents use.
pub(crate) const RUN: &str = "thread_13679e4dcc38403a_run_1756919162904_9adf1f09";
const NOW_MS: u64 = 1_756_919_163_041;
/// Events of a group, and of a frame.
pub(crate) const GROUP: usize = 64;
/// Subscribers that a frame goes to.
pub(crate) const SUBSCRIBERS: usize = 20;

/// An event of 250 bytes, as an agent publishes it.
pub(crate) fn published() -> String {
    let event = |padding: &str| {
        format!(
            r#"{{"id":"0199108a-eb4e-71a6-9c16-5e2f7b16d43a","run":"{RUN}","type":"message_delta","data":{{"message_id":"m1","text":"{padding}"}}}}"#
        )
    };
    event(&"x".repeat(250 - event("").len()))
}

/// A run's id, from its text.
pub(crate) fn parse_run() -> RunId {
    black_box(RUN).parse().expect("it is a run's id")
}

/// An event's id, from its text.
pub(crate) fn parse_event_id() -> EventId {
    black_box("0199108a-eb4e-71a6-9c16-5e2f7b16d43a").parse().expect("it is an event's id")
}

/// What is checked of an event before its thread is known.
pub(crate) fn check(text: &str) -> Checked<'_> {
    Envelope::read(black_box(text)).and_then(Envelope::check).expect("it is a good event")
}

/// The text that is stored.
pub(crate) fn encode(checked: &Checked<'_>) -> String {
    let id = checked.id.expect("it has an id");
    black_box(checked).body(id, NOW_MS)
}

/// A thread, its epoch, and a group of its events as they are stored.
pub(crate) fn stored() -> (ThreadId, Epoch, Vec<Record>) {
    let text = published();
    let body = Bytes::from(encode(&check(&text)));
    let records = (1..=GROUP as u64).map(|seq| Record { seq, body: body.clone() });
    let thread = "thread_13679e4dcc38403a".parse().expect("it is a thread's id");
    (thread, "9f3a12bc".parse().expect("it is an epoch"), records.collect())
}

/// The wire frame of a group, made once for all subscribers.
pub(crate) fn frame((thread, epoch, records): &(ThreadId, Epoch, Vec<Record>)) -> Frame {
    Frame::new(black_box(thread), *epoch, black_box(records))
}

/// What the frame is for each subscriber: the text to be written, shared.
pub(crate) fn fan_out(frame: &Frame, thread: &ThreadId, epoch: Epoch) -> usize {
    let mut bytes = 0;
    for _ in 0..SUBSCRIBERS {
        let due = black_box(frame).from(black_box(1), thread, epoch);
        bytes += black_box(due.text.clone()).len();
    }
    bytes
}

/// A log in memory: everything of group commit but the disk.
pub(crate) struct Commit {
    runtime: Runtime,
    log: LocalLog,
    thread: ThreadId,
    body: Bytes,
    next: u64,
}

impl Commit {
    /// With one thread in it.
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (thread, epoch, records) = stored();
        let log = runtime.block_on(async {
            let log = LocalLog::open(Arc::new(MemoryEngine::default())).expect("a log");
            let new = NewThread {
                thread: thread.clone(),
                owner: "bench".into(),
                title: None,
                created_at: NOW_MS,
                epoch,
            };
            log.create(new).await.expect("a thread");
            log
        });
        Self { runtime, log, thread, body: records[0].body.clone(), next: 0 }
    }

    /// Events that are new.
    pub(crate) fn group(&mut self) -> Vec<NewRecord> {
        (0..GROUP)
            .map(|_| {
                self.next += 1;
                let mut random = [0; 10];
                random[2..].copy_from_slice(&self.next.to_le_bytes());
                let id = EventId::generate(NOW_MS, random);
                NewRecord { id, body: self.body.clone(), request: None }
            })
            .collect()
    }

    /// Appends them and waits for the answer.
    pub(crate) fn append(&self, group: Vec<NewRecord>) -> Vec<Appended> {
        self.runtime.block_on(self.log.append(&self.thread, group)).expect("they are stored")
    }
}
