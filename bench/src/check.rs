//! Is what arrives the log? Checked while it is measured, by scanning bytes: no JSON is parsed.
//!
//! Every event carries its publisher's number (see [`crate::events`]). A thread has one publisher
//! that never has two publishes of a thread under way out of order, so the number must equal the
//! `seq` that the server gave: that shows what a correct-looking numbering would hide. A server that
//! numbers nothing is held to the publisher's number alone.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::events::{DUE_DIGITS, MARK, NUMBER_DIGITS};

static SEQ: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""seq":"#));
static FIRST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""first":"#));
static EPOCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""epoch":""#));
static AFTER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""after":"#));
static MARKED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));
static DUPLICATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""duplicate":true"#));

const EVENTS: &[u8] = br#"{"op":"events","thread":""#;

/// What a server did wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The frame is not one of events as PROTOCOL.md describes it.
    #[error("not an events frame as PROTOCOL.md describes it ({0}): {1}")]
    Unreadable(&'static str, String),
    /// An event of a thread that was not asked for.
    #[error("asked for {expected}, a frame of {received} came")]
    WrongThread {
        /// What was subscribed to.
        expected: String,
        /// What came.
        received: String,
    },
    /// What came does not continue where the last ended.
    #[error("after event {last} came event {first}: {}",
        if *first > last + 1 { "events are lost" } else { "events are repeated" })]
    Broken {
        /// The last event that came.
        last: u64,
        /// The next.
        first: u64,
    },
    /// The events of a frame are not the ones that its head names.
    #[error("within a frame event {expected} was due, {received} came")]
    OutOfOrder {
        /// The seq that was due.
        expected: u64,
        /// The seq that came.
        received: u64,
    },
    /// The event at this place is another than was published there.
    #[error("at seq {seq} stands the event that was published as number {number}")]
    WrongEvent {
        /// Its place.
        seq: u64,
        /// The publisher's number of it.
        number: u64,
    },
    /// Events are missing at the end.
    #[error("{thread} ends at {head}, a subscriber has seen {last}")]
    Unfinished {
        /// The thread.
        thread: String,
        /// Its last event.
        head: u64,
        /// The last that was delivered.
        last: u64,
    },
    /// A publish was not answered as it must be.
    #[error("a publish was answered wrongly ({0}): {1}")]
    WrongAnswer(&'static str, String),
}

/// The start of a frame, for a message.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}

/// One subscriber of one thread.
#[derive(Debug)]
pub(crate) struct Follower {
    thread: String,
    last: u64,
    /// What brings it back to where it was: the epoch, or whatever else its server wants to hear.
    mark: String,
}

impl Follower {
    /// A subscriber that begins after so many events.
    pub(crate) fn after(thread: &str, last: u64) -> Self {
        Self { thread: thread.to_owned(), last, mark: String::new() }
    }

    /// The last event that came.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// What brings it back to where it was.
    pub(crate) fn mark(&self) -> Option<&str> {
        Some(&*self.mark).filter(|mark| !mark.is_empty())
    }

    /// Remembers what brings it back.
    pub(crate) fn set_mark(&mut self, mark: &[u8]) {
        self.mark.clear();
        self.mark.push_str(&String::from_utf8_lossy(mark));
    }

    /// Takes the answer to a subscription: where it begins.
    ///
    /// # Errors
    /// When that is another place than was asked for.
    pub(crate) fn begin(&mut self, subscribed: &[u8]) -> Result<(), Fault> {
        let unreadable = |what| Fault::Unreadable(what, excerpt(subscribed));
        let at =
            EPOCH.find(subscribed).ok_or_else(|| unreadable("`epoch`"))? + EPOCH.needle().len();
        let epoch = &subscribed[at..];
        let epoch = &epoch[..memchr::memchr(b'"', epoch).ok_or_else(|| unreadable("`epoch`"))?];
        let at =
            AFTER.find(subscribed).ok_or_else(|| unreadable("`after`"))? + AFTER.needle().len();
        let (after, _) = number(&subscribed[at..]).ok_or_else(|| unreadable("`after`"))?;
        if after != self.last {
            return Err(Fault::Broken { last: self.last, first: after + 1 });
        }
        self.set_mark(epoch);
        Ok(())
    }

    /// Takes a message of a server that knows nothing of events: each is found by its mark. Gives
    /// the number of events.
    ///
    /// # Errors
    /// When it does not hold exactly what had to come next.
    pub(crate) fn take_marked(
        &mut self,
        message: &[u8],
        mut each: impl FnMut(u64),
    ) -> Result<u64, Fault> {
        let unreadable = || Fault::Unreadable("the publisher's number", excerpt(message));
        let (mut rest, mut events) = (message, 0);
        while let Some(at) = MARKED.find(rest) {
            let marked = &rest[at + MARK.len()..];
            let (number, due) = marks(marked).ok_or_else(unreadable)?;
            if number != self.last + 1 {
                return Err(Fault::Broken { last: self.last, first: number });
            }
            each(due);
            self.last = number;
            events += 1;
            rest = &marked[NUMBER_DIGITS + 1 + DUE_DIGITS..];
        }
        if events == 0 { Err(unreadable()) } else { Ok(events) }
    }

