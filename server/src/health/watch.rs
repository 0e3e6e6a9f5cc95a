//! Finds out how the parts are: a probe that goes the way of all events, how much room is left, who
//! waits for an agent.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rethread_shared::limits::{
    AGENT_WAITED_FOR, LOG_LOW_BYTES, PROBE_EVERY, PROBE_HUNG, PROBE_SLOW,
};
use tokio::sync::oneshot;

use super::{Health, Part, State};
use crate::{
    bridge::Bridge,
    config::{Size, Span, settings},
    log::{Condition, LogError, Probe},
    metrics::{LOG_FREE_BYTES, PROBE_DURATION_SECONDS, gauge, histogram},
};

settings! {
    /// When the server calls itself degraded, and how it finds out.
    pub struct Settings {
        /// How often a probe is written to the log, synced, and sent through the fan-out.
        probe: Span = Span(PROBE_EVERY);
        /// A probe that is on its way for so long shows its part as degraded.
        slow: Span = Span(PROBE_SLOW);
        /// A probe that is on its way for so long shows its part as failed.
        hung: Span = Span(PROBE_HUNG);
        /// Bytes free in the data folder below which the log is degraded.
        low_space: Size = Size(LOG_LOW_BYTES);
        /// A message that waits for an agent for so long shows the agents as degraded.
        agent_wait: Span = Span(AGENT_WAITED_FOR);
    }
}

/// Watches the parts of one server.
#[derive(Debug)]
pub struct Watch {
    /// Where it is told.
    pub health: Arc<Health>,
    /// What is watched, with its log, for as long as it is there.
    pub bridge: Weak<Bridge>,
    /// When something is wrong.
    pub settings: Settings,
}

/// A probe on its way.
struct Pending {
    since: Instant,
    stored: oneshot::Receiver<Result<(), LogError>>,
    /// When it was stored.
    stored_at: Option<Instant>,
    seen: oneshot::Receiver<()>,
}

impl Watch {
    /// Watches until the bridge is gone.
    pub async fn run(self) {
        let Some(bridge) = self.bridge.upgrade() else { return };
        let (mut condition, mut term) = (bridge.log().condition(), bridge.log().term());
        drop(bridge);
        let mut pending: Option<Pending> = None;
        let mut next = Instant::now();
        loop {
            let Some(bridge) = self.bridge.upgrade() else { return };
            let (log, now) = (bridge.log(), Instant::now());
            if pending.is_none() && next <= now {
                let Probe { stored, seen } = log.probe();
                pending = Some(Pending { since: now, stored, stored_at: None, seen });
                next = now + self.settings.probe.get();
            }
            let is_now = condition.borrow_and_update().clone();
            self.tell(&is_now, pending.as_ref(), &bridge);
            if is_now == Condition::Sound && log.term() != term {
                term = log.term();
                take_up(bridge.clone());
            }
            drop(bridge);
            let wake = pending.as_ref().map_or(next, |_| now + LOOKED_AT_EVERY);
            tokio::select! {
                changed = condition.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(wake.into()) => {}
                is_over = step(&mut pending) => if is_over {
                    self.measure(pending.take());
                },
            }
        }
    }

    fn measure(&self, probe: Option<Pending>) {
        let Some(Pending { since, stored_at: Some(stored_at), .. }) = probe else { return };
        let (took, fanned) = (stored_at - since, stored_at.elapsed());
        histogram!(PROBE_DURATION_SECONDS).record(took.as_secs_f64());
        self.health.figure(Part::Log, "probe_micros", took.as_micros() as u64);
        self.health.figure(Part::Feeds, "probe_micros", fanned.as_micros() as u64);
    }

    fn tell(&self, condition: &Condition, pending: Option<&Pending>, bridge: &Bridge) {
        let free = bridge.log().free_bytes();
        let (stored, seen) = match pending {
            None => (None, None),
            Some(Pending { stored_at: Some(at), .. }) => (None, Some(at.elapsed())),
            Some(Pending { since, .. }) => (Some(since.elapsed()), None),
        };
        if let Some(free) = free {
            gauge!(LOG_FREE_BYTES).set(free as f64);
            self.health.figure(Part::Log, "free_bytes", free);
        }
        let (state, reason) = judge_log(&self.settings, condition, stored, free);
        self.health.report_anew(Part::Log, state, reason);
        let (state, reason) = judge_feeds(&self.settings, seen);
        self.health.report_anew(Part::Feeds, state, reason);
        let work = bridge.figures();
        self.health.figure(Part::Agents, "serving", work.serving as u64);
        self.health.figure(Part::Agents, "waiting", work.waiting as u64);
        let (state, reason) = {
            let longest = work.since.map(|since| since.elapsed());
            judge_agents(&self.settings, work.waiting, longest)
        };
        self.health.report_anew(Part::Agents, state, reason);
    }
}

/// The log was opened again: what the bridge knew of runs may not be so.
fn take_up(bridge: Arc<Bridge>) {
    tokio::spawn(async move {
        if let Err(error) = bridge.recover().await {
            // The next failure of the log brings it again.
            tracing::error!(%error, "the runs of before could not be taken up");
        }
    });
}

