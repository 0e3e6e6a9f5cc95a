//! How many instructions the parts of the hot path take, counted by callgrind and compared with those
//! that are stored in the repository: what a clock on a busy machine cannot see.
//!
//! Each part is done so often, and then twice as often: the difference is what it takes, without the
//! program's start. Valgrind's processor is the same on every machine, so these numbers are too, as long
//! as the compiler is.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{process, repo};

const STORED: &str = "bench/instructions.json";
/// More than this beyond what is stored fails: the C library's copying differs by about as much from
/// one machine to another.
const TOLERANCE: f64 = 0.05;
const TIMES: u64 = 500;

/// What is kept in the repository.
#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    /// What compiled it: another compiler makes other numbers.
    compiler: String,
    /// Of each part, once.
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares; or stores, where that is asked for.
pub(super) fn check(store: bool) -> Result<()> {
    process::output(&mut process::command("valgrind", ["--version"]))
        .context("counting needs valgrind (Debian: apt-get install valgrind)")?;
    let program = build()?;
    let compiler = compiler()?;
    let parts = process::output(&mut process::command(
        &program.display().to_string(),
        std::iter::empty::<&str>(),
    ))?;
    let mut counted = BTreeMap::new();
    for part in parts.lines() {
        let (once, twice) = (count(&program, part, TIMES)?, count(&program, part, 2 * TIMES)?);
        counted.insert(part.to_owned(), (twice - once) / TIMES);
    }
    let file = repo::at(STORED);
    if store {
        let stored = Stored { compiler, instructions: counted };
        fs::write(&file, serde_json::to_string_pretty(&stored)? + "\n")?;
        println!("stored in {STORED}");
        return Ok(());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("{STORED} (made by --store)"))?;
    let stored: Stored = serde_json::from_str(&text).with_context(|| STORED.to_owned())?;
    if stored.compiler != compiler {
        bail!(
            "{STORED} was made by {}, this is {compiler}: its numbers say nothing here; \
             count and store anew, before a change and after it: --instructions --store",
            stored.compiler
        );
    }
    judge(&stored.instructions, &counted)
}

fn judge(stored: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Result<()> {
    println!("{:<24} {:>10} {:>10} {:>8}", "instructions of", "stored", "now", "");
    let mut crept = Vec::new();
    for (part, now) in counted {
        let before = stored.get(part).with_context(|| format!("{part} is not stored; --store"))?;
        let change = *now as f64 / *before as f64 - 1.0;
        println!("{part:<24} {before:>10} {now:>10} {:>+7.1}%", change * 100.0);
        if change > TOLERANCE {
            crept.push(part.as_str());
        }
    }
    if !crept.is_empty() {
        bail!(
            "more than {:.0}% beyond what is stored: {}. Where that is meant, store it: \
             cargo xtask bench --instructions --store",
            TOLERANCE * 100.0,
            crept.join(", ")
        );
    }
    Ok(())
}

/// Builds it; gives where it is, which only cargo knows.
fn build() -> Result<PathBuf> {
    let arguments = "bench --package rethread-bench --bench instructions --no-run --message-format json --quiet";
    let said = process::output(&mut process::cargo(arguments))?;
    said.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "instructions")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program `instructions`")
}

fn compiler() -> Result<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let said = process::output(&mut process::command(&rustc, ["-vV"]))?;
    let of = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(format!("rustc {} for {}", of("release: "), of("host: ")))
}

fn count(program: &std::path::Path, part: &str, times: u64) -> Result<u64> {
    let mut valgrind = process::command("valgrind", ["--tool=callgrind"]);
    valgrind
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .args([part, &times.to_string()])
        // What the C library chooses for a processor is to be the same for all of them.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-AVX512F,-ERMS,-FSRM");
    let output = valgrind.output().context("valgrind could not be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, collected) = collected.with_context(|| format!("valgrind counted nothing: {said}"))?;
    Ok(collected.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_crept_is_named_and_what_has_not_passes() {
        let counts = |encode| BTreeMap::from([("encode".to_owned(), encode), ("parse".into(), 50)]);
        assert!(judge(&counts(1_000), &counts(1_040)).is_ok());
        assert!(judge(&counts(1_000), &counts(700)).is_ok());
        let error = judge(&counts(1_000), &counts(1_060)).unwrap_err().to_string();
        assert!(error.contains("encode") && !error.contains("parse,"), "{error}");
        assert!(judge(&BTreeMap::new(), &counts(1)).is_err());
    }
}
