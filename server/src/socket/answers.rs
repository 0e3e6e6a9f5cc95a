//! What a connection answers: frames as text, and the answers that the log has yet to allow.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use rethread_shared::{
    EventId, ThreadId, WireError,
    frame::{Outcome, Published, ServerFrame, WireErrorFrame},
    json,
};

use super::gather::Gather;
use crate::bridge::desk::Note;

/// A frame without events: those come ready-made from the log.
pub(super) type Frame = ServerFrame<()>;

/// Bytes of the usual result of an event.
const RESULT_BYTES: usize = 128;

/// A frame as text.
pub(super) fn text(frame: &Frame) -> String {
    serde_json::to_string(frame).expect("a frame's members are all JSON")
}

/// What became of a publish, as a frame. Piece by piece where all was stored, as nearly always is: formatting
/// costs several times as much.
pub(super) fn published(req: u64, results: Vec<Outcome>) -> String {
    let is_stored = |result: &Outcome| matches!(result, Outcome::Stored { .. });
    if !results.iter().all(is_stored) {
        return text(&Frame::Published(Published { req, results }));
    }
    let mut text = String::with_capacity(64 + RESULT_BYTES * results.len());
    let mut room = [0; json::DIGITS_MAX];
    text.push_str(r#"{"op":"published","req":"#);
    text.push_str(json::digits(req, &mut room));
    text.push_str(r#","results":["#);
    for result in &results {
        let Outcome::Stored { id, thread, seq, duplicate } = result else { continue };
        text.push_str(r#"{"id":""#);
        text.push_str(id.encode(&mut [0; EventId::TEXT_BYTES]));
        text.push_str(r#"","thread":""#);
        text.push_str(thread.as_str());
        text.push_str(r#"","seq":"#);
        text.push_str(json::digits(*seq, &mut room));
        text.push_str(if *duplicate { r#","duplicate":true},"# } else { "}," });
    }
    if !results.is_empty() {
        text.pop();
    }
    text.push_str("]}");
    text
}

/// A note of the desk as a frame.
pub(super) fn note(note: Note) -> String {
    text(&match note {
        Note::Work(work) => Frame::Work(work),
        Note::Cancelled(cancelled) => Frame::Cancelled(cancelled),
    })
}

/// A refusal that belongs to no request.
pub(super) fn error(error: WireError) -> WireErrorFrame {
    WireErrorFrame { req: None, thread: None, error }
}

/// The refusal of a numbered request.
pub(super) fn refused(req: u64, error: WireError) -> WireErrorFrame {
    WireErrorFrame { req: Some(req), thread: None, error }
}

/// The refusal of a subscription.
pub(super) fn not_subscribed(thread: &ThreadId, error: WireError) -> WireErrorFrame {
    WireErrorFrame { req: None, thread: Some(thread.clone()), error }
}

/// Answers that wait for the log. They come when it has answered, from wherever that is known; the connection
/// takes all that are there at once.
#[derive(Default)]
pub(super) struct Answers {
    ready: Arc<Gather<Option<String>>>,
    waiting: usize,
}

/// The place of one answer.
pub(super) struct Ticket {
    ready: Arc<Gather<Option<String>>>,
    is_given: bool,
}

impl Ticket {
    /// Gives the answer.
    pub(super) fn give(mut self, answer: String) {
        self.is_given = true;
        self.ready.put(Some(answer));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_given {
            self.ready.put(None);
        }
    }
}

impl Answers {
    /// A place for an answer that comes later.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.waiting += 1;
        Ticket { ready: self.ready.clone(), is_given: false }
    }

    /// An answer that has to be worked for, in a task of its own: it takes the lock of a thread's runs,
    /// and must be able to give it back while its connection waits for that very lock. And what it has to
    /// do after the log has answered is done even when its connection has gone.
    pub(super) fn push(&mut self, answer: impl Future<Output = String> + Send + 'static) {
        let ticket = self.ticket();
        tokio::spawn(async move { ticket.give(answer.await) });
    }

    /// Answers that have not been taken.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Ready when there is one to be taken.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.ready.poll(context)
    }

    /// The answers that are there.
    pub(super) fn take(&mut self) -> Vec<String> {
        let ready = self.ready.take();
        self.waiting -= ready.len();
        let there =
            |answer: Option<String>| answer.expect("who works for an answer does not panic");
        ready.into_iter().map(there).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_told_as_any_frame_is() {
        let stored = |seq, duplicate| Outcome::Stored {
            id: EventId::generate(seq, [7; 10]),
            thread: "thread_a.b~c".parse().unwrap(),
            seq,
            duplicate,
        };
        let refused = Outcome::Refused {
            id: None,
            error: WireError::run_not_found(&"thread_a".parse().unwrap()),
        };
        for results in [
            vec![],
            vec![stored(1, false)],
            vec![stored(u64::MAX, true), stored(20, false)],
            vec![stored(3, false), refused],
        ] {
            let req = results.len() as u64;
            let frame = text(&Frame::Published(Published { req, results: results.clone() }));
            assert_eq!(published(req, results), frame);
        }
    }
}
