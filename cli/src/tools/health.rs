//! `rethread health`: how a server is, and an exit code for scripts.

use clap::Args;
use reqwest::Method;
use rethread_server::health::{Report, State};

use super::{
    exit::Exit,
    remote::Remote,
    runtime,
    terminal::{Screen, Table, Tone, clean, time},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread health
  rethread health --json | jq -r .parts.log.state

Exit codes: 0 active, 4 initializing or degraded, 1 failed, 3 no server answers.
The token needs the scope `admin`.")]
pub(crate) struct Ask {
    /// The whole report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Prints the report.
pub(crate) fn run(args: &Ask) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let http = args.remote.http()?;
        let (status, text) = http.answer(Method::GET, "/v1/admin/health", None).await?;
        let Ok(report) = serde_json::from_str::<Report>(&text) else {
            return Err(http.refused(status, &text));
        };
        let mut screen = Screen::new();
        if args.json {
            screen.line(&text)?;
            screen.flush()?;
        } else {
            show(&mut screen, &report)?;
        }
        Ok(match report.state {
            State::Active => Exit::Done,
            State::Initializing | State::Degraded => Exit::Degraded,
            State::Failed => Exit::Bad,
        })
    })
}

fn show(screen: &mut Screen, report: &Report) -> std::io::Result<()> {
    let tone = match report.state {
        State::Active => Tone::Good,
        State::Initializing | State::Degraded => Tone::Busy,
        State::Failed => Tone::Bad,
    };
    let state = screen.paint().tone(tone, report.state.as_str()).into_owned();
    let ready = if report.ready { "ready" } else { "not ready" };
    let reason = report.reason.as_deref().map(|reason| format!(": {}", clean(reason)));
    let since = time(report.since);
    screen.line(&format!("{state} since {since}, {ready}{}", reason.unwrap_or_default()))?;
    let mut table = Table::new(&["part", "state", "since", "reason"]);
    for (part, standing) in &report.parts {
        let last_error = standing.last_error.as_ref();
        let reason = standing.reason.clone().or_else(|| {
            last_error.map(|error| format!("at {} it was: {}", time(error.at), error.message))
        });
        table.row([
            part.to_string(),
            standing.state.to_string(),
            time(standing.since),
            reason.unwrap_or_default(),
        ]);
    }
    table.print(screen)
}
