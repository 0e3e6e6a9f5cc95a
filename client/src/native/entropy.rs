use std::time::{SystemTime, UNIX_EPOCH};

use rethread_shared::EventId;

/// Random bytes of the operating system's.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A new event's id.
pub(super) fn event_id() -> EventId {
    EventId::generate(unix_ms(), random())
}
