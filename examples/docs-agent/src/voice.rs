//! How an answer speaks: the steps that become a run's events.
//!
//! An answer knows nothing of the server. It speaks into a [`Voice`]; `run` hears the [`Step`]s and
//! publishes each as an event. The channel between them is short, so that an answer is never far
//! ahead of what is published.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    limits::STEPS_QUEUED_MAX,
    tools::{ToolError, Tools},
};

/// Words of a piece of streamed text.
const PIECE_WORDS: usize = 3;

/// One thing that an answer does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A chunk of what it thinks.
    Thinking(String),
    /// A tool is called; the number names the call.
    ToolCalled { call: u64, tool: String, input: Value },
    /// It has answered.
    ToolAnswered { call: u64, result: Result<Value, ToolError> },
    /// A piece of the answer's text.
    Text(String),
}

/// Where an answer's steps go in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    steps: mpsc::Sender<Step>,
    pace: Duration,
    calls: Arc<AtomicU64>,
}

impl Voice {
    /// A voice that pauses for `pace` between the pieces of what it writes, and its other end.
    pub(crate) fn new(pace: Duration) -> (Self, mpsc::Receiver<Step>) {
        let (steps, heard) = mpsc::channel(STEPS_QUEUED_MAX);
        (Self { steps, pace, calls: Arc::default() }, heard)
    }

    /// Thinks aloud: one sentence or paragraph.
    pub(crate) async fn think(&self, text: &str) {
        for piece in pieces(text) {
            self.step(Step::Thinking(piece.to_owned())).await;
            self.pause().await;
        }
        self.step(Step::Thinking("\n".into())).await;
    }

    /// Writes a part of the answer, piece by piece.
    pub(crate) async fn write(&self, text: &str) {
        for piece in pieces(text) {
            self.say(piece).await;
            self.pause().await;
        }
    }

    /// Passes on a piece of the answer as it is.
    pub(crate) async fn say(&self, piece: &str) {
        self.step(Step::Text(piece.to_owned())).await;
    }

    /// Calls a tool and lets everybody see it.
    ///
    /// # Errors
    /// The tool's.
    pub(crate) async fn tool(
        &self,
        tools: &Tools,
        tool: &str,
        input: Value,
    ) -> Result<Value, ToolError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.step(Step::ToolCalled { call, tool: tool.to_owned(), input: input.clone() }).await;
        let result = tools.call(tool, input).await;
        self.step(Step::ToolAnswered { call, result: result.clone() }).await;
        result
    }

    /// Nobody hears it only when the run is over; then the answer is about to be dropped.
    async fn step(&self, step: Step) {
        let _ = self.steps.send(step).await;
    }

    async fn pause(&self) {
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
    }
}

/// Cuts a text into pieces of a few words; together they are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let ends = rest
            .char_indices()
            .zip(rest.chars().skip(1))
            .filter(|((_, c), next)| c.is_whitespace() && !next.is_whitespace())
            .map(|((at, c), _)| at + c.len_utf8());
        let end = ends.into_iter().nth(PIECE_WORDS - 1).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// What tests hear.
#[cfg(test)]
pub(crate) mod heard {
    use super::{Step, mpsc};

    /// Every step, until the voice ends.
    pub(crate) async fn all(mut steps: mpsc::Receiver<Step>) -> Vec<Step> {
        let mut heard = Vec::new();
        while let Some(step) = steps.recv().await {
            heard.push(step);
        }
        heard
    }

    /// The text of the answer.
    pub(crate) fn text(steps: &[Step]) -> String {
        let text = |step: &Step| match step {
            Step::Text(text) => Some(text.clone()),
            _ => None,
        };
        steps.iter().filter_map(text).collect()
    }

    /// The tools called, in their order.
    pub(crate) fn tools(steps: &[Step]) -> Vec<String> {
        let tool = |step: &Step| match step {
            Step::ToolCalled { tool, .. } => Some(tool.clone()),
            _ => None,
        };
        steps.iter().filter_map(tool).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text() {
        for text in ["", "one", "a b  c\n\nd e fé g ", "  lead", "ünï cödé "] {
            assert_eq!(pieces(text).collect::<String>(), text);
        }
        assert_eq!(pieces("one two three four").collect::<Vec<_>>(), ["one two three ", "four"]);
    }
}
