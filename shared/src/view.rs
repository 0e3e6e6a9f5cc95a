//! The view: what a chat shows of a thread, made from its events by [`View::fold`] and by nothing
//! else. Client and server make it with this one function, so they can never disagree.
//!
//! Folding is deterministic and incremental, and it does not matter how events are cut into pieces:
//! a view that was taken after some of them, even one that went through JSON, goes on with the rest
//! as if it had seen all.
//!
//! Its JSON is written out in PROTOCOL.md ("The view") and does not change but by what is added.
//!
//! What an application put into an event as any JSON stays what it is: `J` is the text of it in Rust
//! programs (`Box<RawValue>`), and the object itself in a browser.

mod fold;
mod json;

pub use fold::{Happening, Parts, Touched};

use serde::{Deserialize, Serialize};

/// What a chat shows of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Snapshot<J>")]
#[serde(bound(serialize = "J: Clone + Serialize", deserialize = "J: Deserialize<'de>"))]
pub struct View<J> {
    /// The last event in it; 0 before the first.
    pub seq: u64,
    /// The text of the first message that a person wrote: what a list of threads may show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<Box<str>>,
    /// The runs, in the order of their first events.
    pub runs: Vec<Run<J>>,
    /// The places of the runs in `runs`, in the order of their ids.
    #[serde(skip)]
    places: Vec<usize>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "J: Clone + Serialize", deserialize = "J: Deserialize<'de>"))]
pub struct Run<J> {
    /// Its id, as it stands in its events.
    pub id: Box<str>,
    /// How far it is.
    pub state: RunState,
    /// The agent that took it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<str>>,
    /// When its agent started, milliseconds since 1970 by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended, by the clock of whoever ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What happened in it, in order.
    pub parts: Vec<Part<J>>,
}

/// How far a run is, for showing. What may come next in it is [`crate::order`]'s matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// No agent has started.
    Asked,
    /// An agent works.
    Running,
    /// It ended well.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl RunState {
    /// True while it may still go on.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Asked | Self::Running)
    }
}

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    /// With an error.
    Failed {
        /// A stable name.
        code: Box<str>,
        /// The same for a person.
        message: Box<str>,
    },
    /// Stopped.
    Cancelled {
        /// The user who stopped it.
        by: Box<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Box<str>>,
    },
}

/// One thing that is shown of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "json::Flat<J>", into = "json::Flat<J>")]
#[serde(bound(serialize = "J: Clone + Serialize", deserialize = "J: Deserialize<'de>"))]
pub struct Part<J> {
    /// The event that began it; names it within the view.
    pub seq: u64,
    /// What it is.
    pub what: What<J>,
}

/// What a part shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<J> {
    /// What a person said.
    Said {
        /// The id that the sender gave it.
        message_id: Box<str>,
        /// The words.
        text: Box<str>,
        /// Who.
        by: Option<Box<str>>,
    },
    /// What an agent says at its start.
    Note {
        /// The words.
        text: Box<str>,
    },
    /// What an agent thinks: neighbouring chunks, joined.
    Thinking {
        /// All of it so far.
        text: String,
        /// When its first chunk came, by the agent's clock.
        from: u64,
        /// When its last chunk came.
        until: u64,
    },
    /// A call of a tool.
    Tool {
        /// Its id within the run.
        call_id: Box<str>,
        /// The tool's name.
        tool: Box<str>,
        /// How far it is.
        state: CallState,
        /// What it was called with.
        input: Option<J>,
        /// What it answered.
        output: Option<J>,
        /// What went wrong, for a person.
        error: Option<Box<str>>,
        /// How long it took, milliseconds.
        took_ms: Option<u64>,
    },
    /// An answer's text: all deltas of one message, joined.
    Answer {
        /// The message.
        message_id: Box<str>,
        /// All of it so far.
        text: String,
    },
    /// What the view has no form for: a `custom` event, or a type from a newer agent.
    Extra {
        /// The custom event's name, or the type.
        name: Box<str>,
        /// Its value, or its data.
        value: J,
    },
}

/// How far a call of a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// The tool works.
    Executing,
    /// It has answered.
    Completed,
    /// It has failed.
    Failed,
    /// Its run ended before it did.
    Abandoned,
}

/// A view's JSON.
#[derive(Deserialize)]
#[serde(bound(deserialize = "J: Deserialize<'de>"))]
struct Snapshot<J> {
    seq: u64,
    #[serde(default)]
    opening: Option<Box<str>>,
    runs: Vec<Run<J>>,
}

impl<J> From<Snapshot<J>> for View<J> {
    fn from(Snapshot { seq, opening, runs }: Snapshot<J>) -> Self {
        let mut places: Vec<usize> = (0..runs.len()).collect();
        places.sort_by_key(|&place| &runs[place].id);
        Self { seq, opening, runs, places }
    }
}

impl<J> Default for View<J> {
    fn default() -> Self {
        Self { seq: 0, opening: None, runs: Vec::new(), places: Vec::new() }
    }
}

impl<J> View<J> {
    /// The run with this id.
    #[must_use]
    pub fn run(&self, id: &str) -> Option<&Run<J>> {
        self.find(id).ok().map(|at| &self.runs[self.places[at]])
    }

    /// The newest run that may still go on.
    #[must_use]
    pub fn active(&self) -> Option<&Run<J>> {
        self.runs.iter().rev().find(|run| run.state.is_active())
    }

    /// Where a run's place stands among the places, or would.
    fn find(&self, id: &str) -> Result<usize, usize> {
        self.places.binary_search_by(|&place| (*self.runs[place].id).cmp(id))
    }
}
