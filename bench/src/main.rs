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
mod report;
mod server;
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
    cases::{ALL, Case, Run, When},
    contender::{Contender, Home},
    machine::{Cores, Machine},
    report::{Results, document, document::Told, table},
};

/// Measures Rethread, and peers that do a part of what it does: durable events a second, deliveries a
/// second, latency, memory a connection.
///
/// Starts each server itself, on a core of its own where there are two, with an empty folder for each
/// repetition; cases and contenders alternate. Every event is checked.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// The cases that say most, shortly: under three minutes. The default.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All cases, three repetitions each.
    #[arg(long)]
    full: bool,
    /// Beside Rethread: nchan, socket.io, and a bare broadcast over axum, where they are installed.
    #[arg(long)]
    peers: bool,
    /// Only this case, or those whose names begin so. May be given more than once.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// How often each case is repeated. With --quick, as often as there is time for, up to three times.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: Option<u32>,
    /// How long each repetition measures, where that is a question of time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// The server to measure; the one beside this program when left out.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// With --quick: how long all of it should take. One repetition is made in any case.
    #[arg(long, value_name = "SECONDS", default_value_t = 170)]
    budget: u64,
    /// Where benchmarks.md and its pictures are written; target/bench/report when left out.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let cases = chosen(arguments)?;
    let repeat = arguments.repeat.unwrap_or(3);
    let length = Duration::from_secs(arguments.seconds.unwrap_or(3));
    machine::allow_files(cases.iter().map(Case::files).max().unwrap_or(0))?;
    let home = Home::find(arguments.server.clone(), Cores::choose())?;
    let machine = Machine::look(home.cores, &home.data);
    println!("{machine}");
    let contenders = contenders(&home, arguments.peers)?;
    println!(
        "load      {}-byte events as published, repetitions of {} s where time counts",
        events::EVENT_BYTES,
        length.as_secs()
    );

    let measured = measure(arguments, &cases, &contenders, &home, repeat, length)?;
    let Measured { results, failures, repeated } = measured;
    println!("{}", table::tables(&results));
    println!("{}", report::targets::text(&results));
    println!("Every event was checked as it came: order, loss, repetition, and each thread's end.");
    let folder = arguments.write.clone().unwrap_or_else(|| home.data.join("report"));
    let took = begun.elapsed();
    let told = Told { machine, contenders, failures, repeat: repeated, length, took };
    document::write(&folder, &results, &told)?;
    println!("Written to {}.", folder.join("benchmarks.md").display());
    Ok(())
}

/// What all repetitions came to.
#[derive(Debug, Default)]
struct Measured {
    results: Results,
    /// Peers that failed, where, and why.
    failures: Vec<String>,
    /// How often each case was repeated.
    repeated: u32,
}

fn measure(
    arguments: &Arguments,
    cases: &[Case],
    contenders: &[(Contender, String)],
    home: &Home,
    repeat: u32,
    length: Duration,
) -> Result<Measured> {
    // Only what is quick by itself is cut short.
    let has_budget = !arguments.full && arguments.repeat.is_none() && arguments.case.is_empty();
    let begun = Instant::now();
    let mut all = Measured::default();
    while all.repeated < repeat {
        let begun_here = Instant::now();
        for case in cases.iter().filter(|case| all.repeated == 0 || case.when != When::Once) {
            // Another one begins each time.
            let mut order: Vec<Contender> =
                contenders.iter().map(|(contender, _)| *contender).collect();
            let turn = all.repeated as usize % order.len();
            order.rotate_left(turn);
            for contender in order.into_iter().filter(|one| case.contenders.contains(one)) {
                let start = Instant::now();
                eprint!("{:>2}  {:<22} {contender:<10}", all.repeated + 1, case.name);
                let run = Run { home, contender, length, is_full: arguments.full };
                let measured = case.run(&run);
                eprintln!(" {:5.1} s", start.elapsed().as_secs_f64());
                match measured {
                    Ok(measured) => {
                        all.results.add((case.name, case.about), contender, measured);
                    }
                    // A peer that fails has failed; the server of this project must not.
                    Err(error) if contender != Contender::Rethread => {
                        eprintln!("{contender} has failed: {error:#}");
                        all.failures.push(format!("{contender}, {}: {error:#}", case.name));
                    }
                    Err(error) => return Err(error.context(format!("case {}", case.name))),
                }
            }
        }
        all.repeated += 1;
        let left = Duration::from_secs(arguments.budget).saturating_sub(begun.elapsed());
        if has_budget && left < begun_here.elapsed() {
            break;
        }
    }
    Ok(all)
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
