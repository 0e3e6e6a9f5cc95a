//! Where revocations outlive a restart: a file of lines in the data folder, beside the log. A line is
//! added and on disk before a revocation is answered; the file is written anew, whole, when the server
//! starts and when revocations were swept out.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Revocation, Subject};

const FILE: &str = "revocations.ndjson";
const FILE_NEW: &str = "revocations.ndjson.new";

/// The file. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// `None` while the folder's file system is read-only.
    file: Arc<Mutex<Option<File>>>,
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Revoked(Revocation),
    Undone(Subject),
}

impl Journal {
    /// Reads what is there.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
        std::fs::create_dir_all(folder)?;
        let text = match std::fs::read(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // What stands behind the last line's end was being written when the server died, and was
        // never answered. It may be anything, half a character too.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split_inclusive(|byte| *byte == b'\n');
        let mut entries = Vec::new();
        for (place, line) in lines.enumerate() {
            entries.push(serde_json::from_slice(line).map_err(|error| {
                let line = place + 1;
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{FILE}, line {line}, is no revocation ({error}); mend or remove the line"
                    ),
                )
            })?);
        }
        let file = match append_to(folder) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => None,
            file => Some(file?),
        };
        // Or the next line would be a part of that one.
        if let Some(file) = &file
            && whole < text.len()
        {
            file.set_len(whole as u64)?;
        }
        let journal = Self { folder: folder.to_owned(), file: Arc::new(Mutex::new(file)) };
        Ok((journal, entries))
    }

    /// Adds a line; it is on disk when this returns.
    pub(super) fn add(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.lock();
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(append_to(&self.folder)?),
        };
        let before = file.metadata()?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line would swallow the next one.
            let _ = file.set_len(before);
        }
        written
    }

    /// Writes the file anew: these and no others.
    pub(super) fn rewrite(&self, all: &[Revocation]) -> io::Result<()> {
        // Whoever adds waits, and then adds to the new file.
        let mut file = self.file.lock();
        let mut text = Vec::new();
        for revocation in all {
            serde_json::to_writer(&mut text, &Entry::Revoked(revocation.clone()))?;
            text.push(b'\n');
        }
        let new = self.folder.join(FILE_NEW);
        let mut written = File::create(&new)?;
        written.write_all(&text)?;
        written.sync_all()?;
        std::fs::rename(&new, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        *file = Some(append_to(&self.folder)?);
        Ok(())
    }
}

fn append_to(folder: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_half_written_does_not_spoil_what_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |user: &str| Entry::Undone(Subject::User(user.into()));
        let (journal, _) = Journal::open(folder.path()).unwrap();
        journal.add(&entry("ada")).unwrap();
        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        for torn in [&br#"{"undone":{"user":"b"#[..], b"\xc3", b"\0\0\0"] {
            std::fs::write(&file, [&whole, torn].concat()).unwrap();
            let (journal, entries) = Journal::open(folder.path()).unwrap();
            assert_eq!(entries.len(), 1, "{torn:?}");
            journal.add(&entry("bob")).unwrap();
            let (_, entries) = Journal::open(folder.path()).unwrap();
            assert_eq!(entries.len(), 2, "{torn:?}");
        }
    }
}
