use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{IdError, IdProblem, serde_as_str};

const EXPECTED: &str = "a UUID in its hyphenated form (best version 7, which sorts by time)";

/// The id of an event: a UUID. Publishing the same id in the same thread again stores nothing and
/// is answered with the first `seq`; that is what makes a retry safe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// A UUIDv7 (RFC 9562, section 5.7) from a time in milliseconds since 1970 and ten random bytes.
    #[must_use]
    pub fn generate(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// Bytes of its text.
    pub const TEXT_BYTES: usize = uuid::fmt::Hyphenated::LENGTH;

    /// Its text, in `room`.
    pub fn encode(self, room: &mut [u8; Self::TEXT_BYTES]) -> &str {
        self.0.as_hyphenated().encode_lower(room)
    }

    /// The 16 bytes, big-endian, as stored on disk.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// From the 16 bytes that [`EventId::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::new(IdProblem::Empty, EXPECTED, text));
        }
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(IdError::new(IdProblem::BadForm, EXPECTED, text));
        }
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| IdError::new(IdProblem::BadForm, EXPECTED, text))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_str!(EventId, "an event's id, a UUID");
