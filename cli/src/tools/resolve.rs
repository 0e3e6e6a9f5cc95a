//! `rethread resolve`: how a run's thread is found.

use clap::Args;
use reqwest::Method;
use rethread_server::bridge::resolve::Trail;
use rethread_shared::RunId;

use super::{
    exit::{self, Exit},
    remote::Remote,
    runtime,
    terminal::{Screen, Table, Tone, clean},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread resolve run_5d1f0c9a77e2
  rethread resolve run_5d1f0c9a77e2 --json | jq -r .thread

Each step is shown: what it saw, and why it passed. The exit code is 1 when no step knows the run's
thread: then a publisher is refused with the error shown. The token needs the scope `admin`.")]
pub(crate) struct Resolve {
    /// The run.
    run: RunId,
    /// The whole trail as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Prints the trail.
pub(crate) fn run(args: &Resolve) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let http = args.remote.http()?;
        let path = format!("/v1/admin/resolve/{}", args.run);
        let (status, text) = http.answer(Method::GET, &path, None).await?;
        let trail = match serde_json::from_str::<Trail>(&text) {
            Ok(trail) if status.is_success() => trail,
            _ => return Err(http.refused(status, &text)),
        };
        let mut screen = Screen::new();
        if args.json {
            screen.line(&text)?;
            screen.flush()?;
        } else {
            show(&mut screen, &trail)?;
        }
        Ok(if trail.thread.is_some() { Exit::Done } else { Exit::Bad })
    })
}

fn show(screen: &mut Screen, trail: &Trail) -> std::io::Result<()> {
    let verdict = match (&trail.thread, &trail.step) {
        (Some(thread), Some(step)) => {
            screen.paint().tone(Tone::Good, &format!("{thread}, by {step}")).into_owned()
        }
        _ => screen.paint().tone(Tone::Bad, "no thread").into_owned(),
    };
    screen.line(&format!("{} ({}): {verdict}", trail.run, clean(&trail.form)))?;
    let mut table = Table::new(&["step", "outcome", "took", "saw"]);
    for step in &trail.steps {
        table.row([
            step.step.to_string(),
            step.outcome.to_string(),
            format!("{:.1} ms", step.took_us as f64 / 1_000.0),
            step.saw.clone(),
        ]);
    }
    table.print(screen)?;
    if let Some(error) = &trail.error {
        screen.line(&format!("{}{}", clean(&error.to_string()), exit::details(error)))?;
    }
    screen.flush()
}
