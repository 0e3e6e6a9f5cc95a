//! The reference of the npm package, rendered from its types.

use anyhow::Result;

use crate::{npm, process, repo, setup};

/// What renders it: typedoc, with the compiler that it knows, and how it is told to be strict.
const FOLDER: &str = "client-wasm/reference";
/// Where the pages go; `typedoc.json` says the same.
const PAGES: &str = "target/reference/index.html";

/// Renders it, with what that needs.
pub(crate) fn run() -> Result<()> {
    process::timed("set-up", setup::build_tools)?;
    process::timed("the reference of @rethread/client", render)
}

/// Renders it. Fails when an export is not documented, or a link leads nowhere.
pub(crate) fn render() -> Result<()> {
    let folder = repo::at(FOLDER);
    npm::ci(&folder)?;
    let typedoc = folder.join("node_modules/.bin/typedoc");
    process::run(process::command::<&str>(&typedoc.to_string_lossy(), []).current_dir(&folder))?;
    println!("the reference is {PAGES}");
    Ok(())
}
