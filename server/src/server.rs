//! A whole server: from the data folder to the listener, and back again at its end.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use rethread_shared::{Epoch, limits::METRICS_UPKEEP};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Gate, KeySources, Keys, Scope},
    bridge::{
        Bridge, Patience, Setup,
        resolve::orchestrator::{
            Asked, guard::Guard, http::HttpOrchestrator, settings::OrchestratorSettings,
        },
    },
    config::Config,
    connections::Connections,
    guard,
    health::{Health, Part, State, watch::Watch},
    listener::{Listener, tls::Tls},
    log::{
        Condition, LocalLog, Log,
        engine::{Engine, Group, disk::Folder, fjall::FjallEngine},
    },
    metrics::{self, meters::Sampled},
    now,
    origins::Origins,
    routes,
    socket::Shared,
    trusted::Trusted,
};

const KEYS_WATCHED_EVERY: Duration = Duration::from_secs(1);

/// A server that is open: its log is read, its bridge takes events, and nothing listens yet.
///
/// [`run`] is the whole of it for a process of its own. A program that has a web server already
/// mounts [`router`](crate::router) in it, and publishes and follows in this process through
/// [`Server::trusted`]. Cheap to clone; all clones are the same server.
///
/// ```
/// use std::time::Duration;
/// use rethread_server::{Server, auth::Scope, config::Config};
///
/// # #[tokio::main]
/// # async fn main() -> anyhow::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().to_path_buf();
/// # let secret = "a secret of at least 32 bytes, for tokens".to_owned();
/// let server = Server::open(Config::new(data, secret)).await?;
/// let app: axum::Router = axum::Router::new()
///     .nest("/rethread", rethread_server::router(&server));
/// // What the application's own log-in hands to its browsers.
/// let token = server.token("ada", &[Scope::Subscribe, Scope::Send], Duration::from_secs(3_600));
/// # drop((app, token));
/// server.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) shared: Shared,
    log: LocalLog,
}

impl Server {
    /// Opens the log in the data folder, and takes up the runs that were going on when it was closed.
    /// Needs a tokio runtime. `config.http.listen` and `config.auth.dev` are [`run`]'s.
    ///
    /// # Errors
    /// When the data folder cannot be used, or another server uses it.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        // First of all: what is made before there is a recorder counts nothing.
        let exposition = metrics::install();
        let folder = config.log.data.join("log");
        let log = LocalLog::over(Arc::new(Folder::new(&folder)), config.log.reserve.0)
            .with_context(|| format!("the data folder {}", folder.display()))?;
        let keys = Keys::open(&KeySources::from(&config.auth)).context("the keys for tokens")?;
        let gate = Gate::open(keys, &config.log.data).context("the revocations")?;
        gate.keys().keep_fresh();
        let origins = Origins::new(&config.http.origins, config.auth.dev);
        let origins = origins.map_err(|reason| anyhow!("http.origins: {reason}"))?;
        let health = Arc::new(Health::new());
        let orchestrator = orchestrator(config.orchestrator, &health)?;
        let watch_orchestrator = orchestrator.clone();
        let setup = Setup {
            patience: Patience::from(&config.agents),
            orchestrator,
            queue: config.queue,
            registry: config.registry,
            runs: config.runs,
            retention: config.retention,
            ..Setup::default()
        };
        let bridge = Bridge::with(Arc::new(log.clone()) as Arc<dyn Log>, setup);
        let is_sound = *log.condition().borrow() == Condition::Sound;
        if is_sound {
            bridge.recover().await.context("taking up the runs of before")?;
        }
        let guard = Arc::new(guard::Guard::new(&config.limits));
        let shared = Shared {
            bridge,
            gate: Arc::new(gate),
            origins: Arc::new(origins),
            connections: Arc::new(Connections::default()),
            tunnels: Arc::default(),
            health: health.clone(),
            guard: guard.clone(),
            heartbeat: config.http.heartbeat.get(),
            shutdown: config.shutdown,
            metrics: config.metrics,
        };
        for part in [Part::Registry, Part::Feeds, Part::Agents] {
            health.report(part, State::Active, "");
        }
        if is_sound {
            health.report(Part::Log, State::Active, "");
        }
        let stopped = shared.connections.leaving().clone();
        let swept = shared.bridge.clone().keep_swept(health.clone());
        let retained = shared.bridge.clone().keep_retained();
        let (bridge, settings) = (Arc::downgrade(&shared.bridge), config.health);
        let watched = Watch { health, bridge, settings }.run();
        let figures = sample(Arc::downgrade(&shared.bridge));
        let asked = async {
            if let Some(orchestrator) = watch_orchestrator {
                orchestrator.guard.watch().await;
            }
        };
        let sweep = shared.gate.clone().sweep();
        let keys = watch_keys(shared.gate.clone(), shared.health.clone());
        let limited = async move { guard.keep_up().await };
        let chores = async {
            tokio::join!(
                watched,
                asked,
                swept,
                retained,
                exposition.keep_up(),
                figures,
                sweep,
                keys,
                limited
            )
        };
        tokio::spawn(async move { stopped.run_until_cancelled(chores).await });
        Ok(Self { shared, log })
    }

    /// The single way in for events. It asks for a [`Grant`](crate::auth::Grant) at each call;
    /// [`Server::trusted`] is more convenient.
    #[must_use]
    pub fn bridge(&self) -> &Arc<Bridge> {
        &self.shared.bridge
    }

    /// Publishes, asks, serves and follows in this process, without a token, in the name of `user`.
    #[must_use]
    pub fn trusted(&self, user: &str) -> Trusted {
        Trusted::new(self.shared.bridge.clone(), self.shared.connections.clone(), user)
    }

    /// Makes a token for the threads that `user` owns, signed with the server's secret; `None` where it
    /// has only keys of others.
    #[must_use]
    pub fn token(&self, user: &str, scopes: &[Scope], ttl: Duration) -> Option<String> {
        let words: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        self.shared.gate.keys().mint(user, &words.join(" "), Vec::new(), ttl)
    }

    /// Begins to stop: `/readyz` fails, the open connections and streams are told when to come back,
    /// and end. For a web server's graceful shutdown, which waits for them; [`Server::close`] follows.
    pub fn stop(&self) {
        self.shared.health.stop();
        self.shared.bridge.stop();
        self.shared.connections.leaving().cancel();
    }

    /// Stops, waits until the connections have left, and writes what is queued. What is published later
    /// is refused with `shutting_down`. The data folder is free for another server once this one, its
    /// router and all that it gave away are dropped.
    pub async fn close(&self) {
        self.stop();
        let connections = &self.shared.connections;
        if !connections.leave(self.shared.shutdown.deadline.get()).await {
            tracing::warn!(open = connections.open(), "some connections did not leave in time");
        }
        let log = self.log.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || log.close()).await {
            tracing::error!(%error, "the log was not closed in order");
        }
    }
}

