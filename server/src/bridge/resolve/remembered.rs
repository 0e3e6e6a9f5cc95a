//! What the registry said lately, kept in memory and bounded.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rethread_shared::{RunId, ThreadId, limits::RUNS_RESOLVED_KEPT_MAX};

use crate::hash::Map;

/// Runs with their threads. A run's thread never changes while the registry knows the run, so all that
/// keeps this true is to forget a run no later than the registry does, and all of them when the log's
/// term is over: what the registry said then may have been lost.
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
    term: u64,
    new: Map<RunId, ThreadId>,
    old: Map<RunId, ThreadId>,
}

/// A moment in the order of forgetting, and the log's term at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    forgotten: u64,
    term: u64,
}

impl Remembered {
    /// The thread of a run, if the registry said it in this term of the log.
    pub(super) fn thread_of(&self, run: &RunId, term: u64) -> Option<ThreadId> {
        let mark = self.mark(term);
        let halves = self.halves.read();
        if halves.term != term {
            return None;
        }
        if let Some(thread) = halves.new.get(run) {
            return Some(thread.clone());
        }
        let thread = halves.old.get(run)?.clone();
        drop(halves);
        self.put(mark, run, &thread);
        Some(thread)
    }

    /// Taken before the registry is read: what is forgotten after it must not be put back.
    pub(super) fn mark(&self, term: u64) -> Mark {
        Mark { forgotten: self.forgotten.load(Ordering::Acquire), term }
    }

    pub(super) fn put(&self, mark: Mark, run: &RunId, thread: &ThreadId) {
        let mut halves = self.halves.write();
        if self.forgotten.load(Ordering::Acquire) != mark.forgotten || mark.term < halves.term {
            return;
        }
        if mark.term > halves.term {
            *halves = Halves { term: mark.term, ..Halves::default() };
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
            remembered.put(remembered.mark(0), &run, &thread);
            if n % 1_000 == 0 {
                assert_eq!(remembered.thread_of(&used, 0), Some(its.clone()), "after {n}");
            }
        }
        let halves = remembered.halves.read();
        assert!(halves.new.len() + halves.old.len() <= RUNS_RESOLVED_KEPT_MAX);
    }

    #[test]
    fn what_is_forgotten_while_it_is_looked_up_is_not_put_back() {
        let remembered = Remembered::default();
        let (run, thread) = ids(1);
        let mark = remembered.mark(0);
        remembered.forget([&run]);
        remembered.put(mark, &run, &thread);
        assert_eq!(remembered.thread_of(&run, 0), None);
        remembered.put(remembered.mark(0), &run, &thread);
        assert_eq!(remembered.thread_of(&run, 0), Some(thread));
        remembered.forget([&run]);
        assert_eq!(remembered.thread_of(&run, 0), None);
    }

    #[test]
    fn what_was_said_in_a_term_counts_in_no_other() {
        let remembered = Remembered::default();
        let (run, thread) = ids(1);
        let before = remembered.mark(0);
        remembered.put(before, &run, &thread);
        assert_eq!(remembered.thread_of(&run, 1), None);
        let (other, its) = ids(2);
        remembered.put(remembered.mark(1), &other, &its);
        remembered.put(before, &run, &thread);
        assert_eq!(remembered.thread_of(&run, 1), None, "read before the log was opened again");
        assert_eq!(remembered.thread_of(&other, 1), Some(its));
    }
}
