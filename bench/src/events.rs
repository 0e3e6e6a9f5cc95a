//! The events of the load: 250 bytes each as published, with an id, a number and a time in them.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use rethread_shared::EventId;

/// Bytes of an event as it is published. Delivered it has its `seq` and `at` besides.
pub(crate) const EVENT_BYTES: usize = 250;
/// What stands before the number in an event's text.
pub(crate) const MARK: &[u8] = b"\"~#";
/// Digits of the publisher's number.
pub(crate) const NUMBER_DIGITS: usize = 12;
/// Digits of the time at which the event should have been sent, in microseconds.
pub(crate) const DUE_DIGITS: usize = 16;

/// Random letters, of which each event takes others: what a disk stores compresses as little as text
/// of a model does, and no two events are alike.
const POOL_BYTES: usize = 64 * 1024;

const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// The publisher's side of one thread: the events of one run, numbered from 1.
#[derive(Debug)]
pub(crate) struct Source {
    start: Vec<u8>,
    delta: Vec<u8>,
    /// Where its padding begins, and how long it is.
    padding: (usize, usize),
    next: u64,
    random: Random,
}

static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(7);
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    (0..POOL_BYTES).map(|_| letters[random.next() as usize % letters.len()]).collect()
});

impl Source {
    /// The events of `run`, of [`EVENT_BYTES`] each. `seed` keeps the ids of two sources apart.
    pub(crate) fn new(run: &str, seed: u64) -> Self {
        Self::with_size(run, seed, EVENT_BYTES)
    }

    /// The events of `run`, of so many bytes each.
    pub(crate) fn with_size(run: &str, seed: u64, bytes: usize) -> Self {
        let (number, due) = ("0".repeat(NUMBER_DIGITS), "0".repeat(DUE_DIGITS));
        let start = format!(
            r#"{{"id":"{NO_ID}","run":"{run}","type":"agent_started","data":{{"agent":"bench","message":"~#{number}@{due}"}}}}"#
        );
        let delta = |padding: &str| {
            format!(
                r#"{{"id":"{NO_ID}","run":"{run}","type":"message_delta","data":{{"message_id":"m1","text":"~#{number}@{due} {padding}"}}}}"#
            )
        };
        let length = bytes.saturating_sub(delta("").len()).min(POOL_BYTES / 2);
        let from = memchr::memmem::find(delta("").as_bytes(), b" \"}}").expect("it has a text") + 1;
        Self {
            start: start.into_bytes(),
            delta: delta(&"x".repeat(length)).into_bytes(),
            padding: (from, length),
            next: 1,
            random: Random::new(seed),
        }
    }

    /// How many events have been made.
    pub(crate) fn made(&self) -> u64 {
        self.next - 1
    }

    /// Writes the next event: `agent_started` first, then deltas.
    pub(crate) fn write_next(&mut self, due_us: u64, unix_ms: u64, out: &mut Vec<u8>) {
        let number = self.next;
        self.next += 1;
        self.write_number(number, due_us, unix_ms, out);
    }

    /// Writes the event of a number.
    pub(crate) fn write_number(
        &mut self,
        number: u64,
        due_us: u64,
        unix_ms: u64,
        out: &mut Vec<u8>,
    ) {
        let from = out.len();
        out.extend_from_slice(if number == 1 { &self.start } else { &self.delta });
        let event = &mut out[from..];
        let (high, low) = (self.random.next(), self.random.next());
        let mut random = [0; 10];
        random[..8].copy_from_slice(&high.to_le_bytes());
        random[8..].copy_from_slice(&low.to_le_bytes()[..2]);
        write_uuid(EventId::generate(unix_ms, random), &mut event[br#"{"id":""#.len()..]);
        if number > 1 {
            let (at, length) = self.padding;
            let from = low as usize % (POOL_BYTES - length);
            event[at..at + length].copy_from_slice(&POOL[from..from + length]);
        }
        let mark = memchr::memmem::find(event, MARK).expect("the templates have it") + MARK.len();
        write_digits(number, &mut event[mark..mark + NUMBER_DIGITS]);
        let due = mark + NUMBER_DIGITS + 1;
        write_digits(due_us, &mut event[due..due + DUE_DIGITS]);
    }
}

/// Milliseconds since 1970, for ids.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn write_uuid(id: EventId, out: &mut [u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for (place, byte) in id.to_bytes().into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out[at] = b'-';
            at += 1;
        }
        out[at] = HEX[usize::from(byte >> 4)];
        out[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
}

fn write_digits(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// SplitMix64: enough to keep ids apart, and cheap.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use rethread_shared::{EventKind, event::Envelope};

    use super::*;

    #[test]
    fn events_are_what_the_server_takes_and_have_their_size() {
        let run = "thread_0123456789abcdef_run_1756919162904_9adf1f09";
        let mut source = Source::new(run, 3);
        let mut ids = std::collections::HashSet::new();
        for number in 1..=1_000 {
            let mut text = Vec::new();
            source.write_next(number * 5, 1_756_919_162_904, &mut text);
            let text = String::from_utf8(text).unwrap();
            let event = Envelope::read(&text).unwrap().check().unwrap();
            assert!(ids.insert(event.id.unwrap()), "ids are never the same");
            let started = number == 1;
            assert_eq!(event.kind == EventKind::AgentStarted, started);
            assert!(started || text.len() == EVENT_BYTES, "{} bytes", text.len());
            assert!(text.contains(&format!("~#{number:012}@{:016}", number * 5)));
        }
    }
}
