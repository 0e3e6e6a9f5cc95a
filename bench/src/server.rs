//! The server under load: the real one, started anew with an empty data folder.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    machine::{self, Cores},
    wire,
};

const SECRET: &str = "rethread-bench-secret-of-32-bytes";

/// Where the server's binary is, and where its data may lie.
#[derive(Debug)]
pub(crate) struct Home {
    binary: PathBuf,
    /// On the disk of the build's output, so not in a `/tmp` that may be memory.
    pub(crate) data: PathBuf,
    /// Which core runs what.
    pub(crate) cores: Cores,
}

impl Home {
    /// The release server beside this program.
    ///
    /// # Errors
    /// When it has not been built.
    pub(crate) fn find(binary: Option<PathBuf>, cores: Cores) -> Result<Self> {
        let me = std::env::current_exe()?;
        let folder = me.parent().context("this program lies in no folder")?;
        let binary = binary.unwrap_or_else(|| folder.join("rethread"));
        ensure!(
            binary.is_file(),
            "there is no server at {}; build it: cargo build --release --package rethread \
             (or name one with --server)",
            binary.display()
        );
        let data = folder.parent().unwrap_or(folder).join("bench");
        std::fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
        Ok(Self { binary, data, cores })
    }
}

/// A running server. Killed, and its data deleted, when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A token for everything.
    pub(crate) token: String,
    _data: TempDir,
}

impl Server {
    /// Starts one on the server's core, and waits until it listens.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub(crate) fn start(home: &Home) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("data-").tempdir_in(&home.data)?;
        let said = data.path().join("stderr");
        let errors = File::create(&said)?;
        let mut command = Command::new(&home.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("RETHREAD_SECRET", SECRET)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut process =
            home.cores.start(|| command.spawn().context("the server could not be started"))?;
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line)?;
        let Some((_, address)) = line.split_once("listening on http://") else {
            let _ = process.kill();
            let status = process.wait()?;
            bail!(
                "the server did not start to listen ({status}): {}",
                std::fs::read_to_string(said).unwrap_or_default().trim()
            );
        };
        let address = address.trim().parse().with_context(|| line.clone())?;
        let token = token(&home.binary)?;
        Ok(Self { process, address, token, _data: data })
    }

    /// Makes a thread, and a run in it; gives their ids.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn thread_with_run(&self, http: &mut TcpStream) -> Result<(String, String)> {
        let made = wire::ask(http, &self.token, "POST", "/v1/threads", "{}")?;
        let thread = text(&made, "thread")?;
        let path = format!("/v1/threads/{thread}/runs");
        let minted = wire::ask(http, &self.token, "POST", &path, "")?;
        Ok((thread, text(&minted, "run")?))
    }

    /// The seq of a thread's last event.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn head(&self, http: &mut TcpStream, thread: &str) -> Result<u64> {
        let path = format!("/v1/threads/{thread}/events?limit=1");
        let page = wire::ask(http, &self.token, "GET", &path, "")?;
        page["head"].as_u64().with_context(|| format!("a page without `head`: {page}"))
    }

    /// The `hello` frame of this server's token.
    pub(crate) fn hello(&self) -> String {
        json!({"op": "hello", "token": self.token, "client": "rethread-bench"}).to_string()
    }

    /// The memory it has in use, bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn memory(&self) -> Result<u64> {
        machine::memory(self.process.id())
    }

    /// Begins to measure its CPU time.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn span(&self) -> Result<Span> {
        let cpu = self.cpu()?;
        Ok(Span { start: Instant::now(), cpu })
    }

    fn cpu(&self) -> Result<[Duration; 2]> {
        Ok([machine::cpu_time(self.process.id())?, machine::cpu_time(std::process::id())?])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Crash-only: it needs no goodbye, and its data is thrown away.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A stretch of time that is measured.
#[derive(Debug)]
pub(crate) struct Span {
    start: Instant,
    cpu: [Duration; 2],
}

/// What a stretch of time has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// How long it was, seconds.
    pub(crate) seconds: f64,
    /// CPU time of the server, seconds.
    pub(crate) server: f64,
    /// CPU time of the load generator, seconds.
    pub(crate) generator: f64,
}

impl Span {
    /// Ends it.
    ///
    /// # Errors
    /// When the server has ended.
    pub(crate) fn end(self, server: &Server) -> Result<Cost> {
        let seconds = self.start.elapsed().as_secs_f64();
        let [of_server, of_generator] = server.cpu()?;
        Ok(Cost {
            seconds,
            server: (of_server - self.cpu[0]).as_secs_f64(),
            generator: (of_generator - self.cpu[1]).as_secs_f64(),
        })
    }
}

fn token(binary: &Path) -> Result<String> {
    let made = Command::new(binary)
        .args(["token", "--user", "bench", "--scope", "subscribe,send,publish,serve"])
        .arg("--all-threads")
        .env("RETHREAD_SECRET", SECRET)
        .output()
        .context("`rethread token` could not be started")?;
    ensure!(made.status.success(), "rethread token: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

fn text(json: &Value, member: &str) -> Result<String> {
    let found = json[member].as_str().with_context(|| format!("no `{member}` in {json}"))?;
    Ok(found.to_owned())
}
