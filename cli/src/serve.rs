//! `rethread serve`: the server, from its flags to its last word.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use rethread_server::{bridge::Patience, config::Config, server};
use rethread_shared::limits::SECRET_BYTES_MIN;
use tokio::net::TcpListener;

use crate::secret::checked;

/// The flags of `rethread serve`.
#[derive(Args)]
pub(crate) struct Serve {
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

/// Serves until told to stop.
#[tokio::main]
pub(crate) async fn run(args: Serve) -> anyhow::Result<()> {
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
        metrics: Default::default(),
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

/// Completes at SIGTERM or Ctrl-C.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
