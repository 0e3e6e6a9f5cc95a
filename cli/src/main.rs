//! `rethread`: the server and its tools. Each command has a file of its own; those that are not for
//! starting a server are in `tools`.
//!
//! What they share: `exit` (exit codes, and how errors are told), `duration`, `secret`.

mod config;
mod duration;
mod exit;
mod logging;
mod secret;
mod serve;
mod token;
#[cfg(feature = "tools")]
mod tools;
#[cfg(feature = "otel")]
mod traces;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;

/// Carries the events of AI agents to the chat windows that wait for them: durable, in order,
/// exactly once.
#[derive(Parser)]
#[command(version, about, after_help = exit::HELP)]
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
    #[cfg(feature = "tools")]
    #[command(flatten)]
    Tool(tools::Tool),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).map(|()| Exit::Done),
        Command::Config(args) => config::run(&args).map(|()| Exit::Done),
        Command::Token(args) => token::run(args).map(|()| Exit::Done),
        #[cfg(feature = "tools")]
        Command::Tool(tool) => tools::run(tool),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}
