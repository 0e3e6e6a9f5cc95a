use rethread_shared::EventId;

use super::*;
use crate::log::{Cut, LocalLog, NewRecord, NewThread, engine::memory::MemoryEngine};

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

/// A log with one thread.
struct World {
    log: LocalLog,
    thread: ThreadId,
    epoch: Epoch,
}

impl World {
    async fn with(events: u64) -> Self {
        let log = LocalLog::open(Arc::new(MemoryEngine::default())).unwrap();
        let (thread, epoch): (ThreadId, Epoch) =
            ("thread_a".parse().unwrap(), "0000002a".parse().unwrap());
        let (owner, title, created_at) = ("ann".to_owned(), None, 1);
        let new = NewThread { thread: thread.clone(), owner, title, created_at, epoch };
        log.create(new).await.unwrap();
        let world = Self { log, thread, epoch };
        world.append(1..events + 1).await;
        world
    }

    async fn append(&self, ids: std::ops::Range<u64>) {
        self.append_large(ids, 0).await;
    }

    async fn append_large(&self, ids: std::ops::Range<u64>, bytes: usize) {
        let filler = "x".repeat(bytes);
        let events = ids.map(|n| NewRecord {
            id: EventId::generate(n, [7; 10]),
            body: format!(r#"{{"n":{n},"x":"{filler}"}}"#).into(),
            request: None,
        });
        self.log.append(&self.thread, events.collect()).await.unwrap();
    }

    async fn trim(&self, first: u64) -> u64 {
        self.log.trim(&self.thread, Cut { first, until_ms: 0 }).await.unwrap()
    }

    fn after(&self, seq: u64) -> Start {
        Start::After(Position { epoch: self.epoch, seq })
    }

    fn open(&self, start: Start) -> (Feed, Opening) {
        let common = Arc::<Common>::default();
        Feed::open(&self.log, &self.thread, start, Arc::new(Nobody), &common).unwrap()
    }

    /// What is next, when something is.
    async fn next(&self, feed: &mut Feed) -> Due {
        loop {
            match feed.next(&self.log).await.unwrap() {
                Some(due) => return due,
                None => tokio::task::yield_now().await,
            }
        }
    }

    async fn events(&self, feed: &mut Feed) -> (u64, u64) {
        match self.next(feed).await {
            Due::Events(frame) => (frame.first, frame.last),
            Due::Reset(opening) => panic!("{opening:?}"),
        }
    }
}

#[tokio::test]
async fn a_position_below_the_first_event_gets_a_reset_and_then_all_that_is_kept() {
    let world = World::with(9).await;
    assert_eq!(world.trim(7).await, 6);
    assert_eq!(world.trim(5).await, 0, "what is removed is not kept again");
    let retention = Some(ResetReason::Retention);
    for (start, reset) in [
        (Start::Beginning, None),
        (world.after(0), retention),
        (world.after(5), retention),
        (world.after(6), None),
        (world.after(10), Some(ResetReason::PositionAhead)),
    ] {
        let (mut feed, opening) = world.open(start);
        assert_eq!(opening.reset.map(|reset| reset.reason), reset);
        assert_eq!((opening.subscribed.after, opening.subscribed.head), (6, 9), "{start:?}");
        assert_eq!(world.events(&mut feed).await, (7, 9));
        assert!(feed.next(&world.log).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_reader_that_is_overtaken_gets_a_reset_and_never_a_hole() {
    for kept in [0, 2] {
        let world = World::with(9).await;
        let (mut feed, opening) = world.open(world.after(3));
        assert!(opening.reset.is_none());
        assert_eq!(world.trim(10 - kept).await, 9 - kept);
        let Due::Reset(opening) = world.next(&mut feed).await else { panic!("a hole") };
        assert_eq!(opening.reset.unwrap().reason, ResetReason::Retention);
        assert_eq!((opening.subscribed.after, opening.subscribed.head), (9 - kept, 9));
        if kept > 0 {
            assert_eq!(world.events(&mut feed).await, (8, 9));
        }
        assert!(feed.next(&world.log).await.unwrap().is_none(), "told once");
        world.append(10..11).await;
        assert_eq!(world.events(&mut feed).await, (10, 10), "numbering goes on");
    }
}

#[tokio::test]
async fn what_is_removed_ends_at_the_head() {
    let world = World::with(3).await;
    assert_eq!(world.trim(1_000).await, 3);
    let info = world.log.thread(&world.thread).unwrap().unwrap();
    assert_eq!((info.first, info.head), (4, 3));
    let (mut feed, opening) = world.open(Start::Beginning);
    assert_eq!((opening.subscribed.after, opening.subscribed.head), (3, 3));
    assert!(feed.next(&world.log).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slow_reader_holds_one_frame_and_misses_nothing() {
    const EVENTS: u64 = 300;
    let world = World::with(0).await;
    world.append_large(1..EVENTS + 1, 2_000).await;
    for is_slow in [false, true] {
        let (mut feed, _) = world.open(Start::Beginning);
        let (mut last, mut held) = (0, 0);
        while last < EVENTS {
            let Due::Events(frame) = world.next(&mut feed).await else { panic!("no reset") };
            assert_eq!(frame.first, last + 1);
            assert!(frame.text.len() < REPLAY_FRAME_BYTES_MAX + 1_000, "{}", frame.text.len());
            last = frame.last;
            held = held.max(feed.replay.frames.len());
            if is_slow {
                feed.wait_for_reader();
                assert_eq!(feed.replay.frames.capacity(), 0);
                assert_eq!(feed.replay.bytes, REPLAY_FRAME_BYTES_MAX);
            }
        }
        assert_eq!(feed.replay.frames.capacity(), 0);
        let most = if is_slow { 0..=1 } else { 4..=8 };
        assert!(most.contains(&held), "{held} frames were held");
        assert!(feed.next(&world.log).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn of_a_crowd_only_some_read_ahead_and_the_turn_goes_round() {
    const EVENTS: u64 = 300;
    let world = World::with(0).await;
    world.append_large(1..EVENTS + 1, 2_000).await;
    let common = Arc::<Common>::default();
    let open = || {
        let (log, wake) = (&world.log, Arc::new(Nobody));
        Feed::open(log, &world.thread, Start::Beginning, wake, &common).unwrap().0
    };
    let mut crowd: Vec<Feed> = (0..READERS_AHEAD_MAX + 10).map(|_| open()).collect();
    for feed in &mut crowd {
        // The first read is small for everybody.
        for _ in 0..2 {
            world.events(feed).await;
        }
    }
    let ahead = |crowd: &[Feed]| {
        crowd.iter().map(|feed| !feed.replay.frames.is_empty()).collect::<Vec<_>>()
    };
    let held = ahead(&crowd);
    assert_eq!(held.iter().filter(|held| **held).count(), READERS_AHEAD_MAX);
    assert!(held[..READERS_AHEAD_MAX].iter().all(|held| *held), "who came first is ahead");

    crowd[0].wait_for_reader();
    let last = crowd.len() - 1;
    world.events(&mut crowd[last]).await;
    let held = ahead(&crowd);
    assert!(!held[0] && held[last], "what one gives back another takes");
    let feed = &mut crowd[1];
    while feed.cursor.position().seq < EVENTS {
        world.events(feed).await;
    }
    assert_eq!(common.ahead.available_permits(), 1, "who has caught up holds nothing");
}
