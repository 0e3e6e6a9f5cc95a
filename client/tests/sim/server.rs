//! A pure model of the server: threads as logs, group commit, feeds, tokens, work.

use rethread_shared::{
    CloseCode, Epoch, ErrorCode, Position, RunId, ThreadId, WireError,
    frame::{
        self, Cancelled, ClientFrame, Events, Goodbye, Message, Outcome, Published, Reset,
        ResetReason, Sent, ServerFrame, Start, Subscribed, Welcome, WireErrorFrame, Work,
    },
    limits::Announced,
};

use super::{
    dice::Dice,
    model::{Down, Incoming, Log, Outgoing, Run, Token, Up, WorkState, thread_id},
};

pub(super) const THREADS: usize = 3;
pub(super) const HEARTBEAT: u64 = 2_000;
pub(super) const PUBLISHES_IN_FLIGHT: usize = 2;
const PAGE: u64 = 6;

/// The server, and every log that ever was.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) is_up: bool,
    pub(super) logs: Vec<Log>,
    /// Incarnations that were wiped: thread, log.
    pub(super) wiped: Vec<(usize, Log)>,
    peers: Vec<Peer>,
    /// Asked for and not yet durable: what a crash loses.
    pending: Vec<Pending>,
    names: Vec<ThreadId>,
    /// While true it refuses, repeats and skips now and then.
    pub(super) is_moody: bool,
    /// What is to be sent: link, frame.
    pub(super) out: Vec<(usize, Down)>,
}

#[derive(Debug)]
struct Peer {
    link: usize,
    is_greeted: bool,
    token_until: u64,
    /// Thread and cursor.
    feeds: Vec<(usize, u64)>,
    in_flight: usize,
    serves: bool,
    heard_at: u64,
    sent_at: u64,
}

#[derive(Debug)]
struct Pending {
    link: usize,
    frame: ClientFrame<Outgoing>,
}

