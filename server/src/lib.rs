//! The Rethread server: finds the thread that a run belongs to, writes the run's events to that
//! thread's durable log, and carries them to everybody who follows it.
//!
//! Data flows one way: [`routes`] and [`socket`] take events in → [`bridge`] resolves, checks and
//! appends → [`log`] makes durable → [`feed`]s bring them to subscribers. Only `routes` and `socket`
//! know axum; the log knows nothing above it.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod auth;
pub mod bridge;
pub mod config;
pub mod connections;
pub mod feed;
pub mod health;
pub mod log;
pub mod metrics;
mod now;
pub mod routes;
pub mod server;
pub mod socket;
