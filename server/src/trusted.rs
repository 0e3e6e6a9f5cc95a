//! The bridge for code in this process: typed events in, typed events out, no HTTP and no token.
//!
//! An application that mounts the [`router`](crate::router) publishes with it, and an agent that lives in the same
//! program takes its work here. It is the same bridge and the same log: ids, order, durability and
//! the errors are those of PROTOCOL.md.

use std::{collections::VecDeque, sync::Arc};

use rethread_shared::{
    ErrorCode, Event, EventId, NewEvent, Payload, RunId, ThreadId, WireError,
    frame::{self, Cancelled, Outcome, Reset, Sent, Start, Work},
    limits::{NOTES_WAITING_MAX, PUBLISH_EVENTS_MAX},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Grant,
    bridge::{
        Bridge,
        desk::{ConnectionId, Inbox, Note, notes},
        publish::Publisher,
    },
    connections::{Connections, Place},
    feed::{Due, Feed},
    log::{ThreadInfo, tail::Wake},
    metrics::meters::Transport,
    now,
    request::Request,
};

/// Somebody in this process who may do everything in every thread, in the name of a user: what it
/// creates belongs to that user. Made by [`Server::trusted`](crate::Server::trusted); cheap to clone.
///
/// ```
/// use rethread_server::{Server, config::Config, trusted::Followed};
/// use rethread_shared::{event::{AgentCompleted, AgentStarted, MessageDelta}, frame::Start};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let secret = "a secret of at least 32 bytes, for tokens".to_owned();
/// let server = Server::open(Config::new(folder.path().to_path_buf(), secret)).await?;
/// let ada = server.trusted("ada");
/// let thread = ada.create_thread(None, Some("A report")).await?.thread;
/// let run = ada.mint_run(&thread).await?;
/// ada.publish(&run, AgentStarted { agent: "reporter".into(), message: None }).await?;
/// ada.publish(&run, MessageDelta { message_id: "m1".into(), text: "All is well.".into() }).await?;
/// let seq = ada.publish(&run, AgentCompleted::default()).await?;
/// assert_eq!(seq, 3);
///
/// let mut events = ada.follow(&thread, Start::Beginning)?;
/// let Some(Followed::Event(first)) = events.next().await? else { panic!("it was stored") };
/// assert_eq!((first.seq, first.kind.as_str()), (1, "agent_started"));
/// server.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Trusted {
    bridge: Arc<Bridge>,
    connections: Arc<Connections>,
    grant: Arc<Grant>,
}

impl Trusted {
    pub(crate) fn new(bridge: Arc<Bridge>, connections: Arc<Connections>, user: &str) -> Self {
        Self { bridge, connections, grant: Arc::new(Grant::trusted(user)) }
    }

    /// Makes a thread that belongs to this user, or gives the one that has this id. Without an id the
    /// server makes one.
    ///
    /// # Errors
    /// `bad_frame` for a title that is too long, `log_unavailable`.
    pub async fn create_thread(
        &self,
        thread: Option<&ThreadId>,
        title: Option<&str>,
    ) -> Result<ThreadInfo, WireError> {
        let thread = thread.cloned().unwrap_or_else(|| ThreadId::generate(now::random()));
        let title = title.map(str::to_owned);
        Ok(self.bridge.create(&thread, title, &self.grant).await?.thread)
    }

    /// The thread as it is now.
    ///
    /// # Errors
    /// `thread_not_found`, `log_unavailable`.
    pub fn thread(&self, thread: &ThreadId) -> Result<ThreadInfo, WireError> {
        self.bridge.thread(thread, &self.grant)
    }

    /// Makes a run of a thread, remembered by the registry.
    ///
    /// # Errors
    /// `thread_not_found`, `log_unavailable`.
    pub async fn mint_run(&self, thread: &ThreadId) -> Result<RunId, WireError> {
        self.bridge.mint_run(thread, &self.grant).await
    }

