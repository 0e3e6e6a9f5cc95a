//! Answering a question: from the documents alone, or with a language model that uses the same
//! tools.

mod arithmetic;
mod choose;
mod compose;
mod offline;
mod online;
mod regions;
mod sentences;

use serde_json::Value;

pub(crate) use self::{
    offline::Offline,
    online::{Model, Online},
};
use crate::voice::Voice;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The person's words.
    pub(crate) text: String,
    /// What was said in the thread before, oldest first.
    pub(crate) before: Vec<Turn>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Person(String),
    Agent(String),
}

/// What came of it, for `agent_completed`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) result: Value,
    pub(crate) usage: Option<Value>,
}

/// Why there is no answer, for `agent_failed`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// A stable name.
    pub(crate) code: &'static str,
    /// The same for a person, and what to do.
    pub(crate) message: String,
}

/// One of the two ways to answer.
#[derive(Debug)]
pub(crate) enum Answerer {
    Offline(Offline),
    Online(Box<Online>),
}

impl Answerer {
    /// Answers, speaking all the while. Dropping the future stops at once.
    ///
    /// # Errors
    /// When there is no answer to be had.
    pub(crate) async fn answer(
        &self,
        question: &Question,
        voice: &Voice,
    ) -> Result<Answered, Failure> {
        match self {
            Self::Offline(offline) => offline.answer(question, voice).await,
            Self::Online(online) => online.answer(question, voice).await,
        }
    }

    /// True when an answer depends on what was said before.
    pub(crate) fn needs_history(&self, question: &str) -> bool {
        match self {
            Self::Offline(offline) => offline.needs_history(question),
            Self::Online(_) => true,
        }
    }

    /// One line about it, for the log and for `agent_started`.
    pub(crate) fn about(&self) -> String {
        match self {
            Self::Offline(offline) => offline.about(),
            Self::Online(online) => online.about(),
        }
    }
}
