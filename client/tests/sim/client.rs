//! One client: a real session, the application that uses it, and what that application was told.

use std::collections::BTreeMap;

use rethread_shared::{
    Epoch, EventId, Position, RunId,
    frame::{ClientFrame, ServerFrame, Start},
};

use super::{
    dice::Dice,
    model::{Incoming, Outgoing, Token, thread_id},
    server::{Server, THREADS},
};
use crate::session::{
    Action, CommandId, ConnectionId, Delivery, Failure, Notice, Sabotage, Session, Status,
};

/// A client and everything it was told, checked as it is told.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session<Vec<Incoming>, Outgoing>,
    /// The link of the open connection.
    pub(super) link: Option<usize>,
    /// The dial under way.
    pub(super) dialing: Option<ConnectionId>,
    pub(super) token: String,
    pub(super) serves: bool,
    pub(super) is_hidden: bool,
    threads: Vec<Thread>,
    commands: BTreeMap<CommandId, Command>,
    /// How often each command may still be sent on this connection: once, and again after each
    /// refusal.
    sendings: BTreeMap<u64, u32>,
    /// Runs whose messages were acknowledged, to be cancelled perhaps.
    runs: Vec<RunId>,
    /// Runs handed over by this session, so that none is twice.
    worked: Vec<RunId>,
    /// When it dialed, to find storms.
    dials: Vec<u64>,
    acknowledged: u32,
}

/// What the application knows of a thread.
#[derive(Debug, Default)]
struct Thread {
    wish: Wish,
    /// Where its record began: a reset or the first subscription; then everything delivered.
    record: Option<Record>,
    /// The head that it has been told of and not yet caught up with, and the events since.
    behind: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    Follow,
    Pause,
}

#[derive(Debug)]
struct Record {
    epoch: Epoch,
    seq: u64,
}

#[derive(Debug)]
enum Command {
    Publish(Vec<Outgoing>),
    Send(usize, Token),
    Cancel,
}

/// What went against a law.
pub(super) type Checked = Result<(), String>;

/// Dials in ten seconds that are taken for a storm.
const DIALS_IN_TEN_SECONDS_MAX: usize = 25;

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

impl Client {
    pub(super) fn new(serves: bool, sabotage: Option<Sabotage>, now: u64, dice: &mut Dice) -> Self {
        Self {
            session: session(serves, sabotage, now, dice),
            link: None,
            dialing: None,
            token: String::from("0"),
            serves,
            is_hidden: false,
            threads: (0..THREADS).map(|_| Thread::default()).collect(),
            commands: BTreeMap::new(),
            sendings: BTreeMap::new(),
            runs: Vec::new(),
            worked: Vec::new(),
            dials: Vec::new(),
            acknowledged: 0,
        }
    }

    /// The page is loaded again: a new session goes on from what the application has.
    pub(super) fn reload(&mut self, sabotage: Option<Sabotage>, now: u64, dice: &mut Dice) {
        self.session = session(self.serves, sabotage, now, dice);
        (self.link, self.dialing, self.is_hidden) = (None, None, false);
        self.commands.clear();
        self.worked.clear();
        for (index, thread) in self.threads.iter_mut().enumerate() {
            thread.behind = None;
            if thread.wish == Wish::None {
                continue;
            }
            thread.wish = Wish::Follow;
            let start = thread.record.as_ref().map_or(Start::Beginning, Record::start);
            self.session.subscribe(thread_id(index), start, now);
        }
    }

    // What the application does ------------------------------------------------------------------

    pub(super) fn follow(&mut self, thread: usize, now: u64, dice: &mut Dice) {
        let known = &mut self.threads[thread];
        match known.wish {
            Wish::Follow => return,
            Wish::Pause => self.session.resume(&thread_id(thread), now),
            Wish::None => {
                let start = match &known.record {
                    Some(record) => record.start(),
                    None if dice.chance(30) => Start::Now,
                    None => Start::Beginning,
                };
                self.session.subscribe(thread_id(thread), start, now);
            }
        }
        known.wish = Wish::Follow;
    }

    pub(super) fn rest(&mut self, thread: usize, leave: bool, now: u64) {
        let known = &mut self.threads[thread];
        match (known.wish, leave) {
            (Wish::Follow, false) => {
                self.session.pause(&thread_id(thread), now);
                known.wish = Wish::Pause;
            }
            (Wish::Follow | Wish::Pause, true) => {
                self.session.unsubscribe(&thread_id(thread), now);
                known.wish = Wish::None;
            }
            _ => {}
        }
    }

    pub(super) fn publish(&mut self, events: Vec<Outgoing>, now: u64) {
        let command = self.session.publish(events.clone(), now).expect("the outbox has room");
        self.commands.insert(command, Command::Publish(events));
    }

