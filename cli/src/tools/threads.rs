//! `rethread threads`: the threads that a token may use; and a new one.

use clap::Args;
use rethread_shared::ThreadId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    exit::Exit,
    pages,
    remote::{Http, Remote},
    runtime,
    terminal::{Screen, Table, time},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread threads
  rethread threads --json | jq -r 'select(.head == 0).thread'
  rethread threads --create thread_42 --title 'Network drops'
  rethread threads --all --owner ada

With --all the token needs the scope `admin`; without, threads are listed that the token may use, the
newest 1,000 at most.")]
pub(crate) struct Threads {
    /// Make a thread that belongs to the token's user, and print its id; without one the server
    /// chooses it.
    #[arg(long, value_name = "THREAD", num_args = 0..=1, conflicts_with_all = ["all", "owner"])]
    create: Option<Option<ThreadId>>,
    /// The title of the thread that is made.
    #[arg(long, requires = "create")]
    title: Option<String>,
    /// Every thread of the server.
    #[arg(long)]
    all: bool,
    /// Of every thread, only those of this user.
    #[arg(long, requires = "all", value_name = "USER")]
    owner: Option<String>,
    /// Threads as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Prints them, the newest first.
pub(crate) fn run(args: &Threads) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let http = args.remote.http()?;
        let mut screen = Screen::new();
        if let Some(thread) = &args.create {
            let ask = json!({ "thread": thread, "title": args.title });
            let made: Value = http.post("/v1/threads", &ask).await?;
            let id = made["thread"].as_str().unwrap_or_default();
            screen.line(if args.json { made.to_string() } else { id.to_owned() }.as_str())?;
            screen.flush()?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&["thread", "events", "created", "owner", "title"]);
        let each = |thread: Value| {
            if args.json {
                return Ok(screen.line(&thread.to_string())?);
            }
            let text = |name: &str| thread[name].as_str().unwrap_or_default().to_owned();
            table.row([
                text("thread"),
                thread["head"].to_string(),
                time(thread["created_at"].as_u64().unwrap_or_default()),
                text("owner"),
                text("title"),
            ]);
            Ok(())
        };
        if args.all {
            every(&http, args.owner.as_deref(), each).await?;
        } else {
            let answer: Answer = http.get("/v1/threads").await?;
            answer.threads.into_iter().try_for_each(each)?;
        }
        if !args.json {
            table.print(&mut screen)?;
        }
        screen.flush()?;
        Ok(Exit::Done)
    })
}

/// Every thread of the server, the newest first.
pub(crate) async fn every(
    http: &Http,
    owner: Option<&str>,
    each: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let query: Vec<_> = owner.map(|owner| ("owner", owner.to_owned())).into_iter().collect();
    pages::each(http, "/v1/admin/threads", &query, "threads", each).await
}

#[derive(Deserialize)]
struct Answer {
    threads: Vec<Value>,
}
