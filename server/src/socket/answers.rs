//! What a connection answers: frames as text, and the answers that the log has yet to allow.

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use rethread_shared::{
    ThreadId, WireError,
    frame::{ServerFrame, WireErrorFrame},
};
use tokio::task::{JoinError, JoinHandle};

use crate::bridge::desk::Note;

/// A frame without events: those come ready-made from the log.
pub(super) type Frame = ServerFrame<()>;

/// A frame as text.
pub(super) fn text(frame: &Frame) -> String {
    serde_json::to_string(frame).expect("a frame's members are all JSON")
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

/// Answers that wait for the log. Each is a task of its own: it takes the lock of a thread's runs,
/// and must be able to give it back while its connection waits for that very lock. And what it has to
/// do after the log has answered is done even when its connection has gone.
#[derive(Default)]
pub(super) struct Answers {
    waiting: FuturesUnordered<JoinHandle<String>>,
}

impl Answers {
    pub(super) fn push(&mut self, answer: impl Future<Output = String> + Send + 'static) {
        self.waiting.push(tokio::spawn(answer));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next answer; must not be empty.
    pub(super) async fn next(&mut self) -> String {
        text_of(self.waiting.next().await.expect("asked only when something waits"))
    }

    /// An answer that is there already.
    pub(super) fn ready(&mut self) -> Option<String> {
        self.waiting.next().now_or_never().flatten().map(text_of)
    }
}

/// A panic there is one here.
fn text_of(joined: Result<String, JoinError>) -> String {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
