//! A crowd that comes back, on a thread of its own that gives way: those who stayed are written to and read
//! when it is their time, whatever it takes to dial, greet and read for so many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::DRAIN;
use crate::{
    check::Follower,
    dialect::{From, Heard},
    machine,
    server::Target,
    swarm::Swarm,
};

/// How much the crowd's thread gives way, as `nice` has it.
const NICE: i32 = 10;
/// How often the crowd looks whether it is to end.
const TURN: Duration = Duration::from_millis(20);

/// A subscriber that was cut.
#[derive(Debug)]
pub(super) struct Away {
    /// Its thread's id.
    pub(super) id: String,
    /// Its thread's place.
    pub(super) thread: usize,
    /// What it has.
    pub(super) follower: Follower,
    /// The last event that it has missed.
    pub(super) goal: u64,
}

/// Those who come back.
#[derive(Debug)]
pub(crate) struct Crowd {
    thread: JoinHandle<Result<Duration>>,
    left: Arc<AtomicUsize>,
    ends: Sender<Vec<u64>>,
}

impl Crowd {
    pub(super) fn start(target: Target, away: Vec<Away>) -> Result<Self> {
        let is_behind = |one: &&Away| one.follower.last() < one.goal;
        let left = Arc::new(AtomicUsize::new(away.iter().filter(is_behind).count()));
        let (ends, ended) = mpsc::channel();
        let counted = left.clone();
        let thread = std::thread::Builder::new()
            .name("crowd".into())
            .spawn(move || come_back(&target, away, &counted, &ended))?;
        Ok(Self { thread, left, ends })
    }

    /// How many do not have yet what they have missed.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// True when something went wrong; [`Crowd::finish`] says what.
    pub(crate) fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until each has its thread's last event. Gives how long it took from the first dialling until
    /// the last had caught up.
    ///
    /// # Errors
    /// When anything came that must not, or something has not come.
    pub(crate) fn finish(self, ends: Vec<u64>) -> Result<Duration> {
        // Nobody listens when it has failed, and that is told below.
        let _ = self.ends.send(ends);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn come_back(
    target: &Target,
    mut away: Vec<Away>,
    left: &AtomicUsize,
    ended: &Receiver<Vec<u64>>,
) -> Result<Duration> {
    machine::give_way(NICE)?;
    let start = Instant::now();
    let mut swarm = Swarm::new(target.dialect.ping())?;
    for Away { id, follower, .. } in &away {
        let opening = target.dialect.subscriber(id, From::Behind(follower));
        swarm.dial(target.address, &opening)?;
    }
    let mut caught_up = None;
    let mut ends: Option<(Vec<u64>, Instant)> = None;
    loop {
        swarm.turn(TURN, |message| {
            let Away { follower, goal, .. } = &mut away[message.link];
            let was_behind = follower.last() < *goal;
            let heard = target.dialect.hear(follower, message.payload, |_| ())?;
            if was_behind && follower.last() >= *goal {
                left.fetch_sub(1, Ordering::Relaxed);
            }
            Ok(if let Heard::Answer(text) = heard { Some(text) } else { None })
        })?;
        if left.load(Ordering::Relaxed) == 0 {
            caught_up.get_or_insert_with(|| start.elapsed());
        }
        if ends.is_none() {
            match ended.try_recv() {
                Ok(each) => ends = Some((each, Instant::now() + DRAIN)),
                Err(mpsc::TryRecvError::Empty) => continue,
                // Whoever waited for it has failed.
                Err(mpsc::TryRecvError::Disconnected) => bail!("given up"),
            }
        }
        let Some((ends, deadline)) = &ends else { continue };
        let unfinished = away.iter().find(|one| one.follower.last() < ends[one.thread]);
        match unfinished {
            Some(one) if Instant::now() > *deadline => one.follower.finish(ends[one.thread])?,
            Some(_) => {}
            None => {
                for one in &away {
                    one.follower.finish(ends[one.thread])?;
                }
                return Ok(caught_up.unwrap_or_else(|| start.elapsed()));
            }
        }
    }
}
