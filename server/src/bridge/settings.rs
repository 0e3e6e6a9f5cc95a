//! What the registry remembers, and how runs are watched.

use rethread_shared::limits::{
    REGISTRY_REFRESH, REGISTRY_RUNS_MAX, REGISTRY_TTL, RETENTION_EVERY, RUN_SILENCE_MAX,
    SWEEP_EVERY,
};

use crate::config::{Span, settings};

settings! {
    /// The registry: which thread a run belongs to.
    pub struct RegistrySettings {
        /// How long a run is remembered after it was last active. Never shorter than it goes on.
        ttl: Span = Span(REGISTRY_TTL), in Span::ms(100)..=Span::secs(31_536_000);
        /// Runs that are remembered at most. Beyond, those that ended are forgotten before their time,
        /// the longest idle first; when nearly all go on, new ones are refused with slow_down.
        runs: u64 = REGISTRY_RUNS_MAX, in 100..=100_000_000;
        /// How often it is swept: runs that are due are forgotten, runs that are silent are ended.
        sweep: Span = Span(SWEEP_EVERY), in Span::ms(50)..=Span::secs(3_600);
    }
}

settings! {
    /// Runs that go on.
    pub struct RunSettings {
        /// How long a run may be silent before it is ended with agent_silent; 0s: for ever.
        silence: Span = Span(RUN_SILENCE_MAX), in Span::ms(0)..=Span::secs(31_536_000);
    }
}

settings! {
    /// How long events are kept. Nothing is removed unless this says so, and no event of a run that goes on.
    pub struct RetentionSettings {
        /// How old an event may be, by its `at`, before it is removed with those before it; 0s: as old as
        /// it gets.
        age: Span = Span::ms(0), in Span::ms(0)..=Span::secs(3_153_600_000);
        /// How many events of a thread are kept, the newest; 0: all.
        events: u64 = 0, in 0..=1_000_000_000_000;
        /// How often it is looked for events to remove.
        sweep: Span = Span(RETENTION_EVERY), in Span::ms(50)..=Span::secs(86_400);
    }
}

impl RetentionSettings {
    /// Whether anything is ever removed.
    pub(super) fn is_bounded(&self) -> bool {
        self.events > 0 || self.age.as_ms() > 0
    }
}

impl RegistrySettings {
    /// That a run is active is written at most so often, milliseconds: seldom enough to cost nothing,
    /// often enough for what is decided by it.
    pub(super) fn refresh(&self, runs: &RunSettings) -> u64 {
        let refresh = Span(REGISTRY_REFRESH).as_ms().min(self.ttl.as_ms() / 4);
        match runs.silence.as_ms() {
            0 => refresh,
            silence => refresh.min(silence / 4),
        }
    }

    /// From so many on, new runs are refused: a little beyond the most, so that a sweep can make room
    /// before that.
    pub(super) fn runs_refused_from(&self) -> u64 {
        self.runs.saturating_add(self.runs / 8)
    }
}
