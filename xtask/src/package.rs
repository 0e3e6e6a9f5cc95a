//! The package as a user gets it: packed, installed in small projects, run in a real browser.

use anyhow::Result;

use crate::{e2e, repo};

/// Runs tests/package. Needs the package and the server.
pub(crate) fn test() -> Result<()> {
    e2e::node_tests(&repo::at("tests/package"), &[])
}
