//! The peers that are measured beside the server: unpacked or installed in folders of ours, where that
//! is possible. Nothing of the system's is configured or started.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{npm, process, repo};

/// What the system's nginx wants to be there, wherever its own files lie.
const NGINX_STATE: &str = "/var/lib/nginx/body";

/// Gets what can be had; says why for what cannot.
pub(super) fn install() {
    for (name, installed) in [("nchan", nchan()), ("socket.io", socketio())] {
        match installed {
            Ok(()) => println!("{name} is there"),
            Err(error) => println!("{name} is left out: {error:#}"),
        }
    }
}

fn socketio() -> Result<()> {
    npm::ci(&repo::at("bench/peers/socketio")).context("npm could not install it")
}

/// nginx and nchan from Debian's archive: downloaded and unpacked, not installed, so that no service
/// is made or started, now or after the next boot.
fn nchan() -> Result<()> {
    let folder = repo::target().join("peers");
    let root = folder.join("nginx");
    let is_there = |root: &Path| {
        root.join("usr/sbin/nginx").is_file()
            && root.join("usr/lib/nginx/modules/ngx_nchan_module.so").is_file()
    };
    if !is_there(Path::new("/")) && !is_there(&root) {
        unpack(&folder).inspect_err(|_| drop(fs::remove_dir_all(&root)))?;
        ensure!(is_there(&root), "Debian's packages do not hold nginx and its module nchan");
    }
    fs::create_dir_all(NGINX_STATE).with_context(|| {
        format!("nginx needs the folder {NGINX_STATE}: make it, or run this as root")
    })
}

fn unpack(folder: &Path) -> Result<()> {
    let packages = folder.join("debian");
    let root = folder.join("nginx");
    fs::create_dir_all(&packages)?;
    fs::create_dir_all(&root)?;
    let download = || {
        let names = ["download", "-qq", "nginx", "libnginx-mod-nchan"];
        process::run(process::command("apt-get", names).current_dir(&packages))
    };
    if download().is_err() {
        // A fresh container has no lists of packages.
        process::run(&mut process::command("apt-get", ["update", "-qq"]))
            .context("it comes from Debian's archive, which cannot be reached by apt-get")?;
        download()?;
    }
    let mut unpacked = 0;
    for entry in fs::read_dir(&packages)? {
        let package = entry?.path();
        if package.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let file = package.display().to_string();
        let into = root.display().to_string();
        process::run(&mut process::command("dpkg-deb", ["-x", &file, &into]))?;
        let module = root.join("usr/lib/nginx/modules");
        if file.contains("nchan") {
            let version =
                process::output(&mut process::command("dpkg-deb", ["-f", &file, "Version"]))?;
            fs::write(module.join("nchan.version"), version)?;
        }
        unpacked += 1;
    }
    if unpacked < 2 {
        bail!("apt-get has downloaded {unpacked} packages, 2 were expected");
    }
    let nginx = root.join("usr/sbin/nginx").display().to_string();
    process::output(&mut process::command(&nginx, ["-v"])).context("it does not start here")?;
    Ok(())
}
