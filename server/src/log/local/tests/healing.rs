//! A log that failed: what is refused, what is there afterwards, and who is told.

use super::*;
use crate::log::Condition;

struct Stage {
    memory: Arc<MemoryEngine>,
    log: LocalLog,
    thread: ThreadId,
}

impl Stage {
    async fn new() -> Self {
        let memory = Arc::new(MemoryEngine::default());
        let log = LocalLog::over(Arc::new(memory.clone()), 1_000).unwrap();
        let thread: ThreadId = "thread_a".parse().unwrap();
        log.create(new_thread(&thread, "ann")).await.unwrap();
        Self { memory, log, thread }
    }

    async fn append(&self, ids: std::ops::Range<u64>) -> Result<Vec<Appended>, LogError> {
        self.log.append(&self.thread, events(ids)).await
    }

    async fn refused(&self, ids: std::ops::Range<u64>) -> String {
        match self.append(ids).await {
            Err(LogError::Unavailable { reason, .. }) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Waits until the log has been opened again, once more than it was.
    async fn sound(&self) {
        let mut condition = self.log.condition();
        condition.wait_for(|now| *now == Condition::Sound && self.log.term() > 0).await.unwrap();
    }
}

fn places(appended: &[Appended]) -> Vec<(u64, bool)> {
    appended.iter().map(|one| (one.seq, one.duplicate)).collect()
}

#[tokio::test]
async fn a_failed_write_is_refused_and_the_log_goes_on_when_the_cause_has_gone() {
    let stage = Stage::new().await;
    stage.append(0..2).await.unwrap();
    stage.memory.fail_writes(true);
    assert!(stage.refused(2..3).await.contains("injected"));
    assert!(stage.refused(3..4).await.contains("injected"), "it takes nothing while it is failed");
    assert_eq!(seqs(&stage.log, &stage.thread).await, [1, 2], "it can still be read");
    stage.memory.fail_writes(false);
    stage.sound().await;
    assert_eq!(stage.log.term(), 1);
    assert_eq!(places(&stage.append(1..3).await.unwrap()), [(2, true), (3, false)]);
    assert_eq!(seqs(&stage.log, &stage.thread).await, [1, 2, 3]);
}

#[tokio::test]
async fn what_was_stored_without_being_acknowledged_is_there_once_and_its_followers_see_it() {
    let stage = Stage::new().await;
    stage.append(0..1).await.unwrap();
    let count = Arc::new(Count::default());
    let follow = stage.log.follow(&stage.thread, count.clone()).unwrap();
    stage.memory.fail_answers(true);
    stage.refused(1..3).await;
    assert!(matches!(follow.tail().next(1), Next::CaughtUp), "nobody has seen it");
    assert_eq!(seqs(&stage.log, &stage.thread).await, [1]);
    stage.memory.fail_answers(false);
    stage.sound().await;
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "the follower is woken");
    assert!(matches!(follow.tail().next(1), Next::InLog { to: 3 }));
    let again = stage.append(1..4).await.unwrap();
    assert_eq!(places(&again), [(2, true), (3, true), (4, false)]);
    assert_eq!(seqs(&stage.log, &stage.thread).await, [1, 2, 3, 4]);
    stage.log.probe().seen.await.unwrap();
    let Next::InLog { to: 3 } = follow.tail().next(1) else {
        panic!("what was missed is in the log")
    };
    let Next::Frame(frame) = follow.tail().next(3) else { panic!("in memory") };
    assert_eq!((frame.first, frame.last), (4, 4));
}

#[tokio::test]
async fn an_id_that_cannot_be_looked_up_is_not_stored_nor_is_what_is_behind_it() {
    let stage = Stage::new().await;
    stage.append(0..1).await.unwrap();
    stage.memory.fail_reads(true);
    let first = stage.log.append(&stage.thread, events(0..2));
    let behind = stage.log.append(&stage.thread, events(2..3));
    assert!(matches!(first.await, Err(LogError::Unavailable { .. })));
    assert!(matches!(behind.await, Err(LogError::Unavailable { .. })), "it may count on the first");
    stage.memory.fail_reads(false);
    stage.sound().await;
    assert_eq!(seqs(&stage.log, &stage.thread).await, [1]);
}

#[tokio::test]
async fn a_panic_of_the_commit_thread_is_a_failure_like_others() {
    let stage = Stage::new().await;
    stage.append(0..1).await.unwrap();
    stage.memory.panic_once();
    assert!(stage.refused(1..2).await.contains("panicked"));
    stage.sound().await;
    assert_eq!(places(&stage.append(0..2).await.unwrap()), [(1, true), (2, false)]);
}

#[tokio::test]
async fn what_counts_on_something_lost_is_refused_until_its_owner_has_read_anew() {
    let stage = Stage::new().await;
    let term = stage.log.term();
    stage.memory.fail_writes(true);
    stage.refused(0..1).await;
    stage.memory.fail_writes(false);
    stage.sound().await;
    let stale = stage.log.append_in(term, &stage.thread, events(1..2)).await;
    assert!(matches!(stale, Err(LogError::Unavailable { .. })), "{stale:?}");
    stage.log.append_in(term, &stage.thread, Vec::new()).await.expect("settling needs no term");
    let now = stage.log.append_in(stage.log.term(), &stage.thread, events(1..2)).await;
    assert_eq!(places(&now.unwrap()), [(1, false)]);
    let run = run_of(&stage.thread);
    let stale = stage.log.remember_in(term, vec![run.clone()]).await;
    assert!(matches!(stale, Err(LogError::Unavailable { .. })), "{stale:?}");
    assert_eq!(stage.log.recall(&run.run).unwrap(), None);
    stage.log.remember_in(stage.log.term(), vec![run.clone()]).await.unwrap();
    assert_eq!(stage.log.recall(&run.run).unwrap(), Some(run));
}

#[tokio::test]
async fn without_room_it_takes_nothing_and_goes_on_by_itself() {
    let stage = Stage::new().await;
    stage.append(0..1).await.unwrap();
    stage.memory.set_free(999);
    let mut condition = stage.log.condition();
    // It looks only now and then.
    let mut next = 1;
    while !matches!(*condition.borrow_and_update(), Condition::Full { .. }) {
        let _ = stage.append(next..next + 1).await;
        next += 1;
    }
    assert!(stage.refused(next..next + 1).await.contains("make room"));
    let before = seqs(&stage.log, &stage.thread).await.len() as u64;
    stage.memory.set_free(1_124);
    tokio::time::sleep(rethread_shared::limits::ROOM_CHECKED_EVERY * 3).await;
    assert!(stage.refused(next..next + 1).await.contains("make room"), "it does not flap");
    stage.memory.set_free(1_125);
    stage.sound().await;
    stage.memory.set_free(1_000);
    let again = stage.append(0..next + 1).await.unwrap();
    assert_eq!(again.iter().filter(|one| one.duplicate).count() as u64, before);
    assert_eq!(stage.log.term(), 1, "who was refused reads anew");
}

#[tokio::test]
async fn a_probe_is_stored_and_comes_through_the_fan_out() {
    let stage = Stage::new().await;
    let probe = stage.log.probe();
    probe.stored.await.unwrap().unwrap();
    probe.seen.await.unwrap();
    stage.memory.fail_writes(true);
    let probe = stage.log.probe();
    assert!(probe.stored.await.unwrap().is_err());
    assert!(probe.seen.await.is_err());
}

#[tokio::test]
async fn an_engine_that_cannot_be_opened_again_says_that_a_restart_is_needed() {
    let engine = MemoryEngine::default();
    let log = LocalLog::open(Arc::new(engine.clone())).unwrap();
    let thread: ThreadId = "thread_a".parse().unwrap();
    log.create(new_thread(&thread, "ann")).await.unwrap();
    engine.fail_writes(true);
    log.append(&thread, events(0..1)).await.unwrap_err();
    engine.fail_writes(false);
    let mut condition = log.condition();
    let failed = condition.wait_for(|now| matches!(now, Condition::Failed { again: None, .. }));
    let Condition::Failed { reason, .. } = failed.await.unwrap().clone() else { unreachable!() };
    assert!(reason.contains("restart"), "{reason}");
    assert!(matches!(log.append(&thread, events(0..1)).await, Err(LogError::Unavailable { .. })));
}
