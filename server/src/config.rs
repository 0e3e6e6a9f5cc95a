//! What a server is told: every setting, where its value came from, and what is wrong with it.
//!
//! A group of settings is one struct, declared with [`settings!`]: name, type, default and text of each
//! setting stand in one place. From that one declaration come the struct itself, the file (TOML, a table
//! a group), the environment (`RETHREAD_GROUP_KEY`), the flags (`--group-key`), their help, the example
//! file and the print-out of what is in force. Later in this order wins: default, file, environment, flag.
//!
//! To add a setting, add it to its group; to add a group, declare it where it is used and name it in
//! [`Config`]. Then bring `docs/rethread.toml` up to date:
//! `cargo run -q -- config --example > docs/rethread.toml`.

mod agents;
mod auth;
mod http;
mod load;
mod log;
mod logs;
mod print;
pub(crate) mod setting;
mod shutdown;
mod value;

pub use agents::Agents;
pub use auth::Auth;
pub use http::Http;
pub use load::{ConfigError, InForce, Loaded, Origin, Sources};
pub use log::Log;
pub use logs::{LogFormat, Logs};
pub use print::example;
pub use setting::{Entry, Field, Group, Setting};
pub use shutdown::Shutdown;
pub use value::{Secret, Size, Span};

pub(crate) use setting::settings;

use std::path::PathBuf;

use crate::{
    bridge::{
        queue::QueueSettings,
        resolve::orchestrator::settings::OrchestratorSettings,
        settings::{RegistrySettings, RetentionSettings, RunSettings},
    },
    guard, health,
    listener::tls,
    metrics,
};

setting::groups! {
    /// The settings of one server.
    pub struct Config {
        /// The listener and its connections.
        http: Http,
        /// TLS.
        tls: tls::Settings,
        /// What one user and one address may take.
        limits: guard::Limits,
        /// How the server stops.
        shutdown: Shutdown,
        /// What may wait for the log.
        queue: QueueSettings,
        /// Who may do what.
        auth: Auth,
        /// The durable log.
        log: Log,
        /// How patient the server is with agents.
        agents: Agents,
        /// The orchestrator: a service of yours that knows which thread a run belongs to.
        orchestrator: OrchestratorSettings,
        /// The registry: which thread a run belongs to.
        registry: RegistrySettings,
        /// Runs that go on.
        runs: RunSettings,
        /// How long events are kept. Nothing is removed unless this says so, and no event of a run that
        /// goes on.
        retention: RetentionSettings,
        /// How the server finds out how it is.
        health: health::watch::Settings,
        /// The metrics.
        metrics: metrics::Settings,
        /// What the server writes about itself.
        logs: Logs,
    }
}

impl Config {
    /// The defaults, with this data folder and this secret for tokens.
    #[must_use]
    pub fn new(data: PathBuf, secret: impl Into<String>) -> Self {
        let mut config = Self::default();
        config.log.data = data;
        config.auth.secret = Some(Secret::new(secret));
        config
    }
}

#[cfg(test)]
mod tests;
