//! fjall, the embedded default.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rethread_shared::{EventId, RunId, ThreadId};

use super::{
    Engine, EngineError, Group, ThreadRow, keys,
    store::{Cause, StoreError},
};
use crate::log::{PageLimit, Record, RunRecord};

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
        Ok(Self::open_inner(folder)?)
    }

    /// The same, with what kind of trouble it is.
    pub(super) fn open_store(folder: &Path) -> Result<Self, StoreError> {
        Self::open_inner(folder)
            .map_err(|error| StoreError::new(cause(&error), EngineError::from(error).0))
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
            db,
        })
    }

    fn row(&self, thread: &[u8]) -> Result<Option<ThreadRow>, EngineError> {
        self.threads.get(thread)?.map(|row| decode(&row)).transpose()
    }
}

impl Engine for FjallEngine {
    fn write(&self, group: &Group) -> Result<(), EngineError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for event in &group.events {
            batch.insert(&self.events, keys::event(event.no, event.seq), &event.body[..]);
            batch.insert(&self.ids, keys::id(event.no, event.id), event.seq.to_be_bytes());
        }
        for row in &group.threads {
            let thread = row.thread.as_str();
            batch.insert(&self.threads, thread, encode(row));
            batch.insert(&self.numbers, row.no.to_be_bytes(), thread);
            batch.insert(&self.owners, keys::owner(&row.owner, row.no), thread);
        }
        for run in &group.runs {
            batch.insert(&self.runs, run.run.as_str(), encode(run));
            if run.live {
                batch.insert(&self.live, run.run.as_str(), "");
            } else {
                batch.remove(&self.live, run.run.as_str());
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

    fn head(&self, no: u64) -> Result<u64, EngineError> {
        let Some(last) = self.events.prefix(no.to_be_bytes()).next_back() else { return Ok(0) };
        let key = last.key()?;
        keys::event_seq(&key).ok_or_else(|| EngineError("a key of `events` is broken".into()))
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

    fn last_no(&self) -> Result<u64, EngineError> {
        let Some(last) = self.numbers.last_key_value() else { return Ok(0) };
        keys::number(&last.key()?).ok_or_else(|| EngineError("a key of `numbers` is broken".into()))
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRecord>, EngineError> {
        self.runs.get(run.as_str())?.map(|row| decode(&row)).transpose()
    }

    fn live_runs(&self) -> Result<Vec<RunRecord>, EngineError> {
        let mut runs = Vec::new();
        for entry in self.live.iter() {
            if let Some(row) = self.runs.get(entry.key()?)? {
                runs.push(decode(&row)?);
            }
        }
        Ok(runs)
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
