use rethread_shared::limits::{BACKOFF_MAX, BACKOFF_MIN, BACKOFF_STABLE};

/// Exponential backoff with full jitter: the wait is random between nothing and the step, and the
/// step doubles from `BACKOFF_MIN` to `BACKOFF_MAX`.
#[derive(Debug)]
pub(super) struct Backoff {
    attempt: u32,
    random: Random,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { attempt: 0, random: Random(seed) }
    }

    /// Attempts since the last good connection.
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Counts an attempt and says how long to wait before it, milliseconds.
    pub(super) fn next_wait(&mut self) -> u64 {
        self.attempt = self.attempt.saturating_add(1);
        self.random.up_to(step(self.attempt))
    }

    /// A wait of its own for something that has been refused `times` times; counts no attempt.
    pub(super) fn wait_after(&mut self, times: u32) -> u64 {
        self.random.up_to(step(times))
    }

    /// Says how long a connection was up. A good one makes the next loss the first again.
    pub(super) fn was_up(&mut self, lasted: u64) {
        if lasted >= step(self.attempt).max(BACKOFF_STABLE.as_millis() as u64) {
            self.attempt = 0;
        }
    }
}

fn step(attempt: u32) -> u64 {
    let min = BACKOFF_MIN.as_millis() as u64;
    (min << attempt.saturating_sub(1).min(16)).min(BACKOFF_MAX.as_millis() as u64)
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter, and its seed is the caller's.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % (max + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_the_largest() {
        let steps: Vec<_> = (0..10).map(step).collect();
        assert_eq!(steps, [250, 250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
    }

    #[test]
    fn waits_fill_the_step_and_a_good_connection_begins_anew() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..200).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|wait| *wait <= 20_000));
        assert!(waits[20..].iter().any(|wait| *wait > 15_000), "jitter reaches the top");
        assert!(waits[20..].iter().any(|wait| *wait < 5_000), "and the bottom");
        backoff.was_up(19_999);
        assert_eq!(backoff.attempt(), 200);
        backoff.was_up(20_000);
        assert!(backoff.next_wait() <= 250);
    }
}
