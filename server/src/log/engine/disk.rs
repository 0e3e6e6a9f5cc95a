//! A folder on a disk as a [`Store`]: how much is free, whether it can be written, and fjall in it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use rethread_shared::limits::STORE_CHECK_BYTES;
use rustix::fs::{Advice, fadvise, statvfs};

use super::{
    Engine,
    fjall::FjallEngine,
    store::{Cause, Store, StoreError},
};

/// The folder that holds a log.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The log in this folder, which is made when it is opened first.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Writes and syncs a file of its own beside the log's.
    fn try_write(&self) -> std::io::Result<()> {
        // A log that could not be opened yet may have no folder.
        fs::create_dir_all(&self.path)?;
        let path = self.path.join("check.tmp");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![b'x'; STORE_CHECK_BYTES])?;
            file.sync_all()
        });
        // It may be the file that fills the disk.
        let removed = fs::remove_file(&path);
        written.and(removed)
    }

    /// Lets the kernel forget what it holds of the journals, so that they are read from the disk. After
    /// a failed sync its memory may hold what the disk does not.
    fn forget_cached(&self) -> std::io::Result<()> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                let file = File::options().write(true).open(&path)?;
                file.sync_all()?;
                fadvise(&file, 0, None, Advice::DontNeed)?;
            }
        }
        Ok(())
    }
}

impl Store for Folder {
    fn open(&self) -> Result<Arc<dyn Engine>, StoreError> {
        fs::create_dir_all(&self.path)?;
        self.forget_cached()?;
        FjallEngine::open_store(&self.path).map(|engine| Arc::new(engine) as Arc<dyn Engine>)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.try_write().map_err(|error| {
            let cause = Cause::of(&error);
            StoreError::new(cause, format!("{} cannot be written: {error}", self.path.display()))
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.path)
    }
}

/// Bytes that are free in the file system of a folder, for who is not root.
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_says_so_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        store.check().unwrap();
        assert!(store.free_bytes().unwrap() > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let fresh = Folder::new(folder.path().join("not/there"));
        assert_eq!(fresh.free_bytes(), None);
        fresh.check().expect("it is made");
        fresh.open().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let error = Folder::new(folder.path().join("file/log")).check().unwrap_err();
        assert!(error.to_string().contains("file/log"), "{error}");
    }

    #[test]
    fn a_log_is_not_opened_twice_and_again_when_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path().join("log"));
        let first = store.open().unwrap();
        assert_eq!(store.open().err().unwrap().cause, Cause::InUse);
        drop(first);
        store.open().unwrap();
    }

    #[test]
    fn what_is_no_log_is_broken_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path().join("log"));
        drop(store.open().unwrap());
        fs::write(folder.path().join("log/version"), b"something else").unwrap();
        let error = store.open().err().unwrap();
        assert_eq!(error.cause, Cause::Broken, "{error}");
        assert!(error.to_string().contains("backup"), "{error}");
    }
}
