//! How a log that failed is made whole again, in the same process.
//!
//! After a failed write or sync nobody knows what is on disk, and the engine takes nothing more. So
//! nothing is acknowledged until it was closed and opened again: then the log is what is really there.
//! What had been acknowledged must be in it; what had not may be, and its publisher, who sends it again
//! under the same id, is told its first place.
//!
//! Tried with exponential backoff. An engine that failed can still be read, so it is given up only when
//! its folder can be written again.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rethread_shared::limits::{
    LOG_READS_DEADLINE, LOG_REOPEN_MAX, LOG_REOPEN_MIN, LOG_SOUND_AFTER, ROOM_CHECKED_EVERY,
};

use super::{commit::Committer, core::Core};
use crate::log::{
    Condition, LogError,
    engine::{
        Engine, Group,
        store::{Cause, StoreError},
    },
};

/// Why nothing is taken, and when that is looked at again.
pub(super) struct Trouble {
    kind: Kind,
    /// Never where trying again helps nothing.
    pub(super) again: Option<Instant>,
}

enum Kind {
    /// Less room than is kept in reserve. The engine is sound.
    Full,
    /// The engine failed.
    Failed { reason: String },
}

/// A log that is full takes events again with this part of the reserve free beside it.
const ROOM_MARGIN: u64 = 8;

/// When the log was last opened again, and how often in a row without holding.
#[derive(Default)]
pub(super) struct Attempts {
    count: u32,
    last: Option<Instant>,
}

impl Attempts {
    /// How long to wait before the next one.
    fn next(&mut self) -> Duration {
        if self.last.is_some_and(|last| last.elapsed() > LOG_SOUND_AFTER + LOG_REOPEN_MAX) {
            self.count = 0;
        }
        let wait = LOG_REOPEN_MIN.saturating_mul(1 << self.count.min(16)).min(LOG_REOPEN_MAX);
        (self.count, self.last) = (self.count + 1, Some(Instant::now()));
        wait
    }
}

impl Committer {
    /// A write failed: takes nothing more until the engine has been opened again.
    pub(super) fn fail(&mut self, reason: &str) {
        let wait = self.attempts.next();
        tracing::error!(reason, ?wait, "the log failed; it is opened again");
        let now = match self.core.store.check() {
            Ok(()) => reason.to_owned(),
            Err(error) => format!("{reason}; {error}"),
        };
        self.trouble(reason.to_owned(), Some(Instant::now() + wait), &now);
    }

    /// Looks whether there is room. Not at each group: it changes slowly, and there is a reserve.
    pub(super) fn look_for_room(&mut self) {
        let is_due = self.room_checked.is_none_or(|at| at.elapsed() >= ROOM_CHECKED_EVERY);
        if !is_due || matches!(self.trouble, Some(Trouble { kind: Kind::Failed { .. }, .. })) {
            return;
        }
        self.room_checked = Some(Instant::now());
        match (self.without_room(), &self.trouble) {
            (Some(reason), before) => {
                if before.is_none() {
                    tracing::error!(reason, "the log takes nothing");
                }
                let again = Some(Instant::now() + ROOM_CHECKED_EVERY);
                self.trouble = Some(Trouble { kind: Kind::Full, again });
                self.core.is_now(Condition::Full { reason });
            }
            (None, Some(_)) => {
                tracing::info!("there is room again");
                self.sound();
            }
            (None, None) => {}
        }
    }

    fn without_room(&self) -> Option<String> {
        let free = self.core.store.free_bytes()?;
        // Who is full goes on with a little more than the least, or it would be full again at once: each
        // time is a new term, and everybody reads anew.
        let is_full = matches!(self.trouble, Some(Trouble { kind: Kind::Full, .. }));
        let margin = if is_full { self.reserve / ROOM_MARGIN } else { 0 };
        let least = self.reserve.saturating_add(margin);
        (free < least).then(|| {
            let mib = |bytes: u64| bytes >> 20;
            format!(
                "{} MiB are free, and {} MiB are kept in reserve so that the log never breaks off in \
                 the middle; {}",
                mib(free),
                mib(least),
                Cause::Full.remedy()
            )
        })
    }

