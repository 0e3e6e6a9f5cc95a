//! `rethread completions` and `rethread man`: what a package of Rethread installs beside the binary.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, exit::Exit};

/// The arguments of `rethread completions`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread completions bash > /etc/bash_completion.d/rethread
  rethread completions zsh > ~/.zfunc/_rethread
  rethread completions fish > ~/.config/fish/completions/rethread.fish")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// The arguments of `rethread man`.
#[derive(Args)]
#[command(after_help = "\
Example:
  rethread man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The folder; made when it is not there.
    dir: PathBuf,
}

/// Prints a script that completes commands, flags and their values.
pub(crate) fn completions(args: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rethread", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// Writes a manual page for each command.
pub(crate) fn man(args: &Man) -> anyhow::Result<Exit> {
    let dir = args.dir.display().to_string();
    std::fs::create_dir_all(&args.dir).with_context(|| dir.clone())?;
    clap_mangen::generate_to(Cli::command(), &args.dir).with_context(|| dir)?;
    Ok(Exit::Done)
}
