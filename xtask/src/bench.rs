//! The load generator, the server that it measures, and the peers beside it.

mod browser;
mod instructions;
mod peers;

use std::{process::Command, time::Instant};

use anyhow::{Result, ensure};

use crate::{process, repo};

/// What `--quick` may take with all that is built for it, in less than three minutes: the chores
/// themselves were built before this looks at the clock. What says most is run once in any case.
const QUICK_SECONDS: u64 = 140;
/// The same for `--full`, in less than thirty minutes.
const FULL_SECONDS: u64 = 28 * 60;

/// Builds, then measures. What this does not know goes to the load generator.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let is_chosen = |flag: &str| arguments.iter().any(|argument| argument.starts_with(flag));
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
    ensure!(cfg!(target_os = "linux"), "the load generator reads /proc and needs Linux");
    let write = arguments.iter().position(|argument| argument == "--write");
    let write = write.and_then(|at| arguments.get(at + 1)).map(String::as_str);
    if has("--browser") {
        process::timed("the server", || {
            process::run(&mut process::cargo("build --release --package rethread"))
        })?;
        return browser::run(write);
    }
    let start = Instant::now();
    let is_quick = !has("--full") && !is_chosen("--case");
    let profile = if is_quick { "bench-quick" } else { "release" };
    process::timed("the server and the load generator", || {
        // Both at once, so that what both need is built once. The page is not measured, and a server
        // without it is the same server.
        let mut build = process::cargo("build --package rethread --package rethread-bench");
        build.args(["--profile", profile, "--bin", "rethread", "--bin", "rethread-bench"]);
        if is_quick {
            // The server without the tools around it, which take as long to build as half of it.
            build.arg("--no-default-features");
        }
        if has("--peers") {
            build.args(["--bin", "rethread-bench-axum", "--features", "rethread-bench/peers"]);
        }
        process::run(&mut build)
    })?;
    if has("--peers") {
        process::timed("peers", || {
            peers::install();
            Ok(())
        })?;
    }
    // Before the rest, which takes what time is left. A machine without Chromium measures the rest.
    if has("--full")
        && !is_chosen("--case")
        && let Err(error) = browser::run(write)
    {
        println!("the browser is left out: {error:#}");
    }
    let built = start.elapsed().as_secs();
    println!("\n== after {built} s: the load generator");
    let program = repo::target().join(profile).join("rethread-bench");
    let mut bench = process::command(&program.to_string_lossy(), arguments);
    if !is_chosen("--budget") && !is_chosen("--case") && !is_chosen("--repeat") {
        let seconds = if is_quick { QUICK_SECONDS } else { FULL_SECONDS };
        bench.args(["--budget", &seconds.saturating_sub(built).to_string()]);
    }
    become_it(bench)
}

/// In this process' place, so that Ctrl-C and signals are the load generator's: it reports what it has
/// measured until then.
#[cfg(unix)]
fn become_it(mut program: Command) -> Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut program).into())
}

#[cfg(not(unix))]
fn become_it(mut program: Command) -> Result<()> {
    process::run(&mut program)
}
