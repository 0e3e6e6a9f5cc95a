/// Everything that can come due. One deadline each, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Timer {
    /// The wait before a dial is over.
    Dial,
    /// A dial, or the wait for `welcome`, has taken too long: the attempt is lost.
    Connect,
    /// Nothing was sent for a heartbeat: a `ping` shows the server that this side is there.
    KeepAlive,
    /// Nothing was heard for a heartbeat: a `ping` asks.
    Probe,
    /// Nothing was heard for two heartbeats, or a probe's deadline: the connection is lost.
    Silence,
    /// The outbox's pause is over.
    Outbox,
    /// A subscription that was refused for now, or must be repaired, may be asked for again.
    Subscribe,
}

impl Timer {
    const ALL: [Self; 7] = [
        Self::Dial,
        Self::Connect,
        Self::KeepAlive,
        Self::Probe,
        Self::Silence,
        Self::Outbox,
        Self::Subscribe,
    ];
}

/// The deadlines, milliseconds on the caller's clock.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<u64>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: u64) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn stop_all(&mut self) {
        self.0 = Default::default();
    }

    pub(super) fn at(&self, timer: Timer) -> Option<u64> {
        self.0[timer as usize]
    }

    /// The first deadline.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes a timer that is due out of the table.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Timer> {
        let timer =
            Timer::ALL.into_iter().find(|timer| self.at(*timer).is_some_and(|at| at <= now));
        if let Some(timer) = timer {
            self.stop(timer);
        }
        timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_has_its_own_place_and_comes_due_once() {
        let mut timers = Timers::default();
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, index);
            timers.set(timer, 100 + index as u64);
        }
        assert_eq!(timers.next_timeout(), Some(100));
        assert_eq!(timers.pop_due(99), None);
        assert_eq!(timers.pop_due(101), Some(Timer::Dial));
        assert_eq!(timers.pop_due(101), Some(Timer::Connect));
        assert_eq!(timers.pop_due(101), None);
        timers.stop_all();
        assert_eq!(timers.next_timeout(), None);
    }
}
