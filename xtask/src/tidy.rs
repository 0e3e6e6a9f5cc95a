//! What the compiler does not check: who knows whom, how long files are, what documents must name.

mod documents;
mod layers;
mod length;
mod source;

use anyhow::{Result, bail};

use crate::process;

/// Checks everything; each failure names the file, the rule, and what to do.
pub(crate) fn run() -> Result<()> {
    process::timed("tidy", check)
}

/// The same without the frame around it.
pub(crate) fn check() -> Result<()> {
    let mut failures = Vec::new();
    layers::check(&mut failures)?;
    length::check(&mut failures)?;
    documents::check(&mut failures)?;
    for Failure { place, rule, advice } in &failures {
        println!("{place}\n    rule: {rule}\n    do:   {advice}");
    }
    if !failures.is_empty() {
        bail!("tidy has found {} failures", failures.len());
    }
    println!("layers, lengths and documents are as they should be");
    Ok(())
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    /// The file, with a line where there is one.
    pub(crate) place: String,
    /// What is broken.
    pub(crate) rule: String,
    /// How to mend it.
    pub(crate) advice: String,
}

impl Failure {
    fn new(place: impl Into<String>, rule: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { place: place.into(), rule: rule.into(), advice: advice.into() }
    }
}
