//! `rethread restored`: new epochs for a folder that was put back.

use std::path::PathBuf;

use clap::Args;
use rethread_server::server;

/// The flags of `rethread restored`.
#[derive(Args)]
pub(crate) struct Restored {
    /// The folder that holds the log.
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

/// Gives every thread of the folder a new epoch.
pub(crate) fn run(args: &Restored) -> anyhow::Result<()> {
    println!("{} thread(s) begin a new epoch", server::restored(&args.data)?);
    Ok(())
}
