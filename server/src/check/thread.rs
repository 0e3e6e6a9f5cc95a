//! One thread's events, one after the other.

use std::collections::HashMap;

use rethread_shared::{
    EventId, EventKind, RunId, ThreadId, WireError, event::Envelope, id::RunForm, order::RunState,
};

use super::{Count, Finding, Law};
use crate::log::{
    RunRecord,
    engine::{
        ThreadRow, keys,
        tables::{Table, Tables},
    },
};

/// Verifies the events of one thread as they come.
pub(super) struct ThreadCheck<'a> {
    tables: &'a dyn Tables,
    no: u64,
    thread: Option<&'a ThreadId>,
    name: String,
    count: Count,
    /// Up to here there may be events of runs that were forgotten.
    forgotten: u64,
    runs: HashMap<RunId, Run>,
    /// Ids that were given by migration, and the runs that they were given to.
    aliases: HashMap<RunId, RunId>,
}

/// A run as its events tell.
struct Run {
    order: Order,
    record: Option<RunRecord>,
    last: u64,
}

/// A stored event, as far as laws speak of it.
pub(crate) struct Stored {
    pub(crate) id: EventId,
    pub(crate) run: RunId,
    pub(crate) kind: EventKind,
    pub(crate) call_id: Option<Box<str>>,
    pub(crate) at: u64,
}

/// Where a run is, as far as that can be known.
#[derive(Debug)]
pub(crate) enum Order {
    /// All of its events were seen.
    Known(RunState),
    /// Its beginning is kept no longer.
    Cut,
}

impl<'a> ThreadCheck<'a> {
    /// `first` is the seq of the first event that is kept.
    pub(super) fn new(tables: &'a dyn Tables, row: &'a ThreadRow, first: u64) -> Self {
        let name = row.thread.to_string();
        Self::starting(tables, row.no, Some(&row.thread), name, first)
    }

    /// Events under a number that no thread has.
    pub(super) fn nobody(tables: &'a dyn Tables, no: u64) -> Self {
        Self::starting(tables, no, None, format!("number {no}"), 1)
    }

    fn starting(
        tables: &'a dyn Tables,
        no: u64,
        thread: Option<&'a ThreadId>,
        name: String,
        first: u64,
    ) -> Self {
        let count = Count { first, last: first - 1, indexed: 0, is_whole: true };
        let past = thread.and_then(|thread| {
            let value = tables.value(Table::Past, thread.as_str().as_bytes()).ok()??;
            keys::past_parts(&value)
        });
        let forgotten = past.map_or(0, |past| past.until_seq);
        let (runs, aliases) = (HashMap::new(), HashMap::new());
        Self { tables, no, thread, name, count, forgotten, runs, aliases }
    }

    pub(super) fn no(&self) -> u64 {
        self.no
    }

    /// The next event.
    pub(super) fn event(&mut self, seq: u64, body: &[u8], findings: &mut Vec<Finding>) {
        let expected = self.count.last + 1;
        let from = findings.len();
        if seq != expected {
            let missing = match seq.saturating_sub(1) {
                _ if seq < expected => format!("event {seq}, which was removed"),
                last if last == expected => format!("no event {expected}, the next is {seq}"),
                last => format!("no events {expected} to {last}, the next is {seq}"),
            };
            findings.push(Finding::new(Law::Hole, format!("seq {expected}"), missing));
        }
        self.count.last = self.count.last.max(seq);
        match read(body) {
            Ok(stored) => {
                findings.extend(self.id(seq, stored.id));
                findings.extend(self.run(seq, &stored));
            }
            Err(finding) => findings.push(finding),
        }
        for finding in &mut findings[from..] {
            finding.thread = Some(self.name.clone());
            finding.seq = Some(seq);
        }
    }

    /// When there are no more.
    pub(super) fn finish(self, findings: &mut Vec<Finding>) -> Count {
        let mut runs: Vec<_> = self.runs.into_iter().collect();
        runs.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (run, Run { order, record, last }) in runs {
            let goes_on = matches!(&order, Order::Known(state) if !state.is_ended());
            let found = match record {
                None if goes_on => format!("run {run}, which goes on, is not in it"),
                None if last > self.forgotten => {
                    format!("run {run}, which was not forgotten, is not in it")
                }
                Some(record) if goes_on && !record.live => {
                    format!("run {run} goes on, and its row says that it has ended")
                }
                _ => continue,
            };
            let expected = "every run in the registry, and as live while it goes on";
            findings.push(Finding::new(Law::Registry, expected, found).of(&self.name));
        }
        self.count
    }

    /// The table of ids must lead here, and nowhere else.
    fn id(&mut self, seq: u64, id: EventId) -> Option<Finding> {
        let leads_to = match self.tables.value(Table::Ids, &keys::id(self.no, id)) {
            Ok(value) => value.map(|value| keys::number(&value)),
            Err(error) => return Some(Finding::new(Law::Readable, "a table of ids", error.0)),
        };
        match leads_to {
            Some(Some(place)) if place == seq => {
                self.count.indexed += 1;
                None
            }
            Some(Some(place)) if self.is_at(place, id) => Some(Finding::new(
                Law::DuplicateId,
                format!("id {id} once"),
                format!("it is at seq {place} too"),
            )),
            Some(Some(place)) => Some(Finding::new(
                Law::IdIndex,
                format!("id {id} to lead to {seq}"),
                format!("it leads to {place}, which is another event"),
            )),
            Some(None) => Some(Finding::new(
                Law::IdIndex,
                format!("id {id} to lead to {seq}"),
                "it leads to something that is no seq",
            )),
            None => Some(Finding::new(
                Law::IdIndex,
                format!("id {id} to lead to {seq}"),
                "the table of ids does not know it",
            )),
        }
    }

