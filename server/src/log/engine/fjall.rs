//! fjall, the embedded default.

use std::{ops::Bound, path::Path};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rethread_shared::{EventId, RunId, ThreadId};

use super::{
    Engine, EngineError, Group, GroupCut, RunChange, ThreadRow, keys,
    store::{Cause, StoreError},
};
use crate::log::{Cut, IdleRun, PageLimit, Past, Record, RunRecord};

/// fjall, an embedded log-structured store: one folder, one process.
pub struct FjallEngine {
    db: Database,
    events: Keyspace,
    ids: Keyspace,
    threads: Keyspace,
    numbers: Keyspace,
    owners: Keyspace,
    runs: Keyspace,
    live: Keyspace,
    firsts: Keyspace,
    idle: Keyspace,
    thread_runs: Keyspace,
    past: Keyspace,
}

impl std::fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallEngine").finish_non_exhaustive()
    }
}

impl From<fjall::Error> for EngineError {
    fn from(error: fjall::Error) -> Self {
        Self(match error {
            fjall::Error::Locked => {
                "another process has this data folder open; stop it, or use another --data".into()
            }
            other => other.to_string(),
        })
    }
}

impl FjallEngine {
    /// Opens the data folder, or makes it. What was durable before a crash is there.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let engine = Self::open_inner(folder)?;
        engine.list_runs()?;
        Ok(engine)
    }

    /// The same, with what kind of trouble it is.
    pub(super) fn open_store(folder: &Path) -> Result<Self, StoreError> {
        let engine = Self::open_inner(folder)
            .map_err(|error| StoreError::new(cause(&error), EngineError::from(error).0))?;
        engine.list_runs()?;
        Ok(engine)
    }

    fn open_inner(folder: &Path) -> Result<Self, fjall::Error> {
        let db = Database::builder(folder).open()?;
        let open = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Self {
            events: open("events")?,
            ids: open("ids")?,
            threads: open("threads")?,
            numbers: open("numbers")?,
            owners: open("owners")?,
            runs: open("runs")?,
            live: open("live")?,
            firsts: open("firsts")?,
            idle: open("idle")?,
            thread_runs: open("thread_runs")?,
            past: open("past")?,
            db,
        })
    }

    /// Lists the runs of a folder from before there were lists: by thread, and those that are idle.
    fn list_runs(&self) -> Result<(), EngineError> {
        if !self.thread_runs.is_empty()? || self.runs.is_empty()? {
            return Ok(());
        }
        // In one step: were it broken off, a folder with half of its lists would look complete.
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for entry in self.runs.iter() {
            self.list(&mut batch, &decode(&entry.value()?)?);
        }
        Ok(batch.commit()?)
    }

    fn list(&self, batch: &mut fjall::OwnedWriteBatch, run: &RunRecord) {
        let by_thread = keys::thread_run(&run.thread, run.created_at, &run.run);
        batch.insert(&self.thread_runs, by_thread, "");
        if run.live {
            batch.insert(&self.live, run.run.as_str(), "");
        } else {
            batch.remove(&self.live, run.run.as_str());
            batch.insert(&self.idle, keys::idle(run.idle_since(), &run.run), "");
        }
    }

    fn change_runs(&self, batch: &mut fjall::OwnedWriteBatch, change: &RunChange) {
        let forget = match change {
            RunChange::Remember(run) => {
                batch.insert(&self.runs, run.run.as_str(), encode(run));
                return self.list(batch, run);
            }
            RunChange::Forget(forget) => forget,
        };
        for run in &forget.runs {
            batch.remove(&self.runs, run.run.as_str());
            batch.remove(&self.live, run.run.as_str());
            batch.remove(&self.idle, keys::idle(run.idle_since(), &run.run));
            batch
                .remove(&self.thread_runs, keys::thread_run(&run.thread, run.created_at, &run.run));
        }
        for (since, run) in &forget.stale {
            batch.remove(&self.idle, keys::idle(*since, run));
        }
        if let Some((thread, past)) = &forget.past {
            batch.insert(&self.past, thread.as_str(), keys::past(*past));
        }
    }

    fn row(&self, thread: &[u8]) -> Result<Option<ThreadRow>, EngineError> {
        self.threads.get(thread)?.map(|row| decode(&row)).transpose()
    }
}

