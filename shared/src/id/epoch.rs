use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{IdError, IdProblem, is_lower_hex, serde_as_str};

const EXPECTED: &str = "8 lower-case hex digits";

/// One incarnation of a thread's log. A log that was wiped or made anew has another epoch, so that
/// a client with an old position is told to begin again instead of being given the wrong events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u32);

impl Epoch {
    /// A new epoch from four random bytes.
    #[must_use]
    pub fn generate(random: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(random))
    }

    /// Bytes of its text.
    pub const TEXT_BYTES: usize = 8;

    /// Its text, in `room`.
    pub fn encode(self, room: &mut [u8; Self::TEXT_BYTES]) -> &str {
        for (place, digit) in room.iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(self.0 >> (4 * place)) as usize & 0xf];
        }
        std::str::from_utf8(room).expect("digits are text")
    }

    /// The epoch of a number that [`Epoch::to_u32`] gave.
    #[must_use]
    pub fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// The number it is kept as.
    #[must_use]
    pub fn to_u32(self) -> u32 {
        self.0
    }
}

impl FromStr for Epoch {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != Self::TEXT_BYTES || !is_lower_hex(text) {
            let problem = if text.is_empty() { IdProblem::Empty } else { IdProblem::BadForm };
            return Err(IdError::new(problem, EXPECTED, text));
        }
        u32::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| IdError::new(IdProblem::BadForm, EXPECTED, text))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; Self::TEXT_BYTES]))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_str!(Epoch, "an epoch, 8 hex digits");

/// A place in a thread's log: everything up to and including `seq` of that epoch has been seen.
/// `seq` 0 is before the first event.
///
/// Its text form, `{epoch}:{seq}`, is what SSE uses as an event's id and HTTP as `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The incarnation of the log that `seq` counts in.
    pub epoch: Epoch,
    /// The last event seen.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

impl FromStr for Position {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::new(IdProblem::BadForm, "`{epoch}:{seq}`, like `9f3a12bc:42`", text);
        let (epoch, seq) = text.split_once(':').ok_or_else(bad)?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        Ok(Self {
            epoch: epoch.parse().map_err(|_| bad())?,
            seq: if digits { seq.parse().map_err(|_| bad())? } else { return Err(bad()) },
        })
    }
}
