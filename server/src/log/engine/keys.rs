//! Keys on disk. Big-endian, so that they sort by number. **Frozen**: data folders in the field
//! hold these bytes; a new layout gets a new keyspace name.

use rethread_shared::{EventId, RunId, ThreadId};

use crate::log::{Cut, Past};

/// `events`: thread number, seq → the event's text without `seq`.
#[must_use]
pub fn event(no: u64, seq: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&no.to_be_bytes());
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The seq in an `events` key, if it is one.
#[must_use]
pub fn event_seq(key: &[u8]) -> Option<u64> {
    (key.len() == 16).then(|| number(&key[8..])).flatten()
}

/// `ids`: thread number, event id → seq.
#[must_use]
pub fn id(no: u64, id: EventId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&no.to_be_bytes());
    key[8..].copy_from_slice(&id.to_bytes());
    key
}

/// The event's id in an `ids` key, if it is one.
#[must_use]
pub fn id_event(key: &[u8]) -> Option<EventId> {
    let id = key.get(8..).and_then(|id| id.try_into().ok());
    id.map(EventId::from_bytes)
}

/// `owners`: owner, a zero byte, thread number → thread id. The owner's bytes come with their
/// length first, so that no owner's keys are a prefix of another's.
#[must_use]
pub fn owner(owner: &str, no: u64) -> Vec<u8> {
    let mut key = owner_prefix(owner);
    key.extend_from_slice(&no.to_be_bytes());
    key
}

/// What all `owners` keys of one owner begin with.
#[must_use]
pub fn owner_prefix(owner: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(owner.len() + 12);
    key.extend_from_slice(&(owner.len() as u32).to_be_bytes());
    key.extend_from_slice(owner.as_bytes());
    key
}

/// `thread_runs`: thread, when the run was made, run → nothing. The thread's bytes come with their
/// length first, as an owner's do; the newest run of a thread is its last key.
#[must_use]
pub fn thread_run(thread: &ThreadId, created_at: u64, run: &RunId) -> Vec<u8> {
    let mut key = thread_runs_prefix(thread);
    key.extend_from_slice(&created_at.to_be_bytes());
    key.extend_from_slice(run.as_str().as_bytes());
    key
}

/// What all `thread_runs` keys of one thread begin with.
#[must_use]
pub fn thread_runs_prefix(thread: &ThreadId) -> Vec<u8> {
    owner_prefix(thread.as_str())
}

/// The run in a `thread_runs` key of this thread, if it is one.
#[must_use]
pub fn thread_run_run(thread: &ThreadId, key: &[u8]) -> Option<RunId> {
    let rest = key.get(thread_runs_prefix(thread).len() + 8..)?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}

/// `idle`: since when a run is idle, run → nothing. The longest idle run is the first key.
#[must_use]
pub fn idle(since: u64, run: &RunId) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + run.as_str().len());
    key.extend_from_slice(&since.to_be_bytes());
    key.extend_from_slice(run.as_str().as_bytes());
    key
}

/// What is in an `idle` key, if it is one.
#[must_use]
pub fn idle_parts(key: &[u8]) -> Option<(u64, RunId)> {
    let (since, run) = key.split_at_checked(8)?;
    Some((number(since)?, std::str::from_utf8(run).ok()?.parse().ok()?))
}

/// `past`: thread → until when, until which seq.
#[must_use]
pub fn past(past: Past) -> [u8; 16] {
    event(past.until_ms, past.until_seq)
}

/// What is in a value of `past`, if it is one.
#[must_use]
pub fn past_parts(value: &[u8]) -> Option<Past> {
    let (until_ms, until_seq) = value.split_at_checked(8)?;
    Some(Past { until_ms: number(until_ms)?, until_seq: number(until_seq)? })
}

/// `firsts`: thread number → the seq of the first event that is kept, and until when the runs of those
/// that are not were made. No row where all are kept.
#[must_use]
pub fn cut(cut: Cut) -> [u8; 16] {
    event(cut.first, cut.until_ms)
}

/// What is in a value of `firsts`, if it is that of a thread.
#[must_use]
pub fn cut_parts(value: &[u8]) -> Option<Cut> {
    let (first, until_ms) = value.split_at_checked(8)?;
    Some(Cut { first: number(first)?, until_ms: number(until_ms)? })
}

/// `firsts`: the row that probes write. No thread has the number 0.
pub const PROBE: [u8; 8] = 0_u64.to_be_bytes();

/// A number of eight big-endian bytes.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_sort_by_thread_then_seq_and_read_back() {
        let pairs = [(1, 1), (1, 2), (1, 255), (1, 256), (2, 1), (u64::MAX, u64::MAX)];
        for (a, b) in pairs.iter().zip(&pairs[1..]) {
            assert!(event(a.0, a.1) < event(b.0, b.1));
        }
        for (no, seq) in pairs {
            assert_eq!(event_seq(&event(no, seq)), Some(seq));
        }
        assert_eq!(event_seq(b"short"), None);
    }

    #[test]
    fn no_owner_is_a_prefix_of_another() {
        assert!(!owner("ann\0bob", 1).starts_with(&owner_prefix("ann")));
        assert!(!owner("annabel", 1).starts_with(&owner_prefix("ann")));
        assert!(owner("ann", 7).starts_with(&owner_prefix("ann")));
    }

    fn runs() -> impl Strategy<Value = (ThreadId, RunId)> {
        ("[A-Za-z0-9_.~-]{1,40}", 0..10_u64.pow(15), any::<[u8; 4]>(), 0..4_u8).prop_filter_map(
            "not every key is a thread's",
            |(key, ms, random, form)| {
                let thread = ThreadId::from_key(&key).ok()?;
                let hex = u32::from_be_bytes(random);
                let run = match form {
                    0 => RunId::generate(&thread, ms, random),
                    1 => format!("run_{key}_{hex:08x}").parse().ok()?,
                    2 => format!("run_{hex:012x}").parse().ok()?,
                    _ => thread.as_str().parse().ok()?,
                };
                Some((thread, run))
            },
        )
    }

    proptest! {
        #[test]
        fn a_run_is_read_back_from_its_threads_key((thread, run) in runs(), at: u64) {
            let key = thread_run(&thread, at, &run);
            prop_assert!(key.starts_with(&thread_runs_prefix(&thread)));
            prop_assert_eq!(thread_run_run(&thread, &key), Some(run));
        }

        #[test]
        fn an_idle_run_is_read_back_and_sorts_by_time((_, a) in runs(), (_, b) in runs(), x: u64, y: u64) {
            prop_assert_eq!(idle_parts(&idle(x, &a)), Some((x, a.clone())));
            if x < y {
                prop_assert!(idle(x, &a) < idle(y, &b));
            }
        }

        #[test]
        fn a_past_is_read_back(until_ms: u64, until_seq: u64) {
            let known = Past { until_ms, until_seq };
            prop_assert_eq!(past_parts(&past(known)), Some(known));
        }

        #[test]
        fn a_cut_is_read_back(first: u64, until_ms: u64) {
            let known = Cut { first, until_ms };
            prop_assert_eq!(cut_parts(&cut(known)), Some(known));
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let thread: ThreadId = "thread_a".parse().unwrap();
        assert_eq!(idle_parts(b"short"), None);
        assert_eq!(idle_parts(b"12345678no run"), None);
        assert_eq!(thread_run_run(&thread, b"short"), None);
        assert_eq!(past_parts(b"123456789"), None);
        assert_eq!(cut_parts(&PROBE), None);
    }
}
