//! Who is measured: Rethread, and the peers that do a part of what it does.

use std::{
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    dialect::{Dialect, Rethread},
    machine::{self, Cores},
};

/// What the names of servers' folders begin with.
pub(crate) const FOLDERS: &str = "data-";
const SECRET: &str = "rethread-bench-secret-of-32-bytes";
/// How long a server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Contender {
    /// This project's server.
    Rethread,
    /// nginx with nchan: messages in shared memory.
    Nchan,
    /// Socket.IO on Node, with connection-state recovery.
    SocketIo,
    /// A broadcast over axum that keeps nothing: the limit of the stack that Rethread stands on.
    Bare,
}

impl Contender {
    /// All, Rethread first.
    pub(crate) const ALL: [Self; 4] = [Self::Rethread, Self::Nchan, Self::SocketIo, Self::Bare];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rethread => "Rethread",
            Self::Nchan => "nchan",
            Self::SocketIo => "socket.io",
            Self::Bare => "bare axum",
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where the servers are, and where their data may lie.
#[derive(Debug)]
pub(crate) struct Home {
    /// The server of this project.
    binary: PathBuf,
    /// The folder of this program.
    programs: PathBuf,
    /// On the disk of the build's output, so not in a `/tmp` that may be memory.
    pub(crate) data: PathBuf,
    /// Which core runs what.
    pub(crate) cores: Cores,
}

/// A server's process, where it listens, and how it is spoken to.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its first process.
    pub(crate) process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How it is spoken to.
    pub(crate) dialect: Dialect,
}

impl Home {
    /// The release server beside this program.
    ///
    /// # Errors
    /// When it has not been built.
    pub(crate) fn find(binary: Option<PathBuf>, cores: Cores) -> Result<Self> {
        let me = std::env::current_exe()?;
        let programs = me.parent().context("this program lies in no folder")?.to_owned();
        let binary = binary.unwrap_or_else(|| programs.join("rethread"));
        // Servers are started in folders of their own.
        let binary = fs::canonicalize(&binary).unwrap_or(binary);
        ensure!(
            binary.is_file(),
            "there is no server at {}; build it: cargo build --release --package rethread \
             (or name one with --server)",
            binary.display()
        );
        let data = programs.parent().unwrap_or(&programs).join("bench");
        fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
        // As the system names it, for that is how a server's folder is recognised.
        let data = fs::canonicalize(&data).with_context(|| data.display().to_string())?;
        Ok(Self { binary, programs, data, cores })
    }

    /// How the server was built: the folder that cargo puts such builds into.
    pub(crate) fn profile(&self) -> String {
        let folder = self.binary.parent().and_then(Path::file_name).unwrap_or_default();
        folder.to_string_lossy().into_owned()
    }

    /// Sees to it that nobody else measures here, and that nothing is left of who did. As long as
    /// what this gives is kept.
    ///
    /// # Errors
    /// When somebody else does.
    pub(crate) fn claim(&self) -> Result<File> {
        let path = self.data.join("lock");
        let lock = File::create(&path).with_context(|| path.display().to_string())?;
        ensure!(lock.try_lock().is_ok(), "another run is measuring here ({})", path.display());
        machine::end_leftovers(&self.data.join(FOLDERS));
        for entry in fs::read_dir(&self.data)?.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(FOLDERS) {
                // What cannot be deleted takes room, and is nothing worse.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(lock)
    }

    /// The version of a contender, or why it cannot be measured here.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn version(&self, contender: Contender) -> Result<String> {
        match contender {
            Contender::Rethread => said(Command::new(&self.binary).arg("--version")),
            Contender::Nchan => {
                let (nginx, module) = self.nginx()?;
                let version = said(Command::new(&nginx).arg("-v"))?;
                let version = version.rsplit('/').next().unwrap_or_default().to_owned();
                let beside = module.with_file_name("nchan.version");
                let nchan = fs::read_to_string(beside).unwrap_or_default();
                Ok(format!("nchan {} on nginx {version}", nchan.trim()))
            }
            Contender::SocketIo => {
                let package = socketio().join("node_modules/socket.io/package.json");
                let text = fs::read_to_string(&package)
                    .with_context(|| format!("{} is not there", package.display()))?;
                let package: serde_json::Value = serde_json::from_str(&text)?;
                let node = said(Command::new("node").arg("--version")).context("node")?;
                let version = package["version"].as_str().unwrap_or_default();
                Ok(format!("socket.io {version} on Node {}", node.trim_start_matches('v')))
            }
            Contender::Bare => {
                ensure!(self.bare().is_file(), "{} is not built", self.bare().display());
                Ok(format!(
                    "a broadcast over axum {} and tokio {}",
                    locked("axum")?,
                    locked("tokio")?
                ))
            }
        }
    }

