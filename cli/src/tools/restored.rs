//! `rethread restored`: new epochs for a folder that was put back.

use std::path::PathBuf;

use clap::Args;
use rethread_server::server;

use super::terminal::counted;

/// The flags of `rethread restored`.
#[derive(Args)]
#[command(after_help = "\
Example:
  rethread restored --data /var/lib/rethread")]
pub(crate) struct Restored {
    /// The folder that holds the log.
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

/// Gives every thread of the folder a new epoch.
pub(crate) fn run(args: &Restored) -> anyhow::Result<()> {
    let renewed = counted(server::restored(&args.data)? as u64, "thread");
    println!("{renewed} with a new epoch");
    Ok(())
}
