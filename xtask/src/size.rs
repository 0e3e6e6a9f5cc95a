//! What a browser downloads: a table of sizes, and the budget.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};

/// Bytes, gzip, of all that a page loads before its first event: wasm and JavaScript together. A chat
/// page should not get noticeably heavier by following its agents.
pub(crate) const BUDGET_GZIP: usize = 30_000;

/// Prints the sizes of the files in `folder`, and fails when what every page loads is over the budget.
pub(crate) fn check(folder: &Path, first: &[String], on_demand: &[String]) -> Result<()> {
    println!("{:<24} {:>10} {:>10} {:>10}", "before the first event", "raw", "gzip", "brotli");
    let mut sum = Size::default();
    for name in first {
        let size = Size::of(&folder.join(name))?;
        size.print(name);
        sum = sum + size;
    }
    sum.print("together");
    println!("when it is asked for");
    for name in on_demand {
        Size::of(&folder.join(name))?.print(name);
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

impl Size {
    fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        let mut small = Vec::new();
        brotli::CompressorWriter::new(&mut small, 4096, 11, 22).write_all(&bytes)?;
        Ok(Self { raw: bytes.len(), gzip: gzip.finish()?.len(), brotli: small.len() })
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
