use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use parking_lot::Mutex;
use rethread_shared::limits::LIMITED_KEYS_MAX;

/// So many a second, of each key. Remembers the keys that were not quiet lately, up to
/// [`LIMITED_KEYS_MAX`]; beyond, and only then, everybody passes until the next sweep: what is bounded then is memory.
#[derive(Debug)]
pub(super) struct Rate<K: Hash + Eq + Clone> {
    /// `None` where there is no limit.
    pub(super) limiter: Option<DefaultKeyedRateLimiter<K>>,
    burst: NonZeroU32,
    /// How many keys are remembered at most.
    most: usize,
    /// How many more keys may come before they must be counted.
    room: AtomicUsize,
    /// One thread counts at a time.
    counting: Mutex<()>,
    /// There were too many when they were counted; true until the next sweep.
    is_full: AtomicBool,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// With 0 a second there is no limit. A burst of 0 is one of a second's worth.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self::remembering(LIMITED_KEYS_MAX, per_second, burst)
    }

    pub(super) fn remembering(most: usize, per_second: u32, burst: u32) -> Self {
        let rate = NonZeroU32::new(per_second);
        let burst = NonZeroU32::new(burst).or(rate).unwrap_or(NonZeroU32::MIN);
        let limiter =
            rate.map(|rate| RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
        Self {
            limiter,
            burst,
            most,
            room: AtomicUsize::new(most),
            counting: Mutex::default(),
            is_full: AtomicBool::new(false),
        }
    }

    /// Takes so many, or says how long to wait. More than a burst holds count as a whole burst.
    pub(super) fn check(&self, key: &K, amount: NonZeroU32) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if !self.has_room(limiter) {
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
        let _counting = self.counting.lock();
        self.is_full.store(false, Ordering::Relaxed);
        self.count(limiter, true);
        limiter.shrink_to_fit();
    }

    /// Each check brings one new key at most, and most bring none: when the room seems to be used up,
    /// the keys are counted.
    fn has_room(&self, limiter: &DefaultKeyedRateLimiter<K>) -> bool {
        if self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let less = |room: usize| room.checked_sub(1);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return true;
        }
        // Who finds another thread counting goes on: as many keys too many as there are threads.
        let Some(_counting) = self.counting.try_lock() else { return true };
        self.count(limiter, false) || self.count(limiter, true)
    }

    /// True when there is room.
    fn count(&self, limiter: &DefaultKeyedRateLimiter<K>, is_to_forget: bool) -> bool {
        if is_to_forget {
            limiter.retain_recent();
        }
        let room = self.most.saturating_sub(limiter.len());
        self.room.store(room, Ordering::Relaxed);
        if room == 0 && is_to_forget {
            self.is_full.store(true, Ordering::Relaxed);
            let keys = limiter.len();
            tracing::warn!(
                keys,
                "too many different clients to limit each; now none is, for a while"
            );
        }
        room > 0
    }

    #[cfg(test)]
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}
