use std::fmt;

use crate::limits::ERROR_ECHO_CHARS;

/// What is wrong with an id's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdProblem {
    /// Nothing there.
    Empty,
    /// More bytes than the limit given here.
    TooLong {
        /// How many bytes came.
        len: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A character outside `A-Z a-z 0-9 _ - . ~`.
    BadCharacter {
        /// The character.
        character: char,
        /// Its place in the text, in bytes from 0.
        at: usize,
    },
    /// The form is none of those expected.
    BadForm,
    /// `thread_thread_…`: a prefix was put before an id that already had one.
    DoubledPrefix,
    /// A thread's id that ends like a run's; probably a run's id was passed where a thread's belongs.
    LooksLikeRun,
}

/// Why an id was refused: the problem, what was expected, and what came (shortened, escaped).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// What is wrong.
    pub problem: IdProblem,
    /// The form that would have been right, for a person to read.
    pub expected: &'static str,
    /// What came, with control characters escaped, at most `ERROR_ECHO_CHARS` characters.
    pub received: String,
}

impl IdError {
    pub(super) fn new(problem: IdProblem, expected: &'static str, received: &str) -> Self {
        Self { problem, expected, received: echo(received) }
    }
}

/// Shortens and escapes untrusted text for an error message. Quotes stay, so that JSON can be read.
pub(crate) fn echo(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(ERROR_ECHO_CHARS) {
        match character {
            '"' | '\'' => out.push(character),
            other => out.extend(other.escape_default()),
        }
    }
    if text.chars().nth(ERROR_ECHO_CHARS).is_some() {
        out.push('…');
    }
    out
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            IdProblem::Empty if self.received.is_empty() => f.write_str("the id is empty")?,
            IdProblem::Empty => f.write_str("the id has no key")?,
            IdProblem::TooLong { len, max } => {
                write!(f, "the id has {len} bytes, at most {max} are allowed")?;
            }
            IdProblem::BadCharacter { character, at } => {
                write!(f, "the id has the character {character:?} at byte {at}")?;
            }
            IdProblem::BadForm => f.write_str("the id has none of the known forms")?,
            IdProblem::DoubledPrefix => f.write_str("the id has its prefix `thread_` twice")?,
            IdProblem::LooksLikeRun => {
                f.write_str("this is a run's id where a thread's was expected")?;
            }
        }
        write!(f, "; expected {}, received \"{}\"", self.expected, self.received)
    }
}

impl std::error::Error for IdError {}
