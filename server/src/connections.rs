//! The connections that are open: how many there are, and how they are told to leave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rethread_shared::limits::CONNECTIONS_MAX;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{bridge::desk::ConnectionId, guard::Seat};

/// Every open socket and stream of a server.
#[derive(Debug, Default)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    next: AtomicU64,
    leaving: CancellationToken,
    tasks: TaskTracker,
}

/// A connection's place among the open ones; given back when dropped.
#[derive(Debug)]
pub struct Place {
    /// Its name in this process.
    pub id: ConnectionId,
    open: Arc<AtomicUsize>,
    /// Its place among the connections of its address, where those are counted by requests.
    seat: Option<Seat>,
}

impl Place {
    /// Keeps an address's seat for as long.
    #[must_use]
    pub fn with(mut self, seat: Option<Seat>) -> Self {
        self.seat = seat;
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// A place for one more, unless there are too many.
    #[must_use]
    pub fn enter(&self) -> Option<Place> {
        let place = Place {
            id: ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1),
            open: self.open.clone(),
            seat: None,
        };
        // Counted before it is compared, and given back by the drop when it is too many.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        (before < CONNECTIONS_MAX).then_some(place)
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Completes when all are to leave.
    #[must_use]
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Counts a task among those that [`Connections::leave`] waits for.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Tells all to leave, and waits until they have or the time is over. True when all have.
    pub async fn leave(&self, deadline: Duration) -> bool {
        self.leaving.cancel();
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_for_so_many_and_one_given_back_is_free() {
        let connections = Connections::default();
        let mut places: Vec<Place> = std::iter::from_fn(|| connections.enter()).collect();
        assert_eq!((places.len(), connections.open()), (CONNECTIONS_MAX, CONNECTIONS_MAX));
        assert!(connections.enter().is_none());
        places.pop();
        assert!(connections.enter().is_some(), "one that left made room");
        drop(places);
        assert_eq!(connections.open(), 0);
    }
}
