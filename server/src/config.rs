//! What a server is told at its start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use rethread_shared::limits::HEARTBEAT;

use crate::{
    bridge::{Patience, resolve::orchestrator::settings::OrchestratorSettings},
    metrics,
};

/// The settings of one server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The folder that holds the log.
    pub data: PathBuf,
    /// The secret that tokens are signed with.
    pub secret: String,
    /// True to hand out tokens to whoever asks. Only on loopback.
    pub dev: bool,
    /// See [`HEARTBEAT`].
    pub heartbeat: Duration,
    /// How patient it is with agents.
    pub patience: Patience,
    /// The metrics.
    pub metrics: metrics::Settings,
    /// The lookup outside of which thread a run belongs to.
    pub orchestrator: OrchestratorSettings,
}

impl Config {
    /// The defaults, on a port of the system's choice.
    #[must_use]
    pub fn new(data: PathBuf, secret: String) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data,
            secret,
            dev: false,
            heartbeat: HEARTBEAT,
            patience: Patience::default(),
            metrics: metrics::Settings::default(),
            orchestrator: OrchestratorSettings::default(),
        }
    }
}