impl Server {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            is_up: true,
            logs: (0..THREADS).map(|_| Log::new(Epoch::generate(dice.bytes()))).collect(),
            wiped: Vec::new(),
            peers: Vec::new(),
            pending: Vec::new(),
            names: (0..THREADS).map(thread_id).collect(),
            is_moody: true,
            out: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, link: usize, now: u64) {
        self.peers.push(Peer {
            link,
            is_greeted: false,
            token_until: 0,
            feeds: Vec::new(),
            in_flight: 0,
            serves: false,
            heard_at: now,
            sent_at: now,
        });
    }

    /// The peer is gone, or taken for gone.
    pub(super) fn disconnect(&mut self, link: usize) {
        self.peers.retain(|peer| peer.link != link);
        for run in self.logs.iter_mut().flat_map(|log| &mut log.runs) {
            if run.work == WorkState::Handed(link) {
                run.work = WorkState::Waiting;
            }
        }
    }

    pub(super) fn handle(&mut self, link: usize, up: Up, now: u64, dice: &mut Dice) {
        let Some(index) = self.peers.iter().position(|peer| peer.link == link) else { return };
        let frame = match up {
            Up::Closed => return self.disconnect(link),
            Up::Frame(frame) => frame,
        };
        self.peers[index].heard_at = now;
        if !self.peers[index].is_greeted && !matches!(frame, ClientFrame::Hello(_)) {
            panic!("a session spoke before `welcome`: {frame:?}");
        }
        match frame {
            ClientFrame::Hello(hello) => self.hello(index, &hello.token, now),
            ClientFrame::Ping => self.send(link, ServerFrame::Beat, now),
            ClientFrame::Subscribe(subscribe) => {
                let thread = self.thread(&subscribe.thread);
                if self.is_moody && dice.chance(5) {
                    return self.refuse(link, None, Some(thread), ErrorCode::SlowDown, dice, now);
                }
                self.subscribe(index, thread, subscribe.after, now, dice);
            }
            ClientFrame::Unsubscribe(unsubscribe) => {
                let thread = self.thread(&unsubscribe.thread);
                self.peers[index].feeds.retain(|feed| feed.0 != thread);
            }
            ClientFrame::Serve(serve) => {
                self.peers[index].serves = true;
                for run in self.logs.iter_mut().flat_map(|log| &mut log.runs) {
                    if serve.runs.contains(&run.run) && run.work != WorkState::Done {
                        run.work = WorkState::Handed(link);
                    }
                }
                self.hand_out(now);
            }
            ClientFrame::Publish(ref publish) => {
                let req = Some(publish.req);
                if self.peers[index].in_flight >= PUBLISHES_IN_FLIGHT {
                    panic!("a session has more publishes in flight than allowed");
                }
                if self.is_moody && dice.chance(6) {
                    let code = if dice.chance(50) {
                        ErrorCode::SlowDown
                    } else {
                        ErrorCode::LogUnavailable
                    };
                    return self.refuse(link, req, None, code, dice, now);
                }
                self.peers[index].in_flight += 1;
                self.pending.push(Pending { link, frame });
            }
            ClientFrame::Send(frame::Send { req, .. })
            | ClientFrame::Cancel(frame::Cancel { req, .. })
                if self.is_moody && dice.chance(6) =>
            {
                self.refuse(link, Some(req), None, ErrorCode::ShuttingDown, dice, now);
            }
            frame @ (ClientFrame::Send(_) | ClientFrame::Cancel(_)) => {
                self.pending.push(Pending { link, frame });
            }
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes durable what was asked for, then answers and feeds.
    pub(super) fn commit(&mut self, now: u64, dice: &mut Dice) {
        for pending in std::mem::take(&mut self.pending) {
            let Some(answer) = self.store(pending.frame, now, dice) else { continue };
            if let ServerFrame::Published(_) = answer
                && let Some(peer) = self.peers.iter_mut().find(|peer| peer.link == pending.link)
            {
                peer.in_flight -= 1;
            }
            self.send(pending.link, answer, now);
        }
        self.hand_out(now);
        for index in 0..self.peers.len() {
            for feed in 0..self.peers[index].feeds.len() {
                self.feed(index, feed, now, dice);
            }
        }
    }

    /// An event of nobody's, durable at once.
    pub(super) fn append(&mut self, thread: usize, token: Token, now: u64, dice: &mut Dice) {
        self.logs[thread].append(token);
        self.commit(now, dice);
    }

    /// Stops. What was not durable is lost, and, when `after_commit`, what was is not answered.
    pub(super) fn crash(&mut self, after_commit: bool, now: u64, dice: &mut Dice) {
        if after_commit {
            self.commit(now, dice);
        }
        self.is_up = false;
        self.pending.clear();
        self.out.clear();
        for link in self.peers.iter().map(|peer| peer.link).collect::<Vec<_>>() {
            self.disconnect(link);
        }
    }

    /// Says goodbye to everybody and closes.
    pub(super) fn shut_down(&mut self, now: u64, dice: &mut Dice) {
        self.commit(now, dice);
        let links: Vec<_> = self.peers.iter().map(|peer| peer.link).collect();
        for link in links {
            let goodbye =
                Goodbye { reason: "shutdown".into(), retry_after_ms: dice.between(100, 1_000) };
            self.send(link, ServerFrame::Goodbye(goodbye), now);
            self.out.push((link, Down::Closed(Some(CloseCode::GoingAway.number()))));
            self.disconnect(link);
        }
        self.is_up = false;
    }

    /// No token expires on a live connection any more.
    pub(super) fn trust_all(&mut self) {
        for peer in &mut self.peers {
            peer.token_until = u64::MAX;
        }
    }

    /// A thread's log is made anew. Who follows it is not told: the next events show it.
    pub(super) fn wipe(&mut self, thread: usize, dice: &mut Dice) {
        for feed in self.peers.iter_mut().flat_map(|peer| &mut peer.feeds) {
            if feed.0 == thread {
                feed.1 = 0;
            }
        }
        let new = Log::new(Epoch::generate(dice.bytes()));
        self.wiped.push((thread, std::mem::replace(&mut self.logs[thread], new)));
    }

    /// Half of a thread's events are served no more.
    pub(super) fn expire(&mut self, thread: usize) {
        let log = &mut self.logs[thread];
        log.first_kept = log.first_kept.max(log.head() / 2).max(1);
    }

    /// Heartbeats, dead peers, expired tokens.
    pub(super) fn tick(&mut self, now: u64) {
        for index in (0..self.peers.len()).rev() {
            let peer = &self.peers[index];
            let (link, greeted) = (peer.link, peer.is_greeted);
            if now >= peer.heard_at + 2 * HEARTBEAT {
                self.out.push((link, Down::Closed(Some(CloseCode::Silent.number()))));
                self.disconnect(link);
            } else if greeted && now >= peer.token_until {
                self.out.push((link, Down::Closed(Some(CloseCode::TokenExpired.number()))));
                self.disconnect(link);
            } else if greeted && now >= peer.sent_at + HEARTBEAT / 2 {
                self.send(link, ServerFrame::Beat, now);
            }
        }
    }

    /// Every incarnation of a thread's log.
    pub(super) fn incarnations(&self, thread: usize) -> impl Iterator<Item = &Log> {
        let wiped = self.wiped.iter().filter(move |(of, _)| *of == thread).map(|(_, log)| log);
        wiped.chain(std::iter::once(&self.logs[thread]))
    }

    pub(super) fn thread(&self, name: &ThreadId) -> usize {
        self.names.iter().position(|known| known == name).expect("a known thread")
    }

    fn hello(&mut self, index: usize, token: &str, now: u64) {
        let link = self.peers[index].link;
        let until: u64 = token.parse().expect("a token is its expiry");
        if now >= until {
            let error = WireError::new(ErrorCode::TokenExpired, "expired");
            let error = WireErrorFrame { req: None, thread: None, error };
            self.send(link, ServerFrame::Error(error), now);
            self.out.push((link, Down::Closed(Some(CloseCode::TokenExpired.number()))));
            return self.disconnect(link);
        }
        self.peers[index].is_greeted = true;
        self.peers[index].token_until = until;
        let mut limits = Announced::default();
        limits.publishes_in_flight = PUBLISHES_IN_FLIGHT;
        let welcome = Welcome { session: String::new(), heartbeat_ms: HEARTBEAT, limits };
        self.send(link, ServerFrame::Welcome(welcome), now);
    }

    fn subscribe(&mut self, index: usize, thread: usize, after: Start, now: u64, dice: &mut Dice) {
        let link = self.peers[index].link;
        let log = &self.logs[thread];
        let (epoch, head, before_first) = (log.epoch, log.head(), log.first_kept - 1);
        let (reason, after) = match after {
            Start::Beginning => (None, before_first),
            Start::Now => (None, head),
            Start::After(Position { epoch: of, .. }) if of != epoch => {
                (Some(ResetReason::EpochChanged), before_first)
            }
            Start::After(Position { seq, .. }) if seq > head => {
                (Some(ResetReason::PositionAhead), before_first)
            }
            Start::After(Position { seq, .. }) if seq < before_first => {
                (Some(ResetReason::Retention), before_first)
            }
            Start::After(Position { seq, .. }) => (None, seq),
        };
        let name = self.names[thread].clone();
        if let Some(reason) = reason {
            self.send(link, ServerFrame::Reset(Reset { thread: name.clone(), epoch, reason }), now);
        }
        let subscribed = Subscribed { thread: name, epoch, head, after };
        self.send(link, ServerFrame::Subscribed(subscribed), now);
        let feeds = &mut self.peers[index].feeds;
        feeds.retain(|feed| feed.0 != thread);
        feeds.push((thread, after));
        let feed = feeds.len() - 1;
        self.feed(index, feed, now, dice);
    }

    /// Sends a subscriber what its cursor has not passed.
    fn feed(&mut self, index: usize, feed: usize, now: u64, dice: &mut Dice) {
        let (thread, mut cursor) = self.peers[index].feeds[feed];
        let (link, head) = (self.peers[index].link, self.logs[thread].head());
        while cursor < head {
            let overlap = if self.is_moody && dice.chance(25) { dice.below(4) } else { 0 };
            let skip = if self.is_moody && dice.chance(3) { 1 + dice.below(2) } else { 0 };
            let log = &self.logs[thread];
            let last = head.min(cursor + PAGE);
            let first = (cursor + 1 + skip).saturating_sub(overlap).max(log.first_kept);
            cursor = last;
            if first > last {
                continue;
            }
            let (epoch, events) = (log.epoch, log.read(first, last));
            let thread = self.names[thread].clone();
            self.send(
                link,
                ServerFrame::Events(Events { thread, epoch, first, last, events }),
                now,
            );
        }
        self.peers[index].feeds[feed].1 = cursor;
    }

    fn store(
        &mut self,
        frame: ClientFrame<Outgoing>,
        now: u64,
        dice: &mut Dice,
    ) -> Option<ServerFrame<Vec<Incoming>>> {
        Some(match frame {
            ClientFrame::Publish(publish) => {
                // Now and then the log fails in the middle of a request.
                let fails_at = if self.is_moody && dice.chance(4) {
                    dice.below(publish.events.len() as u64) as usize
                } else {
                    usize::MAX
                };
                let mut results = Vec::new();
                for (at, event) in publish.events.into_iter().enumerate() {
                    if at >= fails_at {
                        let error =
                            WireError::new(ErrorCode::LogUnavailable, "").with_retry_after_ms(100);
                        results.push(Outcome::Refused { id: Some(event.id), error });
                        continue;
                    }
                    let log = &mut self.logs[event.thread];
                    let known = log.ids.get(&event.id).copied();
                    let seq = known.unwrap_or_else(|| log.append(event.token));
                    log.ids.insert(event.id, seq);
                    let (id, thread) = (event.id, self.names[event.thread].clone());
                    results.push(Outcome::Stored { id, thread, seq, duplicate: known.is_some() });
                }
                ServerFrame::Published(Published { req: publish.req, results })
            }
            ClientFrame::Send(send) => {
                let thread = self.thread(&send.thread);
                let log = &mut self.logs[thread];
                if let Some(run) = log.runs.iter().find(|run| run.message == send.message_id) {
                    let (run, seq) = (run.run.clone(), run.seq);
                    return Some(ServerFrame::Sent(Sent { req: send.req, run, seq }));
                }
                let seq = log.append(send.text.parse().expect("a message's text is its token"));
                let run = RunId::generate(&send.thread, now, dice.bytes());
                log.runs.push(Run {
                    run: run.clone(),
                    message: send.message_id,
                    seq,
                    cancelled: None,
                    work: WorkState::Waiting,
                });
                ServerFrame::Sent(Sent { req: send.req, run, seq })
            }
            ClientFrame::Cancel(cancel) => {
                let token = cancel.reason.expect("a cancel's reason is its token");
                let found = self.logs.iter_mut().find_map(|log| {
                    let index = log.runs.iter().position(|run| run.run == cancel.run)?;
                    Some((log, index))
                });
                let Some((log, index)) = found else {
                    let error = WireError::run_not_found(&cancel.run);
                    let req = Some(cancel.req);
                    return Some(ServerFrame::Error(WireErrorFrame { req, thread: None, error }));
                };
                let seq = log.runs[index].cancelled.unwrap_or_else(|| {
                    log.append(token.parse().expect("a cancel's reason is its token"))
                });
                let was = std::mem::replace(&mut log.runs[index].work, WorkState::Done);
                log.runs[index].cancelled = Some(seq);
                if let WorkState::Handed(link) = was {
                    let run = cancel.run.clone();
                    self.send(link, ServerFrame::Cancelled(Cancelled { req: None, run, seq }), now);
                }
                let (req, run) = (Some(cancel.req), cancel.run);
                ServerFrame::Cancelled(Cancelled { req, run, seq })
            }
            _ => return None,
        })
    }

    /// Hands waiting work to whoever serves.
    fn hand_out(&mut self, now: u64) {
        let Some(link) = self.peers.iter().find(|peer| peer.serves).map(|peer| peer.link) else {
            return;
        };
        let mut out = Vec::new();
        for (thread, log) in self.logs.iter_mut().enumerate() {
            for run in log.runs.iter_mut().filter(|run| run.work == WorkState::Waiting) {
                run.work = WorkState::Handed(link);
                out.push(Work {
                    agent: "agent".into(),
                    run: run.run.clone(),
                    thread: self.names[thread].clone(),
                    message: Message {
                        message_id: String::new(),
                        text: String::new(),
                        by: String::new(),
                        seq: run.seq,
                    },
                });
            }
        }
        for work in out {
            self.send(link, ServerFrame::Work(work), now);
        }
    }

    fn refuse(
        &mut self,
        link: usize,
        req: Option<u64>,
        thread: Option<usize>,
        code: ErrorCode,
        dice: &mut Dice,
        now: u64,
    ) {
        let mut error = WireError::new(code, "");
        if dice.chance(50) {
            error.retry_after_ms = Some(dice.between(50, 500));
        }
        let thread = thread.map(|thread| self.names[thread].clone());
        self.send(link, ServerFrame::Error(WireErrorFrame { req, thread, error }), now);
    }

    fn send(&mut self, link: usize, frame: ServerFrame<Vec<Incoming>>, now: u64) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.link == link) {
            peer.sent_at = now;
            self.out.push((link, Down::Frame(frame)));
        }
    }
}
