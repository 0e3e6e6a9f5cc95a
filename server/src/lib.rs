//! The Rethread server: finds the thread that a run belongs to, writes the run's events to that
//! thread's durable log, and carries them to everybody who follows it.
//!
//! Data flows one way: [`routes`] and [`socket`] take events in → [`bridge`] resolves, checks and
//! appends → [`log`] makes durable → [`feed`]s bring them to subscribers. Only `routes` and `socket`
//! know axum; the log knows nothing above it.
//!
//! Two ways to use it: [`server::run`] is a process of its own, as `rethread serve` is; or a [`Server`]
//! is opened inside a program that has a web server, which mounts its [`router`] and publishes
//! and follows in the same process ([`Server::trusted`]). `docs/embedding.md` is the guide to that.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod archive;
pub mod auth;
pub mod bridge;
pub mod check;
pub mod config;
pub mod connections;
pub mod feed;
pub mod guard;
mod hash;
pub mod health;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod now;
pub mod origins;
pub mod refusals;
pub mod request;
pub mod routes;
mod schema;
pub mod server;
pub mod socket;
pub mod trusted;

pub use routes::{openapi, router};
pub use server::Server;
pub use trusted::Trusted;

/// The code in the guide compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
