//! Events from publishers.

use std::{future::Future, sync::Arc, time::Instant};

use futures_util::future::join_all;
use rethread_shared::{
    ErrorCode, EventId, EventKind, RunId, ThreadId, WireError, event::Envelope, frame::Outcome,
    order::RunState,
};
use tokio::sync::Mutex;
use tracing::{Instrument, Span, level_filters::LevelFilter};

use super::{
    Bridge,
    desk::ConnectionId,
    queue::Room,
    runs::{ThreadRuns, settle},
};
use crate::{
    auth::Grant,
    hash::{Map, Set},
    log::{Appended, Log, LogError, NewRecord, Told},
    now,
    refusals::Asker,
    request::Request,
};

/// Who publishes.
#[derive(Clone, Copy, Debug)]
pub struct Publisher<'a> {
    /// What it may do.
    pub grant: &'a Grant,
    /// The connection it comes over; none over HTTP. A run belongs to the connection that published
    /// in it last: when that is gone, its agent is.
    pub connection: Option<ConnectionId>,
    /// The request that it comes with.
    pub request: &'a Request,
}

/// Events of one publish.
#[derive(Debug)]
pub enum Events<'a> {
    /// The JSON text of each.
    Texts(&'a [&'a str]),
    /// Read already, with the frame in which they came; none can be too large.
    Read {
        /// The events.
        envelopes: Vec<Envelope<'a>>,
        /// Bytes of all of them, or a little more.
        bytes: usize,
    },
}

impl Events<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Read { envelopes, .. } => envelopes.len(),
        }
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.iter().map(|text| text.len()).sum(),
            Self::Read { bytes, .. } => *bytes,
        }
    }

    /// True when they are nothing but pieces of text, which a run's watchers can be without for a while.
    fn are_pieces(&self) -> bool {
        let is_piece = |envelope: &Envelope<'_>| {
            let kind = EventKind::from(envelope.kind.as_ref());
            matches!(kind, EventKind::AgentThinking | EventKind::MessageDelta)
        };
        match self {
            Self::Texts(texts) => {
                texts.iter().all(|text| Envelope::read(text).is_ok_and(|read| is_piece(&read)))
            }
            Self::Read { envelopes, .. } => envelopes.iter().all(is_piece),
        }
    }
}

/// An event that passed every check which needs no lock.
struct Ready {
    /// Its place among the publisher's events.
    place: usize,
    run: RunId,
    kind: EventKind,
    call_id: Option<Box<str>>,
    /// What identifies it; `None` where the publisher gave none, and so cannot be repeating it.
    given: Option<EventId>,
    record: NewRecord,
    /// It is admitted as the end of its run.
    is_new_end: bool,
}

/// Where each run of a publish goes.
type Routes = Map<RunId, Result<ThreadId, WireError>>;

/// A publish that has room in the log's queue.
struct Taken {
    /// Of those that were refused.
    outcomes: Vec<Option<Outcome>>,
    threads: Vec<(ThreadId, Vec<Ready>)>,
    room: Room,
    start: Instant,
    span: Span,
}

/// Events queued in one thread.
struct Queued {
    thread: ThreadId,
    runs: Arc<Mutex<ThreadRuns>>,
    events: Vec<Ready>,
    appended: futures_util::future::BoxFuture<'static, Result<Vec<Appended>, LogError>>,
}

