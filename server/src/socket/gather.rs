//! What others bring to a connection between two of its turns: all of it is taken at once, after one wake.

use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Items that wait for one taker.
#[derive(Debug)]
pub(super) struct Gather<T> {
    items: Mutex<Vec<T>>,
    waker: AtomicWaker,
}

impl<T> Default for Gather<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), waker: AtomicWaker::new() }
    }
}

impl<T> Gather<T> {
    /// Brings one. The first wakes the taker: it has not taken any since, so it takes those that follow too.
    pub(super) fn put(&self, item: T) {
        let mut items = self.items.lock();
        let is_first = items.is_empty();
        items.push(item);
        drop(items);
        if is_first {
            self.waker.wake();
        }
    }

    /// All that is there. Holds no room for more afterwards: most of the time there is none.
    pub(super) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.items.lock())
    }

    /// Ready when something is there. One at a time may wait.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let is_there = || !self.items.lock().is_empty();
        if is_there() {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        if is_there() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_left_behind_and_nobody_sleeps_over_it() {
        const ITEMS: usize = 20_000;
        let gather = Arc::new(Gather::default());
        let bringing = gather.clone();
        let brought = std::thread::spawn(move || (0..ITEMS).for_each(|item| bringing.put(item)));
        let mut taken = Vec::new();
        while taken.len() < ITEMS {
            poll_fn(|context| gather.poll(context)).await;
            taken.extend(gather.take());
        }
        brought.join().unwrap();
        assert!(taken.into_iter().eq(0..ITEMS));
        assert_eq!(gather.items.lock().capacity(), 0);
    }
}
