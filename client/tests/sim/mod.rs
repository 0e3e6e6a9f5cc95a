//! The deterministic simulation: the real [`crate::Session`], several of them, against a model of the
//! server, over a network that cuts, stalls, delays and half-opens, with a server that restarts,
//! loses what it did not acknowledge, repeats, skips, refuses, forgets and expires tokens. Time is
//! virtual, chance is a seed.
//!
//! Always checked: what is delivered is a gapless, duplicate-free piece of the log of its epoch, and
//! a reset is said; every acknowledged command is in the log, and nothing is there twice; nobody
//! dials in a storm, or sends more than allowed; when the faults stop, everybody converges in bounded
//! time.
//!
//! - `cargo test -p rethread-client sim` runs 5,000 seeds;
//! - `RETHREAD_SIM_SEEDS=200000` runs more (add `--release`);
//! - `RETHREAD_SIM_SEED=17` runs that one and prints what happened.

mod client;
mod dice;
mod model;
mod network;
mod server;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use self::world::{Summary, World};
use crate::session::Sabotage;

const SEEDS: u64 = 5_000;
/// A session that is broken must be found within so many seeds.
const SABOTAGED_SEEDS: u64 = 1_000;

#[test]
fn the_laws_hold_for_every_seed() {
    if let Some(seed) = number("RETHREAD_SIM_SEED") {
        match run(seed, None, true) {
            Ok(summary) => {
                let Summary { trace, steps, acknowledged, events, converged_at, connections } =
                    summary;
                println!("{trace}seed {seed}: {steps} steps, {connections} connections, ");
                println!("{acknowledged} acknowledged, {events} events, done at {converged_at} ms");
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
        return;
    }
    let seeds = number("RETHREAD_SIM_SEEDS").unwrap_or(SEEDS);
    let (steps, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    let failure = first_failure(seeds, None, &|summary| {
        steps.fetch_add(summary.steps, Ordering::Relaxed);
        acknowledged.fetch_add(u64::from(summary.acknowledged), Ordering::Relaxed);
    });
    if let Some((seed, error)) = failure {
        panic!("RETHREAD_SIM_SEED={seed} shows it: {error}");
    }
    let (steps, acknowledged) = (steps.into_inner(), acknowledged.into_inner());
    println!("{seeds} seeds, {steps} steps, {acknowledged} commands acknowledged");
    assert!(acknowledged > 10 * seeds, "hardly anything happened: {acknowledged} acknowledged");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| run(seed, None, true).unwrap().trace);
        assert!(first.lines().count() > 200, "seed {seed} has a trace");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn a_session_without_the_duplicate_check_is_caught() {
    is_caught(Sabotage::DuplicatesPass);
}

#[test]
fn a_session_without_the_hole_check_is_caught() {
    is_caught(Sabotage::HolesPass);
}

#[test]
fn a_session_that_resends_without_the_id_is_caught() {
    is_caught(Sabotage::ResendWithoutId);
}

fn is_caught(sabotage: Sabotage) {
    let caught =
        (0..SABOTAGED_SEEDS).find_map(|seed| Some((seed, run(seed, Some(sabotage), false).err()?)));
    let (seed, error) = caught.expect("no seed has caught it");
    println!("{sabotage:?}: caught by seed {seed}: {error}");
}

/// Runs seeds on all cores; the first that fails, with what went wrong.
fn first_failure(
    seeds: u64,
    sabotage: Option<Sabotage>,
    ended: &(impl Fn(Summary) + Sync),
) -> Option<(u64, String)> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || stop.load(Ordering::Relaxed) {
                return None;
            }
            match run(seed, sabotage, false) {
                Ok(summary) => ended(summary),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some((seed, error));
                }
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running.into_iter().filter_map(|worker| worker.join().expect("no panic escapes")).min()
    })
}

/// One run; a panic is a failure like another.
fn run(seed: u64, sabotage: Option<Sabotage>, traced: bool) -> Result<Summary, String> {
    let world = AssertUnwindSafe(|| World::new(seed, sabotage, traced).run());
    catch_unwind(world).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}
