//! `rethread serve`: the server, from its flags to its last word.

use anyhow::{Context, bail};
use clap::Args;
use rethread_server::{config::Secret, server};
use rethread_shared::limits::SECRET_BYTES_MIN;
use tokio::net::TcpListener;

use crate::{config::Settings, logging, secret::checked};

/// The flags of `rethread serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

/// Serves until told to stop.
#[tokio::main]
pub(crate) async fn run(args: Serve) -> anyhow::Result<()> {
    let mut config = args.settings.load()?.config;
    let logging = logging::start(&config.logs)?;
    let auth = &mut config.auth;
    auth.secret = match auth.secret.take() {
        Some(secret) => Some(Secret::new(checked(secret.reveal().to_owned())?)),
        None if auth.dev => Some(Secret::new(server::dev_secret(&config.log.data)?)),
        None if !auth.keys.is_empty() || auth.jwks_url.is_some() => None,
        None => bail!(
            "no secret: give --secret or RETHREAD_SECRET (at least {SECRET_BYTES_MIN} bytes), \
             auth.keys or auth.jwks_url for tokens that others sign, \
             or --dev to try it out on this machine"
        ),
    };
    let listen = config.http.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{listen} cannot be listened on; try another --listen"))?;
    let address = listener.local_addr()?;
    if config.auth.dev {
        tracing::warn!("--dev: whoever reaches {address} gets a token for everything");
    }
    let served = server::run(listener, config, stop_signal(), move |scheme| {
        println!("rethread listening on {scheme}://{address}");
    })
    .await;
    tokio::task::spawn_blocking(move || logging.end()).await?;
    served
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
