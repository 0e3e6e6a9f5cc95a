//! What happens to the world by chance: what applications do, what goes wrong, and its end.

use rethread_shared::EventId;

use super::{
    super::{
        client::Checked,
        dice::Dice,
        model::{Down, Outgoing, Up},
        server::{HEARTBEAT, THREADS},
    },
    CLIENTS, What, World, trace,
};

impl World {
    pub(super) fn application(&mut self) -> Checked {
        let now = self.now;
        let client = self.dice.below(CLIENTS as u64) as usize;
        let thread = self.dice.below(THREADS as u64) as usize;
        let dice = &mut self.dice;
        match dice.below(100) {
            0..45 => {
                let count = dice.between(1, 5);
                let events = (0..count)
                    .map(|_| {
                        self.tokens += 1;
                        let id = EventId::generate(now, dice.bytes());
                        Outgoing { id, thread, token: self.tokens }
                    })
                    .collect();
                self.clients[client].publish(events, now);
            }
            45..70 => {
                self.tokens += 1;
                let id = EventId::generate(now, dice.bytes());
                self.clients[client].send(thread, self.tokens, id, now);
            }
            70..78 => {
                self.tokens += 1;
                self.clients[client].cancel(self.tokens, now, dice);
            }
            78..90 => self.clients[client].follow(thread, now, dice),
            90..95 => self.clients[client].rest(thread, false, now),
            95..97 => self.clients[client].rest(thread, true, now),
            _ => self.clients[client].session.handle_visible(now),
        }
        self.drain(client)
    }

    pub(super) fn fault(&mut self) -> Checked {
        let now = self.now;
        let client = self.dice.below(CLIENTS as u64) as usize;
        let thread = self.dice.below(THREADS as u64) as usize;
        let kind = self.dice.below(100);
        trace(&mut self.trace, now, || format!("fault {kind} of client {client}, thread {thread}"));
        match (kind, self.clients[client].link) {
            // Cut: both sides see it, sooner or later.
            (0..20, Some(link)) => {
                self.links[link].cut();
                self.server.disconnect(link);
                self.clients[client].link = None;
                let connection = self.links[link].connection;
                self.clients[client].session.handle_closed(connection, Some(1006), now);
                return self.drain(client);
            }
            // Half-open: one side does not see it, or neither.
            (20..35, Some(link)) => match self.dice.below(3) {
                0 => self.links[link].cut(),
                1 => self.links[link].reaches_server = false,
                _ => self.links[link].reaches_client = false,
            },
            // Stall, and go on later.
            (35..50, Some(link)) => {
                self.links[link].stall();
                let pause = self.dice.between(200, 3 * HEARTBEAT);
                self.plan(What::Flow(link), pause);
            }
            // The server dies, or stops politely, and comes back.
            (50..62, _) if self.server.is_up => {
                if self.dice.chance(30) {
                    self.server.shut_down(now, &mut self.dice);
                } else {
                    let after_commit = self.dice.chance(50);
                    self.server.crash(after_commit, now, &mut self.dice);
                    self.break_links();
                }
                if self.dice.chance(15) {
                    self.server.wipe(thread, &mut self.dice);
                }
                let pause = self.dice.between(50, 3_000);
                self.plan(What::ServerUp, pause);
            }
            (62..65, _) => self.server.expire(thread),
            (65..66, _) => self.server.wipe(thread, &mut self.dice),
            (66..70, _) => {
                let mut dice = Dice::new(self.dice.below(u64::from(u32::MAX)));
                // Its session is another one, which has nothing to do with older connections.
                for link in self.links.iter_mut().filter(|link| link.client == client) {
                    link.reaches_client = false;
                }
                if let Some(link) = self.clients[client].link.take() {
                    let at = self.links[link].time_up(now, &mut self.dice);
                    self.plan_at(What::Up(link, Up::Closed), at);
                }
                self.clients[client].reload(self.sabotage, now, &mut dice);
                return self.drain(client);
            }
            (70..78, _) => {
                self.clients[client].session.handle_offline(now);
                return self.drain(client);
            }
            (78..88, _) => {
                self.clients[client].session.handle_online(now);
                return self.drain(client);
            }
            (88..94, _) => {
                self.clients[client].is_hidden = true;
                self.clients[client].session.handle_hidden(now);
                return self.drain(client);
            }
            (94..100, _) => {
                self.clients[client].is_hidden = false;
                self.clients[client].session.handle_visible(now);
                return self.drain(client);
            }
            _ => {}
        }
        Ok(())
    }

    /// The server is dead. Some clients see it at once, some only by its silence.
    fn break_links(&mut self) {
        for index in 0..CLIENTS {
            let Some(link) = self.clients[index].link else { continue };
            self.links[link].reaches_server = false;
            if self.dice.chance(70) {
                let at = self.links[link].time_down(self.now, &mut self.dice);
                self.plan_at(What::Down(link, Down::Closed(None)), at);
            }
        }
    }

    /// The faults stop; each thread gets one more event, which shows what is missing before it.
    pub(super) fn quiet(&mut self) -> Checked {
        trace(&mut self.trace, self.now, || "the faults stop".into());
        (self.faults, self.server.is_moody) = (false, false);
        self.server.is_up = true;
        self.server.trust_all();
        for thread in 0..THREADS {
            self.tokens += 1;
            self.server.append(thread, self.tokens, self.now, &mut self.dice);
        }
        for index in 0..CLIENTS {
            self.clients[index].is_hidden = false;
            self.clients[index].wake(self.now);
            self.clients[index].session.handle_online(self.now);
            self.drain(index)?;
        }
        Ok(())
    }
}
