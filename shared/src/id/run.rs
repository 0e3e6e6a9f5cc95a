use std::{fmt, str::FromStr, sync::Arc};

use super::{IdError, IdProblem, ThreadId, bad_character, is_lower_hex, serde_as_str};
use crate::limits::{RUN_ID_BYTES_MAX, RUN_MS_DIGITS_MAX};

const INFIX: &str = "_run_";
const LEGACY_PREFIX: &str = "run_";
const SUFFIX_HEX: usize = 8;
const LEGACY_HEX: std::ops::RangeInclusive<usize> = 8..=32;
const OPAQUE_HEX: usize = 12;
const UNIX_MS_MAX: u64 = 10_u64.pow(RUN_MS_DIGITS_MAX as u32) - 1;
const EXPECTED: &str = "`thread_{key}_run_{unix_ms}_{8 lower-case hex}` \
     (or one of the legacy forms `run_{thread}_{8 to 32 hex}`, `run_{12 hex}`, a UUID)";

/// What a run's id says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunForm {
    /// `thread_{key}_run_{unix_ms}_{8 hex}`: the form that [`RunId::generate`] makes.
    Standard {
        /// The thread in the id.
        thread: ThreadId,
        /// When the id was made, milliseconds since 1970.
        unix_ms: u64,
    },
    /// `run_{thread}_{hex}`, the thread with or without its prefix.
    EmbeddedLegacy {
        /// The thread in the id, its prefix restored.
        thread: ThreadId,
    },
    /// `run_{12 hex}` or a UUID: names no thread. Only who remembers it can know.
    Opaque,
    /// A thread's own id where a run's was expected. It stands for itself.
    Thread {
        /// The thread it is.
        thread: ThreadId,
    },
}

/// The id of a run, in any of the forms that arrive; [`RunId::form`] says which. Cheap to clone.
///
/// Two ids are equal when their texts are: a legacy id is kept as it came.
#[derive(Clone)]
pub struct RunId {
    text: Arc<str>,
    form: RunForm,
}

impl RunId {
    /// A new standard id for a run of `thread`, made at `unix_ms` (milliseconds since 1970).
    ///
    /// The four random bytes keep apart runs that one thread starts in the same millisecond. A time
    /// of more than `RUN_MS_DIGITS_MAX` digits, which only a broken clock gives, is cut to the
    /// latest that an id can hold.
    #[must_use]
    pub fn generate(thread: &ThreadId, unix_ms: u64, random: [u8; 4]) -> Self {
        let unix_ms = unix_ms.min(UNIX_MS_MAX);
        let suffix = u32::from_be_bytes(random);
        let text = format!("{thread}{INFIX}{unix_ms}_{suffix:08x}").into();
        Self { text, form: RunForm::Standard { thread: thread.clone(), unix_ms } }
    }

    /// The standard id that an opaque legacy run of `thread` gets when it is migrated.
    ///
    /// Always the same for the same arguments, so that migrating twice gives one id.
    #[must_use]
    pub fn migrate(&self, thread: &ThreadId, unix_ms: u64) -> Self {
        // FNV-1a, 32 bits: stable across versions, which `std`'s hasher does not promise.
        let hash = self
            .text
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self::generate(thread, unix_ms, hash.to_be_bytes())
    }

    /// The whole id, as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which form it has, with what could be read from it.
    #[must_use]
    pub fn form(&self) -> &RunForm {
        &self.form
    }

    /// The thread that the id itself names, if it names one.
    #[must_use]
    pub fn embedded_thread(&self) -> Option<&ThreadId> {
        match &self.form {
            RunForm::Standard { thread, .. }
            | RunForm::EmbeddedLegacy { thread }
            | RunForm::Thread { thread } => Some(thread),
            RunForm::Opaque => None,
        }
    }
}

/// Splits `{head}_run_{unix_ms}_{8 hex}` from the right.
pub(super) fn split_run_suffix(text: &str) -> Option<(&str, u64)> {
    let (rest, hex) = text.split_at_checked(text.len().checked_sub(SUFFIX_HEX)?)?;
    if !is_lower_hex(hex) {
        return None;
    }
    let rest = rest.strip_suffix('_')?;
    let digits_at = rest.len() - rest.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (rest, digits) = rest.split_at_checked(digits_at)?;
    let canonical = (1..=RUN_MS_DIGITS_MAX).contains(&digits.len())
        && (digits == "0" || !digits.starts_with('0'));
    if !canonical {
        return None;
    }
    let head = rest.strip_suffix(INFIX)?;
    let unix_ms = digits.bytes().fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'));
    Some((head, unix_ms))
}

fn is_uuid(text: &str) -> bool {
    text.len() == uuid::fmt::Hyphenated::LENGTH && uuid::Uuid::try_parse(text).is_ok()
}

fn read_form(text: &str) -> Result<RunForm, IdProblem> {
    if text.is_empty() {
        return Err(IdProblem::Empty);
    }
    if text.len() > RUN_ID_BYTES_MAX {
        return Err(IdProblem::TooLong { len: text.len(), max: RUN_ID_BYTES_MAX });
    }
    if let Some(problem) = bad_character(text) {
        return Err(problem);
    }
    if let Some((head, unix_ms)) = split_run_suffix(text)
        && head.starts_with("thread_")
    {
        return Ok(RunForm::Standard { thread: ThreadId::of_key_bytes(head)?, unix_ms });
    }
    if text.starts_with("thread_") {
        let thread = text.parse().map_err(|error: IdError| match error.problem {
            IdProblem::LooksLikeRun => IdProblem::BadForm,
            other => other,
        })?;
        return Ok(RunForm::Thread { thread });
    }
    if let Some(rest) = text.strip_prefix(LEGACY_PREFIX) {
        if rest.len() == OPAQUE_HEX && is_lower_hex(rest) {
            return Ok(RunForm::Opaque);
        }
        let underscore = rest.bytes().rposition(|byte| byte == b'_').ok_or(IdProblem::BadForm)?;
        let (thread, hex) = rest.split_at_checked(underscore).ok_or(IdProblem::BadForm)?;
        let hex = hex.strip_prefix('_').ok_or(IdProblem::BadForm)?;
        if !LEGACY_HEX.contains(&hex.len()) || !is_lower_hex(hex) || thread.is_empty() {
            return Err(IdProblem::BadForm);
        }
        let thread = ThreadId::from_key(thread).map_err(|e| e.problem)?;
        return Ok(RunForm::EmbeddedLegacy { thread });
    }
    if is_uuid(text) { Ok(RunForm::Opaque) } else { Err(IdProblem::BadForm) }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read_form(text)
            .map(|form| Self { text: text.into(), form })
            .map_err(|problem| IdError::new(problem, EXPECTED, text))
    }
}

impl PartialEq for RunId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RunId {}

impl std::hash::Hash for RunId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for RunId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RunId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::borrow::Borrow<str> for RunId {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serde_as_str!(RunId, "a run's id, `thread_{key}_run_{unix_ms}_{8 hex}` or a legacy form");
