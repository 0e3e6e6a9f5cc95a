//! How a command ends: its exit code, and what it says when it could not do what was asked.

use std::{fmt, io, process::ExitCode};

use rethread_shared::WireError;

/// How a command that could do its work has ended. What it could not do is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "tools"),
    expect(dead_code, reason = "tools end in more ways than a server")
)]
pub(crate) enum Exit {
    /// All is well.
    Done,
    /// The work was done, and something is wrong with what came of it: events that were refused,
    /// findings of a check, a run that failed.
    Bad,
    /// A server that works, but not wholly well.
    Degraded,
    /// Ctrl-C before the work was done.
    Interrupted,
}

/// The server did not answer.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) url: String,
    pub(crate) cause: String,
}

/// What `--help` says about it.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    it could not be done; or something is wrong with what came of it:
       events refused, findings of a check, a run that failed, a server that failed
  2    the command line is not understood
  3    the server cannot be reached
  4    (health) the server works, but not wholly well
  130  interrupted with Ctrl-C before it was done";

const UNREACHABLE: u8 = 3;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Bad => 1,
            Exit::Degraded => 4,
            Exit::Interrupted => 130,
        })
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no server answers at {}: {}\n  \
             start one with `rethread serve --dev`, or say where it is with --url or RETHREAD_URL",
            self.url, self.cause
        )
    }
}

impl std::error::Error for Unreachable {}

/// Says what went wrong, and gives the exit code for it. Whoever reads our output and stops reading
/// (`| head`) has what it wanted.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let is_broken_pipe = |error: &(dyn std::error::Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let refusal = error.chain().find_map(|cause| {
        let refusal = cause.downcast_ref::<WireError>();
        #[cfg(feature = "tools")]
        let refusal = refusal.or_else(|| crate::tools::refusal(cause));
        refusal
    });
    eprintln!("rethread: {error:#}{}", refusal.map(details).unwrap_or_default());
    if error.chain().any(|cause| cause.is::<Unreachable>()) {
        return ExitCode::from(UNREACHABLE);
    }
    ExitCode::FAILURE
}

/// What an error says beside its message, each on a line of its own.
pub(crate) fn details(error: &WireError) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("\n  {name} {value}"));
    };
    if let Some(expected) = &error.expected {
        line("expected:", expected);
    }
    if let Some(received) = &error.received {
        line("received:", received);
    }
    for tried in &error.tried {
        line("tried:", tried);
    }
    if let Some(ms) = error.retry_after_ms {
        line("try again in", &format!("{:.1} s", ms as f64 / 1_000.0));
    }
    text
}
