//! The desk: which connection works on what. Hands waiting work to agents, and knows when a run's
//! agent is gone. Pure bookkeeping under one lock; [`super::asking`] does what it says.

mod notes;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, RunId, WireError,
    frame::{Cancelled, Work},
    limits::{NAME_BYTES_MAX, SERVED_AGENTS_MAX, WORK_WAITING_MAX},
};
use serde::{Deserialize, Serialize};

use crate::{
    auth::Grant,
    hash::{Map, Set},
};
pub use notes::{Inbox, Notes, notes};

/// Names a connection within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the desk tells a connection.
#[derive(Clone, Debug)]
pub enum Note {
    /// There is work for it.
    Work(Work),
    /// A run it works on is over.
    Cancelled(Cancelled),
}

/// Work that no agent has taken. The agent may be any.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The agent that is asked; `None` lets any answer.
    pub agent: Option<String>,
    /// The work; its `agent` is filled in when it is handed over.
    pub work: Work,
    /// Who may see the thread: connections whose user may. Checked when it is handed over.
    pub owner: Arc<str>,
    /// Who had it last and did not start. Anybody else is asked before.
    pub tried: Option<ConnectionId>,
    /// Since when it waits.
    pub since: std::time::Instant,
}

/// Where a run stands with its agent.
#[derive(Debug)]
enum Place {
    /// Handed to a connection; it has not started.
    Offered { to: ConnectionId, waiting: Box<Waiting> },
    /// A connection publishes in it.
    With { connection: ConnectionId },
    /// Its agent is gone. `since` tells this absence from a later one.
    Gone { since: u64 },
}

#[derive(Debug)]
struct Agent {
    names: Vec<String>,
    notes: Notes,
    runs: Set<RunId>,
    /// Which threads' work it may be given.
    may: Arc<Grant>,
}

/// Where a run stands with its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
#[schema(as = AgentStanding)]
pub enum Standing {
    /// No agent has taken it.
    Waiting,
    /// It was handed to a connection, which has not started.
    Offered {
        /// The connection.
        connection: u64,
    },
    /// A connection works on it.
    With {
        /// The connection.
        connection: u64,
    },
    /// Its agent's connection is gone; it is waited for.
    Away,
}

/// How much of what lies on the desk.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Runs that no agent has taken.
    pub waiting: usize,
    /// Runs that were handed to an agent which has not started.
    pub offered: usize,
    /// Runs that an agent works on over a connection.
    pub with: usize,
    /// Runs whose agent's connection is gone.
    pub away: usize,
    /// Connections that offer to take work.
    pub serving: usize,
    /// Since when the first of those that nobody has taken waits.
    pub since: Option<std::time::Instant>,
}

/// The desk of one server.
#[derive(Debug, Default)]
pub struct Desk {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    agents: Map<ConnectionId, Agent>,
    /// Those of `agents` that offered to take work: few among many browsers.
    serving: BTreeSet<ConnectionId>,
    waiting: VecDeque<Waiting>,
    places: Map<RunId, Place>,
    /// How many of `places` are offers.
    offered: usize,
    clock: u64,
}

/// A promise that something must happen unless the run moves on before its time.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// The run.
    pub run: RunId,
    /// Which offer or absence it is about.
    pub mark: Mark,
}

/// What a deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The connection must start it.
    Start(ConnectionId),
    /// Its agent must come back.
    Return(u64),
}

impl Desk {
    /// A connection that publishes or serves; its notes go to `notes`.
    pub fn open(&self, connection: ConnectionId, notes: Notes, may: Arc<Grant>) {
        let agent = Agent { names: Vec::new(), notes, runs: Set::default(), may };
        self.books.lock().agents.insert(connection, agent);
    }

    /// The connection brought another token. One that does not let it serve ends its offers.
    pub fn regrant(&self, connection: ConnectionId, may: Arc<Grant>, may_serve: bool) {
        let mut books = self.books.lock();
        if let Some(agent) = books.agents.get_mut(&connection) {
            agent.may = may;
            if !may_serve {
                agent.names.clear();
                books.serving.remove(&connection);
            }
        }
    }

    /// Whether a run is with anybody, or waits for somebody.
    pub fn knows(&self, run: &RunId) -> bool {
        self.books.lock().knows(run)
    }

    /// Where a run stands with its agent; none where it has none over a connection.
    pub fn standing(&self, run: &RunId) -> Option<Standing> {
        let books = self.books.lock();
        Some(match books.places.get(run) {
            Some(Place::Offered { to, .. }) => Standing::Offered { connection: to.0 },
            Some(Place::With { connection }) => Standing::With { connection: connection.0 },
            Some(Place::Gone { .. }) => Standing::Away,
            None if books.waiting.iter().any(|waiting| waiting.work.run == *run) => {
                Standing::Waiting
            }
            None => return None,
        })
    }

