//! What becomes of runs and messages when the log fails and is opened again.

use super::*;
use crate::log::Condition;

async fn sound(world: &World) {
    let mut condition = world.log.condition();
    condition.wait_for(|now| *now == Condition::Sound).await.unwrap();
}

#[tokio::test]
async fn what_the_bridge_knew_of_runs_is_read_anew_when_the_log_was_opened_again() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let events = whole_run(&run);
    assert!(world.publish(&events[..1]).await[0].is_ok());
    // The run's end is stored, and its publisher is told that it was not.
    world.engine.fail_answers(true);
    assert!(world.publish(&events[1..]).await.iter().all(Result::is_err));
    // A person's message too: it must find its agent all the same.
    world.engine.fail_answers(false);
    sound(&world).await;
    world.engine.fail_answers(true);
    let Ok(sending) = world.bridge.send(world.ask(1), &world.grant).await else { panic!("queued") };
    let refused = sending.await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::LogUnavailable);
    world.engine.fail_answers(false);
    sound(&world).await;
    world.bridge.recover().await.unwrap();
    let again = world.publish(&events).await;
    assert!(again.iter().all(Result::is_ok), "all are repetitions: {again:?}");
    let late = world.publish(&[event(&run, 9, "agent_thinking", r#"{"text":"hm"}"#)]).await;
    assert_eq!(late, [Err("run_ended".into())]);
    // Stored or not, it is sent once and worked on once.
    let sent = world.send(1).await;
    let (agent, notes) = world.agent(1);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    let Note::Work(work) = notes.next().await else { panic!("work") };
    assert_eq!((&sent.run, sent.seq), (&work.run, work.message.seq));
    world.bridge.recover().await.unwrap();
    assert!(notes.take().is_none(), "it is handed out once");
    assert_eq!(world.kinds().await.iter().filter(|kind| *kind == "user_message").count(), 1);
}
