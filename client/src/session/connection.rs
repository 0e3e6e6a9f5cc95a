//! The life of a connection: dial, greet, lose, wait; its timers; what the page says.

use std::sync::Arc;

use rethread_shared::{
    ErrorCode, WireError,
    code::CloseClass,
    frame::{ClientFrame, Hello, Welcome},
    limits::{BACKOFF_MAX, DIAL_DEADLINE, HEARTBEATS_MISSED_MAX, NUDGE_GAP, PROBE_DEADLINE},
};

use super::{
    Action, Batch, Closed, ConnectionId, Lost, NORMAL_CLOSE, Notice, Publishable, Session, Timer,
    TokenWish,
    state::{Online, State},
};

impl<B: Batch, E: Publishable> Session<B, E> {
    /// The socket of a dial is open; `token` is the one that was fetched for it.
    pub fn handle_opened(&mut self, connection: ConnectionId, token: String, now: u64) {
        let &State::Dialing { connection: dialed, attempt, wish } = &self.state else { return };
        if dialed != connection {
            return;
        }
        self.state = State::Greeting { connection, attempt, wish };
        self.timers.set(Timer::Connect, now + millis(DIAL_DEADLINE));
        let hello = Hello { token, client: self.client.clone() };
        self.actions.push(Action::Transmit(ClientFrame::Hello(hello)));
    }

    /// The connection is gone, with a close code where the server sent one; or the dial failed, or
    /// fetching its token did.
    pub fn handle_closed(&mut self, connection: ConnectionId, code: Option<u16>, now: u64) {
        if self.state.connection() != Some(connection) {
            return;
        }
        let class = code.map_or(CloseClass::Transient, CloseClass::of);
        match class {
            CloseClass::Transient => {
                let why = match code {
                    _ if self.return_at.is_some() => Lost::Goodbye,
                    Some(code) => Lost::Closed(code),
                    None => Lost::Failed,
                };
                self.lose(why, None, now);
            }
            CloseClass::NewToken => {
                // Nothing said why before it: the connection's time was up.
                let error = WireError::new(ErrorCode::TokenExpired, "the token has expired");
                self.renew_token(Some(error), None, now);
            }
            CloseClass::Terminal => self.end(Closed::ByServer(code.unwrap_or_default()), None),
        }
    }

    /// A dial wishes for a new token, and there will be none: the session is over.
    pub fn handle_no_token(&mut self, connection: ConnectionId) {
        if self.state.connection() == Some(connection) {
            let error = self.refused_token.take();
            self.end(Closed::Unauthorized(error.map(Arc::new)), None);
        }
    }

    /// Brings a new token of the same user on the open connection, before the old one ends. Without an
    /// open connection it does nothing: a dial fetches its own.
    pub fn renew(&mut self, token: String, now: u64) {
        if matches!(self.state, State::Online(_)) {
            let hello = Hello { token, client: self.client.clone() };
            self.transmit(ClientFrame::Hello(hello), now);
        }
    }

