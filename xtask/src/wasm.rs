//! The npm package: compile to WebAssembly, make the JavaScript glue, shrink, assemble, weigh.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::{npm, process, repo, setup, size, stamp::Stamp};

/// Where the package is put together; what `npm pack` and the page take it from.
const PACKAGE: &str = "client-wasm/pkg";
/// What the package's files begin with: `rethread.js` and `rethread_bg.wasm`.
const NAME: &str = "rethread";
/// What a page loads, and so what counts for the budget.
const LOADED: &[&str] = &["rethread_bg.wasm", "rethread.js", "index.js", "thread.js", "error.js"];

/// Builds the package with everything it needs.
pub(crate) fn run() -> Result<()> {
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", build)
}

/// Builds the package; the tools are there.
pub(crate) fn build() -> Result<()> {
    process::run(&mut process::cargo(
        "build --package rethread-client-wasm --target wasm32-unknown-unknown --profile wasm-release",
    ))?;
    let compiled =
        repo::target().join("wasm32-unknown-unknown/wasm-release/rethread_client_wasm.wasm");
    let package = repo::at(PACKAGE);
    let stamp = Stamp::of(
        repo::target().join("xtask/package.stamp"),
        &[
            compiled.clone(),
            repo::at("client-wasm/js"),
            repo::at("client-wasm/package-lock.json"),
            repo::at("xtask/src/wasm.rs"),
            repo::at("LICENSE-MIT"),
            repo::at("LICENSE-APACHE"),
        ],
    )?;
    let is_whole = LOADED.iter().all(|name| package.join(name).is_file());
    if stamp.is_current() && is_whole {
        println!("{PACKAGE} is up to date");
    } else {
        let built = glue(&compiled)?;
        shrink(&built.join("rethread_bg.wasm"))?;
        assemble(&built, &package)?;
        stamp.write()?;
    }
    size::check(&package, LOADED)
}

/// Makes the JavaScript through which wasm and browser talk. The library that does it has the same
/// version as the crate in the wasm: one lockfile holds both.
fn glue(compiled: &Path) -> Result<PathBuf> {
    let folder = repo::target().join("xtask/glue");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Bindgen::new()
        .input_path(compiled)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .context("wasm-bindgen could not make the JavaScript glue")?;
    Ok(folder)
}

/// Runs wasm-opt over the file.
fn shrink(wasm: &Path) -> Result<()> {
    npm::ci(&repo::at("client-wasm"))?;
    let wasm_opt = repo::at("client-wasm/node_modules/binaryen/bin/wasm-opt");
    let smaller = wasm.with_extension("opt");
    let mut command = process::command("node", [&wasm_opt]);
    process::run(command.arg("-Oz").arg(wasm).arg("-o").arg(&smaller))?;
    fs::rename(&smaller, wasm)?;
    Ok(())
}

/// Puts the hand-written face, the glue, the wasm and the licences together.
fn assemble(built: &Path, package: &Path) -> Result<()> {
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    fs::create_dir_all(package)?;
    let mut sources: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(repo::at("client-wasm/js"))? {
        sources.push(entry?.path());
    }
    sources.extend(["rethread.js", "rethread_bg.wasm"].map(|name| built.join(name)));
    sources.extend(["LICENSE-MIT", "LICENSE-APACHE"].map(repo::at));
    for source in sources {
        let name = source.file_name().expect("a file has a name");
        fs::copy(&source, package.join(name))
            .with_context(|| format!("could not copy {}", repo::show(&source)))?;
    }
    Ok(())
}
