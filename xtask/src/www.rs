//! The chat page.

use anyhow::Result;

use crate::{npm, repo, stamp::Stamp};

/// Builds www/dist, which the server carries inside it. Needs the package.
pub(crate) fn build() -> Result<()> {
    let folder = repo::at("www");
    npm::ci(&folder)?;
    let mut inputs = vec![folder.clone()];
    for entry in std::fs::read_dir(repo::at("client-wasm/pkg"))? {
        inputs.push(entry?.path());
    }
    inputs.sort();
    let stamp = Stamp::of(repo::target().join("xtask/www.stamp"), &inputs)?;
    if stamp.is_current() && folder.join("dist/index.html").is_file() {
        println!("www/dist is up to date");
        return Ok(());
    }
    npm::script(&folder, "build")?;
    stamp.write()
}

/// The page's own tests, which need no browser.
pub(crate) fn test() -> Result<()> {
    npm::script(&repo::at("www"), "test")
}
