//! The secret that tokens are signed with.

use anyhow::bail;
use rethread_shared::limits::SECRET_BYTES_MIN;

/// The secret, if it is long enough to be one.
pub(crate) fn checked(secret: String) -> anyhow::Result<String> {
    if secret.len() < SECRET_BYTES_MIN {
        bail!(
            "the secret has {} bytes; at least {SECRET_BYTES_MIN} are needed, \
             such as `openssl rand -hex 32` prints",
            secret.len()
        );
    }
    Ok(secret)
}
