//! `rethread-bench`: measures the release server beside its peers, and checks every event while it
//! does.
//!
//! The generator must cost less than what it measures: one thread, readiness from the operating
//! system, frames read by scanning bytes. What it checks is in [`check`]: order, loss, repetition.

mod cases;
mod check;
mod contender;
mod dialect;
mod events;
#[cfg(test)]
mod faults;
mod load;
mod machine;
mod pace;
mod plan;
mod report;
mod server;
mod stop;
mod swarm;
mod wire;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Parser;

use crate::{
    cases::{ALL, Case, When},
    contender::{Contender, Home},
    machine::{Cores, Limits, Machine},
    plan::{Measured, Plan},
    report::{document, document::Told, table},
};

/// Measures Rethread, and peers that do a part of what it does: durable events a second, deliveries a
/// second, latency, memory a connection.
///
/// Starts each server itself, on a core of its own where there are two, with an empty folder for each
/// repetition; cases and contenders alternate. Every event is checked.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// The cases that say most, shortly. The default.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All cases, as often as there is time for, up to three times.
    #[arg(long)]
    full: bool,
    /// Beside Rethread: nchan, socket.io, and a bare broadcast over axum, where they are installed.
    #[arg(long)]
    peers: bool,
    /// Only this case, or those whose names begin so. May be given more than once.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// How often each case is repeated, however long that takes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: Option<u32>,
    /// How long each repetition measures, where that is a question of time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// The server to measure; the one beside this program when left out.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// How long all of it should take. What says most is run once in any case.
    #[arg(long, value_name = "SECONDS")]
    budget: Option<u64>,
    /// Where benchmarks.md and its pictures are written, when all has been run; until then, and when
    /// this is left out, they are in target/bench/report.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

/// What is run when nothing says how long it may take.
const QUICK: Duration = Duration::from_secs(170);
const FULL: Duration = Duration::from_secs(27 * 60);

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Gives whether the server of this project has done all that it was asked to.
fn run(arguments: &Arguments) -> Result<bool> {
    let begun = Instant::now();
    let home = Home::find(arguments.server.clone(), Cores::choose())?;
    let _alone = home.claim()?;
    stop::listen()?;
    let machine = Machine::look(home.cores, &home.data, home.profile());
    println!("{machine}");
    let cases = possible(chosen(arguments)?, arguments.full, &home)?;
    let contenders = contenders(&home, arguments.peers)?;
    let is_quick = !arguments.full && arguments.case.is_empty();
    let length = Duration::from_secs(arguments.seconds.unwrap_or(if is_quick { 1 } else { 3 }));
    println!(
        "load      {}-byte events as published, repetitions of {} s where time counts",
        events::EVENT_BYTES,
        length.as_secs()
    );
    let usual = arguments.repeat.is_none() && arguments.case.is_empty();
    let usual = usual.then_some(if arguments.full { FULL } else { QUICK });
    let plan = Plan {
        home: &home,
        cases: &cases,
        contenders: contenders.iter().map(|(contender, _)| *contender).collect(),
        repeat: arguments.repeat.unwrap_or(3),
        length,
        is_full: arguments.full,
        budget: arguments.budget.map(Duration::from_secs).or(usual),
    };
    let told = |is_whole| Told {
        machine: &machine,
        contenders: &contenders,
        length,
        took: begun.elapsed(),
        is_whole,
    };
    let unfinished = home.data.join("report");
    let measured = plan.run(|measured| document::write(&unfinished, measured, &told(false)))?;
    println!("{}", table::tables(&measured.results));
    println!("{}", table::costs(&measured.results));
    println!("{}", report::targets::text(&measured.results));
    for failure in &measured.failures {
        println!("{failure}");
    }
    for limit in &measured.limits {
        println!("end of {} for {}: {}", limit.case, limit.contender, limit.why);
    }
    for failure in &measured.hiccups {
        println!("tried again: {failure}");
    }
    for case in &measured.untimely {
        println!("no time for {case}");
    }
    println!("Every event was checked as it came: order, loss, repetition, and each thread's end.");
    let is_whole = !measured.is_interrupted;
    let folder = arguments.write.clone().filter(|_| is_whole).unwrap_or(unfinished);
    document::write(&folder, &measured, &told(is_whole))?;
    let what = if is_whole { "Written to" } else { "Interrupted; what there is is in" };
    println!("{what} {}.", folder.join("benchmarks.md").display());
    Ok(is_whole && has_passed(&measured))
}

/// A peer that fails has failed; the server of this project must not.
fn has_passed(measured: &Measured) -> bool {
    measured.failures.iter().all(|failure| failure.contender != Contender::Rethread)
}

/// The cases that this machine has room for.
fn possible(cases: Vec<Case>, is_full: bool, home: &Home) -> Result<Vec<Case>> {
    let files = cases.iter().map(Case::files).max().unwrap_or(0);
    let limits = Limits::raise(files, &home.data);
    let (mut possible, count) = (Vec::new(), cases.len());
    for case in cases {
        match case.fits(&limits, is_full) {
            Ok(()) => possible.push(case),
            Err(why) => println!("left out  {}: {why}", case.name),
        }
    }
    if possible.is_empty() {
        bail!("none of {count} cases can be run here");
    }
    Ok(possible)
}

/// Who takes part, with their versions.
fn contenders(home: &Home, with_peers: bool) -> Result<Vec<(Contender, String)>> {
    let mut found = Vec::new();
    for contender in Contender::ALL {
        match home.version(contender) {
            Ok(version) if with_peers || contender == Contender::Rethread => {
                println!("contender {version}");
                found.push((contender, version));
            }
            Err(error) if contender == Contender::Rethread => return Err(error),
            Err(error) if with_peers => println!("left out  {contender}: {error:#}"),
            _ => {}
        }
    }
    Ok(found)
}

fn chosen(arguments: &Arguments) -> Result<Vec<Case>> {
    if arguments.case.is_empty() {
        let is_chosen = |case: &&Case| arguments.full || case.when == When::Quick;
        return Ok(ALL.iter().filter(is_chosen).copied().collect());
    }
    // An exact name means that case alone, though another begins with it.
    let matches = |case: &Case, name: &str| {
        let is_exact = ALL.iter().any(|other| other.name == name);
        if is_exact { case.name == name } else { case.name.starts_with(name) }
    };
    for name in &arguments.case {
        if !ALL.iter().any(|case| matches(case, name)) {
            let names: Vec<_> = ALL.iter().map(|case| case.name).collect();
            bail!("there is no case {name}; there are {}", names.join(", "));
        }
    }
    let is_chosen = |case: &&Case| arguments.case.iter().any(|name| matches(case, name));
    Ok(ALL.iter().filter(is_chosen).copied().collect())
}
