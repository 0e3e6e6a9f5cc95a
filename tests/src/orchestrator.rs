//! An orchestrator as a process of its own.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// What it wants to be shown.
pub const TOKEN: &str = "sesame";

/// The process `test-orchestrator`. Killed when dropped.
#[derive(Debug)]
pub struct Orchestrator {
    child: Child,
    port: u16,
}

impl Orchestrator {
    /// Starts one at a port, 0 for any, that gives these answers; see `src/bin/test-orchestrator.rs`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(program: &str, port: u16, answers: &[String]) -> Self {
        let mut child = Command::new(program)
            .arg(port.to_string())
            .args(answers)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the orchestrator can be run");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        let port = line.trim().parse().expect("the orchestrator says its port");
        Self { child, port }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The base of its addresses.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    /// How often it was asked for a run.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn asked(&self, run: &str) -> u64 {
        let url = format!("http://127.0.0.1:{}/asked", self.port);
        let text = crate::api::client().get(url).send().await.expect("an answer");
        let text = text.text().await.expect("a body");
        let asked: HashMap<&str, u64> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(run, times)| (run, times.parse().expect("a number")))
            .collect();
        asked.get(run).copied().unwrap_or(0)
    }

    /// Sends it a signal: `STOP`, `CONT`.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(status.expect("kill runs").success(), "kill -{signal} {pid}");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        self.end();
    }
}
