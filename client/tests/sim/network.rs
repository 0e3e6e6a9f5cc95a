//! A pure model of the network: each connection is two streams that keep their order, until they
//! are cut, stall, or break on one side only.

use super::{
    dice::Dice,
    model::{Down, Up},
};
use crate::session::ConnectionId;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: usize,
    pub(super) connection: ConnectionId,
    /// False when nothing gets through to that side any more; it need not know.
    pub(super) reaches_server: bool,
    pub(super) reaches_client: bool,
    /// What arrives is held until the stall is over.
    stalled: bool,
    held_up: Vec<Up>,
    held_down: Vec<Down>,
    last_up: u64,
    last_down: u64,
}

impl Link {
    pub(super) fn new(client: usize, connection: ConnectionId) -> Self {
        Self {
            client,
            connection,
            reaches_server: true,
            reaches_client: true,
            stalled: false,
            held_up: Vec::new(),
            held_down: Vec::new(),
            last_up: 0,
            last_down: 0,
        }
    }

    /// When what is sent up now arrives.
    pub(super) fn time_up(&mut self, now: u64, dice: &mut Dice) -> u64 {
        self.last_up = self.last_up.max(now + latency(dice));
        self.last_up
    }

    /// When what is sent down now arrives.
    pub(super) fn time_down(&mut self, now: u64, dice: &mut Dice) -> u64 {
        self.last_down = self.last_down.max(now + latency(dice));
        self.last_down
    }

    /// What arrives at the server, unless it is held or lost.
    pub(super) fn arrive_up(&mut self, up: Up) -> Option<Up> {
        if !self.reaches_server {
            return None;
        }
        if self.stalled {
            self.held_up.push(up);
            return None;
        }
        Some(up)
    }

    /// What arrives at the client, unless it is held or lost.
    pub(super) fn arrive_down(&mut self, down: Down) -> Option<Down> {
        if !self.reaches_client {
            return None;
        }
        if self.stalled {
            self.held_down.push(down);
            return None;
        }
        Some(down)
    }

    pub(super) fn stall(&mut self) {
        self.stalled = true;
    }

    /// The stall is over: what was held goes on, in its order.
    pub(super) fn flow(&mut self) -> (Vec<Up>, Vec<Down>) {
        self.stalled = false;
        (std::mem::take(&mut self.held_up), std::mem::take(&mut self.held_down))
    }

    /// Nothing gets through any more.
    pub(super) fn cut(&mut self) {
        (self.reaches_server, self.reaches_client) = (false, false);
    }
}

/// Usually some milliseconds, now and then a second.
fn latency(dice: &mut Dice) -> u64 {
    if dice.chance(2) { dice.between(200, 1_500) } else { dice.between(1, 40) }
}