impl Engine for FjallEngine {
    fn write(&self, group: &Group) -> Result<(), EngineError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        // In the order of their keys, one table after the other: what is looked at to find the place of one
        // is still in the processor's caches for the next.
        let mut events: Vec<_> = group.events.iter().collect();
        events.sort_unstable_by_key(|event| (event.no, event.seq));
        for event in &events {
            batch.insert(&self.events, keys::event(event.no, event.seq), &event.body[..]);
        }
        for event in &events {
            batch.insert(&self.ids, keys::id(event.no, event.id), event.seq.to_be_bytes());
        }
        for row in &group.threads {
            let thread = row.thread.as_str();
            batch.insert(&self.threads, thread, encode(row));
            batch.insert(&self.numbers, row.no.to_be_bytes(), thread);
            batch.insert(&self.owners, keys::owner(&row.owner, row.no), thread);
        }
        for change in &group.runs {
            self.change_runs(&mut batch, change);
        }
        for GroupCut { no, from, cut } in &group.cuts {
            batch.insert(&self.firsts, no.to_be_bytes(), keys::cut(*cut));
            for seq in *from..cut.first {
                batch.remove(&self.events, keys::event(*no, seq));
            }
        }
        if let Some(probe) = group.probe {
            batch.insert(&self.firsts, keys::PROBE, probe.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn find(&self, no: u64, id: EventId) -> Result<Option<u64>, EngineError> {
        Ok(self.ids.get(keys::id(no, id))?.and_then(|seq| keys::number(&seq)))
    }

    fn greatest_id(&self, no: u64) -> Result<Option<EventId>, EngineError> {
        let Some(last) = self.ids.prefix(no.to_be_bytes()).next_back() else { return Ok(None) };
        let id = keys::id_event(&last.key()?);
        id.map(Some).ok_or_else(|| EngineError("a key of `ids` is broken".into()))
    }

    fn head(&self, no: u64) -> Result<u64, EngineError> {
        let Some(last) = self.events.prefix(no.to_be_bytes()).next_back() else {
            return Ok(self.cut(no)?.first - 1);
        };
        let key = last.key()?;
        keys::event_seq(&key).ok_or_else(|| EngineError("a key of `events` is broken".into()))
    }

    fn cut(&self, no: u64) -> Result<Cut, EngineError> {
        let Some(value) = self.firsts.get(no.to_be_bytes())? else { return Ok(Cut::default()) };
        let cut = keys::cut_parts(&value).filter(|cut| cut.first > 0);
        cut.ok_or_else(|| EngineError("a row of `firsts` is broken".into()))
    }

    fn read(&self, no: u64, after: u64, limit: PageLimit) -> Result<Vec<Record>, EngineError> {
        let (from, to) = (keys::event(no, after.saturating_add(1)), keys::event(no, u64::MAX));
        let mut page = Vec::new();
        let mut bytes = 0;
        for entry in self.events.range(from..=to) {
            let (key, body) = entry.into_inner()?;
            bytes += body.len();
            if page.len() == limit.events || (bytes > limit.bytes && !page.is_empty()) {
                break;
            }
            let seq = keys::event_seq(&key)
                .ok_or_else(|| EngineError("a key of `events` is broken".into()))?;
            page.push(Record { seq, body: bytes::Bytes::copy_from_slice(&body) });
        }
        Ok(page)
    }

    fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadRow>, EngineError> {
        self.row(thread.as_str().as_bytes())
    }

    fn threads(&self, owner: Option<&str>, limit: usize) -> Result<Vec<ThreadRow>, EngineError> {
        let newest_first = match owner {
            Some(owner) => self.owners.prefix(keys::owner_prefix(owner)),
            None => self.numbers.iter(),
        };
        let mut rows = Vec::new();
        for entry in newest_first.rev().take(limit) {
            rows.extend(self.row(&entry.value()?)?);
        }
        Ok(rows)
    }

    fn older_threads(
        &self,
        owner: Option<&str>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<ThreadRow>, EngineError> {
        let older = match owner {
            Some(owner) => self.owners.range(keys::owner(owner, 0)..keys::owner(owner, before)),
            None => self.numbers.range(0_u64.to_be_bytes()..before.to_be_bytes()),
        };
        let mut rows = Vec::new();
        for entry in older.rev().take(limit) {
            rows.extend(self.row(&entry.value()?)?);
        }
        Ok(rows)
    }

    fn last_no(&self) -> Result<u64, EngineError> {
        let Some(last) = self.numbers.last_key_value() else { return Ok(0) };
        keys::number(&last.key()?).ok_or_else(|| EngineError("a key of `numbers` is broken".into()))
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRecord>, EngineError> {
        self.runs.get(run.as_str())?.map(|row| decode(&row)).transpose()
    }

    fn live_runs(
        &self,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunRecord>, EngineError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str()));
        let mut runs = Vec::new();
        for entry in self.live.range::<&str, _>((from, Bound::Unbounded)).take(limit) {
            if let Some(row) = self.runs.get(entry.key()?)? {
                runs.push(decode(&row)?);
            }
        }
        Ok(runs)
    }

    fn idle_runs(&self, until: u64, limit: usize) -> Result<Vec<IdleRun>, EngineError> {
        let mut runs = Vec::new();
        for entry in self.idle.iter().take(limit) {
            let key = entry.key()?;
            let (since, run) = keys::idle_parts(&key)
                .ok_or_else(|| EngineError("a key of `idle` is broken".into()))?;
            if since > until {
                break;
            }
            let record = self.run(&run)?;
            runs.push(IdleRun { since, run, record });
        }
        Ok(runs)
    }

    fn runs_of(&self, thread: &ThreadId, limit: usize) -> Result<Vec<RunRecord>, EngineError> {
        let mut runs = Vec::new();
        for entry in self.thread_runs.prefix(keys::thread_runs_prefix(thread)).rev().take(limit) {
            let run = keys::thread_run_run(thread, &entry.key()?)
                .ok_or_else(|| EngineError("a key of `thread_runs` is broken".into()))?;
            runs.extend(self.run(&run)?);
        }
        Ok(runs)
    }

    fn past(&self, thread: &ThreadId) -> Result<Option<Past>, EngineError> {
        let Some(value) = self.past.get(thread.as_str())? else { return Ok(None) };
        let past = keys::past_parts(&value);
        past.map(Some).ok_or_else(|| EngineError("a row of `past` is broken".into()))
    }

    fn count_runs(&self) -> Result<u64, EngineError> {
        Ok(self.runs.len()? as u64)
    }
}

/// What kind of trouble an error at opening is.
fn cause(error: &fjall::Error) -> Cause {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            Cause::of(error)
        }
        fjall::Error::Locked => Cause::InUse,
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted => Cause::Other,
        _ => Cause::Broken,
    }
}

/// Rows that are few and read by people in need are JSON.
fn encode<T: serde::Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).expect("a row's members are all JSON")
}

fn decode<T: serde::de::DeserializeOwned>(row: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(row).map_err(|error| EngineError(format!("a row is broken: {error}")))
}
