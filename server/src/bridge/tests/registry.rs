//! What the registry says, and who believes it.

use futures_util::{FutureExt, future::BoxFuture};

use super::*;
use crate::{
    bridge::resolve::orchestrator::{
        Orchestrator, OrchestratorError,
        guard::Guard,
        settings::{About, OrchestratorSettings},
    },
    log::{Condition, Forget, RunRecord},
};

/// Has every run as one of this thread.
struct Says(ThreadId);

impl Orchestrator for Says {
    fn thread_of<'a>(
        &'a self,
        _: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<ThreadId>, OrchestratorError>> {
        std::future::ready(Ok(Some(self.0.clone()))).boxed()
    }
}

fn start(run: &RunId, n: u8) -> String {
    event(run, n, "agent_started", r#"{"agent":"x"}"#)
}

#[tokio::test]
async fn an_orchestrator_that_the_registry_contradicts_gives_no_run_away() {
    let says = Arc::new(Says("thread_a".parse().unwrap()));
    let guard = Guard::new(says, OrchestratorSettings::default(), None);
    let orchestrator = Some(Asked { guard, about: About::Opaque });
    let world = World::made(Setup { orchestrator, ..Setup::default() }).await;
    let theirs = world.thread_of("bob", "thread_b").await;
    let (run, other) = ("run_00000000000a".parse().unwrap(), "run_00000000000b".parse().unwrap());
    world.bridge.migrate(&run, &theirs).await.unwrap();
    for n in 1..=2 {
        let events = [start(&run, n)];
        let refused = tokio::time::timeout(Duration::from_secs(20), world.publish(&events)).await;
        assert_eq!(refused.expect("an answer"), [Err("run_unresolved".into())]);
    }
    assert_eq!(world.publish(&[start(&other, 3)]).await, [Ok((1, false))], "nobody is kept out");
    let both = World { grant: grant("bob", &["thread_a"]).into(), ..world };
    assert!(both.publish(&[start(&run, 4)]).await[0].is_ok());
    assert_eq!(both.bridge.log().thread(&theirs).unwrap().unwrap().head, 1);
}

#[tokio::test]
async fn a_run_that_another_thread_has_got_is_not_stored_where_it_was() {
    let world = World::new(SLOW).await;
    let run: RunId = "run_00000000000a".parse().unwrap();
    world.bridge.migrate(&run, &world.thread).await.unwrap();
    assert!(world.publish(&[start(&run, 1)]).await[0].is_ok());
    assert!(world.publish(&whole_run(&run)[4..]).await[0].is_ok());
    // The registry forgets it while what it said is remembered, and another thread gets it.
    let other = world.thread_of("ann", "thread_b").await;
    let record = world.log.recall(&run).unwrap().unwrap();
    let moved = RunRecord { thread: other.clone(), after: 0, live: true, ..record };
    world.log.remember(moved).await.unwrap();
    world.bridge.runs.of(&world.thread).lock().await.drop_run(&run);
    let refused = world.publish(&[start(&run, 9)]).await;
    assert_eq!(refused, [Err("run_conflict".into())]);
    assert_eq!(world.kinds().await.len(), 2, "nothing is stored");
    assert_eq!(world.publish(&[start(&run, 9)]).await, [Ok((1, false))], "where it belongs");
    assert_eq!(world.log.thread(&other).unwrap().unwrap().head, 1);
}

#[tokio::test]
async fn an_agent_that_comes_back_under_the_other_id_of_its_run_is_not_lost() {
    let mut world = World::new(SLOW).await;
    let run: RunId = "run_00000000000a".parse().unwrap();
    let standard = world.bridge.migrate(&run, &world.thread).await.unwrap().standard;
    let events = whole_run(&standard);
    let (agent, _notes) = world.agent(1);
    assert!(world.publish_over(Some(agent), &[start(&run, 1)]).await[0].is_ok());
    world = world.restart(QUICK).await;
    let (served, _notes) = world.agent(2);
    assert!(world.publish_over(Some(served), &events[1..2]).await[0].is_ok());
    world.patience_is_over().await;
    assert!(world.publish_over(Some(served), &events[2..3]).await[0].is_ok());
    world.bridge.disconnected(served);
    // The same when it says so.
    let (named, notes) = world.agent(3);
    let runs = std::slice::from_ref(&standard);
    world.bridge.serve(named, "docs", runs, &world.grant).await.unwrap();
    world.patience_is_over().await;
    let seq = world.bridge.cancel(&standard, None, &world.grant).await.unwrap();
    for id in [&run, &standard] {
        let Note::Cancelled(note) = notes.next().await else { panic!("cancelled") };
        assert_eq!((&note.run, note.seq), (id, seq));
    }
    assert_eq!(world.bridge.figures().with + world.bridge.figures().away, 0);
}

#[tokio::test]
async fn a_run_that_goes_on_is_live_again_when_only_the_note_of_its_end_was_stored() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    assert!(world.publish(&whole_run(&run)[..1]).await[0].is_ok());
    let record = world.log.recall(&run).unwrap().unwrap();
    world.log.remember(RunRecord { live: false, ..record }).await.unwrap();
    let world = world.restart(SLOW).await;
    assert!(world.publish(&whole_run(&run)[1..2]).await[0].is_ok());
    assert!(world.log.recall(&run).unwrap().unwrap().live, "it is looked after");
    assert!(world.publish(&whole_run(&run)[2..]).await.iter().all(Result::is_ok));
    world.log.append(&world.thread, Vec::new()).await.unwrap();
    assert!(!world.log.recall(&run).unwrap().unwrap().live);
}

#[tokio::test]
async fn a_migration_of_which_half_is_stored_is_made_whole_when_it_is_asked_for_again() {
    let world = World::new(SLOW).await;
    let run: RunId = "run_00000000000a".parse().unwrap();
    world.engine.fail_writes(true);
    world.bridge.migrate(&run, &world.thread).await.unwrap_err();
    world.engine.fail_writes(false);
    let mut condition = world.log.condition();
    condition.wait_for(|now| *now == Condition::Sound).await.unwrap();
    let first = world.bridge.migrate(&run, &world.thread).await.unwrap();
    assert!(first.is_new, "nothing of it was stored");
    let second = world.log.recall(&first.standard).unwrap().unwrap();
    assert_eq!(second.first.as_ref(), Some(&run));
    // As versions did that wrote the two one by one.
    let half = Forget { runs: vec![second], ..Forget::default() };
    world.log.forget(half).await.unwrap();
    let again = world.bridge.migrate(&run, &world.thread).await.unwrap();
    assert_eq!((again.is_new, &again.standard), (false, &first.standard));
    let second = world.log.recall(&first.standard).unwrap().unwrap();
    assert_eq!(second.first.as_ref(), Some(&run));
    assert!(world.publish(&[start(&first.standard, 1)]).await[0].is_ok());
    assert_eq!(world.publish(&[start(&run, 2)]).await, [Err("run_order".into())], "the same run");
}

#[tokio::test]
async fn the_count_of_runs_never_goes_below_none_and_is_right_after_a_recount() {
    let world = World::new(SLOW).await;
    let registered = world.bridge.runs.registered();
    registered.remove(3);
    assert_eq!(registered.count(), 0);
    for _ in 0..5 {
        world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    }
    registered.add(100);
    world.bridge.recover().await.unwrap();
    assert_eq!(registered.count(), 5);
    registered.remove(6);
    assert_eq!(registered.count(), 0);
    assert!(registered.require_room().is_ok());
}
