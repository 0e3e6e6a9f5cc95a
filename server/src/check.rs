//! Verifies a data folder: every law, on what really lies on disk. Nothing is changed.
//!
//! - `thread`: one thread's events, one after the other: places, ids, records, the order of runs;
//! - `registers`: the small tables beside the events: threads, their numbers and owners, runs.
//!
//! Memory is bounded by the number of threads, and by the runs of one thread.

mod registers;
pub(crate) mod thread;

use std::{collections::BTreeMap, fmt, ops::ControlFlow, path::Path};

use rethread_shared::ThreadId;
use serde::Serialize;

use crate::log::engine::{
    EngineError, ThreadRow, keys,
    tables::{FolderTables, Table, Tables},
};
use thread::ThreadCheck;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// A thread's events are numbered from its first one on, without holes.
    Hole,
    /// An id is in a thread once.
    DuplicateId,
    /// The table of ids leads to the events, and knows no others.
    IdIndex,
    /// A record is one whole, valid event.
    Record,
    /// A run belongs to one thread, and its events are there.
    WrongThread,
    /// Nothing before a run's start, nothing after its end, tools complete what is executing.
    RunOrder,
    /// The registry tells of each run what the log tells.
    Registry,
    /// Each thread has one row, one number, one owner.
    Threads,
    /// What is stored can be read.
    Readable,
}

impl Law {
    /// Its name in findings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::DuplicateId => "duplicate_id",
            Self::IdIndex => "id_index",
            Self::Record => "record",
            Self::WrongThread => "wrong_thread",
            Self::RunOrder => "run_order",
            Self::Registry => "registry",
            Self::Threads => "threads",
            Self::Readable => "readable",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is broken.
    pub law: Law,
    /// Where: the thread, by its id where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Where: the place in the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Finding {
    pub(crate) fn new(law: Law, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { law, thread: None, seq: None, expected: expected.into(), found: found.into() }
    }

    pub(crate) fn of(mut self, thread: impl fmt::Display) -> Self {
        self.thread = Some(thread.to_string());
        self
    }

    pub(crate) fn at(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.law.as_str())?;
        if let Some(thread) = &self.thread {
            write!(f, " {thread}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " seq {seq}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// Who hears how a check goes.
pub trait Watch {
    /// About how many events there are.
    fn whole(&mut self, events: u64) {
        let _ = events;
    }

    /// So many more events have been read.
    fn read(&mut self, events: u64) {
        let _ = events;
    }

    /// Something is wrong.
    fn found(&mut self, finding: Finding);
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Threads.
    pub threads: u64,
    /// Events.
    pub events: u64,
    /// Runs in the registry.
    pub runs: u64,
    /// Bytes of the events.
    pub bytes: u64,
    /// How much is wrong.
    pub findings: u64,
}

/// Verifies the data folder of a server that is stopped.
///
/// # Errors
/// When there is no log in it, a server uses it, or it cannot be opened at all.
pub fn folder(data: &Path, watch: &mut dyn Watch) -> Result<Summary, EngineError> {
    Ok(tables(&FolderTables::open(&data.join("log"))?, watch))
}

/// Verifies tables, wherever they are. What cannot be read is a finding, and the rest is read.
pub fn tables(tables: &dyn Tables, watch: &mut dyn Watch) -> Summary {
    let mut check = Check { tables, watch, summary: Summary::default() };
    check.watch.whole(tables.about(Table::Events));
    let threads = check.threads();
    let firsts = check.firsts(&threads);
    let mut counts = check.events(&threads, &firsts);
    for (no, first) in firsts {
        // Threads whose events were all removed.
        counts.entry(no).or_insert(Count { first, last: first - 1, indexed: 0, is_whole: true });
    }
    check.ids(&threads, &counts);
    check.runs(&threads, &counts);
    check.lists();
    check.past(&threads);
    check.summary
}

/// A check under way.
struct Check<'a> {
    tables: &'a dyn Tables,
    watch: &'a mut dyn Watch,
    summary: Summary,
}

/// The threads by their numbers.
type Rows = BTreeMap<u64, ThreadRow>;

/// The first events that are kept, by the numbers of threads; none where all are.
type Firsts = BTreeMap<u64, u64>;

/// What the events of a thread were, for comparing the other tables with.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// The seq of the first event.
    first: u64,
    /// The seq of the last.
    last: u64,
    /// Events that the table of ids leads to.
    indexed: u64,
    /// All of its events could be read.
    is_whole: bool,
}

impl<'a> Check<'a> {
    fn found(&mut self, finding: Finding) {
        self.summary.findings += 1;
        self.watch.found(finding);
    }

