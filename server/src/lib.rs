//! The Rethread server.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod log;
