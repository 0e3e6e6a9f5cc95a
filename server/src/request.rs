//! What names a request in the logs, from its publisher to its last subscriber.
//!
//! Over HTTP it is the `X-Request-Id` that came, or one that is made, and stands in the answer. A
//! WebSocket's is that of its handshake, and each of its requests adds its `req`: `5f0c…-7`.

use crate::{log::RequestId, metrics::meters::Transport, now};
use rethread_shared::limits::REQUEST_ID_BYTES_MAX;

/// A request: its name, and how it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name in the logs.
    pub id: RequestId,
    /// How it came.
    pub transport: Transport,
}

impl Request {
    /// A request that nobody has named.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        let name = format!("{:016x}", u64::from_be_bytes(now::random())).into();
        Self { id: RequestId::new(name), transport }
    }

    /// A request with the name that came with it, if that is one: a few letters, digits and signs
    /// that break no line of a log.
    #[must_use]
    pub fn named(name: &str, transport: Transport) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
        let is_name =
            (1..=REQUEST_ID_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain);
        is_name.then(|| Self { id: RequestId::new(name.into()), transport })
    }

    /// A request within this one, such as a frame on a WebSocket.
    #[must_use]
    pub fn within(&self, number: u64) -> Self {
        Self { id: self.id.within(number), transport: self.transport }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_forge_a_line_is_none() {
        let named = |name: &str| {
            Request::named(name, Transport::Http).map(|request| request.id.to_string())
        };
        assert_eq!(named("0192-ab_C.d:e/f+g=@").as_deref(), Some("0192-ab_C.d:e/f+g=@"));
        for bad in ["", "a b", "a\nlevel=error", "a\"", "é", &"x".repeat(REQUEST_ID_BYTES_MAX + 1)]
        {
            assert_eq!(named(bad), None, "{bad:?}");
        }
        let made = Request::new(Transport::Http);
        assert!(named(&made.id.to_string()).is_some());
        assert_eq!(made.within(7).id.to_string(), format!("{}-7", made.id));
    }
}
