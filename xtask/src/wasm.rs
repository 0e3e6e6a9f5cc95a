//! The npm package: compile to WebAssembly, make the JavaScript glue, shrink, assemble, weigh. What needs
//! libraries that take long to build is in the crate `xtask-wasm`.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{npm, process, repo, setup, size, stamp::Stamp};

/// Where the package is put together; what `npm pack` and the page take it from.
const PACKAGE: &str = "client-wasm/pkg";
/// Where its parts are made, in cargo's target folder.
const BUILD: &str = "xtask/package";
/// The JavaScript that people write.
const FACE: &str = "client-wasm/js";

/// A WebAssembly module, with the JavaScript that loads it.
struct Module {
    /// The crate.
    krate: &'static str,
    /// What wasm-bindgen's files begin with: `{name}.js` and `{name}_bg.wasm`.
    name: &'static str,
    /// The JavaScript that imports them, in [`FACE`].
    entry: &'static str,
    /// What is cut out of it: `formatting` goes with the panics, unless the module formats text itself.
    cut: &'static str,
}

/// The first is what every page loads, and so what counts for the budget; the others are loaded when
/// they are asked for.
const MODULES: &[Module] = &[
    Module {
        krate: "rethread-client-wasm",
        name: "rethread",
        entry: "index.js",
        cut: "formatting",
    },
    Module {
        krate: "rethread-client-wasm-view",
        name: "rethread_view",
        entry: "view.js",
        cut: "panics",
    },
    Module {
        krate: "rethread-client-wasm-fallback",
        name: "rethread_fallback",
        entry: "fallback.js",
        cut: "panics",
    },
];
/// JavaScript without a module of its own, loaded when it is asked for.
const SCRIPTS: &[&str] = &["loop.js", "react.js", "store.js", "tabs.js"];
/// What goes into the package as it is.
const COPIED: &[&str] = &[
    "client-wasm/js/index.d.ts",
    "client-wasm/js/events.d.ts",
    "client-wasm/js/outbox.d.ts",
    "client-wasm/js/react.d.ts",
    "client-wasm/js/view.d.ts",
    "client-wasm/js/wasm.d.ts",
    "client-wasm/js/package.json",
];
const DOCUMENTS: &[&str] = &["client-wasm/js/README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// What gave the smallest gzip when it was measured: inlining large functions into their one caller
/// makes fewer bytes, but bytes that compress less.
const SHRINK: &[&str] = &[
    "-Oz",
    "--one-caller-inline-max-function-size=60",
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
    let mut cargo = process::cargo("build --target wasm32-unknown-unknown --profile wasm-release");
    process::run(cargo.args(MODULES.iter().flat_map(|module| ["--package", module.krate])))?;
    let package = repo::at(PACKAGE);
    let mut sources: Vec<_> = MODULES.iter().map(Module::compiled).collect();
    sources.extend(
        [FACE, "client-wasm/package-lock.json", "xtask/src/wasm.rs", "xtask/wasm"]
            .into_iter()
            .chain(DOCUMENTS.iter().copied())
            .map(repo::at),
    );
    let stamp = Stamp::of(repo::target().join("xtask/package.stamp"), &sources)?;
    let is_whole = MODULES.iter().flat_map(Module::files).all(|name| package.join(name).is_file());
    if stamp.is_current() && is_whole {
        println!("{PACKAGE} is up to date");
    } else {
        npm::ci(&repo::at("client-wasm"))?;
        assemble(&package)?;
        stamp.write()?;
    }
    let (first, later) = MODULES.split_first().expect("there is a first module");
    let mut on_demand: Vec<_> = later.iter().flat_map(Module::files).collect();
    on_demand.extend(SCRIPTS.iter().map(|&script| script.to_owned()));
    size::check(&package, &first.files(), &on_demand)
}

impl Module {
    /// What the compiler made.
    fn compiled(&self) -> PathBuf {
        let folder = repo::target().join("wasm32-unknown-unknown/wasm-release");
        folder.join(self.krate.replace('-', "_")).with_extension("wasm")
    }

    fn wasm(&self) -> String {
        format!("{}_bg.wasm", self.name)
    }

    /// What a page loads of it.
    fn files(&self) -> [String; 2] {
        [self.wasm(), self.entry.to_owned()]
    }

    /// Makes the JavaScript through which wasm and browser talk, beside the hand-written face.
    fn glue(&self, folder: &Path) -> Result<()> {
        let mut glue = xtask_wasm(["glue"]);
        process::run(glue.arg(self.compiled()).arg(self.name).arg(folder).arg(self.cut))
    }

    /// Shrinks the wasm, and makes one small file of face and glue.
    fn assemble(&self, built: &Path, package: &Path) -> Result<()> {
        let small = built.join("small.wasm");
        let wasm = built.join(self.wasm());
        process::run(tool("wasm-opt").args(SHRINK).arg(&wasm).arg("-o").arg(&small))?;
        // wasm-opt gives imports and exports short names and says which; esbuild gives the glue the
        // same.
        let renamed = process::output(
            tool("wasm-opt")
                .args([
                    "--minify-imports-and-exports-and-modules",
                    "--strip-target-features",
                    "--strip-producers",
                ])
                .arg(&small)
                .arg("-o")
                .arg(package.join(self.wasm())),
        )?;
        let names = short_names(&renamed)?;
        let cache = built.join("names.json");
        fs::write(&cache, serde_json::to_string(&names)?)?;
        let every_name =
            names.keys().map(|name| name.replace('.', "\\.")).collect::<Vec<_>>().join("|");
        process::run(
            bundle(&built.join(self.entry), package)
                .args(["--mangle-quoted", &format!("--mangle-cache={}", cache.display())])
                .arg(format!("--mangle-props=^({every_name}|{OWN_NAMES})$")),
        )?;
        squeeze(&package.join(self.entry))
    }
}

/// What the face's files call each other by, and nobody else.
const OWN_NAMES: &str = "_[a-z][A-Za-z]*";

/// Puts the package together.
fn assemble(package: &Path) -> Result<()> {
    let built = repo::target().join(BUILD);
    for folder in [&built, package] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    for module in MODULES {
        let folder = built.join(module.name);
        module.glue(&folder)?;
        for file in fs::read_dir(repo::at(FACE))? {
            copy(&file?.path(), &folder)?;
        }
        module.assemble(&folder, package)?;
    }
    for script in SCRIPTS {
        let source = repo::at(FACE).join(script);
        process::run(bundle(&source, package).arg(format!("--mangle-props=^{OWN_NAMES}$")))?;
        squeeze(&package.join(script))?;
    }
    for file in COPIED.iter().chain(DOCUMENTS) {
        copy(&repo::at(file), package)?;
    }
    Ok(())
}

/// Functions become arrows and methods where they can: nobody constructs them. React's `"use client"` is
/// a directive that terser does not know.
const COMPRESS: &str = "passes=3,pure_getters,unsafe_arrows,unsafe_methods,directives=false";

/// Makes a bundle smaller still: esbuild looks at each expression, terser at whole functions.
fn squeeze(bundle: &Path) -> Result<()> {
    let map = format!("{}.map", bundle.display());
    let name = bundle.file_name().expect("a bundle is a file").to_string_lossy();
    process::run(
        tool("terser")
            .arg(bundle)
            .args(["--module", "--ecma=2022", "--mangle", "--compress", COMPRESS])
            .args(["--source-map", &format!("content='{map}',url='{name}.map'")])
            .arg("--output")
            .arg(bundle),
    )
}

/// Makes one small file of a file and what it imports. What is loaded on demand stays a file.
fn bundle(entry: &Path, package: &Path) -> Command {
    let name = entry.file_name().expect("an entry is a file");
    let mut esbuild = tool("esbuild");
    esbuild
        .args(["--bundle", "--format=esm", "--minify", "--target=es2022", "--sourcemap"])
        .args(["--log-level=warning", "--legal-comments=none", "--external:react"])
        // The glue's warnings, about what works all the same: 200 bytes of text. The face warns otherwise.
        .arg("--pure:console.warn")
        // The driver lives as long as its client; nobody disposes of it by `using`.
        .arg("--define:Symbol.dispose=undefined")
        .args(MODULES.iter().map(|module| format!("--external:./{}", module.entry)))
        .args(SCRIPTS.iter().map(|script| format!("--external:./{script}")))
        .arg(entry)
        .arg(format!("--outfile={}", package.join(name).display()));
    esbuild
}

/// The crate `xtask-wasm`.
pub(crate) fn xtask_wasm<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = process::cargo("run --quiet --package xtask-wasm --");
    command.args(arguments);
    command
}

fn tool(name: &str) -> Command {
    let path = repo::at("client-wasm/node_modules/.bin").join(name);
    process::command::<&str>(&path.to_string_lossy(), [])
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
