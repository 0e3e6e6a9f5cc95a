//! What a browser downloads: a table of sizes, and the budget.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{process, wasm};

/// Bytes, gzip, of all that a page loads before its first event: wasm and JavaScript together. A chat
/// page should not get noticeably heavier by following its agents.
pub(crate) const BUDGET_GZIP: usize = 30_000;

/// Prints the sizes of the files in `folder`, and fails when what every page loads is over the budget.
pub(crate) fn check(folder: &Path, first: &[String], on_demand: &[String]) -> Result<()> {
    let sizes = weigh(first.iter().chain(on_demand).map(|name| folder.join(name)))?;
    let (sizes, later) = sizes.split_at(first.len());
    println!("{:<24} {:>10} {:>10} {:>10}", "before the first event", "raw", "gzip", "brotli");
    let mut sum = Size::default();
    for (name, size) in first.iter().zip(sizes) {
        size.print(name);
        sum = sum + *size;
    }
    sum.print("together");
    println!("when it is asked for");
    for (name, size) in on_demand.iter().zip(later) {
        size.print(name);
    }
    if sum.gzip > BUDGET_GZIP {
        bail!(
            "the package weighs {} bytes (gzip), {} more than its budget of {BUDGET_GZIP}: find out \
             what was added (often serde_json, or formatting of numbers) and take it out again, or \
             have it loaded on demand",
            sum.gzip,
            sum.gzip - BUDGET_GZIP
        );
    }
    println!("budget: {} of {BUDGET_GZIP} bytes gzip", sum.gzip);
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Size {
    raw: usize,
    gzip: usize,
    brotli: usize,
}

/// What each file weighs.
fn weigh(files: impl Iterator<Item = PathBuf>) -> Result<Vec<Size>> {
    let mut weigh = wasm::xtask_wasm(["weigh"]);
    let said = process::output(weigh.args(files))?;
    said.lines().map(Size::read).collect()
}

impl Size {
    fn read(line: &str) -> Result<Self> {
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [raw, gzip, brotli] = numbers[..] else {
            bail!("three sizes were expected of xtask-wasm, it said: {line}")
        };
        Ok(Self { raw, gzip, brotli })
    }

    fn print(self, name: &str) {
        println!("  {name:<22} {:>10} {:>10} {:>10}", self.raw, self.gzip, self.brotli);
    }
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            raw: self.raw + other.raw,
            gzip: self.gzip + other.gzip,
            brotli: self.brotli + other.brotli,
        }
    }
}