    /// How much there is of what.
    pub fn figures(&self) -> Figures {
        let books = self.books.lock();
        let with =
            books.places.values().filter(|place| matches!(place, Place::With { .. })).count();
        Figures {
            waiting: books.waiting.len(),
            offered: books.offered,
            with,
            away: books.places.len() - books.offered - with,
            serving: books.serving.len(),
            since: books.waiting.iter().map(|waiting| waiting.since).min(),
        }
    }

    /// A connection has taken a note: there may be room for work that waits.
    pub fn has_room(&self) -> Vec<Deadline> {
        self.books.lock().hand_out()
    }

    /// How a connection is told things.
    pub fn notes(&self, connection: ConnectionId) -> Option<Notes> {
        self.books.lock().agents.get(&connection).map(|agent| agent.notes.clone())
    }

    /// A connection offers to take work for an agent. Gives the deadlines of what it was handed.
    ///
    /// # Errors
    /// When the name is no name, or it serves too many.
    pub fn serve(&self, connection: ConnectionId, name: &str) -> Result<Vec<Deadline>, WireError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(WireError::new(
                ErrorCode::BadFrame,
                format!("an agent's name has 1 to {NAME_BYTES_MAX} bytes, no control characters"),
            )
            .with_received(name));
        }
        let mut books = self.books.lock();
        if let Some(agent) = books.agents.get_mut(&connection)
            && !agent.names.iter().any(|known| known == name)
        {
            if agent.names.len() == SERVED_AGENTS_MAX {
                return Err(WireError::new(
                    ErrorCode::TooManySubscriptions,
                    format!("one connection may serve {SERVED_AGENTS_MAX} agents"),
                ));
            }
            agent.names.push(name.to_owned());
            books.serving.insert(connection);
        }
        Ok(books.hand_out())
    }

    /// New work, unless it is known. Gives the deadline of its start, if it could be handed over at
    /// once.
    pub fn ask(&self, waiting: Waiting) -> Vec<Deadline> {
        let mut books = self.books.lock();
        if books.knows(&waiting.work.run) {
            return Vec::new();
        }
        books.waiting.push_back(waiting);
        books.hand_out()
    }

    /// Refuses new work when too much waits.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn require_room(&self) -> Result<(), WireError> {
        let books = self.books.lock();
        if books.waiting.len() + books.offered < WORK_WAITING_MAX {
            return Ok(());
        }
        drop(books);
        Err(WireError::new(
            ErrorCode::SlowDown,
            format!("{WORK_WAITING_MAX} messages wait for an agent; is one serving?"),
        )
        .with_retry_after_ms(10_000))
    }

    /// A connection publishes in a run, or says that it still works on it. Gives a deadline when the
    /// connection has gone meanwhile. What an older connection still had to say does not take a run
    /// from a newer one.
    pub fn bind(&self, run: &RunId, connection: ConnectionId) -> Option<Deadline> {
        let mut books = self.books.lock();
        let before = match books.places.get(run) {
            Some(Place::With { connection: before }) if *before == connection => {
                return None;
            }
            Some(Place::With { connection: before } | Place::Offered { to: before, .. }) => {
                Some(*before)
            }
            Some(Place::Gone { .. }) | None => None,
        };
        if before.is_some_and(|before| before > connection && books.agents.contains_key(&before)) {
            return None;
        }
        if let Some(agent) = before.and_then(|before| books.agents.get_mut(&before)) {
            agent.runs.remove(run);
        }
        books.waiting.retain(|waiting| waiting.work.run != *run);
        let Some(agent) = books.agents.get_mut(&connection) else {
            return Some(books.gone(run.clone()));
        };
        agent.runs.insert(run.clone());
        books.place(run.clone(), Place::With { connection });
        None
    }

    /// Takes back an offer that nobody needs to take up any more.
    pub fn withdraw(&self, run: &RunId) {
        let mut books = self.books.lock();
        if let Some(Place::Offered { to, .. }) = books.places.get(run) {
            let to = *to;
            books.unplace(run);
            if let Some(agent) = books.agents.get_mut(&to) {
                agent.runs.remove(run);
            }
        }
    }

    /// A run goes on over HTTP: it has no connection whose loss could end it.
    pub fn goes_on(&self, run: &RunId) {
        let mut books = self.books.lock();
        if matches!(books.places.get(run), Some(Place::Gone { .. })) {
            books.unplace(run);
        }
    }

    /// A run is over. Gives the connection that worked on it, to be told.
    pub fn over(&self, run: &RunId) -> Option<Notes> {
        let mut books = self.books.lock();
        books.waiting.retain(|waiting| waiting.work.run != *run);
        let (Place::Offered { to: connection, .. } | Place::With { connection }) =
            books.unplace(run)?
        else {
            return None;
        };
        let agent = books.agents.get_mut(&connection)?;
        agent.runs.remove(run);
        Some(agent.notes.clone())
    }

    /// A run whose agent is not there, as after a restart.
    pub fn missing(&self, run: &RunId) -> Deadline {
        self.books.lock().gone(run.clone())
    }

    /// A connection is gone. What it had not started goes to others; what it worked on gets a
    /// deadline.
    pub fn close(&self, connection: ConnectionId) -> Vec<Deadline> {
        let mut books = self.books.lock();
        let Some(agent) = books.agents.remove(&connection) else { return Vec::new() };
        books.serving.remove(&connection);
        let mut deadlines = Vec::new();
        for run in agent.runs {
            match books.unplace(&run) {
                Some(Place::Offered { waiting, .. }) => books.waiting.push_front(*waiting),
                _ => deadlines.push(books.gone(run)),
            }
        }
        deadlines.extend(books.hand_out());
        deadlines
    }

    /// A deadline has come. True when the run's agent is lost; work that was not started is handed
    /// to another connection, with new deadlines.
    pub fn expire(&self, deadline: &Deadline) -> (bool, Vec<Deadline>) {
        let mut books = self.books.lock();
        match (books.places.get(&deadline.run), deadline.mark) {
            (Some(Place::Gone { since }), Mark::Return(mark)) if *since == mark => {
                books.unplace(&deadline.run);
                (true, Vec::new())
            }
            (Some(Place::Offered { to, .. }), Mark::Start(mark)) if *to == mark => {
                let Some(Place::Offered { to, mut waiting }) = books.unplace(&deadline.run) else {
                    unreachable!("it was just seen");
                };
                if let Some(agent) = books.agents.get_mut(&to) {
                    agent.runs.remove(&deadline.run);
                }
                waiting.tried = Some(to);
                books.waiting.push_back(*waiting);
                (false, books.hand_out())
            }
            _ => (false, Vec::new()),
        }
    }
}

