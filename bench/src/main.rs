//! `rethread-bench`: measures the release server, and checks every event while it does.
//!
//! The generator must cost less than what it measures: one thread, readiness from the operating
//! system, frames read by scanning bytes. What it checks is in [`check`]: order, loss, repetition.

mod cases;
mod check;
mod events;
mod load;
mod machine;
mod report;
mod server;
mod swarm;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::{
    cases::{ALL, Case},
    machine::{Cores, Machine},
    report::Rows,
    server::Home,
};

/// Measures Rethread: durable events a second, deliveries a second, latency, memory a connection.
///
/// Starts the release server itself, on a core of its own where there are two, with an empty data
/// folder for each repetition; repetitions of the cases alternate. Every event is checked.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// All cases but the largest, three short repetitions each: under three minutes. The default.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All cases, five repetitions of ten seconds each.
    #[arg(long)]
    full: bool,
    /// Only this case, or those whose names begin so. May be given more than once.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// How often each case is repeated.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: Option<u32>,
    /// How long each repetition measures.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// The server to measure; the one beside this program when left out.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
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
    let cases = chosen(arguments)?;
    let (repeat, seconds) = if arguments.full { (5, 10) } else { (3, 3) };
    let repeat = arguments.repeat.unwrap_or(repeat);
    let length = Duration::from_secs(arguments.seconds.unwrap_or(seconds));
    machine::allow_files(cases.iter().map(Case::files).max().unwrap_or(0))?;
    let home = Home::find(arguments.server.clone(), Cores::choose())?;
    let machine = Machine::look(home.cores, &home.data);
    println!("{machine}");
    println!(
        "load      {}-byte events as published, {repeat} repetitions of {} s, each with a new server",
        events::EVENT_BYTES,
        length.as_secs()
    );

    let mut results: Vec<Rows> = cases
        .iter()
        .map(|case| Rows { case: case.name, about: case.about(), repetitions: Vec::new() })
        .collect();
    for repetition in 1..=repeat {
        for (case, rows) in cases.iter().zip(&mut results) {
            eprintln!("{} ({repetition} of {repeat})", case.name);
            let measured = case.run(&home, length);
            rows.repetitions.push(measured.with_context(|| format!("case {}", case.name))?);
        }
    }
    println!("{}", report::table(&results));
    println!("Every event was checked as it came: order, loss, repetition, and each thread's end.");
    Ok(())
}

fn chosen(arguments: &Arguments) -> Result<Vec<Case>> {
    if arguments.case.is_empty() {
        return Ok(ALL.into_iter().filter(|case| arguments.full || !case.full_only).collect());
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
    let is_chosen = |case: &Case| arguments.case.iter().any(|name| matches(case, name));
    Ok(ALL.into_iter().filter(is_chosen).collect())
}
