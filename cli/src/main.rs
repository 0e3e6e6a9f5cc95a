//! `rethread`: the server and its tools. Each command has a file of its own.
//!
//! What they share: `remote` (the server and the token for it), `exit` (exit codes, and how errors
//! are told), `terminal` (text, colours, tables), `progress`, `lines`, `runtime`, `duration`,
//! `secret`.

mod check;
mod completions;
mod config;
mod duration;
mod exit;
mod export;
mod health;
mod import;
mod lines;
mod logging;
mod migrate;
mod pages;
mod progress;
mod publish;
mod remote;
mod resolve;
mod restored;
mod revoke;
mod runs;
mod runtime;
mod secret;
mod send;
mod serve;
mod shown;
mod tail;
mod terminal;
mod threads;
mod token;
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
    /// Follow a thread in the terminal.
    Tail(tail::Tail),
    /// Publish events, from the command line, a file or standard input.
    Publish(publish::Publish),
    /// Say something in a thread; with --wait print the answer.
    Send(send::Send),
    /// List threads, or make one.
    Threads(threads::Threads),
    /// Say how the server is, part by part.
    Health(health::Ask),
    /// List the runs that go on.
    Runs(runs::Runs),
    /// Show how a run's thread is found, step by step.
    Resolve(resolve::Resolve),
    /// Give a run of an older system its thread, and an id that names it.
    Migrate(migrate::Migrate),
    /// Cut off a user, a token, or everybody from a thread.
    Revoke(revoke::Revoke),
    /// Verify a data folder: every law, on disk.
    Check(check::Check),
    /// Write a log as lines of JSON.
    Export(export::Arguments),
    /// Put an export into a data folder.
    Import(import::Arguments),
    /// Say that a data folder was put back from a backup: every thread begins a new epoch.
    ///
    /// Clients may have seen events that the backup does not have. With a new epoch they are told to
    /// begin anew; without, one that comes late enough would mix two histories. Run it while the
    /// server is stopped.
    Restored(restored::Restored),
    /// Print a script that completes commands in a shell.
    Completions(completions::Completions),
    /// Write a manual page for each command.
    Man(completions::Man),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).map(|()| Exit::Done),
        Command::Config(args) => config::run(&args).map(|()| Exit::Done),
        Command::Token(args) => token::run(args).map(|()| Exit::Done),
        Command::Tail(args) => tail::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Threads(args) => threads::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Runs(args) => runs::run(&args),
        Command::Resolve(args) => resolve::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Revoke(args) => revoke::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Restored(args) => restored::run(&args).map(|()| Exit::Done),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}
