use rethread_shared::{EventId, ThreadId, WireError};

use crate::session::Closed;

/// What can go wrong in a native client. Lost connections are not among it: they are repaired.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that can be connected to.
    #[error(
        "{0:?} is no address of a Rethread server; expected http://, https://, ws:// or wss://"
    )]
    BadUrl(String),
    /// The client is over for good.
    #[error("the client is closed: {}", describe(.0))]
    Closed(Closed),
    /// The server refused the request.
    #[error("the server refused: {0}")]
    Refused(WireError),
    /// Some of an emitter's earlier events could not be delivered. Reported once, by the first call
    /// after it; that call's own event has not been taken.
    #[error("{count} earlier events of the run could not be delivered, first: {error}")]
    Undelivered {
        /// How many.
        count: usize,
        /// The ids of the first of them.
        events: Vec<EventId>,
        /// Why the first was refused.
        error: WireError,
    },
    /// The thread is followed by another [`super::Subscription`] of this client already.
    #[error("this client follows {0} already")]
    AlreadySubscribed(ThreadId),
    /// The agent is served by another [`super::WorkStream`] of this client already.
    #[error("this client serves {0:?} already")]
    AlreadyServing(String),
    /// The event or message is larger than the server takes.
    #[error("{bytes} bytes are too many, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A value could not be written as JSON.
    #[error("the value cannot be JSON: {0}")]
    NotJson(String),
}

fn describe(closed: &Closed) -> String {
    match closed {
        Closed::Asked => "close was called".into(),
        Closed::ByServer(code) => format!("the server closed with {code}, which means stop"),
        Closed::Unauthorized(Some(error)) => format!("the token was refused: {error}"),
        Closed::Unauthorized(None) => "the token was refused".into(),
    }
}
