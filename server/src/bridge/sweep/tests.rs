//! The registry over days, told as stories. Time is set, not waited for.

use rethread_shared::limits::{REGISTRY_TTL, RUN_SILENCE_MAX};

use super::{
    super::{
        Setup,
        settings::{RegistrySettings, RunSettings},
        tests::{World, event, whole_run},
    },
    *,
};
use crate::{config::Span, now::Clock};

const HOUR: u64 = 60 * 60 * 1_000;
const DAY: u64 = 24 * HOUR;
/// Some afternoon.
const NOW: u64 = 1_756_919_162_904;

fn setup(clock: &Clock) -> Setup {
    Setup { clock: clock.clone(), ..Setup::default() }
}

async fn world(clock: &Clock) -> World {
    World::made(setup(clock)).await
}

fn run(text: &str) -> RunId {
    text.parse().unwrap()
}

impl World {
    async fn opaque(&self, text: &str) -> RunId {
        let run = run(text);
        self.bridge.migrate(&run, &self.thread).await.unwrap();
        run
    }

    fn is_known(&self, run: &RunId) -> bool {
        self.bridge.log().recall(run).unwrap().is_some()
    }
}

fn start(run: &RunId, n: u8) -> String {
    event(run, n, "agent_started", r#"{"agent":"x"}"#)
}

#[tokio::test]
async fn an_entry_of_seven_days_is_gone_when_its_run_ended_and_there_when_it_goes_on() {
    let clock = Clock::at(NOW);
    let forever = RunSettings { silence: Span::ms(0) };
    let world = World::made(Setup { runs: forever, ..setup(&clock) }).await;
    let (ended, live) =
        (world.opaque("run_00000000000a").await, world.opaque("run_00000000000b").await);
    assert!(world.publish(&whole_run(&ended)).await.iter().all(Result::is_ok));
    assert!(world.publish(&[start(&live, 40)]).await[0].is_ok());
    clock.pass(DAY - HOUR);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, 0);
    assert_eq!(
        world.publish(&whole_run(&ended)[..1]).await,
        [Ok((1, true))],
        "ended, and resolvable"
    );
    clock.pass(6 * DAY + HOUR);
    let swept = world.bridge.sweep().await.unwrap();
    assert_eq!((swept.expired, swept.live), (2, 1), "both ids of the one that ended");
    assert_eq!(world.publish(&whole_run(&ended)[..1]).await, [Err("run_unresolved".into())]);
    let more = event(&live, 41, "message_delta", r#"{"message_id":"m","text":"t"}"#);
    assert!(world.publish(&[more]).await[0].is_ok());
    assert_eq!(world.bridge.runs.registered().count(), 2);
    let runs = world.bridge.log().runs_of(&world.thread, 9).await.unwrap();
    let runs: Vec<_> = runs.into_iter().map(|record| record.first.unwrap_or(record.run)).collect();
    assert_eq!(runs, [live.clone(), live], "thread to runs: its two ids");
}

#[tokio::test]
async fn a_run_that_was_forgotten_does_not_begin_anew() {
    let clock = Clock::at(NOW);
    let mut world = world(&clock).await;
    let minted = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let legacy = run("run_a_0a1b2c3d");
    let direct = run("thread_a");
    let events = |run: &RunId, from: u8| {
        vec![
            start(run, from),
            event(run, from + 1, "message_delta", r#"{"message_id":"m","text":"hi"}"#),
            event(run, from + 2, "agent_completed", "{}"),
        ]
    };
    for (n, run) in [&minted, &legacy, &direct].into_iter().enumerate() {
        assert!(world.publish(&events(run, 10 * (n as u8 + 1))).await.iter().all(Result::is_ok));
    }
    clock.pass(DAY);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, 3);
    for restarted in [false, true] {
        if restarted {
            clock.pass(DAY);
            assert_eq!(world.bridge.sweep().await.unwrap().expired, 3);
            world = world.restarted(setup(&clock)).await;
        }
        for (n, run) in [&minted, &legacy, &direct].into_iter().enumerate() {
            assert!(!world.is_known(run), "{run}");
            let n = n as u8 + 1;
            let first = 3 * u64::from(n) - 2;
            let again = world.publish(&events(run, 10 * n)).await;
            assert_eq!(again, [Ok((first, true)), Ok((first + 1, true)), Ok((first + 2, true))]);
            let late =
                event(run, 10 * n + 5, "message_delta", r#"{"message_id":"m","text":"late"}"#);
            let refused = world.publish(&[start(run, 10 * n + 6), late]).await;
            assert_eq!(refused, [Err("run_ended".into()), Err("run_ended".into())], "{run}");
            assert!(world.is_known(run), "now it is known again: the log is not read each time");
        }
    }
    // Runs that are new are told from those that were forgotten, also while there are such.
    let fresh = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    assert!(world.publish(&[start(&fresh, 90)]).await[0].is_ok());
    let older = run(&format!("thread_a_run_{}_00000001", NOW - DAY));
    assert!(world.publish(&[start(&older, 91)]).await[0].is_ok(), "made before, and never used");
}

#[tokio::test]
async fn activity_keeps_a_run_and_is_seldom_written() {
    let clock = Clock::at(NOW);
    let world = world(&clock).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let kept = |n: u8| event(&run, n, "message_delta", r#"{"message_id":"m","text":"t"}"#);
    assert!(world.publish(&[start(&run, 1)]).await[0].is_ok());
    let mut writes = std::collections::BTreeSet::new();
    for n in 2..=200 {
        clock.pass(RUN_SILENCE_MAX.as_millis() as u64 / 60);
        assert!(world.publish(&[kept(n)]).await[0].is_ok());
        writes.insert(world.bridge.log().recall(&run).unwrap().unwrap().active_at);
        assert_eq!(world.bridge.sweep().await.unwrap().silent, 0);
    }
    assert!((10..=25).contains(&writes.len()), "{} writes for 199 events", writes.len());
}

#[tokio::test]
async fn what_was_minted_and_never_used_is_forgotten() {
    let clock = Clock::at(NOW);
    let world = world(&clock).await;
    let minted = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let opaque = world.opaque("run_00000000000c").await;
    let waits = world.send(1).await;
    clock.pass(REGISTRY_TTL.as_millis() as u64 + 1);
    let swept = world.bridge.sweep().await.unwrap();
    assert_eq!((swept.unused, swept.expired, swept.live), (3, 0, 1));
    assert!(!world.is_known(&minted) && !world.is_known(&opaque));
    assert!(world.is_known(&waits.run), "a message that waits for an agent waits");
    assert_eq!(world.bridge.runs.registered().count(), 1);
    assert!(world.publish(&[start(&minted, 1)]).await[0].is_ok(), "it has no past");
}

#[tokio::test]
async fn beyond_the_most_the_longest_ended_go_first_and_never_a_live_one() {
    let clock = Clock::at(NOW);
    let registry = RegistrySettings { runs: 100, ..RegistrySettings::default() };
    let world = World::made(Setup { registry, ..setup(&clock) }).await;
    let mut runs = Vec::new();
    for n in 0..110_u32 {
        let run = RunId::generate(&world.thread, NOW, n.to_be_bytes());
        let mut events = vec![strip(&start(&run, 0))];
        if n % 10 != 0 {
            events.push(strip(&event(&run, 0, "agent_completed", "{}")));
        }
        assert!(world.publish(&events).await.iter().all(Result::is_ok), "{n}");
        runs.push(run);
        clock.pass(1_000);
    }
    let swept = world.bridge.sweep().await.unwrap();
    assert_eq!((swept.evicted, swept.live), (10, 11));
    let gone: Vec<_> = (0..110).filter(|n| !world.is_known(&runs[*n])).collect();
    assert_eq!(gone, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11], "the longest ended");
    assert_eq!(world.bridge.sweep().await.unwrap().evicted, 0);
    // When all go on, new ones are refused, and none is pushed out.
    let mut refused = 0;
    for n in 200..320_u32 {
        let run = RunId::generate(&world.thread, NOW, n.to_be_bytes());
        refused += match &world.publish(&[strip(&start(&run, 0))]).await[0] {
            Ok(_) => 0,
            Err(code) => {
                assert_eq!(code, "slow_down");
                1
            }
        };
        world.bridge.sweep().await.unwrap();
    }
    assert_eq!(world.bridge.sweep().await.unwrap().live, 112, "an eighth more than the most");
    assert_eq!(refused, 120 - (112 - 11));
}

/// The same event without an id of its own.
fn strip(event: &str) -> String {
    format!("{{{}", &event[event.find(r#""run""#).unwrap()..])
}

#[tokio::test]
async fn a_silent_run_is_ended_with_its_reason_also_after_a_restart() {
    let clock = Clock::at(NOW);
    let mut world = world(&clock).await;
    let silence = RUN_SILENCE_MAX.as_millis() as u64;
    let (one, two) = (
        world.bridge.mint_run(&world.thread, &world.grant).await.unwrap(),
        world.bridge.mint_run(&world.thread, &world.grant).await.unwrap(),
    );
    assert!(world.publish(&[start(&one, 1), start(&two, 2)]).await.iter().all(Result::is_ok));
    clock.pass(silence - 1);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 0);
    let heard = event(&two, 3, "agent_thinking", r#"{"text":"still here"}"#);
    assert!(world.publish(&[heard]).await[0].is_ok());
    clock.pass(1);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 1);
    assert_eq!(world.kinds().await.last().unwrap(), "agent_failed");
    let last = world.bridge.log().read(&world.thread, 3, everything()).await.unwrap();
    let text = String::from_utf8_lossy(&last[0].body).into_owned();
    assert!(text.contains("agent_silent") && text.contains("for 1h"), "{text}");
    let more = event(&one, 4, "agent_thinking", r#"{"text":"late"}"#);
    assert_eq!(world.publish(&[more]).await, [Err("run_ended".into())]);
    // The other one, by the next process; never before its time.
    world = world.restarted(setup(&clock)).await;
    clock.pass(silence - 1);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 0);
    clock.pass(silence);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 1);
    assert_eq!(world.bridge.sweep().await.unwrap(), Swept::default());
}

fn everything() -> crate::log::PageLimit {
    crate::log::PageLimit { events: usize::MAX, bytes: usize::MAX }
}

#[tokio::test]
async fn a_clock_set_back_an_hour_breaks_neither_order_nor_expiry_nor_ids() {
    let clock = Clock::at(NOW);
    let world = world(&clock).await;
    let minted = |_: ()| world.bridge.mint_run(&world.thread, &world.grant);
    let before = minted(()).await.unwrap();
    let events = |run: &RunId, n: u8| [start(run, n), event(run, n + 1, "agent_completed", "{}")];
    assert!(world.publish(&events(&before, 1)).await.iter().all(Result::is_ok));
    let going_on = minted(()).await.unwrap();
    assert!(world.publish(&[start(&going_on, 3)]).await[0].is_ok());

    clock.set(NOW - HOUR);
    assert_eq!(world.bridge.sweep().await.unwrap(), Swept { live: 1, ..Swept::default() });
    let after = minted(()).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(
        world.publish(&events(&after, 5)).await,
        [Ok((4, false)), Ok((5, false))],
        "in order"
    );
    assert_eq!(world.publish(&events(&before, 1)).await, [Ok((1, true)), Ok((2, true))]);
    let late = event(&before, 9, "agent_thinking", r#"{"text":"t"}"#);
    assert_eq!(world.publish(&[late]).await, [Err("run_ended".into())]);
    // Silence is what passed, not what the clock says.
    clock.pass(HOUR / 2);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 0);
    clock.pass(HOUR / 2);
    assert_eq!(world.bridge.sweep().await.unwrap().silent, 1);
    // What was remembered before the clock was set stays an hour longer; nothing stays for ever.
    clock.set(NOW - HOUR + DAY);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, 1);
    assert!(world.is_known(&before) && !world.is_known(&after));
    clock.set(NOW + DAY);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, 2);
    // Forgotten, and the clock is set back to before they were made: none begins anew.
    clock.set(NOW - 2 * HOUR);
    for run in [&before, &after, &going_on] {
        assert_eq!(world.publish(&[start(run, 20)]).await, [Err("run_ended".into())], "{run}");
    }
    let fresh = minted(()).await.unwrap();
    assert!(world.publish(&[start(&fresh, 30)]).await[0].is_ok());
}

#[tokio::test]
async fn both_ids_of_a_migrated_run_are_the_same_run() {
    let clock = Clock::at(NOW);
    let mut world = world(&clock).await;
    let opaque = run("0f8fad5b-d9cb-469f-a165-70867728950e");
    let first = world.bridge.migrate(&opaque, &world.thread).await.unwrap();
    assert!(first.is_new);
    clock.pass(HOUR);
    let again = world.bridge.migrate(&opaque, &world.thread).await.unwrap();
    assert_eq!((again.is_new, &again.standard), (false, &first.standard), "idempotent");
    assert!(world.publish(&[start(&opaque, 1)]).await[0].is_ok());
    assert_eq!(world.publish(&[start(&first.standard, 2)]).await, [Err("run_order".into())]);
    let end = event(&first.standard, 3, "agent_completed", "{}");
    assert_eq!(world.publish(std::slice::from_ref(&end)).await, [Ok((2, false))]);
    for restarted in [false, true] {
        if restarted {
            world = world.restarted(setup(&clock)).await;
        }
        for (n, id) in [&opaque, &first.standard].into_iter().enumerate() {
            let more = event(id, 10 + n as u8, "agent_thinking", r#"{"text":"t"}"#);
            assert_eq!(world.publish(&[more]).await, [Err("run_ended".into())]);
        }
        let again = world.bridge.migrate(&opaque, &world.thread).await.unwrap();
        assert_eq!(again.standard, first.standard);
    }
    let other = world.thread_of("ann", "thread_b").await;
    for id in [&opaque, &first.standard] {
        let refused = world.bridge.migrate(id, &other).await.unwrap_err();
        assert_eq!(refused.code, rethread_shared::ErrorCode::RunConflict, "{refused}");
    }
    let absent = "thread_absent".parse().unwrap();
    let refused = world.bridge.migrate(&opaque, &absent).await.unwrap_err();
    assert_eq!(refused.code, rethread_shared::ErrorCode::ThreadNotFound);
    clock.pass(DAY);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, 2);
    assert_eq!(world.bridge.runs.registered().count(), 0);
}

#[tokio::test]
async fn a_sweep_of_many_runs_forgets_all_of_them() {
    let clock = Clock::at(NOW);
    let world = world(&clock).await;
    let more_than_a_step = 3 * SWEEP_STEP_RUNS + 7;
    for n in 0..more_than_a_step as u32 {
        let run = RunId::generate(&world.thread, NOW, n.to_be_bytes());
        let events = [strip(&start(&run, 0)), strip(&event(&run, 0, "agent_completed", "{}"))];
        assert!(world.publish(&events).await.iter().all(Result::is_ok));
    }
    clock.pass(DAY);
    assert_eq!(world.bridge.sweep().await.unwrap().expired, more_than_a_step as u64);
    assert_eq!(world.bridge.log().count_runs().await.unwrap(), 0);
    assert_eq!(world.bridge.log().idle_runs(u64::MAX, 9).await.unwrap(), []);
}
