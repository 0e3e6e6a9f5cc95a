use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rethread_shared::{ErrorCode, EventId, RunId, WireError, frame::Outcome};
use tokio::sync::{mpsc, oneshot};

use super::{
    Error,
    client::PUBLISH_FRAME_BYTES,
    request::{Handle, Request},
    wire::EventText,
};

/// Items taken from the queue at once.
const ITEMS_MAX: usize = 256;
/// Ids that a report names.
const NAMED_MAX: usize = 16;

/// What an emitter hands to its pump.
#[derive(Debug)]
pub(super) enum Item {
    Event(Queued),
    /// Answered when everything before it has been.
    Flush(oneshot::Sender<()>),
}

/// An event that waits to be published.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) id: EventId,
    /// It ends the run.
    pub(super) ends: bool,
    pub(super) text: EventText,
}

/// Publishes an emitter's events: what queued while one publish was under way is the next. One at a
/// time, so that a run's events cannot overtake each other.
#[derive(Debug)]
pub(super) struct Pump {
    run: RunId,
    items: mpsc::Receiver<Item>,
    handle: Arc<Handle>,
    troubles: Arc<Troubles>,
}

impl Pump {
    pub(super) fn new(
        run: RunId,
        items: mpsc::Receiver<Item>,
        handle: Arc<Handle>,
        troubles: Arc<Troubles>,
    ) -> Self {
        Self { run, items, handle, troubles }
    }

    /// Runs until every emitter is dropped and everything is delivered, or the client is over.
    pub(super) async fn run(mut self) {
        let mut taken = Vec::new();
        let mut waiting = VecDeque::new();
        while self.items.recv_many(&mut taken, ITEMS_MAX).await > 0 {
            waiting.extend(taken.drain(..));
            while let Some(item) = waiting.pop_front() {
                match item {
                    Item::Flush(done) => drop(done.send(())),
                    Item::Event(first) => {
                        let batch = self.batch(first, &mut waiting);
                        if !self.publish(batch).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// As many of the events that wait as one publish may carry.
    fn batch(&self, first: Queued, waiting: &mut VecDeque<Item>) -> Vec<Queued> {
        let limits = self.handle.common.limits();
        let mut room = limits.frame_bytes.saturating_sub(PUBLISH_FRAME_BYTES);
        room = room.saturating_sub(first.text.0.get().len() + 1);
        let mut batch = vec![first];
        while batch.len() < limits.publish_events
            && let Some(Item::Event(next)) = waiting.front()
            && let bytes = next.text.0.get().len() + 1
            && bytes <= room
        {
            room -= bytes;
            let Some(Item::Event(next)) = waiting.pop_front() else { break };
            batch.push(next);
        }
        batch
    }

    /// False when the client is over.
    async fn publish(&self, batch: Vec<Queued>) -> bool {
        let ids: Vec<_> = batch.iter().map(|queued| queued.id).collect();
        let ends = batch.iter().any(|queued| queued.ends).then(|| self.run.clone());
        let ends = ends.into_iter().collect();
        let events = batch.into_iter().map(|queued| queued.text).collect();
        let request = |answer| Request::Publish { events, ends, answer };
        match self.handle.command(request).await {
            Ok(outcomes) => {
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    if let Outcome::Refused { error, .. } = outcome {
                        if error.code == ErrorCode::RunEnded {
                            self.handle.common.cancel_run(&self.run);
                        }
                        self.troubles.add(id, error);
                    }
                }
                true
            }
            Err(Error::Refused(error)) => {
                for id in ids {
                    self.troubles.add(id, error.clone());
                }
                true
            }
            Err(_) => false,
        }
    }
}

/// What could not be delivered and has not been reported.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    count: usize,
    events: Vec<EventId>,
    error: WireError,
}

impl Troubles {
    fn add(&self, id: EventId, error: WireError) {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = trouble.get_or_insert(Trouble { count: 0, events: Vec::new(), error });
        trouble.count += 1;
        if trouble.events.len() < NAMED_MAX {
            trouble.events.push(id);
        }
    }

    pub(super) fn take(&self) -> Option<Error> {
        let trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let Trouble { count, events, error } = trouble;
        Some(Error::Undelivered { count, events, error })
    }
}
