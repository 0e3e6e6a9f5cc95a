//! `rethread migrate`: gives a run whose id names no thread its thread, and a standard id.

use clap::Args;
use rethread_shared::{RunId, ThreadId};
use serde_json::{Value, json};

use super::{exit::Exit, remote::Remote, runtime, terminal::Screen};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread migrate run_5d1f0c9a77e2 thread_42
  while read run thread; do rethread migrate $run $thread; done < known-runs

The standard id is printed. From then on both ids are known as those of the same run; saying the same
again changes nothing. A run that belongs to another thread already is refused.
The token needs the scope `admin`.")]
pub(crate) struct Migrate {
    /// The run, such as run_5d1f0c9a77e2 or a UUID.
    run: RunId,
    /// The thread that it belongs to.
    thread: ThreadId,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Migrates it.
pub(crate) fn run(args: &Migrate) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let ask = json!({ "run": args.run, "thread": args.thread });
        let answer: Value = args.remote.http()?.post("/v1/admin/migrate", &ask).await?;
        let mut screen = Screen::new();
        match answer["standard"].as_str().filter(|_| !args.json) {
            Some(standard) => screen.line(standard)?,
            None => screen.line(&answer.to_string())?,
        }
        screen.flush()?;
        Ok(Exit::Done)
    })
}
