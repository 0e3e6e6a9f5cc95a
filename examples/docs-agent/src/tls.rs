//! The one TLS provider of this process, for the socket and for the model's HTTP.

/// Installs it. Again is harmless. Without it the first `https` or `wss` address would panic.
pub(crate) fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
