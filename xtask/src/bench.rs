//! The load generator, built as the server would be in production, and the peers beside it.

mod browser;
mod instructions;
mod peers;

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::process;

/// What `--quick` may take with all that is built for it, if that leaves any time: one repetition is
/// made in any case.
const QUICK_SECONDS: u64 = 165;

/// Builds in release, then measures. What this does not know goes to the load generator.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--instructions") {
        return process::timed("instructions of the hot path", || {
            instructions::check(has("--store"))
        });
    }
    if has("--micro") {
        let names = arguments.iter().filter(|argument| *argument != "--micro");
        return process::timed("the hot path, in parts", || {
            let mut bench =
                process::cargo("bench --quiet --package rethread-bench --bench hot_path --");
            process::run(bench.args(names))
        });
    }
    let write = arguments.iter().position(|argument| argument == "--write");
    let write = write.and_then(|at| arguments.get(at + 1)).map(String::as_str);
    if has("--browser") {
        process::timed("the server", || {
            process::run(&mut process::cargo("build --release --package rethread"))
        })?;
        return browser::run(write);
    }
    let start = Instant::now();
    // The page is not measured, and a server without it is the same server.
    process::timed("the server and the load generator", || {
        process::run(&mut process::cargo(
            "build --release --package rethread --package rethread-bench",
        ))
    })?;
    if has("--peers") {
        process::timed("peers", || {
            peers::install();
            Ok(())
        })?;
    }
    ensure!(cfg!(target_os = "linux"), "the load generator reads /proc and needs Linux");
    let built = start.elapsed().as_secs();
    println!("\n== built and installed in {built} s; measuring");
    let mut bench =
        process::cargo("run --quiet --release --package rethread-bench --bin rethread-bench --");
    bench.args(arguments);
    if !has("--budget") {
        bench.args(["--budget", &QUICK_SECONDS.saturating_sub(built).to_string()]);
    }
    process::run(&mut bench)?;
    if has("--full") && !has("--case") { browser::run(write) } else { Ok(()) }
}
