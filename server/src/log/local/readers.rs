//! The threads that read from the disk: a few, however many ask, who get their turns in the order in which
//! they asked. A thread for each who asks would be a crowd of threads when a crowd comes back: those who
//! follow live would share the processor with them, and each would have memory of its own.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use parking_lot::Mutex;
use rethread_shared::limits::READS_AT_ONCE_MAX;
use tokio::sync::oneshot;

/// What one thread does at a time.
type Read = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Readers {
    /// As long as there are tasks that wait, each for one.
    queue: mpsc::Sender<Read>,
}

impl Readers {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start() -> io::Result<Self> {
        let (queue, reads) = mpsc::channel();
        let reads = Arc::new(Mutex::new(reads));
        for _ in 0..READS_AT_ONCE_MAX {
            let reads = reads.clone();
            thread::Builder::new().name("rethread-read".into()).spawn(move || work(&reads))?;
        }
        Ok(Self { queue })
    }

    /// Has it read; `None` when it panicked.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let read = move || {
            // Whoever asked may have left meanwhile.
            if !answer.is_closed() {
                let _ = answer.send(read());
            }
        };
        self.queue.send(Box::new(read)).ok()?;
        answered.await.ok()
    }
}

fn work(reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = reads.lock().recv();
        let Ok(read) = next else { return };
        // Who asked sees it by the answer that never comes.
        let _ = catch_unwind(AssertUnwindSafe(read));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn however_many_ask_few_read_and_all_are_answered() {
        let readers = Readers::start().unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let asked = (0..500).map(|n| {
            let (now, most) = (now.clone(), most.clone());
            readers.read(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                (n, thread::current().id())
            })
        });
        let answers = futures_util::future::join_all(asked).await;
        let threads: HashSet<_> = answers.iter().map(|answer| answer.unwrap().1).collect();
        assert!(threads.len() <= READS_AT_ONCE_MAX, "{}", threads.len());
        assert!(most.load(Ordering::SeqCst) <= READS_AT_ONCE_MAX);
        let numbers: Vec<_> = answers.iter().map(|answer| answer.unwrap().0).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_read_that_panics_has_no_answer_and_ends_no_thread() {
        let readers = Readers::start().unwrap();
        for _ in 0..2 * READS_AT_ONCE_MAX {
            let answer: Option<()> = readers.read(|| panic!("meant")).await;
            assert!(answer.is_none());
        }
        assert_eq!(readers.read(|| 7).await, Some(7));
    }
}
