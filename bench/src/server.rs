//! A server under load: the real one, started anew with an empty folder; what it costs.

use std::{
    net::SocketAddr,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    contender::{Contender, FOLDERS, Home, Started},
    dialect::Dialect,
    machine,
};

/// Where a server listens, and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How it is spoken to.
    pub(crate) dialect: Dialect,
}

/// A running server. Killed, and its data deleted, when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Where it listens, and how it is spoken to.
    pub(crate) target: Target,
    /// Its folder.
    pub(crate) data: TempDir,
}

impl Server {
    /// Starts one on the server's core, and waits until it listens.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub(crate) fn start(home: &Home, contender: Contender) -> Result<Self> {
        let data = tempfile::Builder::new().prefix(FOLDERS).tempdir_in(&home.data)?;
        let Started { process, address, dialect } = home.start(contender, data.path())?;
        Ok(Self { process, target: Target { address, dialect }, data })
    }

    /// The memory it has in use, bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.processes().into_iter().map(machine::memory).sum()
    }

    /// Begins to measure its CPU time.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn span(&self) -> Result<Span> {
        let (cpu, written) = (self.cpu()?, self.written());
        Ok(Span { start: Instant::now(), cpu, written })
    }

    fn cpu(&self) -> Result<[Duration; 2]> {
        let of_server = self.processes().into_iter().map(machine::cpu_time);
        Ok([of_server.sum::<Result<Duration>>()?, machine::cpu_time(std::process::id())?])
    }

    fn written(&self) -> u64 {
        self.processes().into_iter().map(machine::written).sum()
    }

    /// Its first process and that one's children (nginx works in them).
    fn processes(&self) -> Vec<u32> {
        let first = self.process.id();
        [vec![first], machine::children(first)].concat()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Crash-only: it needs no goodbye, and its data is thrown away. Children would stay.
        for process in self.processes() {
            machine::kill(process);
        }
        let _ = self.process.wait();
    }
}

/// A stretch of time that is measured.
#[derive(Debug)]
pub(crate) struct Span {
    start: Instant,
    cpu: [Duration; 2],
    written: u64,
}

/// What a stretch of time has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// How long it was, seconds.
    pub(crate) seconds: f64,
    /// CPU time of the server, seconds.
    pub(crate) server: f64,
    /// CPU time of the load generator, seconds.
    pub(crate) generator: f64,
    /// Bytes that the server has had the disk write.
    pub(crate) written: u64,
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
            written: server.written().saturating_sub(self.written),
        })
    }
}
