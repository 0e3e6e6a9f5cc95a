//! A whole log as lines of JSON, and back: for moving it, keeping it, looking into it with other tools.
//!
//! ```text
//! {"export":{"version":1}}
//! {"thread":{"created_at":…,"epoch":"…","owner":"…","thread":"thread_…"}}   each thread, followed by
//! {"past":{"until_ms":…,"until_seq":…}}                                    what is known of runs forgotten,
//! {"cut":{"first":…,"until_ms":…}}                                         of events removed, where some were,
//! {"run":{"run":"…","thread":"thread_…",…}}                                its rows of the registry and
//! {"event":{"seq":1,"id":"…","run":"…","type":"…","at":…,"data":{…}}}       its events
//! {"end":{"threads":1,"events":1,"runs":1}}
//! ```
//!
//! Threads stand in the order they were created in, events in that of their thread. An export that
//! was interrupted goes on where its file ends ([`Reached`]); an import is safe to repeat.

mod export;
mod import;
mod reached;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use export::{Export, cut_line, event_line, thread_line};
pub use import::{Epochs, Import, Imported};
pub use reached::Reached;

use crate::log::engine::EngineError;
use rethread_shared::limits::EVENT_BYTES_MAX;

/// The version of the format.
pub const VERSION: u32 = 1;
/// Bytes of a line: an event, and what the log adds to it.
pub const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 64 * 1024;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
}

/// What is known of a thread's runs that the registry has forgotten; see [`crate::log::Past`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PastLine {
    until_ms: u64,
    until_seq: u64,
}

/// How much there is; the last line of an export that is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Threads.
    pub threads: u64,
    /// Events.
    pub events: u64,
    /// Runs of the registry.
    pub runs: u64,
}

/// Why an export or an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The data folder cannot be read or written.
    #[error("the data folder: {0}")]
    Engine(EngineError),
    /// The data folder is not as it must be.
    #[error("the data folder is damaged: {0}; `rethread check` says what else is")]
    Damaged(crate::check::Finding),
    /// The lines are not those of an export, or do not fit.
    #[error("line {line}: {problem}")]
    Line {
        /// Which.
        line: u64,
        /// What was expected, what came.
        problem: String,
    },
    /// What was begun is of something else.
    #[error("{0}")]
    Other(String),
    /// Lines cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<EngineError> for ArchiveError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// JSON on one line. A line break in JSON stands between tokens only, where a space does as well.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}
