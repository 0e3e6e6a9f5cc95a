use std::{borrow::Borrow, sync::Arc};

use rethread_shared::{
    EventId, Position, RunId, ThreadId,
    event::Envelope,
    frame::{Outcome, Start},
    limits::{OUTBOX_MAX, RUNS_WORKED_MAX},
};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Config, Emitter, Error, Subscription, WorkStream,
    driver::Driver,
    entropy,
    request::{Common, Handle, Request},
    socket,
    subscription::{Inlet, Seat},
    wire::EventText,
};
use crate::session::Status;

/// A connection to a Rethread server that mends itself. Cheap to clone; it ends when the last clone
/// and everything made from it is dropped, or with [`Client::close`].
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

/// A message that is in its thread's log.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The run that will answer.
    pub run: RunId,
    /// The place of the message in the thread.
    pub seq: u64,
    /// The id that the message was given.
    pub message_id: EventId,
}

/// Bytes of a `publish` frame around its events.
pub(super) const PUBLISH_FRAME_BYTES: usize = 64;

impl Client {
    /// Connects, and returns once the server has said welcome. A server that cannot be reached is
    /// tried until it can; put a time limit around this where that is not wanted.
    ///
    /// # Errors
    /// [`Error::BadUrl`]; [`Error::Closed`] when the server refuses the token or this client.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let endpoint = socket::endpoint(&config.url)?;
        let common = Arc::new(Common::new(OUTBOX_MAX, config.retries));
        let (requests, received) = mpsc::unbounded_channel();
        let driver = Driver::new(config, endpoint, common.clone(), received);
        tokio::spawn(driver.run());
        let client = Self { handle: Arc::new(Handle { requests, common }) };
        let mut status = client.watch_status();
        let decided = |status: &Status| matches!(status, Status::Online | Status::Closed(_));
        match status.wait_for(decided).await.as_deref() {
            Ok(Status::Online) => {}
            _ => return Err(client.handle.common.closed()),
        }
        Ok(client)
    }

    /// Where the connection is. Times in it are milliseconds since the client was made.
    #[must_use]
    pub fn status(&self) -> Status {
        self.handle.common.status.borrow().clone()
    }

    /// The status as it changes.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.handle.common.status.subscribe()
    }

    /// Follows a thread. Returns once the server has agreed.
    ///
    /// # Errors
    /// [`Error::Refused`] (`thread_not_found`, …), [`Error::AlreadySubscribed`], [`Error::Closed`].
    pub async fn subscribe(
        &self,
        thread: impl Borrow<ThreadId>,
        start: Start,
    ) -> Result<Subscription, Error> {
        let thread = thread.borrow().clone();
        let (inlet, deliveries, line) = Inlet::new();
        let (answer, answered) = oneshot::channel();
        let seat = Seat::new(thread.clone(), line, self.handle.clone());
        self.handle.ask(Request::Subscribe { thread, start, inlet, answer });
        let closed = || Err(self.handle.common.closed());
        let (position, head): (Position, u64) = answered.await.unwrap_or_else(|_| closed())?;
        Ok(Subscription::new(seat, position, head, deliveries))
    }

    /// Says something in a thread, to `agent` or to any. Returns once it is in the log.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Refused`], [`Error::Closed`].
    pub async fn send(
        &self,
        thread: impl Borrow<ThreadId>,
        text: impl Into<String>,
        agent: Option<&str>,
    ) -> Result<Sent, Error> {
        self.send_as(entropy::event_id(), thread, text, agent).await
    }

    /// As [`Client::send`], with an id of the caller's: sending it again, even by another process,
    /// says it once and gives the same answer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_as(
        &self,
        message_id: EventId,
        thread: impl Borrow<ThreadId>,
        text: impl Into<String>,
        agent: Option<&str>,
    ) -> Result<Sent, Error> {
        let (thread, text) = (thread.borrow().clone(), text.into());
        check_size(text.len(), self.handle.common.limits().message_bytes)?;
        let agent = agent.map(str::to_owned);
        let request = |answer| Request::Send { thread, message_id, text, agent, answer };
        let (run, seq) = self.handle.command(request).await?;
        Ok(Sent { run, seq, message_id })
    }

    /// Stops a run, saying why for the log. Returns the place of its `agent_cancelled`.
    ///
    /// # Errors
    /// [`Error::Refused`] (`run_ended`, `run_not_found`, …), [`Error::Closed`].
    pub async fn cancel(
        &self,
        run: impl Borrow<RunId>,
        reason: Option<&str>,
    ) -> Result<u64, Error> {
        let (run, reason) = (run.borrow().clone(), reason.map(str::to_owned));
        self.handle.command(|answer| Request::Cancel { run, reason, answer }).await
    }

    /// Publishes events, as many as are given, in their order. Returns once each is in the log or
    /// refused; the results stand in the order of the events. Lost connections and a server that
    /// asks for patience are waited out: events without an id are given one, so that none is stored
    /// twice. One that an earlier try had stored answers as a duplicate.
    ///
    /// # Errors
    /// [`Error::TooLarge`] before anything is sent; [`Error::Refused`] when the whole request was;
    /// [`Error::Closed`].
    pub async fn publish(&self, events: Vec<Box<RawValue>>) -> Result<Vec<Outcome>, Error> {
        let limits = self.handle.common.limits();
        let mut chunks: Vec<(Vec<EventText>, Vec<RunId>, usize)> = Vec::new();
        for event in events {
            let Prepared { text, ends } = prepare(event);
            let bytes = text.0.get().len() + 1;
            check_size(bytes, limits.event_bytes)?;
            let room = limits.frame_bytes.saturating_sub(PUBLISH_FRAME_BYTES);
            match chunks.last_mut() {
                Some((events, ended, used))
                    if events.len() < limits.publish_events && *used + bytes <= room =>
                {
                    events.push(text);
                    ended.extend(ends);
                    *used += bytes;
                }
                _ => chunks.push((vec![text], ends.into_iter().collect(), bytes)),
            }
        }
        let requests: Vec<_> = chunks
            .into_iter()
            .map(|(events, ends, _)| {
                self.handle.command(|answer| Request::Publish { events, ends, answer })
            })
            .collect();
        let mut outcomes = Vec::new();
        for request in requests {
            outcomes.extend(request.await?);
        }
        Ok(outcomes)
    }

    /// Offers to take work for an agent, until the stream is dropped.
    ///
    /// # Errors
    /// [`Error::AlreadyServing`], [`Error::Closed`]. A token without the scope `serve` is refused in
    /// the log only, for the server does not answer an offer.
    pub async fn serve(&self, agent: impl Into<String>) -> Result<WorkStream, Error> {
        let agent = agent.into();
        let (work, received) = mpsc::channel(RUNS_WORKED_MAX);
        let (answer, answered) = oneshot::channel();
        self.handle.ask(Request::Serve { agent: agent.clone(), work, answer });
        answered.await.unwrap_or_else(|_| Err(self.handle.common.closed()))?;
        Ok(WorkStream::new(agent, received, self.handle.clone()))
    }

    /// An emitter for a run's events. One emitter a run (clone it), for each keeps an order of its
    /// own.
    #[must_use]
    pub fn emitter(&self, run: impl Borrow<RunId>) -> Emitter {
        Emitter::new(self.handle.clone(), run.borrow().clone())
    }

    /// Closes the connection for good. What has not been acknowledged is given up: `flush` emitters
    /// and await publishes before.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        self.handle.ask(Request::Close(done));
        closed.await.ok();
    }
}