    /// Takes a frame; tells `each` when each of its events should have been sent (microseconds on
    /// the generator's clock). Gives the number of events.
    ///
    /// # Errors
    /// When the frame is not exactly what had to come next.
    pub(crate) fn take(&mut self, frame: &[u8], mut each: impl FnMut(u64)) -> Result<u64, Fault> {
        let unreadable = |what| Fault::Unreadable(what, excerpt(frame));
        let rest = frame.strip_prefix(EVENTS).ok_or_else(|| unreadable("its start"))?;
        if !rest.starts_with(self.thread.as_bytes()) || rest.get(self.thread.len()) != Some(&b'"') {
            let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
            let received = String::from_utf8_lossy(&rest[..end]).into_owned();
            return Err(Fault::WrongThread { expected: self.thread.clone(), received });
        }
        let at = FIRST.find(rest).ok_or_else(|| unreadable("`first`"))? + br#""first":"#.len();
        let (first, rest) = number(&rest[at..]).ok_or_else(|| unreadable("`first`"))?;
        let rest = rest.strip_prefix(br#","last":"#).ok_or_else(|| unreadable("`last`"))?;
        let (last, rest) = number(rest).ok_or_else(|| unreadable("`last`"))?;
        let mut rest =
            rest.strip_prefix(br#","events":["#).ok_or_else(|| unreadable("`events`"))?;
        if first != self.last + 1 {
            return Err(Fault::Broken { last: self.last, first });
        }
        let mut expected = first;
        while let Some(at) = SEQ.find(rest) {
            let (seq, after) =
                number(&rest[at + br#""seq":"#.len()..]).ok_or_else(|| unreadable("`seq`"))?;
            if seq != expected || seq > last {
                return Err(Fault::OutOfOrder { expected, received: seq });
            }
            let at = MARKED.find(after).ok_or_else(|| unreadable("the publisher's number"))?;
            let marked = &after[at + MARK.len()..];
            let (number, due) =
                marks(marked).ok_or_else(|| unreadable("the publisher's number"))?;
            if number != seq {
                return Err(Fault::WrongEvent { seq, number });
            }
            each(due);
            expected += 1;
            rest = &marked[NUMBER_DIGITS + 1 + DUE_DIGITS..];
        }
        if expected != last + 1 {
            return Err(Fault::OutOfOrder { expected, received: last + 1 });
        }
        self.last = last;
        Ok(last + 1 - first)
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    /// When the last event that came is not the thread's last.
    pub(crate) fn finish(&self, head: u64) -> Result<(), Fault> {
        if self.last == head {
            return Ok(());
        }
        Err(Fault::Unfinished { thread: self.thread.clone(), head, last: self.last })
    }
}

/// Checks the answer to a publish: every event stored, each at the seq that is expected, newly or
/// (`again`) as a repetition. Gives the number of events.
///
/// # Errors
/// When it says anything else.
pub(crate) fn stored(
    answer: &[u8],
    expected: impl Iterator<Item = u64>,
    again: bool,
) -> Result<u64, Fault> {
    let wrong = |what| Fault::WrongAnswer(what, excerpt(answer));
    let (mut rest, mut events) = (answer, 0);
    for seq in expected {
        let at = SEQ.find(rest).ok_or_else(|| wrong("a result is missing or a refusal"))?;
        let (received, after) =
            number(&rest[at + br#""seq":"#.len()..]).ok_or_else(|| wrong("`seq`"))?;
        if received != seq {
            return Err(wrong("an event was stored at another place than its number"));
        }
        events += 1;
        rest = after;
    }
    if SEQ.find(rest).is_some() {
        return Err(wrong("more results than events"));
    }
    let duplicates = DUPLICATE.find_iter(answer).count() as u64;
    if duplicates != if again { events } else { 0 } {
        return Err(wrong(if again {
            "a repetition was stored"
        } else {
            "taken for a repetition"
        }));
    }
    Ok(events)
}

/// The `req` of a `published` frame; `None` for any other.
pub(crate) fn published(frame: &[u8]) -> Option<u64> {
    number(frame.strip_prefix(br#"{"op":"published","req":"#)?).map(|(req, _)| req)
}

/// The number that the bytes begin with, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut digits = 0;
    while let Some(digit) =
        bytes.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10)
    {
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        digits += 1;
    }
    (digits > 0).then(|| (value, &bytes[digits..]))
}

/// The publisher's number and the time at which the event should have been sent.
fn marks(bytes: &[u8]) -> Option<(u64, u64)> {
    let (number_, rest) = bytes.split_at_checked(NUMBER_DIGITS)?;
    let due = rest.strip_prefix(b"@")?.get(..DUE_DIGITS)?;
    Some((number(number_)?.0, number(due)?.0))
}

#[cfg(test)]
mod tests;