impl Bridge {
    /// Says whether a publish may come now: while the log is slow, one with nothing but
    /// `agent_thinking` and `message_delta` may not. Asked before [`Bridge::publish`] for whoever can be
    /// told to come later; all or nothing, so that none of its events overtakes another.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn admit(&self, events: &Events<'_>) -> Result<(), WireError> {
        self.queue.admit(|| events.are_pieces())
    }

    /// Publishes events, given as JSON texts. Returns when they have their place in the log's queue;
    /// the future it returns is ready when they are durable, and gives a result for each.
    ///
    /// That future must be driven to its end, also when nobody waits for the answer any more: what
    /// the log has taken must be told to the desk. A task of its own does that.
    ///
    /// Two calls one after the other are stored in that order. Waits while the log has too much to
    /// do, and so holds back who publishes faster than the log can store.
    pub async fn publish(
        self: &Arc<Self>,
        by: Publisher<'_>,
        events: &[&str],
    ) -> impl Future<Output = Vec<Outcome>> + Send + 'static {
        let taken = self.take(by, Events::Texts(events)).await;
        self.store(by, taken).await
    }

    /// The same for whoever does not wait: `tell` is called with the results. Most publishes are pieces of
    /// one run; of these nobody needs to know but the publisher, so they go without a task of their own.
    pub async fn publish_telling(
        self: &Arc<Self>,
        by: Publisher<'_>,
        events: Events<'_>,
        tell: impl FnOnce(Vec<Outcome>) + Send + 'static,
    ) {
        let taken = self.take(by, events).await;
        let is_plain = |event: &Ready| !event.kind.changes_order();
        match &taken.threads[..] {
            [(_, events)] if events.iter().all(is_plain) => {
                let span = taken.span.clone();
                self.store_plain(by, taken, tell).instrument(span).await;
            }
            _ => {
                // In a box: every connection would hold room for it.
                let stored = Box::pin(self.store(by, taken)).await;
                tokio::spawn(async move { tell(stored.await) });
            }
        }
    }

    /// Checks events, finds their threads, and waits for room.
    async fn take(&self, by: Publisher<'_>, events: Events<'_>) -> Taken {
        let start = Instant::now();
        let (count, bytes) = (events.len(), events.bytes());
        let span = tracing::debug_span!("publish", request = %by.request.id, events = count);
        self.meters.received.of(by.request.transport).increment(count as u64);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; count];
        let mut ready = Vec::with_capacity(count);
        let mut prepare = |place, event: Result<Envelope<'_>, WireError>| {
            let prepared = event.map_err(|error| (None, error)).and_then(|e| prepare(place, e));
            match prepared {
                Ok(event) => ready.push(event),
                Err((id, error)) => outcomes[place] = Some(refused(id, error)),
            }
        };
        match events {
            Events::Read { envelopes, .. } => {
                let read = envelopes.into_iter().map(Ok).enumerate();
                read.for_each(|(place, event)| prepare(place, event));
            }
            Events::Texts(texts) => {
                let read = texts.iter().map(|text| Envelope::read(text)).enumerate();
                read.for_each(|(place, event)| prepare(place, event));
            }
        }
        let threads = self.route(by, ready, &mut outcomes).await;
        let room = self.queue.enter(count, bytes).await;
        Taken { outcomes, threads, room, start, span }
    }

    /// Queues events, and drives what the log makes of them to its end.
    async fn store(
        self: &Arc<Self>,
        by: Publisher<'_>,
        taken: Taken,
    ) -> impl Future<Output = Vec<Outcome>> + Send + 'static {
        let Taken { mut outcomes, threads, room, start, span } = taken;
        let mut queued = Vec::with_capacity(threads.len());
        for (thread, events) in threads {
            let queue = self.queue(by, thread, events, &mut outcomes);
            queued.extend(queue.instrument(span.clone()).await);
        }
        let (bridge, request, user) = (self.clone(), by.request.clone(), by.grant.user().clone());
        let stored = async move {
            let settled = queued.into_iter().map(|queued| bridge.settle(queued));
            for (place, outcome) in join_all(settled).await.into_iter().flatten() {
                outcomes[place] = Some(outcome);
            }
            drop(room);
            bridge.tell(&request, &user, outcomes, start)
        };
        stored.instrument(span)
    }

    /// Queues events of one thread that do not change what may come next in it. Whatever becomes of them,
    /// nothing that is remembered of their runs goes ahead of the log, but what ends with its term.
    async fn store_plain(
        self: &Arc<Self>,
        by: Publisher<'_>,
        taken: Taken,
        tell: impl FnOnce(Vec<Outcome>) + Send + 'static,
    ) {
        let Taken { mut outcomes, mut threads, room, start, span } = taken;
        let (thread, events) = threads.pop().expect("there is one");
        let runs = self.runs.of(&thread);
        let mut held = runs.lock().await;
        let mut accepted = self.accept(by, &thread, &mut held, events, &mut outcomes).await;
        let (bridge, request, user) = (self.clone(), by.request.clone(), by.grant.user().clone());
        if accepted.is_empty() {
            drop((held, room));
            return tell(bridge.tell(&request, &user, outcomes, start));
        }
        let (term, records) = (held.term(), records(by, &mut accepted));
        let of = thread.clone();
        let told = Told::new(move |appended| {
            let _span = span.entered();
            for (place, outcome) in outcomes_of(&of, &accepted, appended) {
                outcomes[place] = Some(outcome);
            }
            // Before the publisher has taken its answer: it may be waiting for this room.
            drop(room);
            tell(bridge.tell(&request, &user, outcomes, start));
        });
        self.log.append_telling(term, &thread, records, told);
    }

    /// Counts and logs what became of a publish, and gives it.
    fn tell(
        &self,
        request: &Request,
        user: &Arc<str>,
        outcomes: Vec<Option<Outcome>>,
        start: Instant,
    ) -> Vec<Outcome> {
        let outcomes: Vec<Outcome> =
            outcomes.into_iter().map(|outcome| outcome.expect("each event has one")).collect();
        self.meters.tally(&outcomes);
        self.meters.duration.record(start.elapsed());
        let asker = Asker { request, asked: "publish", user: Some(user) };
        self.refusals.note_events(asker, &outcomes);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let stored = outcomes.iter().filter(|o| matches!(o, Outcome::Stored { .. })).count();
            let (id, ms) = (&request.id, start.elapsed().as_secs_f64() * 1_000.0);
            tracing::debug!(request = %id, events = outcomes.len(), stored, ms, "published");
        }
        outcomes
    }

    /// Puts events with their threads, each thread's in their order.
    async fn route(
        &self,
        by: Publisher<'_>,
        events: Vec<Ready>,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<(ThreadId, Vec<Ready>)> {
        if let Some(thread) = self.only_thread(by.grant, &events) {
            return vec![(thread, events)];
        }
        let routes = self.routes(by.grant, &events).await;
        let mut threads: Vec<(ThreadId, Vec<Ready>)> = Vec::new();
        let mut places: Map<&ThreadId, usize> = Map::default();
        let mut last = usize::MAX;
        for event in events {
            if let Some((_, events)) = threads.get_mut(last)
                && events.last().is_some_and(|before| before.run == event.run)
            {
                events.push(event);
                continue;
            }
            let thread = match &routes[&event.run] {
                Ok(thread) => thread,
                Err(error) => {
                    outcomes[event.place] = Some(refused(event.given, error.clone()));
                    continue;
                }
            };
            last = *places.entry(thread).or_insert(threads.len());
            match threads.get_mut(last) {
                Some((_, events)) => events.push(event),
                None => threads.push((thread.clone(), vec![event])),
            }
        }
        threads
    }

    /// The thread of all events, where they are of one run and that was resolved before: nothing needs to
    /// be sorted then.
    fn only_thread(&self, grant: &Grant, events: &[Ready]) -> Option<ThreadId> {
        let run = &events.first()?.run;
        let is_one = events.iter().all(|event| event.run == *run);
        is_one.then(|| self.known_thread_of(run, grant)).flatten()
    }

    /// The thread of each run. Those that are not known are looked for all at once: together they wait
    /// no longer than one alone.
    async fn routes(&self, grant: &Grant, events: &[Ready]) -> Routes {
        let mut routes = Routes::default();
        let mut unknown = Set::default();
        let mut last: Option<&RunId> = None;
        for Ready { run, .. } in events {
            // Most publishes are of one run.
            if last.replace(run) == Some(run) || routes.contains_key(run) {
                continue;
            }
            match self.known_thread_of(run, grant) {
                Some(thread) => drop(routes.insert(run.clone(), Ok(thread))),
                None => drop(unknown.insert(run)),
            }
        }
        let found = unknown.into_iter().map(|run| async move {
            let thread = self.thread_of(run, grant).await;
            (run.clone(), thread)
        });
        routes.extend(join_all(found).await);
        routes
    }

    /// Checks the order of one thread's events and queues those that pass.
    async fn queue(
        &self,
        by: Publisher<'_>,
        thread: ThreadId,
        events: Vec<Ready>,
        outcomes: &mut [Option<Outcome>],
    ) -> Option<Queued> {
        let runs = self.runs.of(&thread);
        let mut held = runs.clone().lock_owned().await;
        let mut accepted = self.accept(by, &thread, &mut held, events, outcomes).await;
        if accepted.is_empty() {
            return None;
        }
        let records = records(by, &mut accepted);
        let appended = self.log.append_in(held.term(), &thread, records);
        for event in accepted.iter().filter(|event| event.is_new_end) {
            // It was admitted a moment ago, so it is in memory.
            if let Err(error) = held.ended(&*self.log, &thread, &event.run).await {
                let run = &event.run;
                tracing::error!(%run, %error, "its end is not remembered; the log tells");
            }
        }
        drop(held);
        Some(Queued { thread, runs, events: accepted, appended })
    }

    /// The events of one thread that may come now, as its runs are.
    async fn accept(
        &self,
        by: Publisher<'_>,
        thread: &ThreadId,
        held: &mut ThreadRuns,
        events: Vec<Ready>,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<Ready> {
        // What was granted may have been revoked while this waited for room.
        if let Err(error) = self.still_granted(thread, by.grant) {
            for event in events {
                outcomes[event.place] = Some(refused(event.given, error.clone()));
            }
            return Vec::new();
        }
        held.refresh(&*self.log);
        let mut accepted = Vec::with_capacity(events.len());
        for mut event in events {
            match admit(&*self.log, held, thread, &event, by.connection.is_some()).await {
                Ok(is_new) => {
                    if event.kind.changes_order() {
                        held.queued.insert(event.record.id);
                    }
                    if is_new && event.kind.is_end() {
                        // The desk knows it by one id, whichever it is published under.
                        if let Ok(known) = held.known(&*self.log, thread, &event.run).await {
                            event.run = known.record.run.clone();
                        }
                        event.is_new_end = true;
                    }
                    accepted.push(event);
                }
                Err(error) => {
                    if error.code == ErrorCode::RunConflict {
                        // What was remembered of it is not so.
                        self.resolver.forget([&event.run]);
                    }
                    outcomes[event.place] = Some(refused(event.given, error));
                }
            }
        }
        self.claim(by, thread, held, &accepted).await;
        accepted
    }

    /// The runs that go on are with this connection; a repetition shows that as well as news does.
    /// Said under the thread's lock, and so before anybody can say that the run is over.
    async fn claim(
        &self,
        by: Publisher<'_>,
        thread: &ThreadId,
        held: &mut ThreadRuns,
        events: &[Ready],
    ) {
        let mut last: Option<&RunId> = None;
        for Ready { run, .. } in events {
            if last.replace(run) == Some(run) {
                continue;
            }
            let Ok(known) = held.known(&*self.log, thread, run).await else { continue };
            match by.connection {
                _ if !matches!(known.state, RunState::Running { .. }) => {}
                Some(connection) => self.watch(self.desk.bind(&known.record.run, connection)),
                None => self.desk.goes_on(&known.record.run),
            }
        }
    }

    /// Waits until the events of one thread are durable, and tells who must know.
    async fn settle(self: &Arc<Self>, queued: Queued) -> Vec<(usize, Outcome)> {
        let Queued { thread, runs, events, appended } = queued;
        let appended = appended.await;
        if appended.is_err() || events.iter().any(|event| event.kind.changes_order()) {
            let mut held = runs.lock().await;
            for event in &events {
                held.queued.remove(&event.record.id);
            }
            if appended.is_err() {
                held.forget();
            }
        }
        if let Ok(appended) = &appended {
            for (event, stored) in events.iter().zip(appended) {
                if event.kind.is_end() && !stored.duplicate {
                    self.ended(&event.run, &event.kind, stored.seq);
                }
            }
        }
        outcomes_of(&thread, &events, appended).collect()
    }
}

/// What became of the events of one thread, each with its place among the publisher's.
fn outcomes_of(
    thread: &ThreadId,
    events: &[Ready],
    appended: Result<Vec<Appended>, LogError>,
) -> impl Iterator<Item = (usize, Outcome)> {
    let appended = appended.map_err(WireError::from);
    events.iter().enumerate().map(move |(k, event)| {
        let outcome = match &appended {
            Ok(appended) => {
                let Appended { seq, duplicate } = appended[k];
                Outcome::Stored { id: event.record.id, thread: thread.clone(), seq, duplicate }
            }
            Err(error) => refused(event.given, error.clone()),
        };
        (event.place, outcome)
    })
}

/// What is to be stored of events, which keep the rest.
fn records(by: Publisher<'_>, events: &mut [Ready]) -> Vec<NewRecord> {
    // For logs that nobody writes it need not go along.
    let is_followed = LevelFilter::current() >= LevelFilter::DEBUG;
    events[0].record.request = is_followed.then(|| by.request.id.clone());
    // Of the record only the id is needed any more.
    let take = |Ready { record: NewRecord { id, body, request }, .. }: &mut Ready| NewRecord {
        id: *id,
        body: std::mem::take(body),
        request: request.take(),
    };
    events.iter_mut().map(take).collect()
}

/// Checks all of an event that needs neither its thread nor a lock.
fn prepare(place: usize, envelope: Envelope<'_>) -> Result<Ready, (Option<EventId>, WireError)> {
    let given = envelope.id;
    let checked = envelope.check().map_err(|error| (given, error))?;
    let now = now::unix_ms();
    let id = given.unwrap_or_else(|| EventId::generate(now, now::random()));
    let record = NewRecord { id, body: checked.body(id, now).into(), request: None };
    let (run, kind, call_id) = (checked.run, checked.kind, checked.call_id);
    Ok(Ready { place, run, kind, call_id, given, record, is_new_end: false })
}

/// Lets an event pass if it is a repetition, or if its run's order allows it. True when it is new.
async fn admit(
    log: &dyn Log,
    runs: &mut ThreadRuns,
    thread: &ThreadId,
    event: &Ready,
    connected: bool,
) -> Result<bool, WireError> {
    // A repetition must not move the run's state again, though the order may seem to allow it. The
    // log answers it with its first place.
    if event.kind.changes_order()
        && let Some(id) = event.given
        && (runs.queued.contains(&id) || log.find(thread, id)?.is_some())
    {
        return Ok(false);
    }
    let known = runs.known(log, thread, &event.run).await?;
    let Err(error) = known.apply(log, &event.kind, event.call_id.as_deref(), connected) else {
        return Ok(true);
    };
    // A repetition of what was in order in its time, such as a delta of a run that has since ended.
    // It may still be queued, from a connection that broke: wait for that.
    if let Some(id) = event.given {
        settle(log, thread).await?;
        if log.find(thread, id)?.is_some() {
            return Ok(false);
        }
    }
    Err(error)
}

fn refused(id: Option<EventId>, error: WireError) -> Outcome {
    Outcome::Refused { id, error }
}
