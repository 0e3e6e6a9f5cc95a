mod notices;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rethread_shared::{Event, RunId, ThreadId, frame::Outcome, frame::Work};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::http::Uri;

use super::{
    Config, Error, Token, entropy,
    request::{Answer, Common, Request, SubscribeAnswer},
    socket::{Incoming, Socket},
    subscription::Inlet,
    wire::{self, EventText, Read},
};
use crate::session::{Action, Closed, CommandId, ConnectionId, Session, Status, TokenWish};

/// The task that owns the session and the socket. It waits only in one place, for whatever comes
/// first, and so keeps nobody waiting.
pub(super) struct Driver {
    session: Session<Vec<Event>, EventText>,
    started: Instant,
    endpoint: Uri,
    token: Token,
    common: Arc<Common>,
    requests: mpsc::UnboundedReceiver<Request>,
    link: Link,
    commands: HashMap<CommandId, Pending>,
    inlets: HashMap<ThreadId, (Inlet, Option<SubscribeAnswer>)>,
    work: HashMap<String, mpsc::Sender<Work>>,
    closing: Vec<oneshot::Sender<()>>,
    /// A new token is being fetched, for a connection that is open.
    renewing: Option<JoinHandle<Option<String>>>,
}

/// The socket, or the way to it.
enum Link {
    None,
    Dialing(ConnectionId, JoinHandle<Result<(String, Socket), DialError>>),
    Open(ConnectionId, Socket),
}

enum DialError {
    /// A new token was wished for, and there is only the old one.
    NoToken,
    Failed,
}

/// A command whose caller waits.
enum Pending {
    Publish(Answer<Vec<Outcome>>, Vec<RunId>),
    Send(Answer<(RunId, u64)>),
    Cancel(Answer<u64>),
}

enum Input {
    Request(Option<Request>),
    Link(LinkInput),
    Timeout,
    Room,
    Renewed(Option<String>),
}

enum LinkInput {
    Dialed(ConnectionId, Result<(String, Socket), DialError>),
    Incoming(ConnectionId, Incoming),
}

