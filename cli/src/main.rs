//! `rethread`: the server and its tools.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use rethread_server::{
    auth::{Keys, Scope},
    bridge::Patience,
    config::Config,
    server,
};
use rethread_shared::limits::SECRET_BYTES_MIN;
use tokio::net::TcpListener;

/// Carries the events of AI agents to the chat windows that wait for them: durable, in order,
/// exactly once.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve agents and browsers.
    Serve(Serve),
    /// Make a token and print it.
    Token(Token),
    /// Say that a data folder was put back from a backup: every thread begins a new epoch.
    ///
    /// Clients may have seen events that the backup does not have. With a new epoch they are told to
    /// begin anew; without, one that comes late enough would mix two histories. Run it while the
    /// server is stopped.
    Restored(Restored),
}

#[derive(Args)]
struct Serve {
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4242")]
    listen: SocketAddr,
    /// The folder that holds the log; made when it is not there.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The secret that tokens are signed with (HS256), at least 32 bytes.
    #[arg(long, env = "RETHREAD_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// For trying out: makes a secret of its own and gives a token to whoever asks. Loopback only.
    #[arg(long)]
    dev: bool,
    /// The server is never silent for longer, in milliseconds.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(50..=300_000))]
    heartbeat_ms: u64,
    /// How long a run's agent may be gone before the run is ended as lost, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    agent_grace_ms: u64,
    /// How long an agent may take to start on work before it is handed to another, in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    work_start_ms: u64,
}

#[derive(Args)]
struct Token {
    /// The secret that the server was given, at least 32 bytes.
    #[arg(long, env = "RETHREAD_SECRET", hide_env_values = true)]
    secret: String,
    /// The user that the token names.
    #[arg(long)]
    user: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_value = "subscribe,send",
          value_parser = Scope::ALL.map(|(word, _)| word))]
    scope: Vec<String>,
    /// A thread it may use beside the user's own. May be given more than once.
    #[arg(long)]
    thread: Vec<rethread_shared::ThreadId>,
    /// It may use every thread.
    #[arg(long, conflicts_with = "thread")]
    all_threads: bool,
    /// How long it is good for: seconds, or a number with s, m, h or d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    ttl: Duration,
}

#[derive(Args)]
struct Restored {
    /// The folder that holds the log.
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Token(args) => {
            println!("{}", token(args)?);
            Ok(())
        }
        Command::Restored(args) => {
            println!("{} thread(s) begin a new epoch", server::restored(&args.data)?);
            Ok(())
        }
    }
}

#[tokio::main]
async fn serve(args: Serve) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,fjall=warn,lsm_tree=warn".into()),
        )
        .init();
    let secret = match args.secret {
        Some(secret) => checked(secret)?,
        None if args.dev => server::dev_secret(&args.data)?,
        None => bail!(
            "no secret: give --secret or RETHREAD_SECRET (at least {SECRET_BYTES_MIN} bytes), \
             or --dev to try it out on this machine"
        ),
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("{} cannot be listened on; try another --listen", args.listen))?;
    let config = Config {
        listen: listener.local_addr()?,
        data: args.data,
        secret,
        dev: args.dev,
        heartbeat: Duration::from_millis(args.heartbeat_ms),
        patience: Patience {
            grace: Duration::from_millis(args.agent_grace_ms),
            start: Duration::from_millis(args.work_start_ms),
        },
    };
    if config.dev {
        tracing::warn!("--dev: whoever reaches {} gets a token for everything", config.listen);
    }
    let address = config.listen;
    server::run(listener, config, stop_signal(), move || {
        println!("rethread listening on http://{address}");
    })
    .await
}

fn token(args: Token) -> anyhow::Result<String> {
    let threads = if args.all_threads {
        vec!["*".to_owned()]
    } else {
        args.thread.iter().map(ToString::to_string).collect()
    };
    let keys = Keys::from_secret(&checked(args.secret)?);
    Ok(keys.mint(&args.user, &args.scope.join(" "), threads, args.ttl))
}

fn checked(secret: String) -> anyhow::Result<String> {
    if secret.len() < SECRET_BYTES_MIN {
        bail!(
            "the secret has {} bytes; at least {SECRET_BYTES_MIN} are needed, \
             such as `openssl rand -hex 32` prints",
            secret.len()
        );
    }
    Ok(secret)
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        other => return Err(format!("unknown unit {other:?}; expected s, m, h or d")),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number such as 90, 15m or 24h")?;
    let seconds = number.checked_mul(unit).ok_or("that is longer than can be counted")?;
    Ok(Duration::from_secs(seconds))
}

/// Completes at SIGTERM or Ctrl-C.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
