use std::{collections::BTreeMap, ops::ControlFlow};

use rethread_shared::{ThreadId, id::RunForm};
use serde_json::{Value, json};

use super::{ArchiveError, Counts, Head, PastLine, Reached, VERSION, one_line};
use crate::{
    check::{Finding, Law, thread::read},
    log::{
        Cut, RunRecord,
        engine::{
            EngineError, ThreadRow, keys,
            tables::{Table, Tables},
        },
    },
};

/// Writes the lines of an export of tables.
pub struct Export<'a> {
    tables: &'a dyn Tables,
    /// Takes a line without its end.
    line: &'a mut dyn FnMut(&str) -> std::io::Result<()>,
    counts: Counts,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// The line of a thread: its row without its number, which is this folder's alone.
#[must_use]
pub fn thread_line(row: &Value) -> String {
    let mut row = row.clone();
    if let Some(members) = row.as_object_mut() {
        members.retain(|name, value| {
            !matches!(name.as_str(), "no" | "head" | "first") && !value.is_null()
        });
    }
    json!({ "thread": row }).to_string()
}

/// The line that tells of a thread's events that are kept no longer; none where all are kept.
#[must_use]
pub fn cut_line(cut: Cut) -> Option<String> {
    (cut.first > 1).then(|| json!({ "cut": cut }).to_string())
}

