use std::sync::Arc;

use rethread_shared::frame::Work;
use tokio::sync::mpsc;

use super::request::{Handle, Request};

/// The work for one agent. Dropping it stops the offer.
#[derive(Debug)]
pub struct WorkStream {
    agent: String,
    work: mpsc::Receiver<Work>,
    handle: Arc<Handle>,
}

impl WorkStream {
    pub(super) fn new(agent: String, work: mpsc::Receiver<Work>, handle: Arc<Handle>) -> Self {
        Self { agent, work, handle }
    }

    /// The next message that a person has for the agent. `None` when the client is over.
    pub async fn next(&mut self) -> Option<Work> {
        self.work.recv().await
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.agent
    }
}

impl Drop for WorkStream {
    fn drop(&mut self) {
        self.handle.ask(Request::Unserve(std::mem::take(&mut self.agent)));
    }
}
