//! What is kept, told as stories. Time is set, not waited for.

use rethread_shared::RunId;
use serde_json::Value;

use super::{
    super::{
        Setup,
        settings::{RegistrySettings, RetentionSettings},
        tests::{World, event},
    },
    *,
};
use crate::{config::Span, now::Clock};

const DAY: u64 = 24 * 60 * 60 * 1_000;
/// Some afternoon.
const NOW: u64 = 1_756_919_162_904;

fn setup(clock: &Clock, age_ms: u64, events: u64) -> Setup {
    let retention =
        RetentionSettings { age: Span::ms(age_ms), events, ..RetentionSettings::default() };
    Setup { clock: clock.clone(), retention, ..Setup::default() }
}

async fn kept(events: u64) -> World {
    World::made(setup(&Clock::at(NOW), 0, events)).await
}

/// The same event, as having happened at that time.
fn at(text: &str, ms: u64) -> String {
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["at"] = ms.into();
    event.to_string()
}

impl World {
    async fn run(&self) -> RunId {
        self.bridge.mint_run(&self.thread, &self.grant).await.unwrap()
    }

    /// Waits until it is stored which runs have ended.
    async fn settle(&self) {
        self.bridge.log().append(&self.thread, Vec::new()).await.unwrap();
    }

    async fn retain(&self) -> u64 {
        self.settle().await;
        self.bridge.retain(&|_| {}).await.unwrap()
    }

    fn info(&self) -> ThreadInfo {
        self.bridge.log().thread(&self.thread).unwrap().unwrap()
    }

    /// The first event that is kept, and the last.
    fn range(&self) -> (u64, u64) {
        let info = self.info();
        (info.first, info.head)
    }

    async fn seqs(&self) -> Vec<u64> {
        let all = PageLimit { events: usize::MAX, bytes: usize::MAX };
        let records = self.bridge.log().read(&self.thread, 0, all).await.unwrap();
        records.iter().map(|record| record.seq).collect()
    }
}

/// How many events a whole run has.
const WHOLE: u64 = 4;

