//! A small log, and everything that can be done to one of its entries.

use std::{collections::BTreeMap, ops::ControlFlow};

use rethread_shared::{EventId, RunId, ThreadId};
use serde_json::json;

use super::*;
use crate::log::{
    Cut, Forget, Past,
    engine::{Engine, Group, GroupEvent, RunChange, fjall::FjallEngine, tables::Next},
};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Tables in memory, one of which may break off.
#[derive(Clone, Default)]
struct Copied {
    tables: BTreeMap<Table, Entries>,
    breaks_at: Option<(Table, Vec<u8>)>,
}

impl Tables for Copied {
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.tables[&table].get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), EngineError> {
        for (key, value) in self.tables[&table].range(from.to_vec()..) {
            if self.breaks_at.as_ref().is_some_and(|(broken, at)| *broken == table && at == key) {
                return Err(EngineError("a checksum is wrong".into()));
            }
            if each(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn about(&self, table: Table) -> u64 {
        self.tables[&table].len() as u64
    }
}

#[derive(Default)]
struct Found(Vec<Finding>);

impl Watch for Found {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }
}

fn check(tables_: &Copied) -> (Summary, Vec<Finding>) {
    let mut found = Found::default();
    let summary = tables(tables_, &mut found);
    assert_eq!(summary.findings, found.0.len() as u64);
    (summary, found.0)
}

/// Three threads; in each a run that has ended and one that goes on.
fn small() -> Copied {
    let folder = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(folder.path()).unwrap();
    let mut group = Group::default();
    for no in 1..=3_u64 {
        let thread: ThreadId = format!("thread_{no}").parse().unwrap();
        let row = json!({
            "no": no, "thread": thread, "epoch": "0000000a", "owner": "ada", "created_at": no,
        });
        group.threads.push(serde_json::from_value(row).unwrap());
        let mut seq = 0;
        for (ms, is_ended) in [(10, true), (20, false)] {
            let run = RunId::generate(&thread, ms, [7; 4]);
            let row = json!({
                "run": run, "thread": thread, "after": seq, "created_at": ms, "live": !is_ended,
            });
            group.runs.push(RunChange::Remember(serde_json::from_value(row).unwrap()));
            let kinds = ["agent_started", "agent_thinking", "agent_completed"];
            for kind in &kinds[..if is_ended { 3 } else { 2 }] {
                seq += 1;
                let id = EventId::generate(ms, [no as u8, seq as u8, 0, 0, 0, 0, 0, 0, 0, 0]);
                let data = match *kind {
                    "agent_started" => json!({ "agent": "test" }),
                    "agent_thinking" => json!({ "text": "hm" }),
                    _ => json!({}),
                };
                let body = json!({ "id": id, "run": run, "type": kind, "at": ms, "data": data });
                let body = body.to_string().into();
                group.events.push(GroupEvent { no, seq, id, body });
            }
        }
    }
    // In the third thread runs were forgotten.
    let past = Some(("thread_3".parse().unwrap(), Past { until_ms: 15, until_seq: 3 }));
    group.runs.push(RunChange::Forget(Forget { past, ..Forget::default() }));
    engine.write(&group).unwrap();
    drop(engine);
    let opened = FolderTables::open(folder.path()).unwrap();
    let mut copied = Copied::default();
    for table in Table::ALL {
        let entries = copied.tables.entry(table).or_default();
        let mut take = |key: &[u8], value: &[u8]| {
            entries.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        opened.scan(table, &[], &mut take).unwrap();
    }
    copied
}

fn entries(of: &Copied) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let all = of.tables.iter().flat_map(|(table, entries)| {
        entries.iter().map(|(key, value)| (*table, key.clone(), value.clone()))
    });
    all.collect()
}

#[test]
fn what_is_as_it_must_be_has_no_findings() {
    let (summary, findings) = check(&small());
    assert_eq!(findings, []);
    let Summary { threads, events, runs, .. } = summary;
    assert_eq!((threads, events, runs), (3, 15, 6));
}

#[test]
fn no_entry_can_be_lost() {
    let small = small();
    for (table, key, _) in entries(&small) {
        let mut damaged = small.clone();
        damaged.tables.get_mut(&table).unwrap().remove(&key);
        let (_, findings) = check(&damaged);
        // Without it runs that have their rows are looked for more closely, and that is all.
        let may_be_lost = table == Table::Past;
        assert_eq!(findings.is_empty(), may_be_lost, "{table:?} {key:02x?} {findings:#?}");
    }
}

#[test]
fn a_run_that_was_forgotten_leaves_no_row_and_no_finding() {
    let small = small();
    let gone = |key: &Vec<u8>| String::from_utf8_lossy(key).contains("thread_3_run_10_");
    let mut swept = small.clone();
    let mut unswept = small;
    for table in [Table::Runs, Table::Idle, Table::ThreadRuns] {
        swept.tables.get_mut(&table).unwrap().retain(|key, _| !gone(key));
        let first = |key: &Vec<u8>| String::from_utf8_lossy(key).contains("thread_1_run_10_");
        unswept.tables.get_mut(&table).unwrap().retain(|key, _| !first(key));
    }
    assert_eq!(check(&swept).1, []);
    let findings = check(&unswept).1;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].found.contains("which was not forgotten"), "{findings:#?}");
}

