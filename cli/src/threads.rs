//! `rethread threads`: the threads that a token may use.

use clap::Args;
use serde_json::{Value, value::RawValue};

use crate::{
    exit::Exit,
    remote::Remote,
    runtime,
    terminal::{Screen, Table, time},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread threads
  rethread threads --json | jq -r 'select(.head == 0).thread'")]
pub(crate) struct Threads {
    /// Threads as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(serde::Deserialize)]
struct Answer {
    threads: Vec<Box<RawValue>>,
}

/// Prints them, the newest first.
pub(crate) fn run(args: &Threads) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let answer: Answer = args.remote.http()?.get("/v1/threads").await?;
        let mut screen = Screen::new();
        if args.json {
            for thread in answer.threads {
                screen.line(thread.get())?;
            }
            screen.flush()?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&["thread", "events", "created", "owner", "title"]);
        for thread in answer.threads {
            let thread: Value = serde_json::from_str(thread.get())?;
            let text = |name: &str| thread[name].as_str().unwrap_or_default().to_owned();
            table.row([
                text("thread"),
                thread["head"].to_string(),
                time(thread["created_at"].as_u64().unwrap_or_default()),
                text("owner"),
                text("title"),
            ]);
        }
        table.print(&mut screen)?;
        Ok(Exit::Done)
    })
}
