//! The driver over tokio.
