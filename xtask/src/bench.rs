//! The load generator, built as the server would be in production.

use anyhow::Result;

use crate::{process, setup, wasm, www};

/// Builds in release, then measures. Arguments go to the load generator.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", wasm::build)?;
    process::timed("the page", www::build)?;
    process::timed("the server and the load generator", || {
        process::run(&mut process::cargo(
            "build --release --package rethread --package rethread-bench",
        ))
    })?;
    let mut bench =
        process::cargo("run --quiet --release --package rethread-bench --bin rethread-bench --");
    process::run(bench.args(arguments))
}
