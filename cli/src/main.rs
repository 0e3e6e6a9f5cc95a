//! `rethread`: the server and its tools. Each command has a file of its own; what they share is in
//! [`duration`] and [`secret`].

mod config;
mod duration;
mod restored;
mod secret;
mod serve;
mod token;

use clap::{Parser, Subcommand};

/// Carries the events of AI agents to the chat windows that wait for them: durable, in order,
/// exactly once.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve agents and browsers.
    Serve(serve::Serve),
    /// Print the settings that are in force, and where each came from.
    Config(config::Show),
    /// Make a token and print it.
    Token(token::Token),
    /// Say that a data folder was put back from a backup: every thread begins a new epoch.
    ///
    /// Clients may have seen events that the backup does not have. With a new epoch they are told to
    /// begin anew; without, one that comes late enough would mix two histories. Run it while the
    /// server is stopped.
    Restored(restored::Restored),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Config(args) => config::run(&args),
        Command::Token(args) => token::run(args),
        Command::Restored(args) => restored::run(&args),
    }
}
