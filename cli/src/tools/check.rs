//! `rethread check`: verifies a data folder.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use indicatif::ProgressBar;
use rethread_server::check::{self, Finding, Summary, Watch};
use serde_json::json;

use super::{
    exit::Exit,
    progress,
    terminal::{Screen, Tone, clean, counted},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread check data
  rethread check /var/lib/rethread --json | jq -r 'select(.law == \"hole\").thread'

What is verified: each thread's events are numbered without holes; an id is in a thread once, and the
table of ids and the events agree; each record is one whole, valid event of a run of its thread;
nothing comes before a run's start or after its end; threads, numbers, owners and the registry of runs
agree with the events.

The server must be stopped. Nothing in the folder is changed: what must be written to be read (the
journals, 64 MiB and more) is copied to a temporary folder (TMPDIR) first.
The exit code is 1 when something is wrong.")]
pub(crate) struct Check {
    /// The data folder.
    #[arg(default_value = "data")]
    data: PathBuf,
    /// Findings as JSON, one a line, and a summary as the last line.
    #[arg(long)]
    json: bool,
}

/// Verifies it.
pub(crate) fn run(args: &Check) -> anyhow::Result<Exit> {
    let mut teller = Teller {
        screen: Screen::new(),
        bar: progress::bar(0, "events"),
        json: args.json,
        trouble: None,
    };
    let summary = check::folder(&args.data, &mut teller)
        .map_err(|error| anyhow!("{}: {error}", args.data.display()))?;
    teller.bar.finish_and_clear();
    if let Some(error) = teller.trouble {
        return Err(error.into());
    }
    teller.sum_up(&summary)?;
    Ok(if summary.findings == 0 { Exit::Done } else { Exit::Bad })
}

/// Tells of a check as it goes.
struct Teller {
    screen: Screen,
    bar: ProgressBar,
    json: bool,
    trouble: Option<std::io::Error>,
}

impl Teller {
    fn line(&mut self, finding: &Finding) -> std::io::Result<()> {
        let line = if self.json {
            json!({ "finding": finding }).to_string()
        } else {
            let text = clean(&finding.to_string()).into_owned();
            self.screen.paint().tone(Tone::Bad, &text).into_owned()
        };
        let screen = &mut self.screen;
        self.bar.suspend(|| {
            screen.line(&line)?;
            screen.flush()
        })
    }

    fn sum_up(&mut self, summary: &Summary) -> std::io::Result<()> {
        let line = if self.json {
            json!({ "summary": summary }).to_string()
        } else {
            let Summary { threads, events, runs, bytes, findings } = summary;
            let verdict = match findings {
                0 => self.screen.paint().tone(Tone::Good, "all is as it must be").into_owned(),
                1 => "1 thing is wrong".to_owned(),
                more => format!("{more} things are wrong"),
            };
            let counted = [
                counted(*threads, "thread"),
                format!("{} ({bytes} bytes)", counted(*events, "event")),
                counted(*runs, "run"),
            ];
            format!("{}: {verdict}", counted.join(", "))
        };
        self.screen.line(&line)?;
        self.screen.flush()
    }
}

impl Watch for Teller {
    fn whole(&mut self, events: u64) {
        self.bar.set_length(events);
    }

    fn read(&mut self, events: u64) {
        self.bar.inc(events);
    }

    fn found(&mut self, finding: Finding) {
        if self.trouble.is_none()
            && let Err(error) = self.line(&finding)
        {
            self.trouble = Some(error);
        }
    }
}
