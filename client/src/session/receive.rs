//! What each frame of the server's does.

use rethread_shared::{
    CloseCode, ErrorCode, WireError,
    frame::{Events, Published, ServerFrame, WireErrorFrame, Work},
};

use super::{
    Batch, ConnectionId, Failure, Lost, NORMAL_CLOSE, Notice, Publishable, Session, Timer,
    outbox::{Kind, Refusal, transient_refusal},
    state::State,
    subscriptions::{Next, Progress},
};

impl<B: Batch, E: Publishable> Session<B, E> {
    /// A frame came.
    pub fn handle_frame(&mut self, connection: ConnectionId, frame: ServerFrame<B>, now: u64) {
        if !self.is_heard(connection, now) {
            return;
        }
        let greeting = matches!(self.state, State::Greeting { .. });
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.welcome(welcome, now);
                self.heard(now);
            }
            ServerFrame::Error(error) => self.handle_error(error, now),
            ServerFrame::Goodbye(goodbye) => self.return_at = Some(now + goodbye.retry_after_ms),
            // Nothing else may come before `welcome`.
            _ if greeting => {}
            ServerFrame::Events(events) => self.handle_events(events, now),
            ServerFrame::Subscribed(subscribed) => {
                let notices = &mut self.notices;
                let notify = |notice| notices.push(notice);
                match self.subscriptions.handle_subscribed(&subscribed, notify) {
                    Next::Nothing => {}
                    Next::Unsubscribe => self.transmit_unsubscribe(&subscribed.thread, now),
                    Next::Repair { fruitless } => self.repair(&subscribed.thread, fruitless, now),
                }
            }
            ServerFrame::Reset(reset) => {
                if self.subscriptions.handle_reset(&reset) {
                    let (thread, epoch, reason) = (reset.thread, reset.epoch, reset.reason);
                    self.notices.push(Notice::Reset { thread, epoch, reason });
                }
            }
            ServerFrame::Published(published) if E::IS_AGENT => {
                self.handle_published(published, now)
            }
            ServerFrame::Sent(sent) => {
                if let Some(command) = self.outbox.answer(sent.req, Kind::Send) {
                    let (run, seq) = (sent.run, sent.seq);
                    self.notices.push(Notice::Sent { command, run, seq });
                }
            }
            ServerFrame::Cancelled(cancelled) => {
                let (run, seq) = (cancelled.run, cancelled.seq);
                match cancelled.req {
                    None if E::IS_AGENT => {
                        self.serving.release(&run);
                        self.notices.push(Notice::RunCancelled { run, seq });
                    }
                    None => {}
                    Some(req) => {
                        if let Some(command) = self.outbox.answer(req, Kind::Cancel) {
                            self.notices.push(Notice::Cancelled { command, run, seq });
                        }
                    }
                }
            }
            ServerFrame::Work(work) if E::IS_AGENT => self.handle_work(work),
            ServerFrame::TokenExpiring(_) => self.notices.push(Notice::TokenExpiring),
            ServerFrame::Beat | ServerFrame::Published(_) | ServerFrame::Work(_) => {}
        }
        self.send_due(now);
    }

    /// A frame came with an `op` that this version does not know. It shows that the server is
    /// there, and does nothing else.
    pub fn handle_unknown_frame(&mut self, connection: ConnectionId, now: u64) {
        self.is_heard(connection, now);
    }

    /// A frame came that could not be read, though its `op` is known. The connection is made anew,
    /// for what was in it may be missed.
    pub fn handle_broken_frame(&mut self, connection: ConnectionId, now: u64) {
        if self.is_heard(connection, now) {
            self.lose(Lost::Unreadable, Some(CloseCode::ProtocolError.number()), now);
        }
    }

    fn is_heard(&mut self, connection: ConnectionId, now: u64) -> bool {
        let open = matches!(self.state, State::Greeting { .. } | State::Online(_));
        if !open || self.state.connection() != Some(connection) {
            return false;
        }
        self.heard(now);
        true
    }

    fn handle_events(&mut self, events: Events<B>, now: u64) {
        let thread = events.thread.clone();
        match self.subscriptions.handle_events(events) {
            Progress::Deliver(delivery, caught_up) => {
                self.notices.push(Notice::Events(delivery));
                if let Some(replayed) = caught_up {
                    self.notices.push(Notice::CaughtUp { thread, replayed });
                }
            }
            Progress::Nothing => {}
            Progress::Repair { fruitless } => self.repair(&thread, fruitless, now),
        }
    }

    /// Asks for a thread again from its cursor: at once, or after a pause where that has brought
    /// nothing before.
    fn repair(&mut self, thread: &rethread_shared::ThreadId, fruitless: u32, now: u64) {
        if fruitless > 0 {
            let until = now + self.backoff.wait_after(fruitless);
            self.subscriptions.defer(thread, until);
        }
        self.ask_due(now);
    }

    fn handle_published(&mut self, published: Published, now: u64) {
        if let Some(error) = transient_refusal(&published.results)
            && let Refusal::Retry { refusals } = self.outbox.refuse(published.req, error)
        {
            self.pause_outbox(error, refusals, now);
        } else if let Some(command) = self.outbox.answer(published.req, Kind::Publish) {
            self.notices.push(Notice::Published { command, results: published.results });
        }
    }

    fn handle_work(&mut self, work: Work) {
        if self.serving.accept(&work.agent, &work.run) {
            self.notices.push(Notice::Work(work));
        }
    }

    fn handle_error(&mut self, frame: WireErrorFrame, now: u64) {
        let WireErrorFrame { req, thread, error } = frame;
        if matches!(
            error.code,
            ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::TokenRevoked
        ) {
            self.renew_token(Some(error), Some(NORMAL_CLOSE), now);
        } else if let Some(req) = req {
            match self.outbox.refuse(req, &error) {
                Refusal::Retry { refusals } => self.pause_outbox(&error, refusals, now),
                Refusal::Fail(command) => {
                    let failure = Failure::Refused(error);
                    self.notices.push(Notice::Failed { command, failure });
                }
                Refusal::Unknown => {}
            }
        } else if let Some(thread) = thread {
            match self.subscriptions.handle_refused(&thread, &error) {
                Some(true) => self.notices.push(Notice::Unsubscribed { thread, error }),
                Some(false) => {
                    let times = self.subscriptions.fruitless(&thread);
                    let backoff = self.backoff.wait_after(times);
                    let wait = backoff.max(error.retry_after_ms.unwrap_or(0));
                    self.subscriptions.defer(&thread, now + wait);
                    self.ask_due(now);
                }
                None => {}
            }
        } else {
            // Before `welcome` it says why the connection will be closed.
            if let (State::Greeting { .. }, Some(wait)) = (&self.state, error.retry_after_ms) {
                self.return_at = Some(now + wait);
            }
            self.notices.push(Notice::Refused(error));
        }
    }

    fn pause_outbox(&mut self, error: &WireError, refusals: u32, now: u64) {
        let wait = self.backoff.wait_after(refusals).max(error.retry_after_ms.unwrap_or(0));
        self.outbox.pause(now + wait);
        if let Some(at) = self.outbox.next_at() {
            self.timers.set(Timer::Outbox, at);
        }
    }
}
