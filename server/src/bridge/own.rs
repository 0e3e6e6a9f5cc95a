//! Events of the server's own: a person's message, a run's end. They go the way of all events: order
//! checked and queued under the thread's lock, then durable, then told.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rethread_shared::{
    ErrorCode, EventId, EventKind, NewEvent, Payload, RunId, ThreadId, WireError, event::Envelope,
    frame::Message, limits::PAGE_BYTES_MAX, order::RunState,
};

use tokio::sync::Mutex;

use super::{
    Bridge,
    runs::{Known, Origin, ThreadRuns, settle},
};
use crate::{
    auth::Grant,
    log::{Appended, LogError, NewRecord, PageLimit, RunRecord},
    now,
};

/// An event of the server's own, on its way.
pub(super) enum Own {
    /// It was stored before.
    Known { seq: u64 },
    /// It has its place in the queue of a thread, whose runs are held in memory until it is settled.
    Queued {
        runs: Arc<Mutex<ThreadRuns>>,
        appended: BoxFuture<'static, Result<Vec<Appended>, LogError>>,
    },
}

impl Bridge {
    /// Queues an event of the server's own, if its run is `still` as it must be for that; registers the
    /// run when the event opens it. Whoever asks for it must still be granted the thread then.
    pub(super) async fn queue_own(
        &self,
        thread: &ThreadId,
        run: &RunId,
        event: &NewEvent<'_>,
        agent: Option<String>,
        by: Option<&Grant>,
        still: impl Fn(&Known) -> bool + Send,
    ) -> Result<Own, WireError> {
        let (id, kind, log) = (event.id, event.payload.kind(), &*self.log);
        let runs = self.runs.of(thread);
        let mut held = runs.lock().await;
        if let Some(grant) = by {
            self.still_granted(thread, grant)?;
        }
        held.refresh(log);
        if held.queued.contains(&id) {
            settle(log, thread).await?;
        }
        if let Some(seq) = log.find(thread, id)? {
            return Ok(Own::Known { seq });
        }
        if kind == EventKind::UserMessage {
            drop(held.register(log, thread, run, Origin::Asked { agent })?);
        }
        let known = held.known(log, thread, run).await?;
        if !still(known) {
            return Err(WireError::new(ErrorCode::RunOrder, format!("run {run} has moved on")));
        }
        if let Err(error) = known.apply(log, &kind, None, false) {
            // Whoever looks for the end that is in the way finds it in the log.
            settle(log, thread).await?;
            return Err(error);
        }
        held.queued.insert(id);
        let appended = log.append_in(held.term(), thread, vec![body_of(event)]);
        if kind.is_end() {
            held.ended(log, thread, run).await?;
        }
        drop(held);
        Ok(Own::Queued { runs, appended })
    }

    /// Waits until an event of the server's own is durable; gives its place.
    pub(super) async fn settle_own(&self, id: EventId, own: Own) -> Result<Appended, WireError> {
        let (runs, appended) = match own {
            Own::Known { seq } => return Ok(Appended { seq, duplicate: true }),
            Own::Queued { runs, appended } => (runs, appended),
        };
        let appended = appended.await;
        let mut held = runs.lock().await;
        held.queued.remove(&id);
        if appended.is_err() {
            held.forget();
        }
        Ok(appended?[0])
    }

    /// True while a run waits for its agent.
    pub(super) async fn is_asked(&self, thread: &ThreadId, run: &RunId) -> Result<bool, WireError> {
        let runs = self.runs.of(thread);
        let mut held = runs.lock().await;
        held.refresh(&*self.log);
        Ok(held.known(&*self.log, thread, run).await?.state == RunState::Asked)
    }

    /// Appends an event of the server's own that ends a run.
    pub(super) async fn end(
        self: &Arc<Self>,
        thread: &ThreadId,
        run: &RunId,
        payload: Payload<'_>,
    ) -> Result<u64, WireError> {
        self.end_if(thread, run, payload, |_| true).await
    }

    /// The same, if the run is `still` as it must be for that when its turn comes.
    pub(super) async fn end_if(
        self: &Arc<Self>,
        thread: &ThreadId,
        run: &RunId,
        payload: Payload<'_>,
        still: impl Fn(&Known) -> bool + Send,
    ) -> Result<u64, WireError> {
        let now = now::unix_ms();
        let id = EventId::generate(now, now::random());
        let kind = payload.kind();
        let event = NewEvent { id, run: run.clone(), at: Some(now), payload };
        let own = self.queue_own(thread, run, &event, None, None, still).await?;
        let seq = self.settle_own(id, own).await?.seq;
        // The desk knows it by one id, whichever it is ended under.
        let record = self.log.recall(run).ok().flatten();
        let first = record.and_then(|record| record.first);
        self.ended(first.as_ref().unwrap_or(run), &kind, seq);
        Ok(seq)
    }

    /// The message that a run's `user_message` holds.
    pub(super) async fn message_at(
        &self,
        record: &RunRecord,
        seq: u64,
    ) -> Result<Message, WireError> {
        let body = self.body_at(&record.thread, seq).await?;
        let broken = || WireError::new(ErrorCode::Internal, "a stored message cannot be read");
        let text = std::str::from_utf8(&body).map_err(|_| broken())?;
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| broken())?;
        let kind = EventKind::UserMessage;
        let Ok(Payload::UserMessage(data)) = Payload::read(&kind, envelope.data_or_empty()) else {
            return Err(broken());
        };
        Ok(Message {
            message_id: data.message_id.into_owned(),
            text: data.text.into_owned(),
            by: data.by.map(std::borrow::Cow::into_owned).unwrap_or_default(),
            seq,
        })
    }

    /// The run of a stored event.
    pub(super) async fn run_at(&self, thread: &ThreadId, seq: u64) -> Result<RunId, WireError> {
        let body = self.body_at(thread, seq).await?;
        let run = std::str::from_utf8(&body)
            .ok()
            .and_then(|text| serde_json::from_str::<Envelope<'_>>(text).ok()?.run.parse().ok());
        run.ok_or_else(|| WireError::new(ErrorCode::Internal, "a stored event cannot be read"))
    }

    async fn body_at(&self, thread: &ThreadId, seq: u64) -> Result<bytes::Bytes, WireError> {
        let limit = PageLimit { events: 1, bytes: PAGE_BYTES_MAX };
        let page = self.log.read(thread, seq.saturating_sub(1), limit).await?;
        let record = page.into_iter().next().filter(|record| record.seq == seq);
        if let Some(record) = record {
            return Ok(record.body);
        }
        let first = self.log.thread(thread)?.map_or(1, |info| info.first);
        Err(if seq < first {
            // Only what has ended is removed.
            let message = format!("it was stored at {seq}, has ended, and is kept no longer");
            WireError::new(ErrorCode::RunEnded, message)
        } else {
            WireError::new(ErrorCode::Internal, "a stored event is not there")
        })
    }
}

/// An event of the server's own, as it is stored.
fn body_of(event: &NewEvent<'_>) -> NewRecord {
    NewRecord { id: event.id, body: event.to_json().get().to_owned().into(), request: None }
}
