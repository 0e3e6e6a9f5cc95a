//! The real `rethread` process.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{api::Api, socket::Socket, until};

/// The secret that every test's server signs with.
pub const SECRET: &str = "a secret for tests, long enough for anybody's taste";
/// Everything a token may do.
pub const SCOPES: &str = "subscribe,send,publish,serve";

/// Below the ports that the system hands out by itself, so that nothing takes a killed server's port
/// before it is back, and no client's connection meets itself there.
const PORTS: std::ops::Range<u16> = 16_000..32_000;

/// A `rethread serve` process with a data folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    folder: TempDir,
    data: PathBuf,
    port: u16,
    args: Vec<String>,
}

impl Server {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments for `serve`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        Self::start_in(folder, data, args)
    }

    /// Starts one on a data folder of the test's own.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_on(data: &Path, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, data.to_path_buf(), args)
    }

    fn start_in(folder: TempDir, data: PathBuf, args: &[&str]) -> Self {
        let mut server = Self {
            child: None,
            folder,
            data,
            port: 0,
            args: args.iter().map(ToString::to_string).collect(),
        };
        for _ in 0..10 {
            server.port = rand::random_range(PORTS);
            if server.launch() {
                return server;
            }
        }
        panic!("rethread did not come up:\n{}", server.log_tail());
    }

    /// Starts one that picks its port itself.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_on_any_port() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let mut server = Self { child: None, folder, data, port: 0, args: vec![] };
        assert!(server.launch(), "rethread did not come up:\n{}", server.log_tail());
        server
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// A token for everything, of the user `ada`.
    #[must_use]
    pub fn token(&self) -> String {
        token(&["--user", "ada", "--scope", SCOPES, "--all-threads"])
    }

    /// A token for everything in the threads that `user` owns, and no others.
    #[must_use]
    pub fn token_of(&self, user: &str) -> String {
        token(&["--user", user, "--scope", SCOPES])
    }

    /// HTTP with a token for operators.
    #[must_use]
    pub fn operator(&self) -> Api {
        Api::new(&self.url(), &token(&["--user", "ops", "--scope", "admin"]))
    }

    /// HTTP with a token for everything.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.url(), &self.token())
    }

    /// A connection that was welcomed, with a token for everything.
    pub async fn socket(&self) -> Socket {
        Socket::welcomed(&self.url(), &self.token()).await
    }

    /// `kill -9`, and waits until it is dead.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().expect("a child may be killed");
        child.wait().expect("a child may be waited for");
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// When it does not run.
    pub fn terminate(&self) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -TERM {pid}: {status}");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let mut probe = || child.try_wait().expect("a child may be asked");
        until("the server's end", || std::future::ready(probe())).await
    }

    /// Starts it again, on the same port and data.
    ///
    /// # Panics
    /// When it does not come up, or runs already.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        assert!(self.launch(), "rethread did not come back:\n{}", self.log_tail());
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Resident memory, KiB.
    ///
    /// # Panics
    /// When it does not run, or the system has no `/proc`.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process has a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// True once it has said that it listens; false when it ended before.
    fn launch(&mut self) -> bool {
        let mut child = Command::new(binary())
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data")
            .arg(self.data())
            .args(&self.args)
            .env("RETHREAD_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log_file())
            .spawn()
            .expect("rethread can be run");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        let port = line
            .strip_prefix("rethread listening on ")
            .and_then(|rest| Some(rest.split_once("://127.0.0.1:")?.1))
            .and_then(|rest| rest.strip_suffix('\n')?.parse().ok());
        let is_up = port.is_some_and(|port| self.port == 0 || self.port == port);
        if is_up {
            self.port = port.expect("it was said");
            self.child = Some(child);
        } else {
            child.kill().expect("a child may be killed");
            child.wait().expect("a child may be waited for");
        }
        is_up
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn log_file(&self) -> File {
        let path = self.log_path();
        OpenOptions::new().create(true).append(true).open(path).expect("a log can be written")
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the end of the server's log:\n{}", self.log_tail());
        }
    }
}

/// A token from `rethread token`, with these arguments beside the secret.
///
/// # Panics
/// When it makes none.
#[must_use]
pub fn token(args: &[&str]) -> String {
    let output = Command::new(binary())
        .args(["token", "--secret", SECRET])
        .args(args)
        .output()
        .expect("rethread can be run");
    assert!(output.status.success(), "rethread token: {output:?}");
    String::from_utf8(output.stdout).expect("a token is text").trim().to_owned()
}

/// The binary: what `RETHREAD_BIN` names, or what cargo builds, in the profile of this test.
///
/// # Panics
/// When cargo cannot build it.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("RETHREAD_BIN") {
            return path.into();
        }
        let me = std::env::current_exe().expect("a test has a path");
        let profile = me.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "rethread"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "cargo build: {status}");
        profile.join("rethread")
    })
}