    pub(super) fn send(&mut self, thread: usize, token: Token, id: EventId, now: u64) {
        let name = thread_id(thread);
        let command = self.session.send(name, id, token.to_string(), None, now);
        self.commands.insert(command.expect("room"), Command::Send(thread, token));
    }

    pub(super) fn cancel(&mut self, token: Token, now: u64, dice: &mut Dice) {
        if self.runs.is_empty() {
            return;
        }
        let at = dice.below(self.runs.len() as u64) as usize;
        let run = self.runs.swap_remove(at);
        let command = self.session.cancel(run, Some(token.to_string()), now).expect("room");
        self.commands.insert(command, Command::Cancel);
    }

    pub(super) fn dialed(&mut self, now: u64) -> Checked {
        self.dials.push(now);
        let recent = self.dials.iter().rev().take_while(|at| **at + 10_000 > now).count();
        ensure!(recent <= DIALS_IN_TEN_SECONDS_MAX, "a storm: {recent} dials in ten seconds");
        Ok(())
    }

    /// Nothing is sent more often than there is reason to.
    pub(super) fn transmitted(&mut self, frame: &ClientFrame<Outgoing>) -> Checked {
        let req = match frame {
            ClientFrame::Hello(_) => {
                self.sendings.clear();
                return Ok(());
            }
            ClientFrame::Publish(publish) => publish.req,
            ClientFrame::Send(send) => send.req,
            ClientFrame::Cancel(cancel) => cancel.req,
            _ => return Ok(()),
        };
        let left = self.sendings.entry(req).or_insert(1);
        ensure!(*left > 0, "{req} was sent again without reason");
        *left -= 1;
        Ok(())
    }

    /// What came may be reason to send something again.
    pub(super) fn received(&mut self, frame: &ServerFrame<Vec<Incoming>>) {
        let req = match frame {
            ServerFrame::Error(error) => error.req,
            ServerFrame::Published(published) => Some(published.req),
            _ => None,
        };
        if let Some(req) = req {
            *self.sendings.entry(req).or_default() += 1;
        }
    }

    // What it is told ----------------------------------------------------------------------------

    pub(super) fn poll_action(&mut self) -> Option<Action<Outgoing>> {
        self.session.poll_action()
    }

