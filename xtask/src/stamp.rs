//! Knowing that work is up to date: a stamp file holds a fingerprint of what the work was made from.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::repo;

/// The result of some work on disk, with what it was made from.
pub(crate) struct Stamp {
    file: PathBuf,
    fingerprint: String,
}

impl Stamp {
    /// For a result named `name`, made from these files and folders. Contents count, times do not.
    pub(crate) fn of(file: PathBuf, inputs: &[PathBuf]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        for input in inputs {
            for path in files(input)? {
                path.hash(&mut hasher);
                fs::read(&path)
                    .with_context(|| format!("could not read {}", repo::show(&path)))?
                    .hash(&mut hasher);
            }
        }
        Ok(Self { file, fingerprint: format!("{:016x}", hasher.finish()) })
    }

    /// True when the work was done from exactly this.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.fingerprint)
    }

    /// Says that the work is done.
    pub(crate) fn write(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.file, &self.fingerprint)
            .with_context(|| format!("could not write {}", repo::show(&self.file)))
    }
}

/// The files in a folder and below, sorted; what npm and cargo make is left out.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    const MADE: &[&str] = &[".git", "node_modules", "target", "dist", "pkg", "data"];
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let entries =
        fs::read_dir(path).with_context(|| format!("could not read {}", repo::show(path)))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            found.push(entry.path());
        } else if kind.is_dir() && !MADE.contains(&&*entry.file_name().to_string_lossy()) {
            found.extend(files(&entry.path())?);
        }
    }
    found.sort();
    Ok(found)
}