/// The events of a whole run, with ids of their own for each `n`.
fn whole_run(run: &RunId, n: u8) -> Vec<String> {
    let delta = r#"{"message_id":"m","text":"t"}"#;
    vec![
        event(run, n, "agent_started", r#"{"agent":"x"}"#),
        event(run, n + 1, "message_delta", delta),
        event(run, n + 2, "message_delta", delta),
        event(run, n + 3, "agent_completed", "{}"),
    ]
}

#[tokio::test]
async fn without_a_bound_everything_is_kept() {
    let world = kept(0).await;
    let run = world.run().await;
    world.publish(&whole_run(&run, 1)).await;
    assert_eq!(world.retain().await, 0);
    assert_eq!(world.range(), (1, WHOLE));
}

#[tokio::test]
async fn by_count_the_newest_stay_and_the_head_never_goes_back() {
    let world = kept(3).await;
    let run = world.run().await;
    world.publish(&whole_run(&run, 1)).await;
    let head = WHOLE;
    assert_eq!(world.retain().await, head - 3);
    assert_eq!(world.range(), (head - 2, head));
    assert_eq!(world.seqs().await, [head - 2, head - 1, head]);
    assert_eq!(world.retain().await, 0, "nothing more is due");
    let world = world.restarted(setup(&Clock::at(NOW), 0, 3)).await;
    assert_eq!(world.range(), (head - 2, head));
    let next = world.run().await;
    assert_eq!(world.publish(&whole_run(&next, 20)[..1]).await, [Ok((head + 1, false))]);
}

#[tokio::test]
async fn by_age_all_may_go_and_numbering_goes_on() {
    let clock = Clock::at(NOW);
    let world = World::made(setup(&clock, 7 * DAY, 0)).await;
    let run = world.run().await;
    let events: Vec<_> = whole_run(&run, 1).iter().map(|event| at(event, NOW)).collect();
    world.publish(&events).await;
    clock.pass(7 * DAY - 1);
    assert_eq!(world.retain().await, 0);
    clock.pass(1);
    let head = WHOLE;
    assert_eq!(world.retain().await, head);
    assert_eq!(world.range(), (head + 1, head));
    assert_eq!(world.seqs().await, Vec::<u64>::new());
    let world = world.restarted(setup(&clock, 7 * DAY, 0)).await;
    assert_eq!(world.range(), (head + 1, head), "also after a restart");
    assert_eq!(
        world.publish(&whole_run(&run, 1)[..1]).await,
        [Ok((1, true))],
        "a repetition is known"
    );
    let next = world.run().await;
    assert_eq!(world.publish(&whole_run(&next, 20)[..1]).await, [Ok((head + 1, false))]);
    assert_eq!(world.seqs().await, [head + 1]);
}

#[tokio::test]
async fn an_event_that_is_younger_keeps_those_after_it() {
    let clock = Clock::at(NOW);
    let world = World::made(setup(&clock, DAY, 0)).await;
    let run = world.run().await;
    let times = [NOW - 2 * DAY, NOW, NOW - 2 * DAY];
    let events: Vec<_> = whole_run(&run, 1).iter().zip(times).map(|(e, ms)| at(e, ms)).collect();
    world.publish(&events).await;
    // It has to have ended: what goes on is kept.
    world.publish(&[at(whole_run(&run, 1).last().unwrap(), NOW)]).await;
    world.retain().await;
    assert_eq!(world.info().first, 2);
}

#[tokio::test]
async fn a_run_that_goes_on_is_kept_whole_and_what_is_before_it_goes() {
    let world = kept(1).await;
    let (before, goes_on) = (world.run().await, world.run().await);
    // Registered when the thread was empty: they would keep all of it.
    world.publish(&whole_run(&before, 1)).await;
    assert_eq!(world.retain().await, 0, "a run that has not begun may begin");
    let start = event(&goes_on, 60, "agent_started", r#"{"agent":"x"}"#);
    world.publish(&[start]).await;
    assert_eq!(world.retain().await, 0);
    let end = event(&goes_on, 61, "agent_completed", "{}");
    assert!(world.publish(&[end]).await[0].is_ok());
    let later = world.run().await;
    let head = world.info().head;
    let start = event(&later, 62, "agent_started", r#"{"agent":"x"}"#);
    let more = |n| event(&later, n, "message_delta", r#"{"message_id":"m","text":"t"}"#);
    world.publish(&[start, more(63), more(64)]).await;
    assert_eq!(world.retain().await, head, "up to where the run that goes on began");
    assert_eq!(world.range(), (head + 1, head + 3));
    // It is read from the log again, whole.
    let world = world.restarted(setup(&Clock::at(NOW), 0, 1)).await;
    assert!(world.publish(&[more(65)]).await[0].is_ok());
    let end = event(&later, 66, "agent_completed", "{}");
    assert!(world.publish(&[end]).await[0].is_ok());
    world.retain().await;
    assert_eq!(world.range(), (head + 5, head + 5));
}

#[tokio::test]
async fn a_run_whose_events_are_gone_does_not_begin_anew() {
    for keeps in [1, 2] {
        let clock = Clock::at(NOW);
        let world = World::made(setup(&clock, 0, keeps)).await;
        let run = world.run().await;
        world.publish(&whole_run(&run, 1)).await;
        // Something else is the newest when only one is kept.
        let other = world.run().await;
        world.publish(&whole_run(&other, 10)).await;
        let removed = world.retain().await;
        assert_eq!(removed, WHOLE + WHOLE - keeps);
        let again = |n| event(&run, n, "agent_started", r#"{"agent":"x"}"#);
        // Read from the log, as after a restart: the registry says that it has ended.
        let world = world.restarted(setup(&clock, 0, keeps)).await;
        assert_eq!(world.publish(&[again(100)]).await, [Err("run_ended".into())]);
        // The registry forgets it.
        clock.pass(2 * DAY);
        assert!(world.bridge.sweep().await.unwrap().expired >= 2);
        let world = world.restarted(setup(&clock, 0, keeps)).await;
        assert_eq!(world.publish(&[again(101)]).await, [Err("run_ended".into())], "keeps {keeps}");
        let new = world.run().await;
        let start = event(&new, 102, "agent_started", r#"{"agent":"x"}"#);
        assert!(world.publish(&[start]).await[0].is_ok(), "and a new one begins");
    }
}

#[tokio::test]
async fn removal_goes_in_bounded_steps_and_a_failure_in_between_leaves_the_rest() {
    let world = kept(1).await;
    let run = world.run().await;
    let n = RETENTION_STEP_EVENTS * 2 + 100;
    let mut events = vec![whole_run(&run, 1)[0].clone()];
    for _ in 0..n {
        let (ms, random) = (NOW, crate::now::random());
        let id = rethread_shared::EventId::generate(ms, random);
        events.push(format!(
            r#"{{"id":"{id}","run":"{run}","type":"agent_thinking","data":{{"text":"t"}}}}"#
        ));
    }
    events.push(whole_run(&run, 1).last().unwrap().clone());
    for events in events.chunks(1_000) {
        assert!(world.publish(events).await.iter().all(Result::is_ok));
    }
    world.settle().await;
    let steps = parking_lot::Mutex::new(Vec::new());
    let engine = world.engine.clone();
    let broken = world
        .bridge
        .retain(&|events| {
            steps.lock().push(events);
            engine.fail_writes(true);
        })
        .await;
    assert!(broken.is_err(), "{broken:?}");
    assert_eq!(*steps.lock(), [RETENTION_STEP_EVENTS as u64]);
    world.engine.fail_writes(false);
    let world = world.restarted(setup(&Clock::at(NOW), 0, 1)).await;
    assert_eq!(world.info().first, RETENTION_STEP_EVENTS as u64 + 1);
    let rest = world.retain().await;
    assert_eq!(rest, (n + 1 - RETENTION_STEP_EVENTS) as u64);
    assert_eq!(world.range(), (n as u64 + 2, n as u64 + 2));
}

#[tokio::test]
async fn a_message_that_is_sent_again_after_it_is_gone_is_not_asked_twice() {
    let clock = Clock::at(NOW);
    let registry = RegistrySettings::default();
    let world = World::made(Setup { registry, ..setup(&clock, 0, 1) }).await;
    let send = rethread_shared::frame::Send {
        req: 1,
        thread: world.thread.clone(),
        message_id: rethread_shared::EventId::generate(NOW, [3; 10]),
        text: "hello".into(),
        agent: None,
    };
    let sent = world.bridge.send(send.clone(), &world.grant).await.unwrap().await.unwrap();
    let (start, end) = (
        event(&sent.run, 10, "agent_started", r#"{"agent":"x"}"#),
        event(&sent.run, 11, "agent_completed", "{}"),
    );
    assert!(world.publish(&[start, end]).await.iter().all(Result::is_ok));
    world.retain().await;
    assert_eq!(world.range(), (3, 3));
    let Ok(again) = world.bridge.send(send, &world.grant).await else { panic!("refused early") };
    let again = again.await.unwrap_err();
    assert_eq!(again.code.as_str(), "run_ended");
    assert_eq!(world.info().head, 3);
}
