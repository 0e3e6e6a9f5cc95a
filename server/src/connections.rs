//! The connections that are open: how many there are, what is known of each, and how they are told to
//! leave.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::Bound,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rethread_shared::limits::{CLIENT_CHARS_MAX, CONNECTIONS_MAX};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bridge::desk::ConnectionId,
    feed::{self, Cursor},
    guard::Seat,
    metrics::{
        self,
        meters::{Counted, Delivery, Transport},
    },
    now,
};

/// Every open socket and stream of a server.
#[derive(Debug, Default)]
pub struct Connections {
    open: Arc<Open>,
    next: AtomicU64,
    leaving: CancellationToken,
    tasks: TaskTracker,
    feeds: Arc<feed::Common>,
    delivery: Delivery,
}

type Open = Mutex<BTreeMap<ConnectionId, Arc<Card>>>;

/// What is known of a connection, for operators. Small, for there is one for each.
#[derive(Debug)]
pub struct Card {
    /// Its name in this process.
    pub id: ConnectionId,
    /// How it came.
    pub transport: Transport,
    /// From where, where that is known.
    pub address: Option<IpAddr>,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    user: Option<Arc<str>>,
    client: Option<Box<str>>,
    /// Those that are gone are cleared away when another comes.
    cursors: Vec<Weak<Cursor>>,
}

impl Card {
    /// Its token names this user, and it calls itself so.
    pub fn introduce(&self, user: &Arc<str>, client: Option<&str>) {
        let mut said = self.said.lock();
        said.user = Some(user.clone());
        if let Some(client) = client {
            said.client = Some(client.chars().take(CLIENT_CHARS_MAX).collect());
        }
    }

    /// It follows a thread.
    pub fn follow(&self, cursor: &Arc<Cursor>) {
        let cursors = &mut self.said.lock().cursors;
        cursors.retain(|cursor| cursor.strong_count() > 0);
        cursors.push(Arc::downgrade(cursor));
    }

    /// The user, once it is known.
    #[must_use]
    pub fn user(&self) -> Option<Arc<str>> {
        self.said.lock().user.clone()
    }

    /// What its client calls itself.
    #[must_use]
    pub fn client(&self) -> Option<Box<str>> {
        self.said.lock().client.clone()
    }

    /// Where it is in the threads that it follows.
    #[must_use]
    pub fn cursors(&self) -> Vec<Arc<Cursor>> {
        self.said.lock().cursors.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A connection's place among the open ones; given back when dropped.
#[derive(Debug)]
pub struct Place {
    /// Its name in this process.
    pub id: ConnectionId,
    card: Arc<Card>,
    open: Arc<Open>,
    /// Its place among the connections of its address, where those are counted by requests.
    seat: Option<Seat>,
    /// Its place among those of its user.
    of_user: Option<Seat<Arc<str>>>,
    _counted: Counted,
}

impl Place {
    /// Keeps an address's seat for as long.
    #[must_use]
    pub fn with(mut self, seat: Option<Seat>) -> Self {
        self.seat = seat;
        self
    }

    /// Keeps a user's seat for as long.
    pub fn keep(&mut self, of_user: Option<Seat<Arc<str>>>) {
        self.of_user = of_user;
    }

    /// What is known of it.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}

impl Connections {
    /// A place for one more, unless there are too many.
    #[must_use]
    pub fn enter(&self, transport: Transport, address: Option<IpAddr>) -> Option<Place> {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let since = now::unix_ms();
        let card = Arc::new(Card { id, transport, address, since, said: Mutex::default() });
        let mut open = self.open.lock();
        if open.len() >= CONNECTIONS_MAX {
            return None;
        }
        open.insert(id, card.clone());
        drop(open);
        let counted = self.delivery.of(transport).connections.one_more();
        let open = self.open.clone();
        Some(Place { id, card, open, seat: None, of_user: None, _counted: counted })
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.lock().len()
    }

    /// Connections in the order in which they came, after this one.
    #[must_use]
    pub fn page(&self, after: ConnectionId, limit: usize) -> Vec<Arc<Card>> {
        let open = self.open.lock();
        let later = open.range((Bound::Excluded(after), Bound::Unbounded));
        later.take(limit).map(|(_, card)| card.clone()).collect()
    }

    /// What their subscriptions share.
    #[must_use]
    pub fn feeds(&self) -> &Arc<feed::Common> {
        &self.feeds
    }

    /// What their deliveries are counted with.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
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

/// Counts the end of a connection, by what it ended for.
pub(crate) fn count_end(transport: Transport, reason: &'static str) {
    metrics::counter!(
        metrics::CONNECTIONS_CLOSED,
        "transport" => transport.label(), "reason" => reason
    )
    .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_for_so_many_and_one_given_back_is_free() {
        let connections = Connections::default();
        let enter = || connections.enter(Transport::WebSocket, None);
        let mut places: Vec<Place> = std::iter::from_fn(enter).collect();
        assert_eq!((places.len(), connections.open()), (CONNECTIONS_MAX, CONNECTIONS_MAX));
        places.pop();
        assert!(enter().is_some(), "one that left made room");
        drop(places);
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn pages_name_each_connection_once() {
        let connections = Connections::default();
        let mut places: Vec<Place> =
            (0..5).filter_map(|_| connections.enter(Transport::Stream, None)).collect();
        let first = connections.page(ConnectionId(0), 2);
        assert_eq!(first.iter().map(|card| card.id.0).collect::<Vec<_>>(), [1, 2]);
        places.remove(2);
        let rest = connections.page(first[1].id, 10);
        assert_eq!(rest.iter().map(|card| card.id.0).collect::<Vec<_>>(), [4, 5]);
    }
}
