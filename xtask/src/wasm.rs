//! The npm package: compile to WebAssembly, make the JavaScript glue, shrink, assemble, weigh.

mod panics;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use wasm_bindgen_cli_support::Bindgen;

use crate::{npm, process, repo, setup, size, stamp::Stamp};

/// Where the package is put together; what `npm pack` and the page take it from.
const PACKAGE: &str = "client-wasm/pkg";
/// What wasm-bindgen's files begin with: `rethread.js` and `rethread_bg.wasm`.
const NAME: &str = "rethread";
/// Where its parts are made, in cargo's target folder.
const BUILD: &str = "xtask/package";
/// What a page loads, and so what counts for the budget.
const LOADED: &[&str] = &["rethread_bg.wasm", "index.js"];
/// What goes into the package as it is.
const COPIED: &[&str] = &["client-wasm/js/index.d.ts", "client-wasm/js/package.json"];
const DOCUMENTS: &[&str] = &["client-wasm/js/README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// What gave the smallest gzip when it was measured: inlining large functions into their one caller
/// makes fewer bytes, but bytes that compress less.
const SHRINK: &[&str] = &[
    "-Oz",
    "--one-caller-inline-max-function-size=20",
    "--always-inline-max-function-size=6",
    "--converge",
    "--dealign",
    "--reorder-functions-by-name",
];

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
            repo::at("xtask/src/wasm"),
            repo::at("LICENSE-MIT"),
            repo::at("LICENSE-APACHE"),
        ],
    )?;
    let is_whole = LOADED.iter().all(|name| package.join(name).is_file());
    if stamp.is_current() && is_whole {
        println!("{PACKAGE} is up to date");
    } else {
        npm::ci(&repo::at("client-wasm"))?;
        glue(&compiled)?;
        assemble(&package)?;
        stamp.write()?;
    }
    size::check(&package, LOADED)
}

/// Makes the JavaScript through which wasm and browser talk, beside the hand-written face. The
/// library that does it has the same version as the crate in the wasm: one lockfile holds both.
fn glue(compiled: &Path) -> Result<()> {
    let folder = repo::target().join(BUILD);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Bindgen::new()
        .input_module(NAME, panics::cut(compiled)?)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .context("wasm-bindgen could not make the JavaScript glue")?;
    for file in fs::read_dir(repo::at("client-wasm/js"))? {
        copy(&file?.path(), &folder)?;
    }
    Ok(())
}

/// Shrinks the wasm, makes one small file of face and glue, and puts the package together.
fn assemble(package: &Path) -> Result<()> {
    let built = repo::target().join(BUILD);
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    fs::create_dir_all(package)?;
    let tool = |name: &str| {
        let path = repo::at("client-wasm/node_modules/.bin").join(name);
        process::command::<&str>(&path.to_string_lossy(), [])
    };
    let wasm = format!("{NAME}_bg.wasm");
    let small = built.join("small.wasm");
    process::run(tool("wasm-opt").args(SHRINK).arg(built.join(&wasm)).arg("-o").arg(&small))?;
    // wasm-opt gives imports and exports short names and says which; esbuild gives the glue the same.
    let renamed = process::output(
        tool("wasm-opt")
            .args([
                "--minify-imports-and-exports-and-modules",
                "--strip-target-features",
                "--strip-producers",
            ])
            .arg(&small)
            .arg("-o")
            .arg(package.join(&wasm)),
    )?;
    let names = short_names(&renamed)?;
    let cache = built.join("names.json");
    fs::write(&cache, serde_json::to_string(&names)?)?;
    let every_name =
        names.keys().map(|name| name.replace('.', "\\.")).collect::<Vec<_>>().join("|");
    process::run(
        tool("esbuild")
            .args(["--bundle", "--format=esm", "--minify", "--target=es2022", "--sourcemap"])
            .args(["--log-level=warning", "--legal-comments=none"])
            .args(["--mangle-quoted", &format!("--mangle-props=^({every_name}|_[a-z][A-Za-z]*)$")])
            .arg(format!("--mangle-cache={}", cache.display()))
            .arg(built.join("index.js"))
            .arg(format!("--outfile={}", package.join("index.js").display())),
    )?;
    for file in COPIED.iter().chain(DOCUMENTS) {
        copy(&repo::at(file), package)?;
    }
    Ok(())
}

/// What wasm-opt says: `{"imports": [[module, name, short]], "exports": [[name, short]]}`. The one
/// module that the glue is to the wasm becomes `a`.
fn short_names(said: &str) -> Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Renamed {
        imports: Vec<(String, String, String)>,
        exports: Vec<(String, String)>,
    }
    let Renamed { imports, exports } =
        serde_json::from_str(said).context("wasm-opt did not say how it renamed things")?;
    let mut names: BTreeMap<_, _> = exports.into_iter().collect();
    for (module, name, short) in imports {
        names.insert(module, "a".into());
        names.insert(name, short);
    }
    Ok(names)
}

fn copy(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().expect("a file has a name");
    fs::copy(file, folder.join(name))
        .map(drop)
        .with_context(|| format!("could not copy {}", repo::show(file)))
}
