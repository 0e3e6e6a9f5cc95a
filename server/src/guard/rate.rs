use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use rethread_shared::limits::LIMITED_KEYS_MAX;

/// So many a second, of each key. Remembers the keys that were not quiet lately, up to
/// [`LIMITED_KEYS_MAX`]; beyond, everybody passes until the next sweep: what is bounded then is memory.
#[derive(Debug)]
pub(super) struct Rate<K: Hash + Eq + Clone> {
    /// `None` where there is no limit.
    pub(super) limiter: Option<DefaultKeyedRateLimiter<K>>,
    burst: NonZeroU32,
    /// How many more keys may come before they must be counted.
    room: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// With 0 a second there is no limit. A burst of 0 is one of a second's worth.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let rate = NonZeroU32::new(per_second);
        let burst = NonZeroU32::new(burst).or(rate).unwrap_or(NonZeroU32::MIN);
        let limiter =
            rate.map(|rate| RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
        Self { limiter, burst, room: AtomicUsize::new(LIMITED_KEYS_MAX) }
    }

    /// Takes so many, or says how long to wait. More than a burst holds count as a whole burst.
    pub(super) fn check(&self, key: &K, amount: NonZeroU32) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        // Each check brings one new key at most.
        let less = |room: usize| room.checked_sub(1);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return Ok(());
        }
        match limiter.check_key_n(key, amount.min(self.burst)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(early)) => Err(early.wait_time_from(limiter.clock().now())),
            Err(_) => unreachable!("no more than a burst is asked for"),
        }
    }

    /// Forgets the keys whose burst is whole again.
    pub(super) fn sweep(&self) {
        let Some(limiter) = &self.limiter else { return };
        limiter.retain_recent();
        limiter.shrink_to_fit();
        let room = LIMITED_KEYS_MAX.saturating_sub(limiter.len());
        if room == 0 {
            tracing::warn!(
                keys = limiter.len(),
                "too many different clients to limit each of them"
            );
        }
        self.room.store(room, Ordering::Relaxed);
    }
}
