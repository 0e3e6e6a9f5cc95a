use std::{fmt, str::FromStr, sync::Arc};

use super::{IdError, IdProblem, bad_character, run::split_run_suffix, serde_as_str};
use crate::limits::THREAD_KEY_BYTES_MAX;

const PREFIX: &str = "thread_";
const EXPECTED: &str = "`thread_{key}`, the key 1 to 128 characters of A-Z a-z 0-9 _ - . ~";

/// The id of a thread: `thread_{key}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(Arc<str>);

impl ThreadId {
    /// A thread's id from its key. A key that already has the prefix is taken as the id it is, so
    /// that the prefix is never doubled.
    ///
    /// # Errors
    /// When the key is empty, too long, has a character outside the allowed ones, or ends like a
    /// run's id.
    pub fn from_key(key: &str) -> Result<Self, IdError> {
        let mut id = String::with_capacity(PREFIX.len() + key.len());
        if !key.starts_with(PREFIX) {
            id.push_str(PREFIX);
        }
        id.push_str(key);
        id.parse()
    }

    /// A new thread's id from 16 random bytes: 32 lower-case hex digits as its key.
    #[must_use]
    pub fn generate(random: [u8; 16]) -> Self {
        Self(format!("{PREFIX}{:032x}", u128::from_be_bytes(random)).into())
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id without its prefix.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// The same as parsing, of a text that is known to have no character but those of ids.
    pub(super) fn of_key_bytes(text: &str) -> Result<Self, IdProblem> {
        Self::check(text, None).map(|()| Self(text.into()))
    }

    /// `bad` is the character that may not be in it, if there is one.
    fn check(text: &str, bad: Option<IdProblem>) -> Result<(), IdProblem> {
        let Some(key) = text.strip_prefix(PREFIX) else {
            return Err(if text.is_empty() { IdProblem::Empty } else { IdProblem::BadForm });
        };
        if key.is_empty() {
            return Err(IdProblem::Empty);
        }
        if key.len() > THREAD_KEY_BYTES_MAX {
            let max = PREFIX.len() + THREAD_KEY_BYTES_MAX;
            return Err(IdProblem::TooLong { len: text.len(), max });
        }
        if let Some(problem) = bad {
            return Err(problem);
        }
        if key.starts_with(PREFIX) {
            return Err(IdProblem::DoubledPrefix);
        }
        if split_run_suffix(text).is_some() {
            return Err(IdProblem::LooksLikeRun);
        }
        Ok(())
    }
}

impl FromStr for ThreadId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::check(text, bad_character(text))
            .map(|()| Self(text.into()))
            .map_err(|problem| IdError::new(problem, EXPECTED, text))
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ThreadId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for ThreadId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

serde_as_str!(ThreadId, "a thread's id, `thread_{key}`");
