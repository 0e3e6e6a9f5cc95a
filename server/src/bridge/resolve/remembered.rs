//! What the registry said lately, kept in memory and bounded.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::RwLock;
use rethread_shared::{RunId, ThreadId, limits::RUNS_RESOLVED_KEPT_MAX};

/// Runs with their threads. A run's thread never changes while the registry knows the run, so all that
/// keeps this true is to forget a run no later than the registry does.
///
/// Two halves: the new one fills, then becomes the old one, and what was old goes. A run that is used
/// is moved to the new half, so what is in use stays without any list of uses.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    halves: RwLock<Halves>,
    forgotten: AtomicU64,
}

#[derive(Debug, Default)]
struct Halves {
    new: HashMap<RunId, ThreadId>,
    old: HashMap<RunId, ThreadId>,
}

/// A moment in the order of forgetting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64);

impl Remembered {
    pub(super) fn thread_of(&self, run: &RunId) -> Option<ThreadId> {
        let mark = self.mark();
        let halves = self.halves.read();
        if let Some(thread) = halves.new.get(run) {
            return Some(thread.clone());
        }
        let thread = halves.old.get(run)?.clone();
        drop(halves);
        self.put(mark, run, &thread);
        Some(thread)
    }

    /// Taken before the registry is read: what is forgotten after it must not be put back.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.forgotten.load(Ordering::Acquire))
    }

    pub(super) fn put(&self, mark: Mark, run: &RunId, thread: &ThreadId) {
        let mut halves = self.halves.write();
        if self.forgotten.load(Ordering::Acquire) != mark.0 {
            return;
        }
        if halves.new.len() >= RUNS_RESOLVED_KEPT_MAX / 2 {
            halves.old = std::mem::take(&mut halves.new);
        }
        halves.new.insert(run.clone(), thread.clone());
    }

    pub(super) fn forget<'a>(&self, runs: impl IntoIterator<Item = &'a RunId>) {
        let mut halves = self.halves.write();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        for run in runs {
            halves.new.remove(run);
            halves.old.remove(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: usize) -> (RunId, ThreadId) {
        let thread: ThreadId = format!("thread_{n}").parse().unwrap();
        (RunId::generate(&thread, n as u64, [0; 4]), thread)
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let remembered = Remembered::default();
        let (used, its) = ids(0);
        for n in 0..2 * RUNS_RESOLVED_KEPT_MAX {
            let (run, thread) = ids(n);
            remembered.put(remembered.mark(), &run, &thread);
            if n % 1_000 == 0 {
                assert_eq!(remembered.thread_of(&used), Some(its.clone()), "after {n}");
            }
        }
        let halves = remembered.halves.read();
        assert!(halves.new.len() + halves.old.len() <= RUNS_RESOLVED_KEPT_MAX);
    }

    #[test]
    fn what_is_forgotten_while_it_is_looked_up_is_not_put_back() {
        let remembered = Remembered::default();
        let (run, thread) = ids(1);
        let mark = remembered.mark();
        remembered.forget([&run]);
        remembered.put(mark, &run, &thread);
        assert_eq!(remembered.thread_of(&run), None);
        remembered.put(remembered.mark(), &run, &thread);
        assert_eq!(remembered.thread_of(&run), Some(thread));
        remembered.forget([&run]);
        assert_eq!(remembered.thread_of(&run), None);
    }
}
