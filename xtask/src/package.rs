//! The package as a user gets it: packed, installed in small projects, run in a real browser.

use std::{fs, path::Path};

use anyhow::Result;
use clap::Args;

use crate::{e2e, npm, process, repo, setup, wasm, www};

/// The tests of what has bitten others; see the README.md there.
const TORTURE: &str = "torture";
/// The run of random harm at its end.
const CHAOS: &str = "chaos.test.js";

/// How the torture suite is run.
#[derive(Args)]
pub(crate) struct Torture {
    /// How many times in a row the cases are run.
    #[arg(long, default_value_t = 3, value_name = "N")]
    times: u32,
    /// How long the chaos run does harm after that, minutes; 0: not at all.
    #[arg(long, default_value_t = 10.0, value_name = "M")]
    minutes: f64,
    /// The seed of the chaos run; one is made and printed where none is given.
    #[arg(long)]
    seed: Option<u32>,
    /// For `node --test`, where the cases are run.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs tests/package. Needs the package and the server.
pub(crate) fn test() -> Result<()> {
    e2e::node_tests(&repo::at("tests/package"), &[])
}

/// Builds what the torture suite needs, then runs it.
pub(crate) fn torture(how: &Torture) -> Result<()> {
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", wasm::build)?;
    process::timed("the page", www::build)?;
    process::timed("the server", || process::run(&mut process::cargo("build --package rethread")))?;
    let folder = repo::at("tests/package");
    npm::ci(&folder)?;
    let mut cases = how.arguments.clone();
    cases.extend(files(&folder)?);
    for time in 1..=how.times {
        process::timed(&format!("cases, {time} of {}", how.times), || {
            e2e::node_tests(&folder, &cases)
        })?;
    }
    if how.minutes <= 0.0 {
        return Ok(());
    }
    process::timed("chaos", || {
        let mut node = e2e::node(&folder, &[format!("{TORTURE}/{CHAOS}")])?;
        node.env("RETHREAD_CHAOS_MINUTES", how.minutes.to_string());
        if let Some(seed) = how.seed {
            node.env("RETHREAD_CHAOS_SEED", seed.to_string());
        }
        process::run(&mut node)
    })
}

/// The files of the cases, from tests/package on.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.join(TORTURE))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.js") && name != CHAOS {
            files.push(format!("{TORTURE}/{name}"));
        }
    }
    files.sort();
    Ok(files)
}
