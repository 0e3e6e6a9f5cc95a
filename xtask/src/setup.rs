//! The tools that the chores need: found, or installed, or named with what to do.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{command, output, run},
    repo,
};

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

/// Prometheus' checker of metrics and rules: the one named by `PROMTOOL`, else the system's, else one
/// out of Debian's package, where that can be had. Nothing is installed and no service started: the
/// program is taken out of the package. `None`, said loudly, where there is no Debian, or nobody to ask
/// it: then what it checks is not checked.
pub(crate) fn promtool() -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("PROMTOOL") {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("PROMTOOL names {}, which does not exist", path.display());
        }
        return Ok(Some(path));
    }
    let kept = repo::target().join("tools/promtool");
    if let Some(path) = find("promtool").or_else(|| kept.is_file().then_some(kept.clone())) {
        return Ok(Some(path));
    }
    if !may_install() || find("dpkg-deb").is_none() {
        println!(
            "!! promtool is missing: metrics and alert rules are NOT checked by it. Install it \
             (Debian: `sudo apt-get install prometheus`), or set PROMTOOL to its path"
        );
        return Ok(None);
    }
    println!("promtool is missing; taking it out of Debian's package prometheus");
    let folder = repo::target().join("tools/prometheus");
    std::fs::create_dir_all(&folder)?;
    let mut download = command("apt-get", ["download", "-qq", "prometheus"]);
    if run(download.current_dir(&folder)).is_err() {
        run(&mut command("apt-get", ["update", "-qq"]))?;
        run(&mut download)?;
    }
    let package = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get has downloaded prometheus, but there is no package")?;
    run(command("dpkg-deb", ["--extract"]).arg(&package).arg(&folder))?;
    std::fs::copy(folder.join("usr/bin/promtool"), &kept)
        .context("Debian's package prometheus has no usr/bin/promtool")?;
    std::fs::remove_dir_all(&folder)?;
    Ok(Some(kept))
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
