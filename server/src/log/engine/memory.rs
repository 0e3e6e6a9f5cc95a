//! Memory, for tests: the same behaviour without a disk, and faults on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use rethread_shared::{EventId, RunId, ThreadId};

use super::{Engine, EngineError, Group, GroupCut, RunChange, ThreadRow};
use crate::log::{Cut, IdleRun, PageLimit, Past, Record, RunRecord};

/// Keeps everything in memory. Nothing survives the process. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    rows: Arc<Mutex<Rows>>,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    writes: AtomicBool,
    answers: AtomicBool,
    reads: AtomicBool,
    panics: AtomicBool,
    /// Held while writes are.
    hold: Mutex<()>,
    /// Free bytes and one, 0 where that is not told.
    free: AtomicU64,
}

#[derive(Debug, Default)]
struct Rows {
    events: BTreeMap<(u64, u64), bytes::Bytes>,
    ids: BTreeMap<(u64, EventId), u64>,
    threads: BTreeMap<ThreadId, ThreadRow>,
    runs: BTreeMap<RunId, RunRecord>,
    idle: BTreeSet<(u64, RunId)>,
    past: BTreeMap<ThreadId, Past>,
    cuts: BTreeMap<u64, Cut>,
}

/// Writes wait as long as it is kept.
#[derive(Debug)]
pub struct Held<'a> {
    _hold: MutexGuard<'a, ()>,
}

impl MemoryEngine {
    /// From now on every write fails, as on a full or dying disk.
    pub fn fail_writes(&self, fail: bool) {
        self.faults.writes.store(fail, Ordering::SeqCst);
    }

    /// From now on every write is done and reported as failed, as when only the sync fails.
    pub fn fail_answers(&self, fail: bool) {
        self.faults.answers.store(fail, Ordering::SeqCst);
    }

    /// The next write panics.
    pub fn panic_once(&self) {
        self.faults.panics.store(true, Ordering::SeqCst);
    }

    /// From now on so many bytes are free.
    pub fn set_free(&self, bytes: u64) {
        self.faults.free.store(bytes + 1, Ordering::SeqCst);
    }

    pub(super) fn free(&self) -> Option<u64> {
        self.faults.free.load(Ordering::SeqCst).checked_sub(1)
    }

    /// The fault that keeps it from being opened.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let has = |fault: &AtomicBool| fault.load(Ordering::SeqCst);
        if has(&self.faults.writes) || has(&self.faults.answers) {
            return Some("injected: writes fail");
        }
        has(&self.faults.reads).then_some("injected: reads fail")
    }

    /// Writes wait while what this gives is kept, as on a disk that does not answer.
    pub fn hold_writes(&self) -> Held<'_> {
        Held { _hold: self.faults.hold.lock() }
    }

    /// From now on every read fails.
    pub fn fail_reads(&self, fail: bool) {
        self.faults.reads.store(fail, Ordering::SeqCst);
    }

    fn rows(&self) -> Result<parking_lot::MutexGuard<'_, Rows>, EngineError> {
        if self.faults.reads.load(Ordering::SeqCst) {
            return Err(EngineError("injected: reads fail".into()));
        }
        Ok(self.rows.lock())
    }
}

impl Engine for MemoryEngine {
    fn write(&self, group: &Group) -> Result<(), EngineError> {
        drop(self.faults.hold.lock());
        if self.faults.writes.load(Ordering::SeqCst) {
            return Err(EngineError("injected: writes fail".into()));
        }
        assert!(!self.faults.panics.swap(false, Ordering::SeqCst), "injected: a panic");
        let mut rows = self.rows.lock();
        for event in &group.events {
            let before = rows.events.insert((event.no, event.seq), event.body.clone());
            assert!(before.is_none(), "a place in the log is written once");
            rows.ids.insert((event.no, event.id), event.seq);
        }
        for row in &group.threads {
            rows.threads.insert(row.thread.clone(), row.clone());
        }
        for change in &group.runs {
            rows.change_runs(change);
        }
        for GroupCut { no, from, cut } in &group.cuts {
            rows.cuts.insert(*no, *cut);
            for seq in *from..cut.first {
                rows.events.remove(&(*no, seq));
            }
        }
        if self.faults.answers.load(Ordering::SeqCst) {
            return Err(EngineError("injected: the write is not confirmed".into()));
        }
        Ok(())
    }

    fn find(&self, no: u64, id: EventId) -> Result<Option<u64>, EngineError> {
        Ok(self.rows()?.ids.get(&(no, id)).copied())
    }

