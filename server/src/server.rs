//! A whole server: from the data folder to the listener, and back again at its end.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use rethread_shared::{Epoch, limits::DRAIN_DEADLINE};
use tokio::net::TcpListener;

use crate::{
    auth::Keys,
    bridge::{Bridge, Patience},
    config::Config,
    connections::Connections,
    log::{
        LocalLog, Log,
        engine::{Engine, Group, fjall::FjallEngine},
    },
    now, routes,
    socket::Shared,
};

/// Serves until `shutdown` completes; calls `ready` once it takes connections. At the end readiness
/// fails, nothing new is accepted, the open connections are told when to come back, and what is
/// queued is written.
///
/// # Errors
/// When the data folder cannot be used.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce() + Send,
) -> anyhow::Result<()> {
    if config.auth.dev && !listener.local_addr()?.ip().is_loopback() {
        bail!(
            "--dev hands a token to whoever asks, so it listens on loopback only; \
             expected an address like 127.0.0.1:4242, received {}",
            listener.local_addr()?
        );
    }
    let folder = config.log.data.join("log");
    let engine = open(&folder).with_context(|| format!("the data folder {}", folder.display()))?;
    let log = LocalLog::open(Arc::new(engine))?;
    let Some(secret) = &config.auth.secret else {
        bail!("no secret to sign tokens with: expected auth.secret to be set");
    };
    let bridge = Bridge::new(Arc::new(log.clone()) as Arc<dyn Log>, Patience::from(&config.agents));
    bridge.recover().await.context("taking up the runs of before")?;
    let connections = Arc::new(Connections::default());
    let shared = Shared {
        bridge,
        keys: Arc::new(Keys::from_secret(secret.reveal())),
        connections: connections.clone(),
        heartbeat: config.http.heartbeat.get(),
    };
    let (leaving, stopping) = (connections.leaving().clone(), shared.bridge.clone());
    let signal = async move {
        shutdown.await;
        tracing::info!("stopping: telling the connections when to come back");
        stopping.stop();
        leaving.cancel();
    };
    let serve = routes::serve(listener, shared, config.auth.dev, signal);
    ready();
    let stopped = connections.leaving().clone();
    tokio::select! {
        served = serve => served?,
        // Requests that are under way get the same time as connections.
        () = async { stopped.cancelled().await; tokio::time::sleep(DRAIN_DEADLINE).await } => {}
    }
    if !connections.leave(DRAIN_DEADLINE).await {
        tracing::warn!(open = connections.open(), "some connections did not leave in time");
    }
    tokio::task::spawn_blocking(move || log.close()).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Gives every thread of a data folder a new epoch; says how many there are. For a folder that was
/// put back from a backup: what clients have seen since the backup is not in it.
///
/// # Errors
/// When there is no log in the folder, or a server uses it.
pub fn restored(data: &Path) -> anyhow::Result<usize> {
    let folder = data.join("log");
    if !folder.is_dir() {
        bail!("{} is not there; expected the folder of a log", folder.display());
    }
    let engine = open(&folder).with_context(|| format!("the data folder {}", folder.display()))?;
    let mut threads = engine.threads(None, usize::MAX).map_err(|error| anyhow!("{error}"))?;
    for thread in &mut threads {
        thread.epoch = Epoch::generate(now::random());
    }
    let renewed = threads.len();
    engine.write(&Group { threads, ..Group::default() }).map_err(|error| anyhow!("{error}"))?;
    Ok(renewed)
}

fn open(folder: &Path) -> anyhow::Result<FjallEngine> {
    std::fs::create_dir_all(folder)?;
    FjallEngine::open(folder).map_err(|error| anyhow!("{error}"))
}

/// The secret of dev mode: made once and kept in the data folder, so that tokens outlive a restart.
///
/// # Errors
/// When the folder cannot be written.
pub fn dev_secret(data: &Path) -> anyhow::Result<String> {
    let file = data.join("dev-secret");
    match std::fs::read_to_string(&file) {
        Ok(secret) if !secret.trim().is_empty() => return Ok(secret.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    }
    let secret = format!("{:032x}", u128::from_be_bytes(now::random()));
    std::fs::create_dir_all(data).with_context(|| data.display().to_string())?;
    std::fs::write(&file, &secret).with_context(|| file.display().to_string())?;
    Ok(secret)
}
