//! The tools that the chores need: found, or installed, or named with what to do.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::process::{command, output, run};

const NODE_MAJOR_MIN: u32 = 20;
const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What building needs: the wasm target, Node, npm, a C compiler.
pub(crate) fn build_tools() -> Result<()> {
    wasm_target()?;
    node()?;
    c_compiler()
}

/// Chromium: the one named by `CHROMIUM`, else the system's, installed where that is possible.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("CHROMIUM names {}, which does not exist", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = find_chromium() {
        return Ok(path);
    }
    if !may_install() {
        bail!(
            "Chromium is missing. Install it (Debian: `sudo apt-get install chromium`), \
             or set CHROMIUM to the path of Chromium or Chrome"
        );
    }
    println!("Chromium is missing; installing it");
    apt_install("chromium chromium-driver")?;
    find_chromium().context("apt-get has installed chromium, but there is no /usr/bin/chromium")
}

/// A virtual environment of Python's in `folder`, made anew; what Python lacks for it is installed where
/// that is possible.
pub(crate) fn python_venv(folder: &Path) -> Result<()> {
    if find("python3").is_none() {
        bail!("python3 is missing (Debian: `sudo apt-get install python3 python3-venv`)");
    }
    let make = |folder: &Path| output(command("python3", ["-m", "venv", "--clear"]).arg(folder));
    let Err(error) = make(folder) else { return Ok(()) };
    if !may_install() {
        return Err(error.context(
            "python3 cannot make virtual environments (Debian: `sudo apt-get install python3-venv`)",
        ));
    }
    println!("python3-venv is missing; installing it");
    apt_install("python3-venv")?;
    make(folder).map(drop)
}

/// True where a package of Debian's can be installed.
fn may_install() -> bool {
    find("apt-get").is_some() && output(&mut command("id", ["-u"])).is_ok_and(|user| user == "0")
}

fn apt_install(packages: &str) -> Result<()> {
    run(&mut command("apt-get", ["update", "-qq"]))?;
    let install = format!("install -y -qq --no-install-recommends {packages}");
    run(command("apt-get", install.split(' ')).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn find_chromium() -> Option<PathBuf> {
    // `chromium-browser` of Ubuntu is not here: it is a script that starts a snap, which cannot be
    // driven from outside.
    ["chromium", "google-chrome", "google-chrome-stable"].iter().find_map(|name| find(name))
}

fn wasm_target() -> Result<()> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let sysroot = output(&mut command(&rustc, ["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib").join(WASM_TARGET).join("lib");
    if library.is_dir() {
        println!("rust: {WASM_TARGET} is there");
        return Ok(());
    }
    if find("rustup").is_none() {
        bail!(
            "this Rust cannot compile to WebAssembly ({} is missing) and there is no rustup to add \
             it: install Rust from https://rustup.rs, or your system's package for {WASM_TARGET}",
            library.display()
        );
    }
    run(&mut command("rustup", ["target", "add", WASM_TARGET]))
}

fn node() -> Result<()> {
    let advice = format!("install Node {NODE_MAJOR_MIN} or newer, https://nodejs.org");
    let version = output(&mut command("node", ["--version"])).context(advice.clone())?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MAJOR_MIN) {
        bail!("node is {version}; {advice}");
    }
    let npm = output(command("npm", ["--version"]).env("npm_config_loglevel", "error"))
        .with_context(|| format!("npm, which comes with Node, is missing; {advice}"))?;
    println!("node {version}, npm {npm}");
    Ok(())
}

fn c_compiler() -> Result<()> {
    let named = env::var("CC").ok();
    let name = named.as_deref().unwrap_or("cc");
    match find(name) {
        Some(path) => println!("C compiler: {}", path.display()),
        None => bail!(
            "there is no C compiler `{name}`, which Rust needs to link \
             (Debian: `sudo apt-get install build-essential`)"
        ),
    }
    Ok(())
}

/// Looks a program up as a shell does.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(format!("{program}{}", env::consts::EXE_SUFFIX)))
        .find(|file| file.is_file())
}