    fn is_at(&self, seq: u64, id: EventId) -> bool {
        let body = self.tables.value(Table::Events, &keys::event(self.no, seq)).ok().flatten();
        body.is_some_and(|body| read(&body).is_ok_and(|stored| stored.id == id))
    }

    fn run(&mut self, seq: u64, stored: &Stored) -> Option<Finding> {
        let mut first_finding = None;
        let mut name = self.aliases.get(&stored.run).unwrap_or(&stored.run).clone();
        if !self.runs.contains_key(&name) {
            let record = self.record(&stored.run);
            let belongs = match &record {
                Ok((_, record)) => self.belongs(seq, &stored.run, record.as_ref()),
                Err(_) => None,
            };
            let record = match record {
                Ok((given_to, record)) => {
                    first_finding = belongs;
                    if given_to != stored.run {
                        self.aliases.insert(stored.run.clone(), given_to.clone());
                        name = given_to;
                    }
                    record
                }
                Err(finding) => {
                    first_finding = Some(finding);
                    None
                }
            };
            // With a run that was forgotten it is forgotten which other id it had.
            let is_cut = match &record {
                Some(record) => record.after + 1 < self.count.first,
                None => self.count.first > 1 || (seq <= self.forgotten && !opens(&stored.kind)),
            };
            let run = Run { order: Order::new(is_cut), record, last: seq };
            self.runs.entry(name.clone()).or_insert(run);
        }
        let run = self.runs.get_mut(&name).expect("it is there");
        run.last = seq;
        let broken = run.order.apply(stored).err().map(|error| {
            let expected = error.expected.unwrap_or_else(|| "events in the order of a run".into());
            Finding::new(Law::RunOrder, expected, error.message)
        });
        first_finding.or(broken)
    }

    /// A run's row, and the id that the run has in it: another one, where this id was given to it by
    /// migration.
    fn record(&self, run: &RunId) -> Result<(RunId, Option<RunRecord>), Finding> {
        let record = row(self.tables, run)?;
        match record.as_ref().and_then(|record| record.first.clone()) {
            Some(first) => Ok((first.clone(), row(self.tables, &first)?)),
            None => Ok((run.clone(), record)),
        }
    }

    /// Whether a run's first event may be here.
    fn belongs(&self, seq: u64, run: &RunId, record: Option<&RunRecord>) -> Option<Finding> {
        let thread = self.thread?;
        let wrong = |says: String| {
            let expected = format!("events of runs of {thread}");
            Some(Finding::new(Law::WrongThread, expected, says))
        };
        match (record, run.form()) {
            (Some(record), _) if record.thread != *thread => {
                wrong(format!("run {run}, which the registry knows as a run of {}", record.thread))
            }
            (Some(record), _) if record.after >= seq => Some(Finding::new(
                Law::Registry,
                format!("the row of run {run} to say that its events come after {}", seq - 1),
                format!("it says after {}", record.after),
            )),
            (None, form) => match form {
                RunForm::Standard { thread: named, .. }
                | RunForm::EmbeddedLegacy { thread: named }
                | RunForm::Thread { thread: named }
                    if named != thread =>
                {
                    wrong(format!("run {run}, which names {named}"))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl Order {
    pub(crate) fn new(is_cut: bool) -> Self {
        if is_cut { Self::Cut } else { Self::Known(RunState::New) }
    }

    /// # Errors
    /// As [`RunState::apply`]; of a run whose beginning is not there, only what follows its end.
    pub(crate) fn apply(&mut self, stored: &Stored) -> Result<(), WireError> {
        match self {
            Self::Known(state) => state.apply(&stored.run, &stored.kind, stored.call_id.as_deref()),
            Self::Cut => {
                if stored.kind.is_end() {
                    *self = Self::Known(RunState::Ended { by: stored.kind.clone() });
                }
                Ok(())
            }
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        !matches!(self, Self::Known(state) if state.is_ended())
    }
}

/// Reads a stored event.
///
/// # Errors
/// When it is not one whole, valid event.
pub(crate) fn read(body: &[u8]) -> Result<Stored, Finding> {
    let wrong = |found: String| Finding::new(Law::Record, "one whole event", found);
    let bytes = body.len();
    let text = std::str::from_utf8(body)
        .map_err(|error| wrong(format!("{bytes} bytes that are not UTF-8: {error}")))?;
    let envelope: Envelope<'_> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("{bytes} bytes that cannot be read: {error}")))?;
    let id = envelope.id.ok_or_else(|| wrong("an event without an id".into()))?;
    let at = envelope.at.ok_or_else(|| wrong("an event without a time".into()))?;
    let checked = envelope.check().map_err(|error| wrong(error.to_string()))?;
    Ok(Stored { id, run: checked.run, kind: checked.kind, call_id: checked.call_id, at })
}

/// Whether it may be the first of a run.
pub(crate) fn opens(kind: &EventKind) -> bool {
    matches!(kind, EventKind::AgentStarted | EventKind::UserMessage)
}

/// A run's row.
fn row(tables: &dyn Tables, run: &RunId) -> Result<Option<RunRecord>, Finding> {
    let value = tables
        .value(Table::Runs, run.as_str().as_bytes())
        .map_err(|error| Finding::new(Law::Readable, "a table of runs", error.0))?;
    let Some(value) = value else { return Ok(None) };
    // What is wrong with a row is said where the rows are looked at.
    Ok(serde_json::from_slice(&value).ok())
}