    /// Publishes one event, and gives its place in the thread once it is durable. It is carried to its
    /// end also when nobody waits for the answer.
    ///
    /// # Errors
    /// What PROTOCOL.md says of publishing: `run_order`, `run_ended`, `run_unresolved`,
    /// `event_too_large`, `log_unavailable`, `shutting_down`.
    pub async fn publish<'a>(
        &self,
        run: &RunId,
        payload: impl Into<Payload<'a>>,
    ) -> Result<u64, WireError> {
        publish(self, None, event(run, payload.into())).await
    }

    /// Publishes events that carry ids of the caller's own, so that publishing them again is
    /// harmless. Gives a result for each, in their order, once all are durable.
    ///
    /// # Errors
    /// When there are none, or more than [`PUBLISH_EVENTS_MAX`].
    pub async fn publish_all(&self, events: &[NewEvent<'_>]) -> Result<Vec<Outcome>, WireError> {
        publish_all(self, None, events).await
    }

    /// Says something in a thread, as this user: stores it as `user_message` and hands it to an
    /// agent, here or behind a connection; `None` lets any answer. Gives the run that will answer.
    ///
    /// # Errors
    /// `thread_not_found`, `bad_event` for an empty text, `slow_down` while too much waits for agents.
    pub async fn send(
        &self,
        thread: &ThreadId,
        text: &str,
        agent: Option<&str>,
    ) -> Result<Sent, WireError> {
        let ask = frame::Send {
            req: 0,
            thread: thread.clone(),
            message_id: EventId::generate(now::unix_ms(), now::random()),
            text: text.to_owned(),
            agent: agent.map(str::to_owned),
        };
        let (bridge, grant) = (self.bridge.clone(), self.grant.clone());
        to_its_end(async move { bridge.send(ask, &grant).await?.await }).await?
    }

    /// Ends a run with `agent_cancelled`, and gives the place of that event.
    ///
    /// # Errors
    /// `run_not_found`, `run_ended` when it ended otherwise, `log_unavailable`.
    pub async fn cancel(&self, run: &RunId, reason: Option<&str>) -> Result<u64, WireError> {
        let (bridge, grant, run) = (self.bridge.clone(), self.grant.clone(), run.clone());
        let reason = reason.map(str::to_owned);
        to_its_end(async move { bridge.cancel(&run, reason.as_deref(), &grant).await }).await?
    }

    /// Offers to take the work of an agent: messages that people send to it, or to any.
    ///
    /// # Errors
    /// `slow_down` while there are as many connections as there may be, `bad_frame` for a name that is
    /// none.
    pub async fn serve(&self, agent: &str) -> Result<Serving, WireError> {
        let place = self.connections.enter(Transport::InProcess, None).ok_or_else(|| {
            WireError::new(ErrorCode::SlowDown, "the server has as many connections as it may")
                .with_retry_after_ms(5_000)
        })?;
        place.card().introduce(self.grant.user(), Some(agent));
        let (sender, notes) = notes(NOTES_WAITING_MAX);
        self.bridge.connected(place.id, sender, &self.grant);
        let leaving = self.connections.leaving().clone();
        // From here on its drop takes the connection back.
        let serving = Serving { trusted: self.clone(), place, notes, leaving };
        self.bridge.serve(serving.place.id, agent, &[], &self.grant).await?;
        Ok(serving)
    }

    /// Follows a thread: its events after `start`, those that are there and those that come.
    ///
    /// # Errors
    /// `thread_not_found`, `log_unavailable`.
    pub fn follow(&self, thread: &ThreadId, start: Start) -> Result<Following, WireError> {
        let bridge = self.bridge.clone();
        let more = Arc::new(More::default());
        let (feed, opening) =
            Feed::open(&**bridge.log(), thread, start, more.clone(), self.connections.feeds())?;
        let leaving = self.connections.leaving().clone();
        let ready = opening.reset.map(Followed::Reset).into_iter().collect();
        Ok(Following { feed, bridge, more, leaving, ready })
    }
}

/// An agent in this process: takes work, and publishes the runs that it works on. A run that it has
/// begun and not ended when it is dropped ends as `agent_lost`, unless somebody goes on with it in time.
///
/// ```no_run
/// # use rethread_server::{Trusted, trusted::Task};
/// # use rethread_shared::{WireError, event::{AgentCompleted, AgentStarted, MessageDelta}};
/// async fn echo(agents: Trusted) -> Result<(), WireError> {
///     let mut agent = agents.serve("echo").await?;
///     while let Some(task) = agent.next().await {
///         let Task::Work(work) = task else { continue };
///         let (id, text) = ("m1".into(), work.message.text.into());
///         agent.publish(&work.run, AgentStarted { agent: "echo".into(), message: None }).await?;
///         agent.publish(&work.run, MessageDelta { message_id: id, text }).await?;
///         agent.publish(&work.run, AgentCompleted::default()).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Serving {
    trusted: Trusted,
    place: Place,
    notes: Inbox,
    leaving: CancellationToken,
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub enum Task {
    /// A person's message to answer, beginning with `agent_started`.
    Work(Work),
    /// A run that it works on was stopped.
    Cancelled(Cancelled),
}