/// An event that is ready to be sent.
pub(super) struct Prepared {
    pub(super) text: EventText,
    /// The run that it ends.
    pub(super) ends: Option<RunId>,
}

/// Gives an event an id where it has none. What cannot be read goes as it is: the server says what
/// is wrong with it.
pub(super) fn prepare(event: Box<RawValue>) -> Prepared {
    let mut ends = None;
    let mut with_id = None;
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(event.get()) {
        if rethread_shared::EventKind::from(envelope.kind.as_ref()).is_end() {
            ends = envelope.run.parse().ok();
        }
        if envelope.id.is_none()
            && let Some(rest) = event.get().trim_start().strip_prefix('{')
        {
            with_id =
                RawValue::from_string(format!(r#"{{"id":"{}",{rest}"#, entropy::event_id())).ok();
        }
    }
    Prepared { text: EventText(Arc::new(with_id.unwrap_or(event))), ends }
}

pub(super) fn check_size(bytes: usize, max: usize) -> Result<(), Error> {
    if bytes > max { Err(Error::TooLarge { bytes, max }) } else { Ok(()) }
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|error| Error::NotJson(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn whoever_stops_waiting_for_a_subscription_gives_it_up() {
        let thread: ThreadId = "thread_x".parse().unwrap();
        for is_answered in [false, true] {
            let (requests, mut received) = mpsc::unbounded_channel();
            let common = Arc::new(Common::new(OUTBOX_MAX, Default::default()));
            let client = Client { handle: Arc::new(Handle { requests, common }) };
            let ours = {
                let mut asking = pin!(client.subscribe(&thread, Start::Beginning));
                let mut context = Context::from_waker(Waker::noop());
                assert!(asking.as_mut().poll(&mut context).is_pending());
                let Ok(Request::Subscribe { inlet, answer, .. }) = received.try_recv() else {
                    panic!("the driver is asked");
                };
                if is_answered {
                    let position = Position { epoch: "0000000a".parse().unwrap(), seq: 0 };
                    answer.send(Ok((position, 0))).unwrap();
                }
                assert!(received.try_recv().is_err());
                inlet
            };
            let Ok(Request::Unsubscribe(left, line)) = received.try_recv() else {
                panic!("the driver is told");
            };
            assert_eq!(left, thread);
            assert!(ours.is_of(&line));
        }
    }

    #[test]
    fn an_event_without_an_id_is_given_one_and_otherwise_kept() {
        let text = r#" { "run":"thread_1_run_5_0a0b0c0d","type":"agent_completed","data":{} }"#;
        let prepared = prepare(RawValue::from_string(text.trim().to_owned()).unwrap());
        let event = prepared.text.0.get().to_owned();
        let envelope: Envelope<'_> = serde_json::from_str(&event).unwrap();
        assert!(envelope.id.is_some());
        assert_eq!(prepared.ends, Some("thread_1_run_5_0a0b0c0d".parse().unwrap()));

        let again = prepare(RawValue::from_string(event.clone()).unwrap());
        assert_eq!(again.text.0.get(), event);
        let broken = prepare(RawValue::from_string("[1]".into()).unwrap());
        assert_eq!(broken.text.0.get(), "[1]");
    }
}
