//! Identifiers: threads, runs, events, epochs.
//!
//! Each is parsed once, at the edge, into a type that cannot hold a bad value. Every refusal is an
//! [`IdError`] that says what was expected and shows what came.
//!
//! | id | form | example |
//! |---|---|---|
//! | thread | `thread_{key}` | `thread_13679e4dcc38403a` |
//! | run, standard | `thread_{key}_run_{unix_ms}_{8 hex}` | `thread_13679e4dcc38403a_run_1756919162904_9adf1f09` |
//! | run, legacy with its thread | `run_{thread}_{8 to 32 hex}` | `run_thread_42_0a1b2c3d`, `run_42_0a1b2c3d` |
//! | run, opaque | `run_{12 hex}` or a UUID | `run_5d1f0c9a77e2` |
//!
//! A key may contain `_run_`, so a run is read from the right. What keeps that unambiguous is one
//! rule: a thread's id never *ends* like a run's.

mod epoch;
mod error;
mod event_id;
mod run;
mod thread;

pub use epoch::{Epoch, Position};
pub(crate) use error::echo;
pub use error::{IdError, IdProblem};
pub use event_id::EventId;
pub use run::{RunForm, RunId};
pub use thread::ThreadId;

/// True for the characters an id's key may hold: the unreserved ones of RFC 3986, so that an id
/// stands in a URL's path as it is.
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~')
}

/// The first character that an id may not hold, and where it stands. Looks at all bytes without
/// stopping, which for what an id is takes a few instructions.
fn bad_character(text: &str) -> Option<IdProblem> {
    if text.bytes().fold(true, |good, byte| good & is_key_byte(byte)) {
        return None;
    }
    let (at, character) =
        text.char_indices().find(|(_, c)| !c.is_ascii() || !is_key_byte(*c as u8))?;
    Some(IdProblem::BadCharacter { character, at })
}

fn is_lower_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Serde by way of `FromStr` and `as_str`, so that a frame with a bad id is refused as it is read.
macro_rules! serde_as_str {
    ($type:ty, $expects:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expects)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}
use serde_as_str;
