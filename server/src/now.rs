//! The clock and the randomness of the server's edge; what is below takes both as arguments.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What the bridge asks for the time: the system, or a test that sets it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Option<Arc<Times>>,
}

#[derive(Debug, Default)]
struct Times {
    unix_ms: AtomicU64,
    uptime_ms: AtomicU64,
}

impl Clock {
    /// One that stands still until it is set.
    #[must_use]
    pub fn at(unix_ms: u64) -> Self {
        let times = Times { unix_ms: unix_ms.into(), ..Times::default() };
        Self { set: Some(Arc::new(times)) }
    }

    /// Sets the time of day, forward or back, as a person or a time server does. Nothing happens to the
    /// system's clock.
    pub fn set(&self, unix_ms: u64) {
        if let Some(times) = &self.set {
            times.unix_ms.store(unix_ms, Ordering::SeqCst);
        }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        if let Some(times) = &self.set {
            times.unix_ms.fetch_add(ms, Ordering::SeqCst);
            times.uptime_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970, by a clock that may be set forward and back.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.set.as_ref().map_or_else(unix_ms, |times| times.unix_ms.load(Ordering::SeqCst))
    }

    /// Milliseconds that have passed in this process; only rises.
    #[must_use]
    pub fn uptime_ms(&self) -> i64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.set {
            Some(times) => times.uptime_ms.load(Ordering::SeqCst) as i64,
            None => START.get_or_init(Instant::now).elapsed().as_millis() as i64,
        }
    }
}

/// Milliseconds since 1970.
#[must_use]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Random bytes from the operating system.
///
/// # Panics
/// When the operating system has none to give, in which case no id could be trusted.
#[must_use]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
