//! This process, as Linux tells it in /proc. Elsewhere these metrics keep silent.

use super::table::{
    PROCESS_CPU_SECONDS_TOTAL, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY_BYTES,
};
use ::metrics::{counter, gauge};

/// Bytes of a page, and clock ticks of a second, on every Linux that Rust builds a server for by default.
const PAGE_BYTES: f64 = 4_096.0;
const TICKS: u64 = 100;

pub(super) fn measure() {
    if let Some(pages) = resident_pages() {
        gauge!(PROCESS_RESIDENT_MEMORY_BYTES).set(pages * PAGE_BYTES);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        gauge!(PROCESS_OPEN_FDS).set(open.count().saturating_sub(1) as f64);
    }
    if let Some(most) = most_files() {
        gauge!(PROCESS_MAX_FDS).set(most);
    }
    if let Some(ticks) = cpu_ticks() {
        counter!(PROCESS_CPU_SECONDS_TOTAL).absolute(ticks / TICKS);
    }
}

fn resident_pages() -> Option<f64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()
}

fn most_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |place: usize| fields.get(place - 3)?.parse::<u64>().ok();
    Some(field(14)? + field(15)?)
}