/// The line of an event with its seq.
#[must_use]
pub fn event_line(event: &str) -> String {
    format!(r#"{{"event":{}}}"#, one_line(event))
}

impl<'a> Export<'a> {
    /// An export of these tables, line by line.
    pub fn new(
        tables: &'a dyn Tables,
        line: &'a mut dyn FnMut(&str) -> std::io::Result<()>,
    ) -> Self {
        Self { tables, line, counts: Counts::default() }
    }

    /// Writes all lines; those that were written before are left out.
    ///
    /// # Errors
    /// When the tables cannot be read or are damaged, when what was begun is of another folder, and
    /// what `line` answers.
    pub fn run(mut self, reached: &Reached) -> Result<Counts, ArchiveError> {
        self.counts = reached.counts;
        if reached.is_whole {
            return Ok(self.counts);
        }
        if !reached.is_begun {
            (self.line)(&json!({ "export": Head { version: VERSION } }).to_string())?;
        }
        let others = self.other_runs()?;
        let mut from = 0_u64;
        if let Some(begun) = &reached.thread {
            let row = self.row(begun.thread.as_str().as_bytes())?;
            let row = row.filter(|row| row.epoch == begun.epoch).ok_or_else(|| {
                ArchiveError::Other(format!(
                    "the file goes on with {} of epoch {}, which is not in this folder; \
                     expected the folder that the file was begun with",
                    begun.thread, begun.epoch
                ))
            })?;
            if begun.last == 0 {
                if begun.runs == 0 {
                    if !begun.has_past && !begun.has_cut {
                        self.past(&row)?;
                    }
                    if !begun.has_cut {
                        self.cut(&row)?;
                    }
                }
                self.runs(&row, others.get(&row.thread), begun.runs)?;
            }
            self.events(&row, begun.last)?;
            from = row.no + 1;
        }
        for thread in self.threads_from(from)? {
            let named = Finding::new(Law::Threads, "a thread's row", "none").of(&thread);
            let row = self.row(thread.as_bytes())?.ok_or(ArchiveError::Damaged(named))?;
            let text = serde_json::to_value(&row).expect("a row's members are all JSON");
            (self.line)(&thread_line(&text))?;
            self.counts.threads += 1;
            self.past(&row)?;
            self.cut(&row)?;
            self.runs(&row, others.get(&row.thread), 0)?;
            self.events(&row, 0)?;
        }
        (self.line)(&json!({ "end": self.counts }).to_string())?;
        Ok(self.counts)
    }

    /// The threads from a number on, in the order of numbers.
    fn threads_from(&self, no: u64) -> Result<Vec<String>, EngineError> {
        let mut threads = Vec::new();
        self.tables.scan(Table::Numbers, &no.to_be_bytes(), &mut |_, thread| {
            threads.push(String::from_utf8_lossy(thread).into_owned());
            ControlFlow::Continue(())
        })?;
        Ok(threads)
    }

    fn row(&self, thread: &[u8]) -> Result<Option<ThreadRow>, ArchiveError> {
        let Some(row) = self.tables.value(Table::Threads, thread)? else { return Ok(None) };
        serde_json::from_slice(&row).map(Some).map_err(|error| {
            let thread = String::from_utf8_lossy(thread);
            let expected = "a thread's row";
            ArchiveError::Damaged(
                Finding::new(Law::Threads, expected, error.to_string()).of(thread),
            )
        })
    }

    /// The runs whose ids do not begin with their thread's: few, and of older systems.
    fn other_runs(&self) -> Result<BTreeMap<ThreadId, Vec<Vec<u8>>>, EngineError> {
        let mut others: BTreeMap<_, Vec<_>> = BTreeMap::new();
        self.tables.scan(Table::Runs, &[], &mut |_, row| {
            if let Ok(record) = serde_json::from_slice::<RunRecord>(row)
                && !matches!(record.run.form(), RunForm::Standard { .. })
            {
                others.entry(record.thread).or_default().push(row.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(others)
    }

    /// What is known of a thread's runs that were forgotten.
    fn past(&mut self, thread: &ThreadRow) -> Result<(), ArchiveError> {
        let value = self.tables.value(Table::Past, thread.thread.as_str().as_bytes())?;
        if let Some(past) = value.and_then(|value| keys::past_parts(&value)) {
            let past = PastLine { until_ms: past.until_ms, until_seq: past.until_seq };
            (self.line)(&json!({ "past": past }).to_string())?;
        }
        Ok(())
    }

    /// What is known of a thread's events that were removed.
    fn cut(&mut self, thread: &ThreadRow) -> Result<(), ArchiveError> {
        Ok(cut_line(self.cut_of(thread)?).map_or(Ok(()), |line| (self.line)(&line))?)
    }

    fn cut_of(&self, thread: &ThreadRow) -> Result<Cut, EngineError> {
        let value = self.tables.value(Table::Firsts, &thread.no.to_be_bytes())?;
        Ok(value.and_then(|value| keys::cut_parts(&value)).unwrap_or_default())
    }

    /// A thread's rows of the registry, but the first `skip`.
    fn runs(
        &mut self,
        thread: &ThreadRow,
        others: Option<&Vec<Vec<u8>>>,
        skip: u64,
    ) -> Result<(), ArchiveError> {
        let prefix = format!("{}_run_", thread.thread);
        let mut rows: Vec<Vec<u8>> = others.cloned().unwrap_or_default();
        self.tables.scan(Table::Runs, prefix.as_bytes(), &mut |key, row| {
            if !key.starts_with(prefix.as_bytes()) {
                return ControlFlow::Break(());
            }
            let is_ours = serde_json::from_slice::<RunRecord>(row).is_ok_and(|record| {
                record.thread == thread.thread
                    && matches!(record.run.form(), RunForm::Standard { .. })
            });
            if is_ours {
                rows.push(row.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        for row in rows.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
            (self.line)(&format!(r#"{{"run":{}}}"#, String::from_utf8_lossy(row)))?;
            self.counts.runs += 1;
        }
        Ok(())
    }

    /// A thread's events behind a place.
    fn events(&mut self, thread: &ThreadRow, after: u64) -> Result<(), ArchiveError> {
        let first = self.cut_of(thread)?.first;
        if after > 0 && first > after + 1 {
            return Err(ArchiveError::Other(format!(
                "the file goes on with {} after {after}, and its first event that is kept is {first}; \
                 begin a new file",
                thread.thread
            )));
        }
        let mut expected = (after + 1).max(first);
        let mut trouble = None;
        let (no, line, counts) = (thread.no, &mut self.line, &mut self.counts);
        self.tables.scan(Table::Events, &keys::event(no, expected), &mut |key, body| {
            if key.len() != 16 || key[..8] != no.to_be_bytes() {
                return ControlFlow::Break(());
            }
            let written = whole(key, body, expected)
                .map_err(|finding| ArchiveError::Damaged(finding.of(&thread.thread).at(expected)));
            let written = written.and_then(|text| {
                let rest = text.strip_prefix('{').unwrap_or_default();
                Ok(line(&event_line(&format!(r#"{{"seq":{expected},{rest}"#)))?)
            });
            if let Err(error) = written {
                trouble = Some(error);
                return ControlFlow::Break(());
            }
            expected += 1;
            counts.events += 1;
            ControlFlow::Continue(())
        })?;
        trouble.map_or(Ok(()), Err)
    }
}

/// An export holds nothing that a check would find.
fn whole<'b>(key: &[u8], body: &'b [u8], expected: u64) -> Result<&'b str, Finding> {
    if keys::event_seq(key) != Some(expected) {
        let found = keys::event_seq(key).map_or("none".into(), |seq| format!("the next is {seq}"));
        return Err(Finding::new(Law::Hole, format!("seq {expected}"), found));
    }
    read(body)?;
    std::str::from_utf8(body)
        .map_err(|error| Finding::new(Law::Record, "one whole event", error.to_string()))
}
