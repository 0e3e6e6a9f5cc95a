use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::log::{
    engine::{fjall::FjallEngine, memory::MemoryEngine},
    tail::Next,
};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn new_thread(thread: &ThreadId, owner: &str) -> NewThread {
    NewThread {
        thread: thread.clone(),
        owner: owner.into(),
        title: None,
        created_at: 1,
        epoch: "0000002a".parse().unwrap(),
    }
}

fn events(ids: std::ops::Range<u64>) -> Vec<NewRecord> {
    ids.map(|n| NewRecord {
        request: None,
        id: EventId::generate(n, [7; 10]),
        body: format!(r#"{{"n":{n}}}"#).into(),
    })
    .collect()
}

fn run_of(thread: &ThreadId) -> RunRecord {
    RunRecord {
        run: RunId::generate(thread, 5, [1; 4]),
        thread: thread.clone(),
        after: 0,
        created_at: 5,
        asked: false,
        agent: None,
        connected: true,
        live: true,
        active_at: 0,
        standard: None,
        first: None,
    }
}

const ALL: PageLimit = PageLimit { events: usize::MAX, bytes: usize::MAX };

async fn seqs(log: &LocalLog, thread: &ThreadId) -> Vec<u64> {
    log.read(thread, 0, ALL).await.unwrap().iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn numbers_without_holes_and_knows_repetitions_across_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let thread: ThreadId = "thread_a".parse().unwrap();
    {
        let log = LocalLog::open(Arc::new(FjallEngine::open(folder.path()).unwrap())).unwrap();
        assert!(log.create(new_thread(&thread, "ann")).await.unwrap().is_new);
        assert!(!log.create(new_thread(&thread, "bob")).await.unwrap().is_new);
        let first = log.append(&thread, events(0..3)).await.unwrap();
        assert_eq!(first.iter().map(|a| a.seq).collect::<Vec<_>>(), [1, 2, 3]);
        log.close();
        assert!(matches!(log.append(&thread, events(9..10)).await, Err(LogError::Closed)));
    }
    let log = LocalLog::open(Arc::new(FjallEngine::open(folder.path()).unwrap())).unwrap();
    let info = log.thread(&thread).unwrap().unwrap();
    assert_eq!((info.head, &*info.owner), (3, "ann"));
    let mut again = events(1..5);
    again.push(again[3].clone());
    let appended = log.append(&thread, again).await.unwrap();
    let expected = [(2, true), (3, true), (4, false), (5, false), (5, true)];
    assert_eq!(appended.iter().map(|a| (a.seq, a.duplicate)).collect::<Vec<_>>(), expected);
    assert_eq!(seqs(&log, &thread).await, [1, 2, 3, 4, 5]);
    assert_eq!(log.find(&thread, EventId::generate(4, [7; 10])).unwrap(), Some(5));
}

#[tokio::test]
async fn calls_keep_their_order_and_a_remembered_run_is_there() {
    let log = LocalLog::open(Arc::new(MemoryEngine::default())).unwrap();
    let thread: ThreadId = "thread_a".parse().unwrap();
    log.create(new_thread(&thread, "ann")).await.unwrap();
    let run = run_of(&thread);
    let remembered = log.remember(run.clone());
    let one = log.append(&thread, events(0..1));
    let two = log.append(&thread, events(1..2));
    // Polled the other way round.
    assert_eq!(two.await.unwrap()[0].seq, 2);
    assert_eq!(one.await.unwrap()[0].seq, 1);
    remembered.await.unwrap();
    assert_eq!(log.recall(&run.run).unwrap(), Some(run.clone()));
    assert_eq!(log.live_runs(None, 9).await.unwrap(), std::slice::from_ref(&run));
    log.remember(RunRecord { live: false, ..run }).await.unwrap();
    assert!(log.live_runs(None, 9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_woken_and_finds_the_frame() {
    let log = LocalLog::open(Arc::new(MemoryEngine::default())).unwrap();
    let thread: ThreadId = "thread_a".parse().unwrap();
    log.create(new_thread(&thread, "ann")).await.unwrap();
    log.append(&thread, events(0..2)).await.unwrap();
    let count = Arc::new(Count::default());
    let follow = log.follow(&thread, count.clone()).unwrap();
    assert!(matches!(follow.tail().next(0), Next::InLog { to: 2 }));
    assert!(matches!(follow.tail().next(2), Next::CaughtUp));
    log.append(&thread, events(2..5)).await.unwrap();
    while count.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let Next::Frame(frame) = follow.tail().next(2) else { panic!("in memory") };
    assert_eq!((frame.first, frame.last), (3, 5));
    drop(follow);
    log.append(&thread, events(5..6)).await.unwrap();
    assert_eq!(Arc::strong_count(&count), 1, "a follower that is gone is not held");
}

mod healing;
