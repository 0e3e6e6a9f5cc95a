//! A data folder as it lies on disk: its tables, key by key, without changing a byte of it. For
//! whoever checks or copies a log; a server has no use for it.

use std::{
    fmt,
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::Path,
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tempfile::TempDir;

use super::EngineError;

/// The tables of a log. What their keys and values are stands in [`super::keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Thread number, seq → event.
    Events,
    /// Thread number, event id → seq.
    Ids,
    /// Thread id → its row.
    Threads,
    /// Thread number → thread id.
    Numbers,
    /// Owner, thread number → thread id.
    Owners,
    /// Run id → its row.
    Runs,
    /// Run id, while the run is live.
    Live,
    /// Since when, run id, of a run that is not live.
    Idle,
    /// Thread id, when the run was made, run id.
    ThreadRuns,
    /// Thread id → what is known of its runs that were forgotten.
    Past,
    /// Thread number → the first event that is kept; under the number 0 what probes write.
    Firsts,
}

/// What a scan is told after each entry.
pub type Next = ControlFlow<()>;

/// Tables that can be read key by key.
pub trait Tables {
    /// The value of a key.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Each entry from a key on, in the order of keys, until told to break.
    ///
    /// # Errors
    /// When the storage cannot be read; what came before has been given.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), EngineError>;

    /// About how many entries a table has.
    fn about(&self, table: Table) -> u64;
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 11] = [
        Self::Events,
        Self::Ids,
        Self::Threads,
        Self::Numbers,
        Self::Owners,
        Self::Runs,
        Self::Live,
        Self::Idle,
        Self::ThreadRuns,
        Self::Past,
        Self::Firsts,
    ];

    /// Its name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Ids => "ids",
            Self::Threads => "threads",
            Self::Numbers => "numbers",
            Self::Owners => "owners",
            Self::Runs => "runs",
            Self::Live => "live",
            Self::Idle => "idle",
            Self::ThreadRuns => "thread_runs",
            Self::Past => "past",
            Self::Firsts => "firsts",
        }
    }
}

/// The tables of a folder that no server uses.
///
/// fjall has no way to open a folder without writing to it: it recovers, truncates and rotates. So
/// what is opened is a view in a temporary folder: the sorted tables, which are never written again
/// and are nearly all of the bytes, are linked to; the journals and the small files are copied. The
/// folder's own lock is held while the view is there, so no server starts on it meanwhile.
pub struct FolderTables {
    keyspaces: Vec<(Table, Keyspace)>,
    // Dropped in this order: the database, then what it stands on, then the lock.
    _db: Database,
    _view: TempDir,
    _lock: Option<File>,
}

impl fmt::Debug for FolderTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderTables").finish_non_exhaustive()
    }
}

impl FolderTables {
    /// Opens a log's folder for reading.
    ///
    /// # Errors
    /// When there is no log in it, a server uses it, or the engine cannot make sense of it.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let io = |error: io::Error| EngineError(format!("{}: {error}", folder.display()));
        if !folder.join("keyspaces").is_dir() {
            return Err(EngineError(format!(
                "there is no log in {}; expected the folder that a server was given with --data",
                folder.display()
            )));
        }
        let lock = lock(&folder.join("lock"))?;
        let view = tempfile::Builder::new().prefix("rethread-view-").tempdir().map_err(io)?;
        mirror(folder, view.path(), false).map_err(io)?;
        let db = Database::builder(view.path()).open()?;
        let open = |table: Table| -> Result<_, EngineError> {
            Ok((table, db.keyspace(table.name(), KeyspaceCreateOptions::default)?))
        };
        let keyspaces = Table::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { keyspaces, _db: db, _view: view, _lock: lock })
    }

    fn keyspace(&self, table: Table) -> &Keyspace {
        let found = self.keyspaces.iter().find(|(known, _)| *known == table);
        &found.expect("all tables are open").1
    }
}

impl Tables for FolderTables {
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.keyspace(table).get(key)?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), EngineError> {
        for entry in self.keyspace(table).range(from..) {
            let (key, value) = entry.into_inner()?;
            if each(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn about(&self, table: Table) -> u64 {
        self.keyspace(table).approximate_len() as u64
    }
}

/// Takes the lock that a server holds. A folder without one has never been used by this version.
fn lock(path: &Path) -> Result<Option<File>, EngineError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EngineError(format!("{}: {error}", path.display()))),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(fjall::Error::Locked.into()),
        Err(fs::TryLockError::Error(error)) => {
            Err(EngineError(format!("{}: {error}", path.display())))
        }
    }
}

/// Files of these folders are written once: sorted tables, and large values beside them.
const WRITTEN_ONCE: [&str; 2] = ["tables", "blobs"];

fn mirror(from: &Path, to: &Path, is_written_once: bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, source) = (entry.file_name(), entry.path());
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            let is_written_once = WRITTEN_ONCE.iter().any(|folder| name == *folder);
            mirror(&source, &target, is_written_once)?;
        } else if is_written_once {
            link(&fs::canonicalize(&source)?, &target)?;
        } else if name == "lock" {
            // The view's own.
            File::create(&target)?;
        } else {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(not(unix))]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    copy(source, target)
}

/// Not with its permissions: the copy must be writable though the original is not.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    io::copy(&mut File::open(source)?, &mut File::create(target)?).map(drop)
}
