use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rethread_shared::{ErrorCode, EventId, RunId, WireError, frame::Outcome};
use tokio::sync::{mpsc, oneshot};

use super::{
    Error,
    client::PUBLISH_FRAME_BYTES,
    entropy,
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

    /// Publishes a batch; what is refused for a reason that may pass again, in its order, while it has
    /// tries left. False when the client is over.
    async fn publish(&self, mut batch: Vec<Queued>) -> bool {
        let retries = self.handle.common.retries;
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(refused) = self.publish_once(batch).await else { return false };
            let (again, over): (Vec<_>, Vec<_>) = refused
                .into_iter()
                .partition(|(_, error)| error.code.is_transient() && tries < retries.tries);
            for (queued, error) in over {
                if error.code == ErrorCode::RunEnded {
                    self.handle.common.cancel_run(&self.run);
                }
                self.troubles.add(queued.id, error);
            }
            let Some((_, error)) = again.first() else { return true };
            let random = u64::from_be_bytes(entropy::random());
            tokio::time::sleep(retries.wait(tries, error.retry_after_ms, random)).await;
            batch = again.into_iter().map(|(queued, _)| queued).collect();
        }
    }

    /// The events that were refused, and why; `None` when the client is over.
    async fn publish_once(&self, batch: Vec<Queued>) -> Option<Vec<(Queued, WireError)>> {
        let ends = batch.iter().any(|queued| queued.ends).then(|| self.run.clone());
        let ends = ends.into_iter().collect();
        let events = batch.iter().map(|queued| queued.text.clone()).collect();
        let request = |answer| Request::Publish { events, ends, answer };
        match self.handle.command(request).await {
            Ok(outcomes) => {
                let refused = batch.into_iter().zip(outcomes);
                let refused = refused.filter_map(|(queued, outcome)| match outcome {
                    Outcome::Refused { error, .. } => Some((queued, error)),
                    Outcome::Stored { .. } => None,
                });
                Some(refused.collect())
            }
            Err(Error::Refused(error)) => {
                Some(batch.into_iter().map(|queued| (queued, error.clone())).collect())
            }
            Err(_) => None,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rethread_shared::limits::OUTBOX_MAX;
    use serde_json::value::RawValue;

    use super::{super::Retries, super::entropy, super::request::Common, *};

    fn refused(code: ErrorCode) -> Outcome {
        Outcome::Refused { id: None, error: WireError::new(code, "not now") }
    }

    fn stored(seq: u64) -> Outcome {
        let thread = "thread_a".parse().unwrap();
        Outcome::Stored { id: entropy::event_id(), thread, seq, duplicate: false }
    }

    /// Lets a pump publish three events against a server that gives these answers; how many events
    /// each publish had, and what was reported.
    async fn publish(answers: Vec<Vec<Outcome>>) -> (Vec<usize>, Option<Error>) {
        let (requests, mut received) = mpsc::unbounded_channel();
        let retries = Retries { step_min: Duration::from_millis(1), ..Retries::default() };
        let common = Arc::new(Common::new(OUTBOX_MAX, retries));
        let handle = Arc::new(Handle { requests, common });
        let (queue, items) = mpsc::channel(8);
        let troubles = Arc::new(Troubles::default());
        let run: RunId = "thread_a_run_1_0a0b0c0d".parse().unwrap();
        let text = || EventText(Arc::new(RawValue::from_string("{}".into()).unwrap()));
        for _ in 0..3 {
            let event = Queued { id: entropy::event_id(), ends: false, text: text() };
            queue.send(Item::Event(event)).await.unwrap();
        }
        drop(queue);
        let pump = Pump::new(run, items, handle, troubles.clone());
        let server = async {
            let mut asked = Vec::new();
            for outcomes in answers {
                let Some(Request::Publish { events, answer, .. }) = received.recv().await else {
                    panic!("a publish was expected");
                };
                asked.push(events.len());
                answer.to.send(Ok(outcomes)).unwrap();
            }
            asked
        };
        let ((), asked) = tokio::join!(pump.run(), server);
        (asked, troubles.take())
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_three_times_and_then_reported() {
        let busy = || refused(ErrorCode::LogUnavailable);
        let once = vec![vec![stored(1), busy(), busy()], vec![stored(2), stored(3)]];
        let (asked, trouble) = publish(once).await;
        assert_eq!(asked, [3, 2], "only what was refused, again");
        assert!(trouble.is_none(), "{trouble:?}");

        let never =
            vec![vec![stored(1), busy(), busy()], vec![busy(), busy()], vec![busy(), busy()]];
        let (asked, trouble) = publish(never).await;
        assert_eq!(asked, [3, 2, 2]);
        let Some(Error::Undelivered { count: 2, events, error }) = trouble else {
            panic!("{trouble:?}");
        };
        assert_eq!((events.len(), error.code), (2, ErrorCode::LogUnavailable));
    }

    #[tokio::test]
    async fn what_is_wrong_is_reported_at_once() {
        let (asked, trouble) =
            publish(vec![vec![stored(1), refused(ErrorCode::BadEvent), stored(2)]]).await;
        assert_eq!(asked, [3]);
        assert!(matches!(trouble, Some(Error::Undelivered { count: 1, .. })), "{trouble:?}");
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_never_shorter_than_asked() {
        let retries = Retries::default();
        let most = |tries| retries.wait(tries, None, 250 * (1 << (tries - 1).min(7)));
        assert_eq!(most(1), Duration::from_millis(250));
        assert_eq!(most(2), Duration::from_millis(500));
        for random in [0, 1, 17, u64::MAX] {
            assert!(retries.wait(40, None, random) <= retries.step_max);
            let asked = retries.wait(1, Some(900), random);
            assert!((900..=1_000).contains(&(asked.as_millis() as u64)), "{asked:?}");
        }
    }
}
