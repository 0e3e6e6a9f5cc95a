//! Asks by HTTP: `GET {base}/runs/{run}` is answered with 200 and `{"thread":"thread_…"}`, or with 404.

use std::time::Duration;

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use reqwest::{Client, StatusCode, Url, redirect};
use rethread_shared::{RunId, ThreadId, limits::ORCHESTRATOR_ANSWER_BYTES_MAX};
use serde::Deserialize;

use super::{Orchestrator, OrchestratorError, settings::OrchestratorSettings};
use crate::config::Secret;

/// An orchestrator behind HTTP.
pub struct HttpOrchestrator {
    client: Client,
    base: Url,
    token: Option<Secret>,
    timeout: Duration,
}

impl std::fmt::Debug for HttpOrchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOrchestrator")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl HttpOrchestrator {
    /// One at `url`.
    ///
    /// # Errors
    /// When `url` is no address, or TLS cannot be set up.
    pub fn new(url: &str, settings: &OrchestratorSettings) -> anyhow::Result<Self> {
        let base = Url::parse(url.trim_end_matches('/')).ok().filter(|base| {
            matches!(base.scheme(), "http" | "https")
                && base.has_host()
                && base.username().is_empty()
                && base.query().is_none()
                && base.fragment().is_none()
        });
        let base = base.with_context(|| {
            format!(
                "orchestrator.url: expected something like https://host/path, without user, query \
                 and fragment (a token goes into orchestrator.token); received {url:?}"
            )
        })?;
        // Only the first of these does something; one that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timeout = settings.timeout.get();
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(timeout)
            .timeout(timeout)
            .pool_max_idle_per_host(settings.in_flight.min(16))
            .user_agent(concat!("rethread/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Without it a machine that has no certificates could not even ask in plain text.
            client = client.tls_certs_only([]);
        }
        let client = client.build().context("orchestrator: TLS cannot be set up")?;
        Ok(Self { client, base, token: settings.token.clone(), timeout })
    }

    async fn ask(&self, run: &RunId) -> Result<Option<ThreadId>, OrchestratorError> {
        // A run's id has only characters that may stand in a path as they are.
        let url = format!("{}/runs/{run}", self.base.as_str().trim_end_matches('/'));
        let mut request = self.client.get(url).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            other => return Err(OrchestratorError::Status(other.as_u16())),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ORCHESTRATOR_ANSWER_BYTES_MAX {
                return Err(OrchestratorError::Garbled(format!(
                    "it has more than {ORCHESTRATOR_ANSWER_BYTES_MAX} bytes"
                )));
            }
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| OrchestratorError::Garbled(error.to_string()))?;
        Ok(Some(answer.thread))
    }

    fn failure(&self, error: &reqwest::Error) -> OrchestratorError {
        if error.is_timeout() {
            return OrchestratorError::Slow(self.timeout);
        }
        // The innermost says it: "connection refused" rather than "error sending request".
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        OrchestratorError::Unreachable(cause.to_string())
    }
}

#[derive(Deserialize)]
struct Answer {
    thread: ThreadId,
}

impl Orchestrator for HttpOrchestrator {
    fn thread_of<'a>(
        &'a self,
        run: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<ThreadId>, OrchestratorError>> {
        self.ask(run).boxed()
    }
}
