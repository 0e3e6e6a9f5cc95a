//! Everything together under virtual time: clients, server, network, applications, faults.

mod happenings;

use std::{cmp::Reverse, collections::BTreeSet, collections::BinaryHeap, fmt::Write};

use super::{
    client::{Checked, Client},
    dice::Dice,
    model::{Down, Token, Up},
    network::Link,
    server::{HEARTBEAT, Server, THREADS},
};
use crate::session::{Action, ConnectionId, Sabotage, TokenWish};

const CLIENTS: usize = 4;
/// How long faults happen, milliseconds.
const FAULTS_FOR: u64 = 20_000;
/// How long after the faults everybody must have converged: the longest wait (20 s), a dial that
/// hangs (10 s) and the wait after it (20 s), and some seconds to catch up.
const CONVERGED_BY: u64 = FAULTS_FOR + 60_000;

/// Some hundred steps are usual.
const STEPS_MAX: u64 = 20_000;

/// A whole run of the simulation.
#[derive(Debug)]
pub(super) struct World {
    now: u64,
    dice: Dice,
    agenda: BinaryHeap<Reverse<Entry>>,
    /// Keeps the order of what happens at the same time.
    entries: u64,
    clients: Vec<Client>,
    links: Vec<Link>,
    server: Server,
    tokens: Token,
    commit_is_due: bool,
    faults: bool,
    sabotage: Option<Sabotage>,
    trace: Option<String>,
    steps: u64,
}

/// What is left when a run has ended well.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) trace: String,
    pub(super) steps: u64,
    pub(super) acknowledged: u32,
    pub(super) events: u64,
    pub(super) converged_at: u64,
    pub(super) connections: usize,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    order: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Up(usize, Up),
    Down(usize, Down),
    Dialed { client: usize, connection: ConnectionId, token: String, works: bool },
    Flow(usize),
    Commit,
    Tick,
    ServerUp,
    Application,
    Fault,
    Quiet,
}

