//! The agent at the server: takes work as it comes, each in a task of its own.

use std::{collections::HashMap, sync::Arc};

use anyhow::bail;
use rethread_client::native::{Client, Config, Error, Status, Token};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
};

use crate::{limits::STOP_DEADLINE, run::Agent, token::PATIENCE};

/// Connects. A server that is not there is waited for, and that is said.
///
/// # Errors
/// When the address is none, or the server refuses the token.
pub(crate) async fn connect(url: &str, token: Token) -> anyhow::Result<Client> {
    let name = concat!("docs-agent/", env!("CARGO_PKG_VERSION"));
    let mut connecting = std::pin::pin!(Client::connect(Config::new(url, token).with_name(name)));
    let connected = match tokio::time::timeout(PATIENCE, &mut connecting).await {
        Ok(connected) => connected,
        Err(_) => {
            tracing::warn!(
                "no server answers at {url} yet; is it running (`rethread serve --data ./data`), \
                 and is the address right (--url)? Trying until it is there"
            );
            connecting.await
        }
    };
    connected.map_err(|error| match error {
        Error::Closed(_) => anyhow::anyhow!(
            "{error}; mint a token for this server with `rethread token --user docs \
             --scope serve,publish,subscribe --all-threads`"
        ),
        error => error.into(),
    })
}

/// Serves until Ctrl-C, or until the server refuses this agent for good. Lost connections and
/// restarts of the server are the client's matter: runs go on.
///
/// # Errors
/// When the client is over.
pub(crate) async fn serve(client: &Client, name: &str, agent: Arc<Agent>) -> anyhow::Result<()> {
    let mut work = client.serve(name).await?;
    let mut status = client.watch_status();
    let (stop, stopping) = watch::channel(false);
    let (mut tasks, mut runs) = (JoinSet::new(), HashMap::<_, Id>::new());
    let mut asked_to_stop = std::pin::pin!(asked_to_stop());
    let outcome = loop {
        tokio::select! {
            next = work.next() => {
                let Some(work) = next else {
                    let status = client.status();
                    break Err(anyhow::anyhow!("the connection is over for good: {status:?}"));
                };
                // Work that is handed over again while it is being done.
                let run = work.run.clone();
                if runs.contains_key(&run) {
                    continue;
                }
                tracing::info!(%run, by = work.message.by, "asked");
                let task = tasks.spawn(agent.clone().run(work, stopping.clone()));
                runs.insert(run, task.id());
            }
            Some(done) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                let id = done.map_or_else(|error| error.id(), |(id, ())| id);
                runs.retain(|_, task| *task != id);
            }
            Ok(()) = status.changed() => say(&status.borrow_and_update()),
            () = &mut asked_to_stop => break Ok(()),
        }
    };
    drop(work);
    if !tasks.is_empty() {
        tracing::info!(runs = tasks.len(), "stopping");
    }
    stop.send_replace(true);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_DEADLINE, ended).await.is_err() {
        bail!("some runs could not be ended within {STOP_DEADLINE:?}; the server will end them");
    }
    client.close().await;
    outcome
}

fn say(status: &Status) {
    match status {
        Status::Online => tracing::info!("connected"),
        Status::Waiting { attempt: 1, why, .. } => {
            tracing::warn!(?why, "the connection is lost; coming back");
        }
        _ => tracing::debug!(?status, "connection"),
    }
}

/// Ctrl-C, or what a service manager sends.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
