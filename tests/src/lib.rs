//! What the tests in `tests/` stand on: a real `rethread` process that can be killed, a proxy that can
//! cut and stall, and plain clients that know only PROTOCOL.md.
//!
//! - [`server::Server`][]: the process;
//! - [`document::Document`][]: a document whose commands are run;
//! - [`proxy::Proxy`][]: the network between;
//! - [`orchestrator::Orchestrator`][]: a lookup of runs that can be slow, wrong, stopped or dead;
//! - [`api::Api`][]: HTTP;
//! - [`socket::Socket`][]: one WebSocket connection, frame by frame;
//! - [`sse::Sse`][]: one stream of server-sent events;
//! - [`follower::Follower`][]: a subscriber that comes back, and keeps a record of what it was given;
//! - [`publisher::Publisher`][]: a publisher that comes back, and keeps a record of what was acknowledged.
//!
//! A test waits for conditions; [`DEADLINE`] only ends one that would wait for ever.
#![deny(missing_docs)]

pub mod api;
pub mod document;
pub mod follower;
pub mod make;
pub mod orchestrator;
pub mod proxy;
pub mod publisher;
pub mod server;
pub mod socket;
pub mod sse;

use std::{future::Future, time::Duration};

/// How long a test waits for something that should come at once, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something, and panics with `what` when it does not come within [`DEADLINE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Asks again and again until `probe` gives something; panics with `what` after [`DEADLINE`].
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    within(what, async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}
