//! Stops asking one that does not answer, and finds out when it does again.
//!
//! ```text
//!            failures in a row                     time is up
//!   closed ────────────────────► open { until } ─────────────► half open: one question
//!     ▲                            ▲                                │
//!     └──────── an answer ─────────┼────────────────────────────────┤
//!                                  └──── no answer: twice as long ──┘
//! ```

use std::time::{Duration, Instant};

use rethread_shared::limits::{BREAKER_OPEN_MAX, BREAKER_OPEN_MIN};

/// Whether to ask. Pure: time and chance are arguments.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    failures_max: u32,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, wait: Duration },
    HalfOpen { wait: Duration, asked_at: Instant },
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lets everything pass.
    Closed,
    /// It lets nothing pass for so long.
    Open {
        /// How long still.
        wait: Duration,
    },
    /// One question is under way that decides.
    HalfOpen,
}

impl Breaker {
    /// One that opens after so many failures in a row.
    #[must_use]
    pub fn new(failures_max: u32) -> Self {
        Self { state: State::Closed { failures: 0 }, failures_max: failures_max.max(1) }
    }

    /// Asks for leave to ask. When granted, [`Breaker::answered`] or [`Breaker::failed`] must follow;
    /// when that is lost, another may ask after [`BREAKER_OPEN_MAX`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn enter(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now < until => Err(until - now),
            State::HalfOpen { asked_at, .. } if now < asked_at + BREAKER_OPEN_MAX => {
                Err(BREAKER_OPEN_MIN)
            }
            State::Open { wait, .. } | State::HalfOpen { wait, .. } => {
                self.state = State::HalfOpen { wait, asked_at: now };
                Ok(())
            }
        }
    }

    /// There was an answer.
    pub fn answered(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// There was none. `jitter` of 0 to 1 spreads the return of many servers.
    pub fn failed(&mut self, now: Instant, jitter: f64) {
        let wait = match self.state {
            State::Closed { failures } if failures + 1 < self.failures_max => {
                self.state = State::Closed { failures: failures + 1 };
                return;
            }
            State::Closed { .. } => BREAKER_OPEN_MIN,
            State::HalfOpen { wait, .. } => (wait * 2).min(BREAKER_OPEN_MAX),
            // A question from before it opened tells nothing new.
            State::Open { .. } => return,
        };
        let until = now + wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        self.state = State::Open { until, wait };
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until, .. } => {
                Standing::Open { wait: until.saturating_duration_since(now) }
            }
            State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_the_first_answer() {
        let mut breaker = Breaker::new(3);
        let mut now = Instant::now();
        breaker.failed(now, 1.0);
        breaker.failed(now, 1.0);
        breaker.answered();
        breaker.failed(now, 1.0);
        breaker.failed(now, 1.0);
        assert_eq!(breaker.enter(now), Ok(()), "not three in a row");
        breaker.failed(now, 1.0);
        assert_eq!(breaker.enter(now), Err(BREAKER_OPEN_MIN));
        now += BREAKER_OPEN_MIN;
        assert_eq!(breaker.enter(now), Ok(()), "one may try");
        assert!(breaker.enter(now).is_err(), "and no other meanwhile");
        breaker.failed(now, 1.0);
        assert_eq!(breaker.enter(now), Err(2 * BREAKER_OPEN_MIN), "twice as long");
        now += 2 * BREAKER_OPEN_MIN;
        assert_eq!(breaker.enter(now), Ok(()));
        breaker.answered();
        assert_eq!(breaker.standing(now), Standing::Closed);
    }

    #[test]
    fn its_wait_is_bounded_and_spread() {
        let mut breaker = Breaker::new(1);
        let mut now = Instant::now();
        for round in 0..20 {
            breaker.failed(now, 0.0);
            let Standing::Open { wait } = breaker.standing(now) else { panic!("round {round}") };
            assert!(wait >= BREAKER_OPEN_MIN / 2 && wait <= BREAKER_OPEN_MAX / 2, "{wait:?}");
            now += wait;
            assert_eq!(breaker.enter(now), Ok(()));
        }
        assert!(breaker.enter(now).is_err());
        now += BREAKER_OPEN_MAX;
        assert_eq!(breaker.enter(now), Ok(()), "the one that was to find out is lost");
    }
}
