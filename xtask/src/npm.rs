//! npm: exact installs, only when the lockfile has changed.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{process, repo, stamp::Stamp};

/// Installs what `folder/package-lock.json` says, if it has not been.
pub(crate) fn ci(folder: &Path) -> Result<()> {
    let stamp = Stamp::of(
        folder.join("node_modules/.rethread-stamp"),
        &[folder.join("package.json"), folder.join("package-lock.json")],
    )?;
    if stamp.is_current() {
        println!("{}: npm packages are up to date", repo::show(folder));
        return Ok(());
    }
    process::run(&mut npm(folder, &["ci", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    stamp.write()
}

/// Runs a script of `folder/package.json`.
pub(crate) fn script(folder: &Path, name: &str) -> Result<()> {
    process::run(&mut npm(folder, &["run", "--if-present", "--loglevel=error", name]))
}

fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = process::command("npm", arguments);
    command.current_dir(folder);
    command
}
