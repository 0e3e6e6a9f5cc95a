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
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            other => push_code_point(&mut out, other),
        }
    }
    if text.chars().nth(ERROR_ECHO_CHARS).is_some() {
        out.push('…');
    }
    out
}

/// `\u{…}`, by hand: this comes with every page, and the standard library's way is not small.
fn push_code_point(out: &mut String, character: char) {
    out.push_str("\\u{");
    let mut shift = 24;
    while shift > 0 {
        shift -= 4;
        let digit = (character as u32 >> shift) as u8;
        if digit > 0 || shift == 0 || !out.ends_with('{') {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit & 15)]));
        }
    }
    out.push('}');
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

#[cfg(test)]
mod tests {
    use super::echo;

    #[test]
    fn everything_but_quotes_is_escaped_as_the_standard_library_does() {
        for character in ('\0'..='\u{300}').chain(['–', '\u{feff}', '\u{ffff}', '😀', char::MAX])
        {
            let expected = match character {
                '"' | '\'' => character.to_string(),
                other => other.escape_default().to_string(),
            };
            assert_eq!(echo(&character.to_string()), expected);
        }
    }
}
