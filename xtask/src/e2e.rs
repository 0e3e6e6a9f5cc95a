//! The tests that run in Node and drive a real browser.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{npm, process, repo, setup, wasm, www};

/// Builds what the browser tests need, then runs them.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", wasm::build)?;
    process::timed("the page", www::build)?;
    process::timed("the server and the agent", || {
        process::run(&mut process::cargo(
            "build --workspace --exclude xtask --exclude xtask-wasm --all-targets",
        ))
    })?;
    process::timed("browser tests", || test(arguments))
}

/// Runs tests/e2e. Needs the server, with the page in it.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    node_tests(&repo::at("tests/e2e"), arguments)
}

/// Runs `node --test` in a folder, with the paths of what it drives.
pub(crate) fn node_tests(folder: &Path, arguments: &[String]) -> Result<()> {
    npm::ci(folder)?;
    process::run(&mut node(folder, arguments)?)
}

/// `node --test` in a folder whose packages are installed.
pub(crate) fn node(folder: &Path, arguments: &[String]) -> Result<Command> {
    let chromium = setup::chromium()?;
    let mut node = process::command("node", ["--test", "--test-reporter=spec"]);
    node.args(arguments)
        .current_dir(folder)
        .env("CHROMIUM", chromium)
        .env("RETHREAD_BIN", repo::binary("rethread"))
        .env("DOCS_AGENT_BIN", repo::binary("docs-agent"));
    Ok(node)
}
