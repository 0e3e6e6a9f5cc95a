use std::sync::Arc;

use rethread_shared::{WireError, limits::Announced};

use super::ConnectionId;

/// Where the connection is. Times are milliseconds on the caller's clock.
#[derive(Debug)]
pub(super) enum State {
    /// `connect` has not been called.
    Idle,
    /// No connection; the next dial is at `until`, and no nudge may bring it before `not_before`.
    Waiting { until: u64, not_before: u64, attempt: u32, why: Lost },
    /// The driver fetches a token and opens a socket.
    Dialing { connection: ConnectionId, attempt: u32, wish: TokenWish },
    /// The socket is open, `hello` is sent, `welcome` must come.
    Greeting { connection: ConnectionId, attempt: u32, wish: TokenWish },
    /// Frames flow.
    Online(Online),
    /// Over for good.
    Closed(Closed),
}

/// What goes with an open connection.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) connection: ConnectionId,
    /// When `welcome` came.
    pub(super) since: u64,
    /// The server's heartbeat, milliseconds.
    pub(super) heartbeat: u64,
    pub(super) limits: Announced,
    /// When something was last sent and heard.
    pub(super) sent_at: u64,
    pub(super) heard_at: u64,
}

impl State {
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Dialing { connection, .. } | Self::Greeting { connection, .. } => {
                Some(*connection)
            }
            Self::Online(online) => Some(online.connection),
            Self::Idle | Self::Waiting { .. } | Self::Closed(_) => None,
        }
    }
}

/// What a person is told about the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not yet connecting.
    Idle,
    /// Dialing, or greeting the server.
    Connecting {
        /// Which attempt this is since the last good connection; 0 is the very first.
        attempt: u32,
    },
    /// Connected; events flow.
    Online,
    /// The connection is lost; the next attempt is at `until`.
    Waiting {
        /// When the next attempt is made, milliseconds on the caller's clock.
        until: u64,
        /// Which attempt that will be.
        attempt: u32,
        /// What happened to the connection.
        why: Lost,
    },
    /// As [`Status::Waiting`], and the device says that it has no network. An attempt is made all
    /// the same, seldom, because such word is not always right.
    Offline {
        /// When the next attempt is made, milliseconds on the caller's clock.
        until: u64,
    },
    /// Over for good: nothing will be tried any more.
    Closed(Closed),
}

/// Why a connection is gone, when it will be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It could not be opened, or broke without a close frame.
    Failed,
    /// Opening it, or the server's welcome, took too long.
    TimedOut,
    /// Nothing was heard for too long.
    Silent,
    /// The server closed it, with this code.
    Closed(u16),
    /// The server said goodbye: it stops or restarts.
    Goodbye,
    /// The server asked for a new token.
    TokenRefused,
    /// What came could not be read.
    Unreadable,
    /// This side left, to come back with fewer agents served.
    Left,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// [`super::Session::close`] was called.
    Asked,
    /// The server closed the connection with a code that says not to come back.
    ByServer(u16),
    /// The token was refused, and there was no new one, or that was refused as well.
    Unauthorized(Option<Arc<WireError>>),
}

/// Which token a dial needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenWish {
    /// Any that may still be good: the one from before will do.
    Current,
    /// The one from before was refused, or ends soon. A new one, or [`super::Session::handle_no_token`].
    New,
}