    /// Takes what there is to be told and holds it to the laws.
    pub(super) fn poll_notices(
        &mut self,
        server: &Server,
        told: &mut impl FnMut(&Notice<Vec<Incoming>>),
    ) -> Checked {
        while let Some(notice) = self.session.poll_notice() {
            told(&notice);
            match notice {
                Notice::Subscribed { thread, position, head } => {
                    let thread = &mut self.threads[server.thread(&thread)];
                    thread.behind = Some((head, 0));
                    match &thread.record {
                        None => {
                            let Position { epoch, seq } = position;
                            thread.record = Some(Record { epoch, seq });
                        }
                        Some(record) => ensure!(
                            Start::After(position) == record.start(),
                            "subscribed at {position}, the application is at {record:?}"
                        ),
                    }
                }
                Notice::Reset { thread, .. } => {
                    let thread = server.thread(&thread);
                    let record = self.threads[thread].record.take();
                    let Record { epoch, seq } = record.ok_or("a reset of nothing")?;
                    let log = &server.logs[thread];
                    ensure!(
                        epoch != log.epoch || seq + 1 < log.first_kept,
                        "reset though {epoch}:{seq} can be served"
                    );
                }
                Notice::Events(delivery) => self.check_delivery(&delivery, server)?,
                Notice::Published { command, results } => {
                    let Some(Command::Publish(events)) = self.commands.remove(&command) else {
                        return Err(format!("{command:?} was answered as a publish"));
                    };
                    ensure!(results.len() == events.len(), "{} results", results.len());
                    for (event, outcome) in events.iter().zip(results) {
                        let rethread_shared::frame::Outcome::Stored { id, seq, .. } = outcome
                        else {
                            return Err(format!("a publish ended with {outcome:?}"));
                        };
                        ensure!(id == event.id, "the results are not in the events' order");
                        check_stored(server, event.thread, seq, Some(event.token))?;
                    }
                    self.acknowledged += 1;
                }
                Notice::Sent { command, run, seq } => {
                    let Some(Command::Send(thread, token)) = self.commands.remove(&command) else {
                        return Err(format!("{command:?} was answered as a send"));
                    };
                    check_stored(server, thread, seq, Some(token))?;
                    self.runs.push(run);
                    self.acknowledged += 1;
                }
                Notice::Cancelled { command, run, seq } => {
                    let Some(Command::Cancel) = self.commands.remove(&command) else {
                        return Err(format!("{command:?} was answered as a cancel"));
                    };
                    let thread = run.embedded_thread().expect("a standard run id");
                    check_stored(server, server.thread(thread), seq, None)?;
                    self.acknowledged += 1;
                }
                Notice::Failed { command, failure } => {
                    let known = self.commands.remove(&command);
                    let gone = matches!(&failure, Failure::Refused(e) if e.code.as_str() == "run_not_found");
                    ensure!(
                        gone && matches!(known, Some(Command::Cancel)),
                        "{known:?} failed with {failure:?}"
                    );
                }
                Notice::Work(work) => {
                    ensure!(!self.worked.contains(&work.run), "{} handed over twice", work.run);
                    self.worked.push(work.run);
                }
                Notice::Unsubscribed { thread, error } => {
                    return Err(format!("{thread} was unsubscribed: {error}"));
                }
                Notice::Status(Status::Closed(closed)) => {
                    return Err(format!("the session closed: {closed:?}"));
                }
                Notice::CaughtUp { thread, replayed } => {
                    let thread = &mut self.threads[server.thread(&thread)];
                    let at = thread.record.as_ref().map(|record| record.seq);
                    let behind = thread.behind.take();
                    ensure!(
                        behind.is_some_and(|(head, count)| at >= Some(head) && count == replayed),
                        "caught up with {replayed} events at {at:?}, was behind {behind:?}"
                    );
                }
                Notice::Status(_)
                | Notice::RunCancelled { .. }
                | Notice::TokenExpiring
                | Notice::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// Delivered is a gapless, duplicate-free piece of the log of its epoch, and durable.
    fn check_delivery(&mut self, delivery: &Delivery<Vec<Incoming>>, server: &Server) -> Checked {
        let thread = server.thread(&delivery.thread);
        let wish = self.threads[thread].wish;
        ensure!(wish == Wish::Follow, "events of a thread that is not followed: {delivery:?}");
        let Some(record) = &mut self.threads[thread].record else {
            return Err(format!("events before their subscription: {delivery:?}"));
        };
        let Delivery { epoch, first, last, events, .. } = delivery;
        ensure!(*epoch == record.epoch, "{record:?} was continued with {delivery:?}");
        ensure!(*first == record.seq + 1, "{record:?} was continued with {delivery:?}");
        ensure!(events.len() as u64 == last - first + 1, "not {first} to {last}: {events:?}");
        let log = server.incarnations(thread).find(|log| log.epoch == *epoch);
        let log = log.ok_or_else(|| format!("there was no epoch {epoch}"))?;
        for (event, seq) in events.iter().zip(*first..) {
            let stored = log.tokens.get(seq as usize - 1);
            ensure!(
                event.seq == seq && stored == Some(&event.token),
                "{event:?} was delivered as {seq}, the log has {stored:?}"
            );
        }
        record.seq = *last;
        if let Some((_, count)) = &mut self.threads[thread].behind {
            *count += events.len() as u64;
        }
        Ok(())
    }

    /// Everything is done, and known.
    pub(super) fn check_converged(&self, server: &Server) -> Checked {
        ensure!(self.session.status() == Status::Online, "{:?}", self.session.status());
        let open = self.session.unacknowledged();
        ensure!(open == 0 && self.commands.is_empty(), "{open} commands are not acknowledged");
        for (index, thread) in self.threads.iter().enumerate() {
            let log = &server.logs[index];
            let end = Some(Start::After(Position { epoch: log.epoch, seq: log.head() }));
            let at = thread.record.as_ref().map(Record::start);
            ensure!(
                thread.wish != Wish::Follow || at == end,
                "thread {index}: the application is at {at:?}, the log at {end:?}"
            );
            ensure!(
                thread.wish != Wish::Follow || thread.behind.is_none(),
                "thread {index}: never said to have caught up"
            );
        }
        Ok(())
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// What still waits is followed again, so that everybody has to converge.
    pub(super) fn wake(&mut self, now: u64) {
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if thread.wish == Wish::Pause {
                self.session.resume(&thread_id(index), now);
                thread.wish = Wish::Follow;
            }
        }
    }
}

impl Record {
    fn start(&self) -> Start {
        Start::After(Position { epoch: self.epoch, seq: self.seq })
    }
}

/// What was acknowledged is in the log.
fn check_stored(server: &Server, thread: usize, seq: u64, token: Option<Token>) -> Checked {
    let stored = server.incarnations(thread).any(|log| {
        let stored = log.tokens.get((seq as usize).wrapping_sub(1));
        stored.is_some() && (token.is_none() || stored == token.as_ref())
    });
    ensure!(stored, "acknowledged at {seq} of thread {thread}, and not there: {token:?}");
    Ok(())
}

fn session(
    serves: bool,
    sabotage: Option<Sabotage>,
    now: u64,
    dice: &mut Dice,
) -> Session<Vec<Incoming>, Outgoing> {
    let mut session = Session::new(None, u64::from_be_bytes(dice.bytes()));
    if let Some(sabotage) = sabotage {
        session.sabotage(sabotage);
    }
    if serves {
        session.serve("agent".into(), now);
    }
    session.connect(now);
    session
}