    fn greatest_id(&self, no: u64) -> Result<Option<EventId>, EngineError> {
        let (first, last) = (EventId::from_bytes([0; 16]), EventId::from_bytes([255; 16]));
        let rows = self.rows()?;
        let greatest = rows.ids.range((no, first)..=(no, last)).next_back();
        Ok(greatest.map(|((_, id), _)| *id))
    }

    fn head(&self, no: u64) -> Result<u64, EngineError> {
        let rows = self.rows()?;
        let last = rows.events.range((no, 0)..=(no, u64::MAX)).next_back();
        let gone = rows.cuts.get(&no).map_or(0, |cut| cut.first - 1);
        Ok(last.map_or(gone, |(key, _)| key.1))
    }

    fn cut(&self, no: u64) -> Result<Cut, EngineError> {
        Ok(self.rows()?.cuts.get(&no).copied().unwrap_or_default())
    }

    fn read(&self, no: u64, after: u64, limit: PageLimit) -> Result<Vec<Record>, EngineError> {
        let rows = self.rows()?;
        let mut bytes = 0;
        let page = rows.events.range((no, after.saturating_add(1))..=(no, u64::MAX)).enumerate();
        Ok(page
            .take_while(|(place, (_, body))| {
                bytes += body.len();
                *place < limit.events && (bytes <= limit.bytes || *place == 0)
            })
            .map(|(_, (key, body))| Record { seq: key.1, body: body.clone() })
            .collect())
    }

    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadRow>, EngineError> {
        Ok(self.rows()?.threads.get(thread).cloned())
    }

    fn threads(&self, owner: Option<&str>, limit: usize) -> Result<Vec<ThreadRow>, EngineError> {
        let rows = self.rows()?;
        let mut found: Vec<_> = rows
            .threads
            .values()
            .filter(|row| owner.is_none_or(|owner| row.owner == owner))
            .cloned()
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.no));
        found.truncate(limit);
        Ok(found)
    }

    fn older_threads(
        &self,
        owner: Option<&str>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<ThreadRow>, EngineError> {
        let mut older = self.threads(owner, usize::MAX)?;
        older.retain(|row| row.no < before);
        older.truncate(limit);
        Ok(older)
    }

    fn last_no(&self) -> Result<u64, EngineError> {
        Ok(self.rows()?.threads.values().map(|row| row.no).max().unwrap_or(0))
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRecord>, EngineError> {
        Ok(self.rows()?.runs.get(run).cloned())
    }

    fn live_runs(
        &self,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunRecord>, EngineError> {
        let rows = self.rows()?;
        let later = rows.runs.values().filter(|row| after.is_none_or(|after| row.run > *after));
        Ok(later.filter(|row| row.live).take(limit).cloned().collect())
    }

    fn idle_runs(&self, until: u64, limit: usize) -> Result<Vec<IdleRun>, EngineError> {
        let rows = self.rows()?;
        let first = rows.idle.iter().take_while(|(since, _)| *since <= until).take(limit);
        let note = |(since, run): &(u64, RunId)| {
            let record = rows.runs.get(run).cloned();
            IdleRun { since: *since, run: run.clone(), record }
        };
        Ok(first.map(note).collect())
    }

    fn runs_of(&self, thread: &ThreadId, limit: usize) -> Result<Vec<RunRecord>, EngineError> {
        let rows = self.rows()?;
        let mut runs: Vec<_> =
            rows.runs.values().filter(|row| row.thread == *thread).cloned().collect();
        runs.sort_by(|a, b| (b.created_at, &b.run).cmp(&(a.created_at, &a.run)));
        runs.truncate(limit);
        Ok(runs)
    }

    fn past(&self, thread: &ThreadId) -> Result<Option<Past>, EngineError> {
        Ok(self.rows()?.past.get(thread).copied())
    }

    fn count_runs(&self) -> Result<u64, EngineError> {
        Ok(self.rows()?.runs.len() as u64)
    }
}

impl Rows {
    fn change_runs(&mut self, change: &RunChange) {
        let forget = match change {
            RunChange::Remember(run) => {
                self.runs.insert(run.run.clone(), run.clone());
                if !run.live {
                    self.idle.insert((run.idle_since(), run.run.clone()));
                }
                return;
            }
            RunChange::Forget(forget) => forget,
        };
        for run in &forget.runs {
            self.runs.remove(&run.run);
            self.idle.remove(&(run.idle_since(), run.run.clone()));
        }
        for note in &forget.stale {
            self.idle.remove(note);
        }
        if let Some((thread, past)) = &forget.past {
            self.past.insert(thread.clone(), *past);
        }
    }
}
