//! Error codes and close codes: stable names for what went wrong, and what to do about each.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{IdError, RunId, ThreadId, mask_tokens};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $status:literal, $retry:literal;)+) => {
        /// The stable name of an error. A client decides by this, never by the message.
        ///
        /// A newer server may send codes that this version does not know: [`ErrorCode::Other`].
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)+
            /// A code from a newer peer, kept as it came.
            Other(String),
        }

        impl ErrorCode {
            /// Every code this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it travels.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$name => $text,)+ Self::Other(text) => text }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(&self) -> u16 {
                match self { $(Self::$name => $status,)+ Self::Other(_) => 500 }
            }

            /// True when the same request may succeed later without being changed.
            #[must_use]
            pub fn is_transient(&self) -> bool {
                match self { $(Self::$name => $retry,)+ Self::Other(_) => false }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text { $($text => Self::$name,)+ other => Self::Other(other.to_owned()) }
            }
        }
    };
}

error_codes! {
    /// The frame or body is not JSON of the expected shape.
    BadFrame = "bad_frame", 400, false;
    /// The frame's `op` is none that this server knows.
    UnknownOp = "unknown_op", 400, false;
    /// The frame or body is larger than allowed.
    FrameTooLarge = "frame_too_large", 413, false;
    /// `hello` must come first, once.
    HelloRequired = "hello_required", 400, false;
    /// The token is missing or not valid.
    Unauthorized = "unauthorized", 401, false;
    /// The token was valid until its expiry. Bring a new one.
    TokenExpired = "token_expired", 401, false;
    /// The token was revoked. Bring a new one.
    TokenRevoked = "token_revoked", 401, false;
    /// The keys to check the token with cannot be fetched now.
    KeysUnavailable = "keys_unavailable", 503, true;
    /// The token does not allow this kind of request.
    Forbidden = "forbidden", 403, false;
    /// There is no such thread, or the token does not grant it: both look the same.
    ThreadNotFound = "thread_not_found", 404, false;
    /// There is no such run in any thread that the token grants.
    RunNotFound = "run_not_found", 404, false;
    /// Nothing is at this address.
    NotFound = "not_found", 404, false;
    /// An id has none of the known forms.
    BadId = "bad_id", 422, false;
    /// The event lacks something its type needs, or is not shaped as it must be.
    BadEvent = "bad_event", 422, false;
    /// The event is larger than allowed.
    EventTooLarge = "event_too_large", 413, false;
    /// More events in one publish than allowed.
    TooManyEvents = "too_many_events", 413, false;
    /// No step of the resolution found the run's thread.
    RunUnresolved = "run_unresolved", 422, false;
    /// The run's id names another thread than the registry does.
    RunConflict = "run_conflict", 409, false;
    /// The event may not come now: the run is not in a state that allows it.
    RunOrder = "run_order", 409, false;
    /// The run has ended; nothing may follow.
    RunEnded = "run_ended", 409, false;
    /// A thread of that id exists and belongs to somebody else.
    ThreadTaken = "thread_taken", 409, false;
    /// The position is of another incarnation of the log, or beyond its end. Read from the start.
    PositionLost = "position_lost", 409, false;
    /// More threads followed by one connection than allowed.
    TooManySubscriptions = "too_many_subscriptions", 429, false;
    /// More unanswered publishes on one connection than allowed. Wait for answers.
    TooManyInFlight = "too_many_in_flight", 429, true;
    /// The server asks for a pause; `retry_after_ms` says how long.
    SlowDown = "slow_down", 429, true;
    /// The log cannot store now. Nothing of this request was acknowledged.
    LogUnavailable = "log_unavailable", 503, true;
    /// Only the orchestrator could know the run's thread, and it does not answer. Nothing was stored.
    OrchestratorUnavailable = "orchestrator_unavailable", 503, true;
    /// The server is stopping. Come back.
    ShuttingDown = "shutting_down", 503, true;
    /// A fault of the server's own.
    Internal = "internal", 500, true;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self::from(text.as_ref()))
    }
}

/// An error as it travels, in an `error` frame, in the result of an event, and as the `error`
/// member of an HTTP answer's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same for a person: what was expected, what came, what to do.
    pub message: String,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
    /// Each step that was tried to find a run's thread, and what it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
    /// How long to wait before trying again, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl WireError {
    /// An error with a message; the other members are added with the `with_*` methods.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: mask_tokens(message.into()),
            expected: None,
            received: None,
            tried: Vec::new(),
            retry_after_ms: None,
        }
    }

    /// The one answer for a thread that does not exist and for one that is not granted.
    #[must_use]
    pub fn thread_not_found(thread: &ThreadId) -> Self {
        Self::new(
            ErrorCode::ThreadNotFound,
            format!(
                "there is no thread {thread} that this token may use; \
                 create it with POST /v1/threads, or ask for a token that grants it"
            ),
        )
    }

    /// The one answer for a run that does not exist and for one whose thread is not granted.
    #[must_use]
    pub fn run_not_found(run: &RunId) -> Self {
        Self::new(
            ErrorCode::RunNotFound,
            format!("there is no run {run} in a thread that this token may use"),
        )
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what came; shortened and escaped.
    #[must_use]
    pub fn with_received(mut self, received: &str) -> Self {
        self.received = Some(mask_tokens(crate::id::echo(received)));
        self
    }

    /// Adds the steps that were tried.
    #[must_use]
    pub fn with_tried(mut self, tried: Vec<String>) -> Self {
        self.tried = tried;
        self
    }

    /// Adds how long to wait before trying again.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for WireError {}

impl From<IdError> for WireError {
    fn from(error: IdError) -> Self {
        Self {
            expected: Some(error.expected.to_owned()),
            received: Some(mask_tokens(error.received.clone())),
            ..Self::new(ErrorCode::BadId, error.to_string())
        }
    }
}

/// Why the server closes a WebSocket. The range of the number tells a client what to do, so that it
/// handles codes it has never heard of:
///
/// | range | what the client does |
/// |---|---|
/// | 4000 to 4199 | comes back by itself |
/// | 4200 to 4299 | comes back with a new token; without one it stops |
/// | 4500 to 4999 | stops and tells its user |
/// | anything else | comes back by itself |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum CloseCode {
    /// The server is stopping or restarting.
    GoingAway = 4000,
    /// This reader did not take what was written to it in time.
    SlowReader = 4001,
    /// Nothing came from the client for too long.
    Silent = 4002,
    /// No `hello` came in time.
    HelloTimeout = 4003,
    /// The keys to check the token with cannot be fetched now.
    KeysUnavailable = 4004,
    /// The token has expired.
    TokenExpired = 4200,
    /// The token was revoked.
    TokenRevoked = 4201,
    /// The token is not valid.
    Unauthorized = 4500,
    /// The client speaks something else than this protocol.
    ProtocolError = 4501,
}

/// What a client does after a close; see [`CloseCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseClass {
    /// Come back by itself.
    Transient,
    /// Come back with a new token.
    NewToken,
    /// Stop.
    Terminal,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// A short reason that goes with it in the close frame.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "going_away",
            Self::SlowReader => "slow_reader",
            Self::Silent => "silent",
            Self::HelloTimeout => "hello_timeout",
            Self::KeysUnavailable => "keys_unavailable",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::Unauthorized => "unauthorized",
            Self::ProtocolError => "protocol_error",
        }
    }
}

impl CloseClass {
    /// The class of any close code, known or not.
    #[must_use]
    pub fn of(number: u16) -> Self {
        match number {
            4200..=4299 => Self::NewToken,
            4500..=4999 => Self::Terminal,
            _ => Self::Transient,
        }
    }
}
