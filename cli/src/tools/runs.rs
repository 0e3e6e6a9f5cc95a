//! `rethread runs`: the runs that go on.

use clap::{Args, ValueEnum};
use rethread_shared::ThreadId;
use serde_json::Value;

use super::{
    exit::Exit,
    pages,
    remote::Remote,
    runtime,
    terminal::{Screen, Table, time},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread runs
  rethread runs --state asked             # those that wait for an agent
  rethread runs --thread thread_42 --json

The token needs the scope `admin`.")]
pub(crate) struct Runs {
    /// All runs of this thread that the registry remembers, not only those that go on.
    #[arg(long)]
    thread: Option<ThreadId>,
    /// Only those in this state.
    #[arg(long)]
    state: Option<State>,
    /// Runs as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// It is known, and has no event yet.
    New,
    /// A person has asked; no agent has started.
    Asked,
    /// An agent works.
    Running,
    /// Over.
    Ended,
}

/// Prints them.
pub(crate) fn run(args: &Runs) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let http = args.remote.http()?;
        let mut query = Vec::new();
        query.extend(args.thread.as_ref().map(|thread| ("thread", thread.to_string())));
        let state = args.state.and_then(|state| state.to_possible_value());
        query.extend(state.map(|state| ("state", state.get_name().to_owned())));
        let mut screen = Screen::new();
        let mut table = Table::new(&["run", "state", "since", "agent", "thread"]);
        pages::each(&http, "/v1/admin/runs", &query, "runs", |run| {
            if args.json {
                screen.line(&run.to_string())?;
            } else {
                table.row(row(&run));
            }
            Ok(())
        })
        .await?;
        if !args.json {
            table.print(&mut screen)?;
        }
        screen.flush()?;
        Ok(Exit::Done)
    })
}

fn row(run: &Value) -> [String; 5] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let standing = text(&run["agent"]["is"]);
    let agent = match (run["asked"].as_str(), run["agent"]["connection"].as_u64()) {
        (asked, Some(connection)) => {
            format!("{} {standing} connection {connection}", asked.unwrap_or_default())
        }
        (asked, None) => format!("{} {standing}", asked.unwrap_or_default()),
    };
    let since = time(run["created_at"].as_u64().unwrap_or_default());
    let agent = agent.trim().to_owned();
    [text(&run["run"]), text(&run["state"]), since, agent, text(&run["thread"])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_row() {
        let run = serde_json::json!({
            "run": "thread_42_run_1756919162904_9adf1f09", "thread": "thread_42",
            "state": "running", "executing": ["call_1"],
            "agent": { "is": "with", "connection": 23 }, "asked": "docs",
            "created_at": 1_756_919_162_904_u64,
        });
        let [_, state, since, agent, thread] = row(&run);
        assert_eq!(
            [state, since, agent, thread],
            ["running", "2025-09-03T17:06:02Z", "docs with connection 23", "thread_42"]
        );
        let waits =
            serde_json::json!({ "run": "r", "state": "asked", "agent": { "is": "waiting" } });
        assert_eq!(row(&waits)[3], "waiting");
    }
}
