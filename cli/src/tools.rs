//! What `rethread` is beside the server: the tools of whoever runs one, or speaks to it. A file for each
//! command; what they share is in `remote` (the server and the token for it), `terminal` (text, colours,
//! tables), `pages`, `progress`, `lines`, `runtime`.

mod check;
mod completions;
mod export;
mod health;
mod import;
mod lines;
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
mod send;
mod shown;
mod tail;
mod terminal;
mod threads;

use clap::Subcommand;
use rethread_client::native;
use rethread_shared::WireError;

use crate::{
    duration,
    exit::{self, Exit},
};

/// A tool.
#[derive(Subcommand)]
pub(crate) enum Tool {
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

/// Runs it.
pub(crate) fn run(tool: Tool) -> anyhow::Result<Exit> {
    match tool {
        Tool::Tail(args) => tail::run(&args),
        Tool::Publish(args) => publish::run(&args),
        Tool::Send(args) => send::run(&args),
        Tool::Threads(args) => threads::run(&args),
        Tool::Health(args) => health::run(&args),
        Tool::Runs(args) => runs::run(&args),
        Tool::Resolve(args) => resolve::run(&args),
        Tool::Migrate(args) => migrate::run(&args),
        Tool::Revoke(args) => revoke::run(&args),
        Tool::Export(args) => export::run(&args),
        Tool::Import(args) => import::run(&args),
        Tool::Check(args) => check::run(&args),
        Tool::Restored(args) => restored::run(&args).map(|()| Exit::Done),
        Tool::Completions(args) => completions::completions(&args),
        Tool::Man(args) => completions::man(&args),
    }
}

/// What the server refused, where that is what went wrong over a connection that the client holds.
pub(crate) fn refusal<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a WireError> {
    match cause.downcast_ref() {
        Some(native::Error::Refused(error)) => Some(error),
        _ => None,
    }
}
