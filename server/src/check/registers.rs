//! The small tables beside the events.

use std::{collections::BTreeMap, ops::ControlFlow};

use rethread_shared::ThreadId;

use super::{Check, Count, Finding, Firsts, Law, Rows, name};
use crate::log::{
    RunRecord,
    engine::{EngineError, ThreadRow, keys, tables::Table},
};

impl Check<'_> {
    /// The threads, and that their three tables agree.
    pub(super) fn threads(&mut self) -> Rows {
        let mut rows = Rows::new();
        self.each(Table::Threads, |check, key, value| {
            let named = String::from_utf8_lossy(key).into_owned();
            let row: ThreadRow = match serde_json::from_slice(value) {
                Ok(row) => row,
                Err(error) => {
                    let finding = Finding::new(Law::Threads, "a thread's row", error.to_string());
                    return check.found(finding.of(named));
                }
            };
            check.summary.threads += 1;
            if row.thread.as_str() != named {
                let found = format!("the row of {}", row.thread);
                check.found(Finding::new(Law::Threads, "the row of its key", found).of(named));
            }
            let leads = [
                (Table::Numbers, row.no.to_be_bytes().to_vec()),
                (Table::Owners, keys::owner(&row.owner, row.no)),
            ];
            for (table, key) in leads {
                check.leads_to(table, &key, &row);
            }
            if let Some(other) = rows.insert(row.no, row.clone()) {
                let expected = "a number of its own for each thread";
                let found = format!("number {} is that of {} too", row.no, other.thread);
                check.found(Finding::new(Law::Threads, expected, found).of(&row.thread));
            }
        });
        for table in [Table::Numbers, Table::Owners] {
            self.each(table, |check, key, value| {
                let no = key.len().checked_sub(8).and_then(|at| keys::number(&key[at..]));
                let row = no.and_then(|no| rows.get(&no));
                let is_right = row.is_some_and(|row| {
                    let right = match table {
                        Table::Numbers => row.no.to_be_bytes().to_vec(),
                        _ => keys::owner(&row.owner, row.no),
                    };
                    right == key && row.thread.as_str().as_bytes() == value
                });
                if !is_right {
                    let expected = format!("entries of `{}` that lead to threads", table.name());
                    let found = format!("one that leads to {:?}", String::from_utf8_lossy(value));
                    check.found(Finding::new(Law::Threads, expected, found));
                }
            });
        }
        rows
    }

    fn leads_to(&mut self, table: Table, key: &[u8], row: &ThreadRow) {
        let expected = format!("an entry of `{}` for number {}", table.name(), row.no);
        let finding = match self.tables.value(table, key) {
            Ok(Some(value)) if value == row.thread.as_str().as_bytes() => return,
            Ok(Some(value)) => Finding::new(
                Law::Threads,
                expected,
                format!("it leads to {:?}", String::from_utf8_lossy(&value)),
            ),
            Ok(None) => Finding::new(Law::Threads, expected, "there is none"),
            Err(error) => Finding::new(Law::Readable, expected, error.0),
        };
        self.found(finding.of(&row.thread));
    }

    /// The first events that are kept.
    pub(super) fn firsts(&mut self, threads: &Rows) -> Firsts {
        let mut firsts = Firsts::new();
        self.each(Table::Firsts, |check, key, value| {
            if key == keys::PROBE {
                return;
            }
            let no = (key.len() == 8).then(|| keys::number(key)).flatten();
            let cut = keys::cut_parts(value).filter(|cut| cut.first > 1);
            match (no.filter(|no| threads.contains_key(no)), cut) {
                (Some(no), Some(cut)) => drop(firsts.insert(no, cut.first)),
                _ => {
                    let expected = "the number of a thread that is there, and its first event";
                    let found = format!("{key:02x?} that leads to {value:02x?}");
                    check.found(Finding::new(Law::Threads, expected, found));
                }
            }
        });
        firsts
    }

    /// That the table of ids knows no more than the events: each event was looked up in it, so where
    /// it has as many entries, they are the same.
    pub(super) fn ids(&mut self, threads: &Rows, counts: &BTreeMap<u64, Count>) {
        let mut known: BTreeMap<u64, u64> = BTreeMap::new();
        self.each(Table::Ids, |check, key, value| {
            let no = (key.len() == 24).then(|| keys::number(&key[..8])).flatten();
            let (Some(no), Some(seq)) = (no, keys::number(value)) else {
                let expected = "a thread's number and an id, 24 bytes, that lead to a seq";
                let found = format!("{key:02x?} that leads to {value:02x?}");
                return check.found(Finding::new(Law::IdIndex, expected, found));
            };
            // An id outlives its event where the thread keeps only its newest.
            let is_swept = counts.get(&no).is_some_and(|count| seq < count.first);
            if !is_swept {
                *known.entry(no).or_default() += 1;
            }
        });
        for (no, ids) in known {
            let count =
                counts.get(&no).copied().unwrap_or(Count { is_whole: true, ..Count::default() });
            if count.is_whole && ids != count.indexed {
                self.stray_ids(no, threads, count);
            }
        }
    }

    /// Names the ids that lead to no event.
    fn stray_ids(&mut self, no: u64, threads: &Rows, count: Count) {
        let (tables, name) = (self.tables, name(threads, no));
        let scanned = tables.scan(Table::Ids, &no.to_be_bytes(), &mut |key, value| {
            if key.len() != 24 || key[..8] != no.to_be_bytes() {
                return ControlFlow::Break(());
            }
            let (Some(seq), Ok(id)) = (keys::number(value), <[u8; 16]>::try_from(&key[8..])) else {
                return ControlFlow::Continue(());
            };
            let id = rethread_shared::EventId::from_bytes(id);
            let body = tables.value(Table::Events, &keys::event(no, seq)).ok().flatten();
            let found = match body.map(|body| super::thread::read(&body)) {
                _ if seq < count.first => return ControlFlow::Continue(()),
                Some(Ok(stored)) if stored.id == id => return ControlFlow::Continue(()),
                // That record has its own finding.
                Some(Err(_)) => return ControlFlow::Continue(()),
                Some(Ok(stored)) => format!("there is {}", stored.id),
                None => "there is no event".to_owned(),
            };
            let expected = format!("id {id} at {seq}, where the table of ids leads");
            self.found(Finding::new(Law::IdIndex, expected, found).of(&name).at(seq));
            ControlFlow::Continue(())
        });
        self.was_read(Table::Ids, scanned);
    }

    /// The registry.
    pub(super) fn runs(&mut self, threads: &Rows, counts: &BTreeMap<u64, Count>) {
        let by_id: BTreeMap<&ThreadId, u64> =
            threads.iter().map(|(no, row)| (&row.thread, *no)).collect();
        self.each(Table::Runs, |check, key, value| {
            let named = String::from_utf8_lossy(key).into_owned();
            check.summary.runs += 1;
            let wrong =
                |expected: &str, found: String| Finding::new(Law::Registry, expected, found);
            let record: RunRecord = match serde_json::from_slice(value) {
                Ok(record) => record,
                Err(error) => {
                    let found = format!("for run {named}: {error}");
                    return check.found(wrong("a run's row", found));
                }
            };
            if record.run.as_str() != named {
                let found = format!("the row of {} under {named}", record.run);
                check.found(wrong("the row of its key", found));
            }
            let Some(no) = by_id.get(&record.thread) else {
                let found = format!("run {named} of {}, which is not there", record.thread);
                return check.found(wrong("runs of threads that are there", found));
            };
            let last = counts.get(no).map_or(0, |count| count.last);
            if record.after > last {
                let found = format!("run {named} comes after {}; the last is {last}", record.after);
                check.found(wrong("runs that come after events", found).of(&record.thread));
            }
            if let Some(other) = record.run.embedded_thread().filter(|t| **t != record.thread) {
                let found = format!("run {named}, which names {other}");
                check.found(wrong("runs of their threads", found).of(&record.thread));
            }
            let is_listed = check.tables.value(Table::Live, key).is_ok_and(|value| value.is_some());
            if record.live != is_listed {
                let (row, list) = if record.live { ("live", "not") } else { ("ended", "as live") };
                let found = format!("run {named} is {row}, and listed {list}");
                check.found(wrong("a list of the live runs", found).of(&record.thread));
            }
        });
        self.each(Table::Live, |check, key, _| {
            if check.tables.value(Table::Runs, key).is_ok_and(|value| value.is_none()) {
                let found = format!("{:?}", String::from_utf8_lossy(key));
                let expected = "live runs that have a row";
                check.found(Finding::new(Law::Registry, expected, found));
            }
        })
    }

    /// That the lists of runs, by thread and by idleness, know those that have rows. A folder of an
    /// older version has none until a server has opened it.
    pub(super) fn lists(&mut self) {
        if self.tables.about(Table::ThreadRuns) == 0 {
            return;
        }
        self.each(Table::Runs, |check, _, value| {
            let Ok(record) = serde_json::from_slice::<RunRecord>(value) else { return };
            let by_thread = keys::thread_run(&record.thread, record.created_at, &record.run);
            check.is_listed(&record, Table::ThreadRuns, &by_thread);
            if !record.live {
                check.is_listed(
                    &record,
                    Table::Idle,
                    &keys::idle(record.idle_since(), &record.run),
                );
            }
        });
        self.each(Table::ThreadRuns, |check, key, _| {
            // The thread's length comes first, then the thread, then a time, then the run.
            let length =
                key.get(..4).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
            let run = length.and_then(|length| key.get(4 + length as usize + 8..));
            let row = run.and_then(|run| check.tables.value(Table::Runs, run).ok().flatten());
            let record = row.and_then(|row| serde_json::from_slice::<RunRecord>(&row).ok());
            let right = record.map(|run| keys::thread_run(&run.thread, run.created_at, &run.run));
            if right.as_deref() != Some(key) {
                let expected = "threads' runs that have a row";
                let found = format!("{:?}", String::from_utf8_lossy(run.unwrap_or(key)));
                check.found(Finding::new(Law::Registry, expected, found));
            }
        });
        // Notes of runs that were active again stay until they are swept.
        self.each(Table::Idle, |check, key, _| {
            if keys::idle_parts(key).is_none() {
                let expected = "a time and a run";
                check.found(Finding::new(Law::Registry, expected, format!("{key:02x?}")));
            }
        });
    }

    fn is_listed(&mut self, record: &RunRecord, table: Table, key: &[u8]) {
        if self.tables.value(table, key).is_ok_and(|value| value.is_none()) {
            let expected = format!("a list `{}` of all runs", table.name());
            let found = format!("run {} is not in it", record.run);
            self.found(Finding::new(Law::Registry, expected, found).of(&record.thread));
        }
    }

    /// What is known of runs that were forgotten.
    pub(super) fn past(&mut self, threads: &Rows) {
        let known: std::collections::BTreeSet<_> =
            threads.values().map(|row| row.thread.as_str().as_bytes()).collect();
        self.each(Table::Past, |check, key, value| {
            if keys::past_parts(value).is_none() || !known.contains(key) {
                let expected = "a time and a seq, of a thread that is there";
                let found = format!("{value:02x?} of {:?}", String::from_utf8_lossy(key));
                check.found(Finding::new(Law::Registry, expected, found));
            }
        });
    }

    /// Each entry of a small table.
    fn each(&mut self, table: Table, mut each: impl FnMut(&mut Self, &[u8], &[u8])) {
        let tables = self.tables;
        let scanned = tables.scan(table, &[], &mut |key, value| {
            each(self, key, value);
            ControlFlow::Continue(())
        });
        self.was_read(table, scanned);
    }

    fn was_read(&mut self, table: Table, scanned: Result<(), EngineError>) {
        if let Err(error) = scanned {
            let expected = format!("a table `{}` that can be read", table.name());
            self.found(Finding::new(Law::Readable, expected, error.0));
        }
    }
}
