//! What the chores do to WebAssembly modules. Run by `cargo xtask wasm`, and by the chores that need the
//! package; `xtask` itself stays small, so that every other chore starts soon.
//!
//! - `xtask-wasm glue COMPILED NAME FOLDER panics|formatting` makes the JavaScript through which a module
//!   and the browser talk, and puts traps in the place of panics, or of those and all formatting;
//! - `xtask-wasm weigh FILE…` prints a line for each file: its bytes, and those of gzip and of brotli.

mod panics;
mod weigh;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use panics::Formats;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["glue", compiled, name, folder, cut] => {
            let formats = match *cut {
                "panics" => Formats::Errors,
                "formatting" => Formats::Nothing,
                other => bail!("`panics` or `formatting` can be cut out, not `{other}`"),
            };
            glue(Path::new(compiled), name, Path::new(folder), formats)
        }
        ["weigh", files @ ..] => files.iter().try_for_each(|file| {
            println!("{}", weigh::weigh(Path::new(file))?);
            Ok(())
        }),
        other => bail!("`glue COMPILED NAME FOLDER CUT` or `weigh FILE…` was expected: {other:?}"),
    }
}

/// The library that makes the glue has the same version as the crate in the wasm: one lockfile holds
/// both.
fn glue(compiled: &Path, name: &str, folder: &Path, formats: Formats) -> Result<()> {
    Bindgen::new()
        .input_module(name, panics::cut(compiled, formats)?)
        .out_name(name)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .context("wasm-bindgen could not make the JavaScript glue")
}