    /// Time has passed. May be called at any time.
    pub fn handle_timeout(&mut self, now: u64) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Dial => self.dial(now),
                Timer::Connect => self.lose(Lost::TimedOut, Some(NORMAL_CLOSE), now),
                // Something sent at this very moment is a ping already.
                Timer::Probe if self.sent_at() == Some(now) => {}
                Timer::KeepAlive | Timer::Probe => self.transmit(ClientFrame::Ping, now),
                Timer::Silence => self.lose(Lost::Silent, Some(NORMAL_CLOSE), now),
                Timer::Outbox => self.send_due(now),
                Timer::Subscribe => self.ask_due(now),
            }
        }
    }

    /// The device has a network again. A dial that was begun without one may hang: it is given up.
    pub fn handle_online(&mut self, now: u64) {
        let is_old = self.dialed_at.is_some_and(|at| at + millis(NUDGE_GAP) <= now);
        if is_old && !matches!(self.state, State::Online(_)) {
            self.lose(Lost::TimedOut, None, now);
        }
        let was_waiting = self.offline && matches!(self.state, State::Waiting { .. });
        self.offline = false;
        if !self.nudge(now) && was_waiting {
            self.notify_status();
        }
    }

    /// The device says that it has no network. An open connection is asked whether it lives; a lost
    /// one is tried again seldom.
    pub fn handle_offline(&mut self, now: u64) {
        if std::mem::replace(&mut self.offline, true) {
            return;
        }
        match &mut self.state {
            State::Waiting { until, .. } => {
                *until = (*until).max(now + millis(BACKOFF_MAX));
                self.timers.set(Timer::Dial, *until);
                self.notify_status();
            }
            _ => self.probe(now),
        }
    }

    /// The page is in view.
    pub fn handle_visible(&mut self, now: u64) {
        self.hidden = false;
        self.nudge(now);
    }

    /// There is reason to think that a dial would succeed now, or that the connection is dead.
    pub fn handle_hint(&mut self, now: u64) {
        self.nudge(now);
    }

    /// The page is out of view: its timers may come late, so from now on a `ping` is sent with what
    /// arrives, when it is half due.
    pub fn handle_hidden(&mut self, _now: u64) {
        self.hidden = true;
    }

    pub(super) fn dial(&mut self, now: u64) {
        self.connections = self.connections.wrapping_add(1);
        let connection = ConnectionId(self.connections);
        let (attempt, wish) = (self.backoff.attempt(), self.wish);
        self.dialed_at = Some(now);
        self.return_at = None;
        self.state = State::Dialing { connection, attempt, wish };
        self.timers.stop_all();
        self.timers.set(Timer::Connect, now + millis(DIAL_DEADLINE));
        self.actions.push(Action::Dial { connection, token: wish });
        self.notify_status();
    }

    pub(super) fn welcome(&mut self, welcome: Welcome, now: u64) {
        let heartbeat = welcome.heartbeat_ms.max(1);
        let connection = match &mut self.state {
            State::Greeting { connection, .. } => *connection,
            State::Online(online) => {
                (online.heartbeat, online.limits) = (heartbeat, welcome.limits);
                return;
            }
            _ => return,
        };
        self.wish = TokenWish::Current;
        self.refused_token = None;
        self.timers.stop(Timer::Connect);
        self.state = State::Online(Online {
            connection,
            since: now,
            heartbeat,
            limits: welcome.limits,
            sent_at: now,
            heard_at: now,
        });
        // A word soon after it was lost finds no burst.
        self.dialed_at = None;
        self.timers.set(Timer::KeepAlive, now + heartbeat);
        self.notify_status();
        if E::IS_AGENT {
            let serving: Vec<_> = self.serving.iter().cloned().collect();
            for serve in serving {
                self.transmit(ClientFrame::Serve(serve), now);
            }
        }
        self.ask_due(now);
    }

    /// Something came: the connection lives.
    pub(super) fn heard(&mut self, now: u64) {
        let hidden = self.hidden;
        let State::Online(online) = &mut self.state else { return };
        online.heard_at = now;
        self.timers.set(Timer::Probe, now + online.heartbeat);
        let silence = online.heartbeat * u64::from(HEARTBEATS_MISSED_MAX);
        self.timers.set(Timer::Silence, now + silence);
        if hidden && now >= online.sent_at + online.heartbeat / 2 {
            self.transmit(ClientFrame::Ping, now);
        }
    }

    /// Asks for the subscriptions that may be asked for, and sets the timer for the others.
    pub(super) fn ask_due(&mut self, now: u64) {
        self.subscriptions.wake();
        self.send_due(now);
        if matches!(self.state, State::Online(_))
            && let Some(at) = self.subscriptions.next_at()
        {
            self.timers.set(Timer::Subscribe, at);
        }
    }

    /// The server refused the token. A new one is asked for, once.
    pub(super) fn renew_token(&mut self, error: Option<WireError>, code: Option<u16>, now: u64) {
        let was_new = matches!(
            self.state,
            State::Greeting { wish: TokenWish::New, .. }
                | State::Dialing { wish: TokenWish::New, .. }
        );
        if was_new {
            let error = error.or_else(|| self.refused_token.take());
            self.end(Closed::Unauthorized(error.map(Arc::new)), code);
            return;
        }
        self.refused_token = error;
        self.wish = TokenWish::New;
        self.lose(Lost::TokenRefused, code, now);
    }

    /// The connection is no more: wait, then dial. `code` is for the driver, which must close it.
    pub(super) fn lose(&mut self, why: Lost, code: Option<u16>, now: u64) {
        let Some(connection) = self.state.connection() else { return };
        let mut code = code;
        match &self.state {
            State::Online(online) => self.backoff.was_up(now.saturating_sub(online.since)),
            State::Dialing { .. } => code = None,
            _ => {}
        }
        let not_before = self.return_at.unwrap_or(now).max(now);
        if code.is_some() || why == Lost::TimedOut {
            self.actions.push(Action::Disconnect { connection, code });
        }
        self.subscriptions.disconnected();
        self.outbox.disconnected();
        let wait = self.backoff.next_wait();
        let at_least = if self.offline { millis(BACKOFF_MAX) } else { 0 };
        let until = (now + wait.max(at_least)).max(not_before);
        let attempt = self.backoff.attempt();
        self.state = State::Waiting { until, not_before, attempt, why };
        self.timers.stop_all();
        self.timers.set(Timer::Dial, until);
        self.notify_status();
    }

    /// The session is over.
    pub(super) fn end(&mut self, closed: Closed, code: Option<u16>) {
        if self.is_closed() {
            return;
        }
        if let Some(connection) = self.state.connection() {
            let code = code.filter(|_| !matches!(self.state, State::Dialing { .. }));
            self.actions.push(Action::Disconnect { connection, code });
        }
        self.state = State::Closed(closed);
        self.timers.stop_all();
        self.subscriptions.clear();
        self.fail_commands();
        self.notify_status();
    }

    pub(super) fn notify_status(&mut self) {
        self.notices.push(Notice::Status(self.status()));
    }

    fn sent_at(&self) -> Option<u64> {
        match &self.state {
            State::Online(online) => Some(online.sent_at),
            _ => None,
        }
    }

    /// There is reason to think that a dial would succeed now, or that the connection may be dead.
    /// True when the status has changed.
    fn nudge(&mut self, now: u64) -> bool {
        let State::Waiting { until, not_before, .. } = &mut self.state else {
            self.probe(now);
            return false;
        };
        let gap_over = self.dialed_at.map_or(now, |at| at + millis(NUDGE_GAP));
        let sooner = gap_over.max(*not_before).max(now);
        if sooner >= *until {
            return false;
        }
        *until = sooner;
        if sooner == now {
            self.dial(now);
        } else {
            self.timers.set(Timer::Dial, sooner);
            self.notify_status();
        }
        true
    }

    /// Asks an open connection whether it lives, unless it has just shown so or is being asked.
    fn probe(&mut self, now: u64) {
        let State::Online(online) = &self.state else { return };
        let recently = now < online.heard_at + millis(NUDGE_GAP);
        let deadline = now + millis(PROBE_DEADLINE);
        if recently || self.timers.at(Timer::Silence).is_some_and(|at| at <= deadline) {
            return;
        }
        self.timers.set(Timer::Silence, deadline);
        self.transmit(ClientFrame::Ping, now);
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis() as u64
}