#[test]
fn no_entry_can_be_cut_or_be_lost_under_another_key() {
    let small = small();
    for (table, key, value) in entries(&small) {
        for cut in (0..value.len()).step_by(5) {
            let mut damaged = small.clone();
            damaged.tables.get_mut(&table).unwrap().insert(key.clone(), value[..cut].to_vec());
            let (_, findings) = check(&damaged);
            assert!(!findings.is_empty(), "{table:?} {key:02x?} cut at {cut}");
        }
        let mut damaged = small.clone();
        let entries = damaged.tables.get_mut(&table).unwrap();
        let mut other = key.clone();
        *other.last_mut().unwrap() ^= 0x40;
        entries.remove(&key);
        entries.insert(other, value);
        let (_, findings) = check(&damaged);
        assert!(!findings.is_empty(), "{table:?} {key:02x?} under another key");
    }
}

#[test]
fn a_thread_may_begin_with_a_later_event_where_that_is_said() {
    let whole = small();
    let removed = |first: u64| {
        let mut cut = whole.clone();
        let events = cut.tables.get_mut(&Table::Events).unwrap();
        (1..first).for_each(|seq| drop(events.remove(&keys::event(1, seq)[..])));
        let row = keys::cut(Cut { first, until_ms: 10 }).to_vec();
        cut.tables.get_mut(&Table::Firsts).unwrap().insert(1_u64.to_be_bytes().to_vec(), row);
        cut
    };
    for first in 2..=6 {
        let cut = removed(first);
        assert_eq!(check(&cut).1, [], "from {first}");
        let mut unsaid = cut.clone();
        unsaid.tables.get_mut(&Table::Firsts).unwrap().clear();
        assert_ne!(check(&unsaid).1, [], "from {first}, unsaid");
        let mut left = cut.clone();
        let event = whole.tables[&Table::Events][&keys::event(1, first - 1)[..]].clone();
        let events = left.tables.get_mut(&Table::Events).unwrap();
        events.insert(keys::event(1, first - 1).to_vec(), event);
        let findings = check(&left).1;
        assert_eq!(findings[0].law, Law::Hole, "from {first}, one left: {findings:#?}");
    }
    let mut beyond = removed(4);
    let row = keys::cut(Cut { first: 5, until_ms: 10 }).to_vec();
    beyond.tables.get_mut(&Table::Firsts).unwrap().insert(9_u64.to_be_bytes().to_vec(), row);
    assert_eq!(check(&beyond).1[0].law, Law::Threads, "of no thread");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let mut small = small();
    let keys: Vec<_> = small.tables[&Table::Events].keys().cloned().collect();
    // In the second thread, whose other events are then not seen.
    small.breaks_at = Some((Table::Events, keys[6].clone()));
    let (summary, findings) = check(&small);
    assert_eq!(findings[0].law, Law::Readable, "{findings:#?}");
    assert_eq!(findings[0].thread.as_deref(), Some("thread_2"));
    assert_eq!(summary.events, 5 + 1 + 5, "the first thread, one event, the third");
    assert_eq!(findings.len(), 1, "nothing is said of what is not known: {findings:#?}");
    for table in [Table::Ids, Table::Threads, Table::Numbers, Table::Runs] {
        let mut broken = small.clone();
        broken.breaks_at = Some((table, broken.tables[&table].keys().next().unwrap().clone()));
        let (_, findings) = check(&broken);
        let laws: Vec<_> = findings.iter().map(|finding| finding.law).collect();
        assert!(laws.contains(&Law::Readable), "{table:?}: {findings:#?}");
    }
}