impl Driver {
    pub(super) fn new(
        config: Config,
        endpoint: Uri,
        common: Arc<Common>,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let seed = u64::from_be_bytes(entropy::random());
        Self {
            session: Session::new(Some(config.name), seed),
            started: Instant::now(),
            endpoint,
            token: config.token,
            common,
            requests,
            link: Link::None,
            commands: HashMap::new(),
            inlets: HashMap::new(),
            work: HashMap::new(),
            closing: Vec::new(),
            renewing: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.session.connect(self.now());
        loop {
            self.drain();
            if matches!(self.session.status(), Status::Closed(_)) {
                break;
            }
            let input = self.next_input().await;
            self.take(input);
        }
        self.finish();
    }

    async fn next_input(&mut self) -> Input {
        let timeout = self
            .session
            .next_timeout()
            .map(|at| tokio::time::Instant::from_std(self.started + Duration::from_millis(at)));
        tokio::select! {
            request = self.requests.recv() => Input::Request(request),
            input = self.link.next() => Input::Link(input),
            () = sleep_until(timeout) => Input::Timeout,
            () = self.common.room.notified() => Input::Room,
            token = fetched(&mut self.renewing) => Input::Renewed(token),
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Request(Some(request)) => self.handle_request(request, now),
            // Nobody is left to work for.
            Input::Request(None) => self.session.close(),
            Input::Timeout => self.session.handle_timeout(now),
            Input::Renewed(token) => {
                self.renewing = None;
                if let Some(token) = token {
                    self.session.renew(token, now);
                }
            }
            Input::Room => {
                for (thread, (inlet, _)) in &mut self.inlets {
                    if inlet.has_room_again() {
                        self.session.resume(thread, now);
                    }
                }
            }
            Input::Link(LinkInput::Dialed(connection, Ok((token, socket)))) => {
                self.link = Link::Open(connection, socket);
                self.session.handle_opened(connection, token, now);
            }
            Input::Link(LinkInput::Dialed(connection, Err(error))) => {
                self.link = Link::None;
                match error {
                    DialError::NoToken => self.session.handle_no_token(connection),
                    DialError::Failed => self.session.handle_closed(connection, None, now),
                }
            }
            Input::Link(LinkInput::Incoming(connection, incoming)) => match incoming {
                Incoming::Text(text) => match wire::read(&text) {
                    Read::Frame(frame) => self.session.handle_frame(connection, frame, now),
                    Read::Unknown => self.session.handle_unknown_frame(connection, now),
                    Read::Broken(error) => {
                        tracing::warn!(%error, "a frame could not be read");
                        self.session.handle_broken_frame(connection, now);
                    }
                },
                Incoming::Control => self.session.handle_unknown_frame(connection, now),
                Incoming::Closed(code) => {
                    self.link = Link::None;
                    self.session.handle_closed(connection, code, now);
                }
            },
        }
    }

    fn handle_request(&mut self, request: Request, now: u64) {
        // A caller holds a place in the outbox, so it is never full.
        let full = "the outbox has a place for each caller";
        match request {
            Request::Subscribe { thread, start, inlet, answer } => {
                match self.inlets.get(&thread) {
                    // Whoever asked before has gone without waiting for the answer.
                    Some((_, Some(earlier))) if earlier.is_closed() => {
                        self.session.unsubscribe(&thread, now);
                    }
                    Some(_) => {
                        answer.send(Err(Error::AlreadySubscribed(thread))).ok();
                        return;
                    }
                    None => {}
                }
                self.inlets.insert(thread.clone(), (inlet, Some(answer)));
                self.session.subscribe(thread, start, now);
            }
            Request::Unsubscribe(thread, line) => {
                if self.inlets.get(&thread).is_some_and(|(inlet, _)| inlet.is_of(&line)) {
                    self.inlets.remove(&thread);
                    self.session.unsubscribe(&thread, now);
                }
            }
            Request::Publish { events, ends, answer } => {
                let command = self.session.publish(events, now).expect(full);
                self.commands.insert(command, Pending::Publish(answer, ends));
            }
            Request::Send { thread, message_id, text, agent, answer } => {
                let command = self.session.send(thread, message_id, text, agent, now).expect(full);
                self.commands.insert(command, Pending::Send(answer));
            }
            Request::Cancel { run, reason, answer } => {
                let command = self.session.cancel(run, reason, now).expect(full);
                self.commands.insert(command, Pending::Cancel(answer));
            }
            Request::Serve { agent, work, answer } => {
                if self.work.contains_key(&agent) {
                    answer.send(Err(Error::AlreadyServing(agent))).ok();
                    return;
                }
                self.work.insert(agent.clone(), work);
                self.session.serve(agent, now);
                answer.send(Ok(())).ok();
            }
            Request::Unserve(agent) => {
                if self.work.remove(&agent).is_some() {
                    self.session.unserve(&agent, now);
                }
            }
            Request::Close(done) => {
                self.closing.push(done);
                self.session.close();
            }
        }
    }

    /// Does what the session asks for, until it asks for nothing.
    fn drain(&mut self) {
        loop {
            while let Some(action) = self.session.poll_action() {
                self.act(action);
            }
            let Some(notice) = self.session.poll_notice() else { break };
            self.notice(notice);
        }
    }

    fn act(&mut self, action: Action<EventText>) {
        match action {
            Action::Dial { connection, token } => {
                let (source, endpoint) = (self.token.clone(), self.endpoint.clone());
                let dialing = tokio::spawn(dial(source, token, endpoint));
                self.link = Link::Dialing(connection, dialing);
            }
            Action::Transmit(frame) => {
                if let Link::Open(_, socket) = &self.link {
                    let text = serde_json::to_string(&frame);
                    socket.send(text.expect("a frame's members are all JSON"));
                }
            }
            Action::Disconnect { code, .. } => {
                match std::mem::replace(&mut self.link, Link::None) {
                    Link::None => {}
                    Link::Dialing(_, dialing) => dialing.abort(),
                    Link::Open(_, socket) => socket.close(code),
                }
            }
        }
    }

    /// The token ends soon: fetches another, where there may be one. Should that fail, the way back
    /// after the end fetches it.
    fn renew(&mut self) {
        if let (Token::Provider(fetch), None) = (&self.token, &self.renewing) {
            let fetching = fetch(TokenWish::New);
            self.renewing = Some(tokio::spawn(async move {
                let fetched = fetching.await;
                fetched.map_err(|error| tracing::warn!(%error, "no token could be fetched")).ok()
            }));
        }
    }

    /// The session is over: nobody waits any more.
    fn finish(mut self) {
        let closed = self.closed();
        self.common.places.close();
        self.common.status.send_replace(Status::Closed(closed.clone()));
        for (_, (inlet, answer)) in self.inlets.drain() {
            match answer {
                Some(answer) => drop(answer.send(Err(Error::Closed(closed.clone())))),
                None => inlet.end(Error::Closed(closed.clone())),
            }
        }
        for done in self.closing.drain(..) {
            done.send(()).ok();
        }
    }

    fn closed(&self) -> Closed {
        match self.session.status() {
            Status::Closed(closed) => closed,
            _ => Closed::Asked,
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Link {
    async fn next(&mut self) -> LinkInput {
        match self {
            Self::None => std::future::pending().await,
            Self::Dialing(connection, dialing) => {
                let dialed = dialing.await.unwrap_or(Err(DialError::Failed));
                LinkInput::Dialed(*connection, dialed)
            }
            Self::Open(connection, socket) => LinkInput::Incoming(*connection, socket.next().await),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
        if let Link::Dialing(_, dialing) = &self.link {
            dialing.abort();
        }
    }
}

async fn fetched(renewing: &mut Option<JoinHandle<Option<String>>>) -> Option<String> {
    match renewing {
        Some(renewing) => renewing.await.unwrap_or(None),
        None => std::future::pending().await,
    }
}

async fn dial(
    source: Token,
    wish: TokenWish,
    endpoint: Uri,
) -> Result<(String, Socket), DialError> {
    let token = match (source, wish) {
        (Token::Fixed(_), TokenWish::New) => return Err(DialError::NoToken),
        (Token::Fixed(token), TokenWish::Current) => token,
        (Token::Provider(fetch), wish) => fetch(wish).await.map_err(|error| {
            tracing::warn!(%error, "no token could be fetched");
            DialError::Failed
        })?,
    };
    let socket = Socket::open(&endpoint).await.map_err(|error| {
        tracing::debug!(%error, %endpoint, "could not connect");
        DialError::Failed
    })?;
    Ok((token, socket))
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
