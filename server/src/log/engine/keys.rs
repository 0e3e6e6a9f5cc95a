//! Keys on disk. Big-endian, so that they sort by number. **Frozen**: data folders in the field
//! hold these bytes; a new layout gets a new keyspace name.

use rethread_shared::EventId;

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

/// `firsts`: the row that probes write. No thread has the number 0.
pub const PROBE: [u8; 8] = 0_u64.to_be_bytes();

/// A number of eight big-endian bytes.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
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
}