/// How often a probe that does not come back is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Waits for the next step of a probe; true when it is over.
async fn step(pending: &mut Option<Pending>) -> bool {
    match pending {
        None => std::future::pending().await,
        Some(Pending { stored, stored_at: stored_at @ None, .. }) => match stored.await {
            Ok(Ok(())) => {
                *stored_at = Some(Instant::now());
                false
            }
            // The condition says why.
            Ok(Err(_)) | Err(_) => true,
        },
        Some(Pending { seen, .. }) => {
            let _ = seen.await;
            true
        }
    }
}

fn judge_log(
    settings: &Settings,
    condition: &Condition,
    waiting: Option<Duration>,
    free: Option<u64>,
) -> (State, String) {
    match condition {
        Condition::Failed { reason, again: Some(_) } => {
            (State::Failed, format!("{reason}; it is tried again every few seconds"))
        }
        Condition::Failed { reason, again: None } | Condition::Full { reason } => {
            (State::Failed, reason.clone())
        }
        Condition::Opening => (State::Initializing, "it is opened again after a failure".into()),
        Condition::Sound => {
            let how = |waiting: Duration| {
                format!(
                    "a write has been waiting for {} s; look at the disk: it does not answer in time",
                    waiting.as_secs()
                )
            };
            match (waiting, free) {
                (Some(waiting), _) if waiting >= settings.hung.get() => {
                    (State::Failed, how(waiting))
                }
                (Some(waiting), _) if waiting >= settings.slow.get() => {
                    (State::Degraded, how(waiting))
                }
                (_, Some(free)) if free < settings.low_space.0 => {
                    let (free, low) = (free >> 20, settings.low_space.0 >> 20);
                    let reason = format!(
                        "{free} MiB are free for the data folder, less than {low} MiB; make room"
                    );
                    (State::Degraded, reason)
                }
                _ => (State::Active, String::new()),
            }
        }
    }
}

fn judge_feeds(settings: &Settings, waiting: Option<Duration>) -> (State, String) {
    let waiting = waiting.unwrap_or_default();
    let how = format!(
        "events have been waiting for {} s on their way to subscribers; is the processor overloaded?",
        waiting.as_secs()
    );
    if waiting >= settings.hung.get() {
        (State::Failed, how)
    } else if waiting >= settings.slow.get() {
        (State::Degraded, how)
    } else {
        (State::Active, String::new())
    }
}

fn judge_agents(settings: &Settings, waiting: usize, longest: Option<Duration>) -> (State, String) {
    match longest {
        Some(longest) if longest >= settings.agent_wait.get() => {
            let reason = format!(
                "messages that wait for an agent: {waiting}, the first for {} s; start an agent that \
                 serves them, or look at those that are connected",
                longest.as_secs()
            );
            (State::Degraded, reason)
        }
        _ => (State::Active, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::default()
    }

    #[test]
    fn the_log_is_as_its_condition_its_probe_and_its_room_say() {
        let (secs, settings) = (Duration::from_secs, settings());
        let judge =
            |condition: &Condition, waiting, free| judge_log(&settings, condition, waiting, free);
        let sound = Condition::Sound;
        assert_eq!(judge(&sound, None, None), (State::Active, String::new()));
        assert_eq!(judge(&sound, Some(secs(1)), Some(1 << 40)).0, State::Active);
        let (state, reason) = judge(&sound, Some(secs(7)), Some(1 << 40));
        assert!(state == State::Degraded && reason.contains("7 s"), "{reason}");
        assert_eq!(judge(&sound, Some(secs(31)), None).0, State::Failed);
        let (state, reason) = judge(&sound, None, Some(87 << 20));
        assert!(state == State::Degraded && reason.contains("87 MiB are free"), "{reason}");
        assert_eq!(judge(&Condition::Opening, None, None).0, State::Initializing);
        let reason = "the disk is full".to_owned();
        let again = Some(Instant::now());
        let (state, told) = judge(&Condition::Failed { reason: reason.clone(), again }, None, None);
        assert!(state == State::Failed && told.contains("tried again"), "{told}");
        let (state, told) = judge(&Condition::Failed { reason, again: None }, None, None);
        assert!(state == State::Failed && !told.contains("tried again"), "{told}");
    }

    #[test]
    fn feeds_and_agents_are_told_by_who_waits() {
        let (secs, settings) = (Duration::from_secs, settings());
        assert_eq!(judge_feeds(&settings, None).0, State::Active);
        assert_eq!(judge_feeds(&settings, Some(secs(3))).0, State::Degraded);
        assert_eq!(judge_feeds(&settings, Some(secs(40))).0, State::Failed);
        assert_eq!(judge_agents(&settings, 0, None).0, State::Active);
        assert_eq!(judge_agents(&settings, 2, Some(secs(5))).0, State::Active);
        let (state, reason) = judge_agents(&settings, 2, Some(secs(75)));
        assert!(state == State::Degraded && reason.contains("75 s"), "{reason}");
    }
}