impl Books {
    fn knows(&self, run: &RunId) -> bool {
        self.places.contains_key(run) || self.waiting.iter().any(|other| other.work.run == *run)
    }

    fn gone(&mut self, run: RunId) -> Deadline {
        self.clock += 1;
        self.place(run.clone(), Place::Gone { since: self.clock });
        Deadline { run, mark: Mark::Return(self.clock) }
    }

    fn place(&mut self, run: RunId, place: Place) {
        self.offered += usize::from(matches!(place, Place::Offered { .. }));
        if let Some(Place::Offered { .. }) = self.places.insert(run, place) {
            self.offered -= 1;
        }
    }

    fn unplace(&mut self, run: &RunId) -> Option<Place> {
        let place = self.places.remove(run);
        self.offered -= usize::from(matches!(place, Some(Place::Offered { .. })));
        place
    }

    /// Hands waiting work to connections that serve its agent, the least busy first.
    fn hand_out(&mut self) -> Vec<Deadline> {
        let mut deadlines = Vec::new();
        if self.serving.is_empty() || self.waiting.is_empty() {
            return deadlines;
        }
        let mut kept = VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            let Some((to, name)) = self.taker(&waiting) else {
                kept.push_back(waiting);
                continue;
            };
            let agent = self.agents.get_mut(&to).expect("the taker is there");
            let work = Work { agent: name, ..waiting.work.clone() };
            let run = work.run.clone();
            if !agent.notes.put(Note::Work(work)) {
                kept.push_back(waiting);
                continue;
            }
            agent.runs.insert(run.clone());
            self.place(run.clone(), Place::Offered { to, waiting: Box::new(waiting) });
            deadlines.push(Deadline { run, mark: Mark::Start(to) });
        }
        self.waiting = kept;
        deadlines
    }

    fn taker(&self, waiting: &Waiting) -> Option<(ConnectionId, String)> {
        self.serving
            .iter()
            .filter_map(|id| self.agents.get_key_value(id))
            .filter(|(_, agent)| {
                agent.may.covers(&waiting.owner, &waiting.work.thread) && agent.notes.has_room()
            })
            .filter_map(|(id, agent)| {
                let name = match &waiting.agent {
                    Some(wanted) => agent.names.iter().find(|name| *name == wanted),
                    None => agent.names.first(),
                }?;
                Some((waiting.tried == Some(*id), agent.runs.len(), *id, name))
            })
            .min()
            .map(|(_, _, id, name)| (id, name.clone()))
    }
}