    /// Every thread's events. A table that cannot be read at one place is read on behind the thread
    /// that the place is in.
    fn events(&mut self, threads: &Rows, firsts: &Firsts) -> BTreeMap<u64, Count> {
        let mut counts = BTreeMap::new();
        let mut next = Some(0_u64);
        while let Some(from) = next {
            let mut state = Reading { counts: &mut counts, thread: None };
            let tables = self.tables;
            let scanned = tables.scan(Table::Events, &from.to_be_bytes(), &mut |key, body| {
                self.event(threads, firsts, &mut state, key, body);
                ControlFlow::Continue(())
            });
            let Err(error) = scanned else {
                self.finish(&mut state);
                break;
            };
            // What comes behind is not known, so nothing is said of it.
            let broken = state.thread.as_ref().map_or(from, ThreadCheck::no);
            let unknown = Count { last: u64::MAX, is_whole: false, ..Count::default() };
            state.counts.insert(broken, unknown);
            let name = name(threads, broken);
            self.found(Finding::new(Law::Readable, "events that can be read", error.0).of(name));
            next = broken.checked_add(1).filter(|next| threads.range(next..).next().is_some());
        }
        counts
    }

    fn event<'r>(
        &mut self,
        threads: &'r Rows,
        firsts: &Firsts,
        state: &mut Reading<'_, 'r>,
        key: &[u8],
        body: &[u8],
    ) where
        'a: 'r,
    {
        let place = key.len() == 16;
        let (Some(no), Some(seq), true) =
            (key.get(..8).and_then(keys::number), keys::event_seq(key), place)
        else {
            let expected = "a key of a thread's number and a seq, 16 bytes";
            return self.found(Finding::new(Law::Record, expected, format!("{key:02x?}")));
        };
        if state.thread.as_ref().is_none_or(|thread| thread.no() != no) {
            self.finish(state);
            state.thread = Some(match threads.get(&no) {
                Some(row) => {
                    let first = firsts.get(&no).copied().unwrap_or(1);
                    ThreadCheck::new(self.tables, row, first)
                }
                None => {
                    let expected = "events of threads that have a row";
                    let found = format!("events under the number {no}, which no thread has");
                    self.found(Finding::new(Law::Threads, expected, found));
                    ThreadCheck::nobody(self.tables, no)
                }
            });
        }
        self.summary.events += 1;
        self.summary.bytes += body.len() as u64;
        if self.summary.events.is_multiple_of(PROGRESS_EVENTS) {
            self.watch.read(PROGRESS_EVENTS);
        }
        let thread = state.thread.as_mut().expect("it was just put there");
        let mut findings = Vec::new();
        thread.event(seq, body, &mut findings);
        findings.into_iter().for_each(|finding| self.found(finding));
    }

    fn finish(&mut self, state: &mut Reading<'_, '_>) {
        let Some(thread) = state.thread.take() else { return };
        let (no, mut findings) = (thread.no(), Vec::new());
        let count = thread.finish(&mut findings);
        state.counts.insert(no, count);
        findings.into_iter().for_each(|finding| self.found(finding));
    }
}

/// How far reading the events has come.
struct Reading<'c, 'r> {
    counts: &'c mut BTreeMap<u64, Count>,
    thread: Option<ThreadCheck<'r>>,
}

/// Events between two words of progress.
const PROGRESS_EVENTS: u64 = 1_000;

fn name(threads: &Rows, no: u64) -> String {
    let row: Option<&ThreadId> = threads.get(&no).map(|row| &row.thread);
    row.map_or_else(|| format!("number {no}"), ToString::to_string)
}

#[cfg(test)]
mod tests;
