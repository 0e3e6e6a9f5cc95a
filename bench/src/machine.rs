//! The machine: what it is, its cores, its limits, and how long its disk takes to make bytes safe.

use std::{
    fmt, fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rustix::{
    process::{
        Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setpriority_process, setrlimit,
    },
    thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity},
};

/// Which core runs what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Each on its own.
    Apart {
        /// The core of the server.
        server: usize,
        /// The core of the load generator.
        generator: usize,
    },
    /// The system decides.
    Shared,
}

impl Cores {
    /// The first two cores that this process may use, if there are two.
    pub(crate) fn choose() -> Self {
        let Ok(allowed) = sched_getaffinity(None) else { return Self::Shared };
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(generator)) => Self::Apart { server, generator },
            _ => Self::Shared,
        }
    }

    /// Starts something on the server's core, and goes back to the generator's.
    ///
    /// # Errors
    /// What `start` fails with, or the system's refusal.
    pub(crate) fn start<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        let Self::Apart { server, generator } = self else { return start() };
        stay_on(server)?;
        let started = start();
        stay_on(generator)?;
        started
    }
}

/// Lets others go first that want the same core: this thread alone.
///
/// # Errors
/// The system's refusal.
pub(crate) fn give_way(nice: i32) -> Result<()> {
    setpriority_process(Some(gettid()), nice).context("giving way to others")
}

/// What is started from here on inherits it.
fn stay_on(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("staying on core {core}"))
}

/// What the system lets a load have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open files of a process: connections, mostly.
    pub(crate) files: u64,
    /// Ports that connections to one server can be dialled from.
    pub(crate) ports: u64,
    /// Bytes that are free on the disk of the servers' folders.
    pub(crate) disk: u64,
}

impl Limits {
    /// Allows so many open files, here and in what is started from here, as far as that may be done;
    /// and looks.
    pub(crate) fn raise(files: u64, data: &Path) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= files);
        if !enough(limit.current) {
            // As root beyond what was the most, else up to that.
            let to = |most: u64| Rlimit { current: Some(files.min(most)), maximum: Some(most) };
            let most = limit.maximum.unwrap_or(files);
            if setrlimit(Resource::Nofile, to(most.max(files))).is_err() {
                let _ = setrlimit(Resource::Nofile, to(most));
            }
        }
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let range = range.unwrap_or_default();
        let mut range = range.split_whitespace().filter_map(|port| port.parse::<u64>().ok());
        let ports = match (range.next(), range.next()) {
            (Some(first), Some(last)) => (last + 1).saturating_sub(first),
            // Not to be known: it shows when they run out.
            _ => u64::MAX,
        };
        let disk = rustix::fs::statvfs(data).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize);
        Self { files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), ports, disk }
    }
}

/// Ends servers that an earlier run has left behind, which was killed: the processes that work in one
/// of its folders, whose names begin so.
pub(crate) fn end_leftovers(folders: &Path) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let begin = folders.as_os_str().as_encoded_bytes();
    for process in processes.filter_map(Result::ok) {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        // That of a deleted folder has a word behind it.
        let works_in = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        if let Some(pid) = pid.filter(|pid| *pid != std::process::id())
            && works_in.as_os_str().as_encoded_bytes().starts_with(begin)
        {
            println!("note      ending a server of an earlier run, process {pid}");
            kill(pid);
        }
    }
}

/// Bytes that a process has had the disk write; 0 where the system does not say.
pub(crate) fn written(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// How long this disk takes to make 4 KiB durable: what a group commit cannot be faster than.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn fsync_times(folder: &Path, times: usize) -> Result<Histogram<u64>> {
    // With a name: a file system may save itself the work for one that is deleted.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let block = [0x5a; 4_096];
    let mut taken = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    for turn in 0..times {
        // Appending, as a journal does, but within a few megabytes.
        if turn % 1_024 == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        let start = Instant::now();
        file.write_all(&block)?;
        file.as_file().sync_data()?;
        taken.saturating_record(start.elapsed().as_micros() as u64);
    }
    Ok(taken)
}

/// CPU time that a process has used, user and system.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // proc_pid_stat(5): the name, in brackets, may hold anything; utime and stime are 14 and 15.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').collect::<Vec<_>>());
    let ticks = fields.and_then(|fields| {
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    });
    let ticks = ticks.with_context(|| format!("{path}: {stat}"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Memory that a process has in use (resident), bytes.
///
/// # Errors
/// When there is no such process.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    Ok(kib.with_context(|| format!("{path} has no VmRSS"))? * 1_024)
}

/// The processes that a process has started, as far as they live.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Ends a process that this one has started, without a word.
pub(crate) fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// What numbers must be read with.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: Cores,
    count: usize,
    model: String,
    kernel: String,
    load: f64,
    file_system: String,
    profile: String,
}

impl Machine {
    /// Looks at the machine, and at the disk that holds `data`. The server was built in `profile`.
    pub(crate) fn look(cores: Cores, data: &Path, profile: String) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let load = read("/proc/loadavg");
        Self {
            cores,
            count: processors.lines().filter(|line| line.starts_with("processor")).count(),
            model: model.unwrap_or_else(|| "unknown".into()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
            file_system: file_system(data),
            profile,
        }
    }
}

fn file_system(folder: &Path) -> String {
    // Of linux/magic.h.
    const KNOWN: [(u64, &str); 5] = [
        (0x0102_1994, "tmpfs, which is memory: its fsync costs nothing"),
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683e, "btrfs"),
        (0x794c_7630, "overlayfs"),
    ];
    let Ok(found) = rustix::fs::statfs(folder) else { return "an unknown file system".into() };
    let kind = found.f_type as u64;
    let known = KNOWN.iter().find(|(magic, _)| *magic == kind);
    known.map_or_else(|| format!("file system {kind:#x}"), |(_, name)| (*name).to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, count, model, kernel, load, file_system, profile } = self;
        writeln!(f, "machine   {count} x {model}, Linux {kernel}, data on {file_system}")?;
        match &**profile {
            "release" => writeln!(f, "build     release, as it is deployed")?,
            "bench-quick" => writeln!(
                f,
                "build     bench-quick: not optimised over crates, so that it is there sooner; a release \
                 build is faster"
            )?,
            other => writeln!(f, "build     {other}, which is no release build")?,
        }
        match cores {
            Cores::Apart { server, generator } => {
                write!(f, "cores     server on {server}, load generator on {generator}")?;
            }
            Cores::Shared => write!(
                f,
                "cores     not pinned, for there are not two: server and generator share"
            )?,
        }
        if *load >= 0.5 {
            write!(
                f,
                "\nnote      something else was running at the start (load average {load}): \
                 the numbers are worse than the server's own"
            )?;
        }
        Ok(())
    }
}