    /// It is time to look at the trouble again.
    pub(super) fn try_again(&mut self) {
        let Some(trouble) = &self.trouble else { return };
        match &trouble.kind {
            Kind::Full => {
                self.room_checked = None;
                self.look_for_room();
            }
            Kind::Failed { reason } => {
                let reason = reason.clone();
                self.core.is_now(Condition::Opening);
                match self.reopen() {
                    Ok(()) => {
                        tracing::info!(after = reason, "the log was opened again; it is sound");
                        self.meters.reopened.increment(1);
                        self.sound();
                    }
                    Err(error) => {
                        let wait = self.attempts.next();
                        tracing::warn!(%error, ?wait, "the log could not be opened again");
                        let again = error.cause.may_pass().then(|| Instant::now() + wait);
                        let now = format!("{reason}; {error}");
                        self.trouble(reason, again, &now);
                    }
                }
            }
        }
    }

    fn trouble(&mut self, reason: String, again: Option<Instant>, now: &str) {
        self.trouble = Some(Trouble { kind: Kind::Failed { reason }, again });
        self.core.is_now(Condition::Failed { reason: now.to_owned(), again });
    }

    fn sound(&mut self) {
        self.trouble = None;
        self.core.is_now(Condition::Sound);
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = self.without_room() {
            return Err(StoreError::new(Cause::Full, reason));
        }
        self.core.store.check()?;
        close(&self.core)?;
        let engine = self.core.store.open()?;
        // The folder can be read; now whether the engine can write what it must.
        self.probe += 1;
        engine.write(&Group { probe: Some(self.probe), ..Group::default() })?;
        self.last_no = engine.last_no()?;
        self.core.renew(engine)
    }
}

/// Closes the engine: waits for the reads that are under way, for a folder is not opened twice.
fn close(core: &Core) -> Result<(), StoreError> {
    let Some(engine) = core.take_engine() else { return Ok(()) };
    let last: Weak<dyn Engine> = Arc::downgrade(&engine);
    drop(engine);
    let start = Instant::now();
    while last.strong_count() > 0 {
        if start.elapsed() > LOG_READS_DEADLINE {
            if let Some(engine) = last.upgrade() {
                core.put_engine(engine);
            }
            return Err(StoreError::new(Cause::Other, "reads that are under way do not end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

impl Condition {
    /// What is answered to who wants to store something; `None` where it can be stored.
    #[must_use]
    pub fn refusal(&self) -> Option<LogError> {
        let (reason, retry_after) = match self {
            Self::Sound => return None,
            Self::Full { reason } => (reason.clone(), LOG_REOPEN_MAX),
            Self::Failed { reason, again } => {
                let wait = again.map(|again| again.saturating_duration_since(Instant::now()));
                (reason.clone(), wait.unwrap_or(LOG_REOPEN_MAX).max(LOG_REOPEN_MIN))
            }
            Self::Opening => ("it is being opened again".to_owned(), LOG_REOPEN_MIN),
        };
        Some(LogError::Unavailable { reason, retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_less_and_less_often_and_begin_anew_when_it_held() {
        let mut attempts = Attempts::default();
        let waits: Vec<Duration> = (0..20).map(|_| attempts.next()).collect();
        assert_eq!(waits[0], LOG_REOPEN_MIN);
        assert_eq!(waits[1], LOG_REOPEN_MIN * 2);
        assert!(waits.is_sorted());
        assert_eq!(waits[19], LOG_REOPEN_MAX);
        attempts.last = Instant::now().checked_sub(LOG_SOUND_AFTER + LOG_REOPEN_MAX * 2);
        assert_eq!(attempts.next(), LOG_REOPEN_MIN);
    }
}