impl World {
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let server = Server::new(&mut dice);
        // The last one serves the agent.
        let clients =
            (0..CLIENTS).map(|n| Client::new(n == CLIENTS - 1, sabotage, 0, &mut dice)).collect();
        let mut world = Self {
            now: 0,
            dice,
            agenda: BinaryHeap::new(),
            entries: 0,
            clients,
            links: Vec::new(),
            server,
            tokens: 0,
            commit_is_due: false,
            faults: true,
            sabotage,
            trace: traced.then(String::new),
            steps: 0,
        };
        for client in 0..2 {
            for thread in 0..THREADS - client {
                world.clients[client].follow(thread, 0, &mut world.dice);
            }
        }
        for (what, at) in [
            (What::Application, 10),
            (What::Fault, 1_500),
            (What::Tick, HEARTBEAT / 4),
            (What::Quiet, FAULTS_FOR),
        ] {
            world.plan(what, at);
        }
        world
    }

    /// Runs to convergence. An error is a law broken.
    pub(super) fn run(mut self) -> Result<Summary, String> {
        match self.run_inner() {
            Ok(()) => Ok(Summary {
                trace: self.trace.unwrap_or_default(),
                steps: self.steps,
                acknowledged: self.clients.iter().map(Client::acknowledged).sum(),
                events: self.server.logs.iter().map(|log| log.head()).sum(),
                converged_at: self.now,
                connections: self.links.len(),
            }),
            Err(error) => {
                let trace = self.trace.unwrap_or_default();
                Err(format!("{trace}at {} ms: {error}", self.now))
            }
        }
    }

    fn run_inner(&mut self) -> Checked {
        for client in 0..CLIENTS {
            self.drain(client)?;
        }
        loop {
            self.step()?;
            if !self.faults && self.steps.is_multiple_of(16) && self.check_converged().is_ok() {
                return self.check_logs();
            }
            if self.steps > STEPS_MAX {
                return Err("something goes round and round".into());
            }
            if self.now > CONVERGED_BY {
                return self.check_converged().map_err(|e| format!("not converged: {e}"));
            }
        }
    }

    /// Whatever comes first.
    fn step(&mut self) -> Checked {
        self.steps += 1;
        let timer = (0..CLIENTS).filter_map(|client| Some((self.wake_time(client)?, client))).min();
        let planned = self.agenda.peek().map_or(u64::MAX, |Reverse(entry)| entry.at);
        if let Some((at, client)) = timer
            && at <= planned
        {
            self.now = self.now.max(at);
            trace(&mut self.trace, self.now, || format!("client {client} timeout"));
            self.clients[client].session.handle_timeout(self.now);
            return self.drain(client);
        }
        let Some(Reverse(entry)) = self.agenda.pop() else { return Err("nothing to do".into()) };
        self.now = self.now.max(entry.at);
        let now = self.now;
        match entry.what {
            What::Up(link, up) => {
                if let Some(up) = self.links[link].arrive_up(up) {
                    self.server_takes(link, up);
                }
            }
            What::Down(link, down) => {
                if let Some(down) = self.links[link].arrive_down(down) {
                    self.client_takes(link, down)?;
                }
            }
            What::Dialed { client, connection, token, works } => {
                return self.dialed(client, connection, token, works);
            }
            What::Flow(link) => {
                let (up, down) = self.links[link].flow();
                for up in up {
                    self.server_takes(link, up);
                }
                for down in down {
                    if self.links[link].reaches_client {
                        self.client_takes(link, down)?;
                    }
                }
            }
            What::Commit => {
                self.commit_is_due = false;
                if self.server.is_up {
                    self.server.commit(now, &mut self.dice);
                }
            }
            What::Tick => {
                self.server.tick(now);
                self.plan(What::Tick, HEARTBEAT / 4);
            }
            What::ServerUp => self.server.is_up = true,
            What::Application => {
                if self.faults {
                    self.application()?;
                    let pause = self.dice.between(20, 500);
                    self.plan(What::Application, pause);
                }
            }
            What::Fault => {
                if self.faults {
                    self.fault()?;
                    let pause = self.dice.between(200, 3_000);
                    self.plan(What::Fault, pause);
                }
            }
            What::Quiet => self.quiet()?,
        }
        self.flush_server();
        Ok(())
    }

    // Clients ------------------------------------------------------------------------------------

    /// A page out of view gets its timers late.
    fn wake_time(&self, client: usize) -> Option<u64> {
        let client = &self.clients[client];
        let at = client.session.next_timeout()?;
        Some(if client.is_hidden { at.next_multiple_of(1_000) } else { at })
    }

    /// Drains a session, as its contract says.
    fn drain(&mut self, index: usize) -> Checked {
        let now = self.now;
        while let Some(action) = self.clients[index].poll_action() {
            trace(&mut self.trace, now, || format!("client {index} does {action:?}"));
            match action {
                Action::Dial { connection, token } => self.dial(index, connection, token)?,
                Action::Transmit(frame) => {
                    let link = self.clients[index].link.ok_or("a frame without a connection")?;
                    self.clients[index].transmitted(&frame)?;
                    let at = self.links[link].time_up(now, &mut self.dice);
                    self.plan_at(What::Up(link, Up::Frame(frame)), at);
                }
                Action::Disconnect { connection, .. } => {
                    self.clients[index].dialing = None;
                    if let Some(link) = self.clients[index].link.take() {
                        if self.links[link].connection != connection {
                            return Err(format!("{connection:?} is not the open one"));
                        }
                        let at = self.links[link].time_up(now, &mut self.dice);
                        self.plan_at(What::Up(link, Up::Closed), at);
                        // What is still on its way arrives, to see that it is ignored.
                    }
                }
            }
        }
        let (client, server, log) = (&mut self.clients[index], &self.server, &mut self.trace);
        client.poll_notices(server, &mut |notice| {
            trace(log, now, || format!("client {index} is told {notice:?}"));
        })
    }

    fn dial(&mut self, client: usize, connection: ConnectionId, wish: TokenWish) -> Checked {
        let now = self.now;
        self.clients[client].dialed(now)?;
        self.clients[client].dialing = Some(connection);
        if wish == TokenWish::New {
            // When the faults have stopped, nothing but the session itself makes it go on.
            let lasts = if self.faults { self.dice.between(3_000, 60_000) } else { CONVERGED_BY };
            self.clients[client].token = (now + lasts).to_string();
        }
        let token = self.clients[client].token.clone();
        let hangs = self.faults && self.dice.chance(5);
        let pause = self.dice.between(2, 200);
        if !hangs {
            let works = !(self.faults && self.dice.chance(10));
            self.plan(What::Dialed { client, connection, token, works }, pause);
        }
        Ok(())
    }

    fn dialed(
        &mut self,
        client: usize,
        connection: ConnectionId,
        token: String,
        works: bool,
    ) -> Checked {
        let now = self.now;
        if self.clients[client].dialing != Some(connection) {
            return Ok(());
        }
        self.clients[client].dialing = None;
        if works && self.server.is_up {
            self.links.push(Link::new(client, connection));
            let link = self.links.len() - 1;
            self.clients[client].link = Some(link);
            self.server.connect(link, now);
            self.clients[client].session.handle_opened(connection, token, now);
        } else {
            self.clients[client].session.handle_closed(connection, None, now);
        }
        self.drain(client)
    }

    fn client_takes(&mut self, link: usize, down: Down) -> Checked {
        let (client, connection) = (self.links[link].client, self.links[link].connection);
        let current = self.clients[client].link == Some(link);
        trace(&mut self.trace, self.now, || format!("client {client} gets {down:?}"));
        if let Down::Frame(frame) = &down
            && current
        {
            self.clients[client].received(frame);
        }
        let session = &mut self.clients[client].session;
        match down {
            Down::Frame(frame) => session.handle_frame(connection, frame, self.now),
            Down::Closed(code) => {
                self.links[link].cut();
                session.handle_closed(connection, code, self.now);
                if current {
                    self.clients[client].link = None;
                }
            }
        }
        self.drain(client)
    }

    // The server ---------------------------------------------------------------------------------

    fn server_takes(&mut self, link: usize, up: Up) {
        if !self.server.is_up {
            return;
        }
        trace(&mut self.trace, self.now, || format!("server gets {up:?} from link {link}"));
        self.server.handle(link, up, self.now, &mut self.dice);
        if self.server.has_pending() && !self.commit_is_due {
            self.commit_is_due = true;
            let pause = self.dice.between(1, 60);
            self.plan(What::Commit, pause);
        }
        self.flush_server();
    }

    fn flush_server(&mut self) {
        for (link, down) in std::mem::take(&mut self.server.out) {
            let at = self.links[link].time_down(self.now, &mut self.dice);
            self.plan_at(What::Down(link, down), at);
        }
    }

    // Checks -------------------------------------------------------------------------------------

    fn check_converged(&self) -> Checked {
        for (index, client) in self.clients.iter().enumerate() {
            client.check_converged(&self.server).map_err(|e| format!("client {index}: {e}"))?;
        }
        Ok(())
    }

    /// Whatever was done is in a log once.
    fn check_logs(&self) -> Checked {
        for thread in 0..THREADS {
            for log in self.server.incarnations(thread) {
                let mut seen = BTreeSet::new();
                for token in &log.tokens {
                    if !seen.insert(token) {
                        return Err(format!("{token} is in the log of thread {thread} twice"));
                    }
                }
            }
        }
        Ok(())
    }

    fn plan(&mut self, what: What, pause: u64) {
        self.plan_at(what, self.now + pause);
    }

    fn plan_at(&mut self, what: What, at: u64) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry { at, order: self.entries, what }));
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

fn trace(trace: &mut Option<String>, now: u64, line: impl FnOnce() -> String) {
    if let Some(trace) = trace {
        writeln!(trace, "{now:>6} {}", line()).expect("a String takes all");
    }
}
