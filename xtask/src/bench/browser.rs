//! The package in a real browser, beside a client that is written by hand.

use anyhow::Result;

use crate::{npm, process, repo, setup, wasm};

/// Measures. The server stands there, built in release.
pub(super) fn run(write: Option<&str>) -> Result<()> {
    let folder = repo::at("bench/browser");
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", wasm::build)?;
    npm::ci(&folder)?;
    let server =
        repo::target().join("release").join(format!("rethread{}", std::env::consts::EXE_SUFFIX));
    let mut node = process::command("node", ["main.js"]);
    node.current_dir(folder).env("CHROMIUM", setup::chromium()?).env("RETHREAD_BIN", server);
    if let Some(write) = write {
        node.arg("--write").arg(repo::at(write));
    }
    process::timed("in the browser", || process::run(&mut node))
}