    /// Starts a contender with an empty folder of its own, and waits until it listens.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub(crate) fn start(&self, contender: Contender, folder: &Path) -> Result<Started> {
        match contender {
            Contender::Rethread => {
                let mut command = Command::new(&self.binary);
                command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
                ours(&mut command);
                let (process, address) = self.until_it_says(command, folder)?;
                let token = token(&self.binary)?;
                let dialect = Dialect::Rethread(Rethread { token });
                Ok(Started { process, address, dialect })
            }
            Contender::Nchan => self.start_nchan(folder),
            Contender::SocketIo => {
                let mut command = Command::new("node");
                command.arg(socketio().join("server.js")).env("NODE_ENV", "production");
                let (process, address) = self.until_it_says(command, folder)?;
                Ok(Started { process, address, dialect: Dialect::SocketIo })
            }
            Contender::Bare => {
                let (process, address) = self.until_it_says(Command::new(self.bare()), folder)?;
                Ok(Started { process, address, dialect: Dialect::Bare })
            }
        }
    }

    /// Starts a server that prints where it listens.
    fn until_it_says(&self, mut command: Command, folder: &Path) -> Result<(Child, SocketAddr)> {
        let errors = folder.join("stderr");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
        command.current_dir(folder);
        let mut process = self.cores.start(|| {
            command.spawn().with_context(|| format!("{command:?} could not be started"))
        })?;
        let out = process.stdout.take().expect("its output is piped");
        for line in BufReader::new(out).lines() {
            let line = line?;
            if let Some((_, address)) = line.split_once("listening on http://") {
                let address = address.trim().parse().with_context(|| line.clone())?;
                return Ok((process, address));
            }
        }
        let _ = process.kill();
        let status = process.wait()?;
        let said = fs::read_to_string(errors).unwrap_or_default();
        bail!("{command:?} did not start to listen ({status}): {}", said.trim())
    }

    fn start_nchan(&self, folder: &Path) -> Result<Started> {
        let (nginx, module) = self.nginx()?;
        // nginx takes no free port by itself; this one was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = fs::read_to_string(peers().join("nchan/nginx.conf"))?
            .replace("@MODULE@", &module.display().to_string())
            .replace("@PORT@", &address.port().to_string());
        let path = folder.join("nginx.conf");
        fs::write(&path, config)?;
        let errors = folder.join("stderr");
        let mut command = Command::new(&nginx);
        command.arg("-p").arg(folder).arg("-c").arg(&path).args(["-e", "stderr"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors)?);
        command.current_dir(folder);
        let mut process = self.cores.start(|| {
            command.spawn().with_context(|| format!("{command:?} could not be started"))
        })?;
        let end = Instant::now() + START_PATIENCE;
        while TcpStream::connect(address).is_err() {
            if process.try_wait()?.is_some() || Instant::now() > end {
                let _ = process.kill();
                let _ = process.wait();
                bail!("nginx did not start: {}", fs::read_to_string(&errors)?.trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Started { process, address, dialect: Dialect::Nchan })
    }

    /// nginx and the module: those that `cargo xtask bench --peers` has unpacked, else the system's.
    fn nginx(&self) -> Result<(PathBuf, PathBuf)> {
        let unpacked = self.data.with_file_name("peers").join("nginx");
        let roots = [unpacked.as_path(), Path::new("/")];
        let found = roots.iter().find_map(|root| {
            let nginx = root.join("usr/sbin/nginx");
            let module = root.join("usr/lib/nginx/modules/ngx_nchan_module.so");
            (nginx.is_file() && module.is_file()).then_some((nginx, module))
        });
        found.context("nginx with nchan is not there (Debian: nginx and libnginx-mod-nchan)")
    }

    fn bare(&self) -> PathBuf {
        self.programs.join("rethread-bench-axum")
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn socketio() -> PathBuf {
    peers().join("socketio")
}

/// The version of a crate in the workspace's lockfile.
fn locked(name: &str) -> Result<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let text = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let mut lines = text.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    Ok(version.map_or("of no known version", |version| version.trim_end_matches('"')).to_owned())
}

fn token(binary: &Path) -> Result<String> {
    let mut command = Command::new(binary);
    command.args(["token", "--user", "bench", "--scope", "subscribe,send,publish,serve"]);
    command.arg("--all-threads");
    ours(&mut command);
    said(&mut command)
}

/// The settings of a measured server are its defaults, whatever stands in this environment.
fn ours(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("RETHREAD_") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command.env("RETHREAD_SECRET", SECRET);
}

/// What a program prints, wherever it does.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}