/// The orchestrator that the settings name.
fn orchestrator(
    settings: OrchestratorSettings,
    health: &Arc<Health>,
) -> anyhow::Result<Option<Asked>> {
    let Some(url) = &settings.url else {
        health.report(Part::Orchestrator, State::Active, "none is configured");
        return Ok(None);
    };
    let http = Arc::new(HttpOrchestrator::new(url, &settings)?);
    health.report(Part::Orchestrator, State::Active, "");
    let about = settings.about;
    Ok(Some(Asked { guard: Guard::new(http, settings, Some(health.clone())), about }))
}

/// Serves until `shutdown` completes; calls `ready` with `http` or `https` once it takes connections. At the end readiness
/// fails, nothing new is accepted, the open connections are told when to come back, and what is
/// queued is written.
///
/// # Errors
/// When the data folder cannot be used.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce(&str) + Send,
) -> anyhow::Result<()> {
    if config.auth.dev && !listener.local_addr()?.ip().is_loopback() {
        bail!(
            "--dev hands a token to whoever asks, so it listens on loopback only; \
             expected an address like 127.0.0.1:4242, received {}",
            listener.local_addr()?
        );
    }
    let tls = Tls::open(&config.tls)?;
    let is_tls = tls.is_some();
    let (dev, http) = (config.auth.dev, config.http.clone());
    let server = Server::open(config).await?;
    let guard = server.shared.guard.clone();
    let routes = routes::with_page(server.shared.clone(), dev);
    let stopping = CancellationToken::new();
    let listener = Listener { tcp: listener, tls: tls.clone(), http, guard };
    let serving = tokio::spawn(listener.serve(routes, stopping.clone()));
    let watching = tls.map(|tls| tokio::spawn(async move { tls.watch().await }));
    ready(if is_tls { "https" } else { "http" });
    shutdown.await;
    tracing::info!("stopping: telling the connections when to come back");
    let shutdown = &server.shared.shutdown;
    server.shared.health.stop();
    tokio::time::sleep(shutdown.unready.get()).await;
    stopping.cancel();
    server.stop();
    // Requests that are under way get the same time as connections.
    match tokio::time::timeout(shutdown.deadline.get(), serving).await {
        Ok(served) => served?,
        Err(_) => tracing::warn!("some requests were not answered in time"),
    }
    server.close().await;
    if let Some(watching) = watching {
        watching.abort();
    }
    tracing::info!("stopped");
    Ok(())
}

/// Measures what is not counted up and down, until the server is gone.
async fn sample(bridge: Weak<Bridge>) {
    let work = |state| Sampled::new(metrics::gauge!(metrics::WORK, "state" => state));
    let mut states = ["waiting", "offered", "working", "away"].map(work);
    let mut serving = Sampled::new(metrics::gauge!(metrics::AGENTS_SERVING));
    let mut every = tokio::time::interval(METRICS_UPKEEP);
    loop {
        every.tick().await;
        let Some(bridge) = bridge.upgrade() else { return };
        let figures = bridge.figures();
        let counts = [figures.waiting, figures.offered, figures.with, figures.away];
        for (state, count) in states.iter_mut().zip(counts) {
            state.set(count);
        }
        serving.set(figures.serving);
    }
}

/// Tells whether the keys for tokens can be had.
async fn watch_keys(gate: Arc<Gate>, health: Arc<Health>) {
    let mut every = tokio::time::interval(KEYS_WATCHED_EVERY);
    loop {
        every.tick().await;
        match gate.keys().trouble() {
            Some(reason) => health.report(Part::Keys, State::Degraded, reason),
            None => health.report(Part::Keys, State::Active, ""),
        };
    }
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
