//! The Rethread client.
//!
//! - [`session`]: the protocol as a state machine that does no I/O. It has no clock, no randomness
//!   and no sockets of its own; a driver brings them. The browser's driver is `client-wasm`.
//! - `native` (feature `native`): the driver over tokio, with [`native::Client`] for subscribers and
//!   [`native::Emitter`] for agents.
#![cfg_attr(not(feature = "native"), allow(rustdoc::broken_intra_doc_links))]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(feature = "native")]
pub mod native;
pub mod session;

#[cfg(feature = "native")]
pub use native::{Client, Config};
pub use session::Session;

/// Here and not among the integration tests, so that what it breaks on purpose exists in test
/// builds of this crate only.
#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