impl Serving {
    /// The next task; `None` when the server stops. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Task> {
        let note = tokio::select! {
            biased;
            () = self.leaving.cancelled() => return None,
            note = self.notes.next() => note,
        };
        self.trusted.bridge.has_room();
        Some(match note {
            Note::Work(work) => Task::Work(work),
            Note::Cancelled(cancelled) => Task::Cancelled(cancelled),
        })
    }

    /// As [`Trusted::publish`], as the run's agent.
    ///
    /// # Errors
    /// As [`Trusted::publish`].
    pub async fn publish<'a>(
        &self,
        run: &RunId,
        payload: impl Into<Payload<'a>>,
    ) -> Result<u64, WireError> {
        publish(&self.trusted, Some(self.place.id), event(run, payload.into())).await
    }

    /// As [`Trusted::publish_all`], as the runs' agent.
    ///
    /// # Errors
    /// As [`Trusted::publish_all`].
    pub async fn publish_all(&self, events: &[NewEvent<'_>]) -> Result<Vec<Outcome>, WireError> {
        publish_all(&self.trusted, Some(self.place.id), events).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Without a runtime nothing can wait for the agent's return, and nobody is left to serve.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.trusted.bridge.disconnected(self.place.id);
        }
    }
}

/// A cursor over a thread. It holds no queue: a slow reader reads from the log.
#[derive(Debug)]
pub struct Following {
    feed: Feed,
    bridge: Arc<Bridge>,
    more: Arc<More>,
    leaving: CancellationToken,
    ready: VecDeque<Followed>,
}

/// What a follower of a thread is told.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next event.
    Event(Event),
    /// The position cannot be served; what the follower has of this thread is void. Events from the
    /// first one kept follow.
    Reset(Reset),
}

impl Following {
    /// What is next; `None` when the server stops. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the log cannot be read; the cursor is where it was.
    pub async fn next(&mut self) -> Result<Option<Followed>, WireError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(Some(next));
            }
            if let Some(due) = self.feed.next(&**self.bridge.log()).await? {
                let frame = match due {
                    Due::Events(frame) => frame,
                    Due::Reset(opening) => {
                        self.ready.extend(opening.reset.map(Followed::Reset));
                        continue;
                    }
                };
                let events = frame.events(0).map(|(_, text)| {
                    serde_json::from_slice(&text).map(Followed::Event).map_err(|error| {
                        WireError::new(
                            ErrorCode::Internal,
                            format!("a stored event cannot be read: {error}"),
                        )
                    })
                });
                self.ready = events.collect::<Result<_, _>>()?;
                continue;
            }
            tokio::select! {
                () = self.more.0.notified() => {}
                () = self.leaving.cancelled() => return Ok(None),
            }
        }
    }
}

#[derive(Debug, Default)]
struct More(Notify);

impl Wake for More {
    fn wake(&self) {
        self.0.notify_one();
    }
}

fn event<'a>(run: &RunId, payload: Payload<'a>) -> NewEvent<'a> {
    let now = now::unix_ms();
    let id = EventId::generate(now, now::random());
    NewEvent { id, run: run.clone(), at: Some(now), payload }
}

async fn publish(
    by: &Trusted,
    connection: Option<ConnectionId>,
    event: NewEvent<'_>,
) -> Result<u64, WireError> {
    let mut outcomes = publish_all(by, connection, &[event]).await?;
    match outcomes.pop() {
        Some(Outcome::Stored { seq, .. }) => Ok(seq),
        Some(Outcome::Refused { error, .. }) => Err(error),
        None => Err(WireError::new(ErrorCode::Internal, "the publish has no result")),
    }
}

async fn publish_all(
    by: &Trusted,
    connection: Option<ConnectionId>,
    events: &[NewEvent<'_>],
) -> Result<Vec<Outcome>, WireError> {
    if events.is_empty() || events.len() > PUBLISH_EVENTS_MAX {
        return Err(crate::socket::wrong_number(events.len()));
    }
    let texts: Vec<_> = events.iter().map(NewEvent::to_json).collect();
    let (bridge, grant) = (by.bridge.clone(), by.grant.clone());
    to_its_end(async move {
        let texts: Vec<&str> = texts.iter().map(|text| text.get()).collect();
        let request = &Request::new(Transport::InProcess);
        bridge.publish(Publisher { grant: &grant, connection, request }, &texts).await.await
    })
    .await
}

/// A task of its own: what the log has taken must be told to the desk, also when nobody waits.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, WireError> {
    tokio::spawn(work)
        .await
        .map_err(|error| WireError::new(ErrorCode::Internal, format!("it broke off: {error}")))
}
