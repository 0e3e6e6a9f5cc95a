//! The outbox, and work for agents.

use rethread_shared::{
    frame::{Cancelled, Message, Outcome, Published, Sent, Work},
    limits::{INTERNAL_RETRIES_MAX, OUTBOX_MAX},
};

use super::*;

#[test]
fn what_was_not_acknowledged_is_sent_again_with_its_ids() {
    let mut desk = Desk::online();
    desk.forget();
    let now = desk.now;
    desk.session.publish(vec!["a", "b"], now).unwrap();
    let send = desk.session.send(thread(), message_id(), "hi".into(), None, now).unwrap();
    desk.session.cancel(run_id(), None, now).unwrap();
    let first = desk.ops();
    assert_eq!(first, [r#"publish 1 ["a", "b"]"#, &format!("send 2 {}", message_id()), "cancel 3"]);

    desk.frame(ServerFrame::Sent(Sent { req: 2, run: run_id(), seq: 4 }));
    assert!(
        desk.is_told(|n| matches!(n, Notice::Sent { command, seq: 4, .. } if *command == send))
    );
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token", &first[0], &first[2]]);
    desk.frame(ServerFrame::Published(Published { req: 1, results: Vec::new() }));
    desk.frame(ServerFrame::Cancelled(Cancelled { req: Some(3), run: run_id(), seq: 5 }));
    assert!(desk.is_told(|n| matches!(n, Notice::Published { .. })));
    assert!(desk.is_told(|n| matches!(n, Notice::Cancelled { seq: 5, .. })));
    assert_eq!(desk.session.unacknowledged(), 0);
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token"]);
}

#[test]
fn an_answer_of_the_wrong_kind_or_for_nothing_changes_nothing() {
    let mut desk = Desk::online();
    desk.session.publish(vec!["a"], desk.now).unwrap();
    desk.frame(ServerFrame::Sent(Sent { req: 1, run: run_id(), seq: 4 }));
    desk.frame(ServerFrame::Published(Published { req: 77, results: Vec::new() }));
    desk.frame(error(Some(78), None, ErrorCode::Forbidden, None));
    assert_eq!(desk.session.unacknowledged(), 1);
}

#[test]
fn publishes_in_flight_are_bounded_and_others_pass_them() {
    let mut desk = Desk::online();
    desk.forget();
    for event in ["a", "b", "c"] {
        desk.session.publish(vec![event], desk.now).unwrap();
    }
    desk.session.cancel(run_id(), None, desk.now).unwrap();
    assert_eq!(desk.ops(), [r#"publish 1 ["a"]"#, r#"publish 2 ["b"]"#, "cancel 4"]);
    desk.frame(ServerFrame::Published(Published { req: 1, results: Vec::new() }));
    assert_eq!(desk.ops(), [r#"publish 3 ["c"]"#]);
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops()[1..], [r#"publish 2 ["b"]"#, r#"publish 3 ["c"]"#, "cancel 4"]);
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let mut desk = Desk::online();
    desk.forget();
    desk.session.publish(vec!["a"], desk.now).unwrap();
    desk.frame(error(Some(1), None, ErrorCode::SlowDown, Some(3_000)));
    desk.session.publish(vec!["b"], desk.now).unwrap();
    assert_eq!(desk.ops(), [r#"publish 1 ["a"]"#], "the second does not overtake the first");
    desk.pass(2_999);
    assert!(desk.ops().is_empty());
    desk.pass(251);
    assert_eq!(desk.ops(), [r#"publish 1 ["a"]"#, r#"publish 2 ["b"]"#]);
}

#[test]
fn refusals_without_a_time_are_spaced_out() {
    let mut desk = Desk::online();
    desk.session.publish(vec!["a"], desk.now).unwrap();
    let begun = desk.now;
    let mut tries = 0;
    while desk.now < begun + 120_000 {
        for op in desk.ops() {
            if op.starts_with("publish") {
                tries += 1;
                desk.frame(error(Some(1), None, ErrorCode::LogUnavailable, None));
            }
        }
        desk.pass(10);
        desk.frame(ServerFrame::Beat);
    }
    assert!((8..60).contains(&tries), "{tries} tries in two minutes");
    assert_eq!(desk.session.unacknowledged(), 1, "and it is never given up");
}

#[test]
fn a_refusal_of_one_event_that_may_pass_sends_the_publish_again() {
    let mut desk = Desk::online();
    desk.forget();
    desk.session.publish(vec!["a", "b"], desk.now).unwrap();
    let (id, thread) = (message_id(), thread());
    let stored = |duplicate| Outcome::Stored { id, thread: thread.clone(), seq: 1, duplicate };
    let refused = |code| Outcome::Refused { id: Some(id), error: WireError::new(code, "no") };
    let results = vec![stored(false), refused(ErrorCode::LogUnavailable)];
    desk.frame(ServerFrame::Published(Published { req: 1, results }));
    desk.pass(300);
    assert_eq!(desk.ops(), [r#"publish 1 ["a", "b"]"#; 2]);
    let results = vec![stored(true), refused(ErrorCode::RunOrder)];
    desk.frame(ServerFrame::Published(Published { req: 1, results: results.clone() }));
    assert!(desk.is_told(|n| matches!(n, Notice::Published { results: r, .. } if *r == results)));
}

#[test]
fn other_errors_fail_the_command_and_internal_ones_after_some_tries() {
    let mut desk = Desk::online();
    let command = desk.session.cancel(run_id(), None, desk.now).unwrap();
    desk.frame(error(Some(command.number()), None, ErrorCode::RunEnded, None));
    assert!(desk.is_told(|n| {
        matches!(n, Notice::Failed { failure: Failure::Refused(e), .. } if e.code == ErrorCode::RunEnded)
    }));

    desk.forget();
    let command = desk.session.publish(vec!["a"], desk.now).unwrap();
    for _ in 0..=INTERNAL_RETRIES_MAX {
        assert_eq!(desk.session.unacknowledged(), 1);
        desk.frame(error(Some(command.number()), None, ErrorCode::Internal, None));
        desk.pass(10_000);
    }
    assert_eq!(desk.session.unacknowledged(), 0);
    assert_eq!(desk.ops().iter().filter(|op| op.starts_with("publish")).count(), 6);
}

#[test]
fn the_outbox_is_bounded() {
    let mut desk = Desk::new();
    for _ in 0..OUTBOX_MAX {
        desk.session.publish(vec!["a"], desk.now).unwrap();
    }
    assert_eq!(desk.session.publish(vec!["b"], desk.now), Err(OutboxFull));
    desk.open();
    desk.welcome();
    desk.frame(ServerFrame::Published(Published { req: 1, results: Vec::new() }));
    assert!(desk.session.publish(vec!["b"], desk.now).is_ok());
}

fn work() -> ServerFrame<Vec<u64>> {
    let message = Message { message_id: "m".into(), text: "hi".into(), by: "ada".into(), seq: 1 };
    ServerFrame::Work(Work { agent: "docs".into(), run: run_id(), thread: thread(), message })
}

#[test]
fn an_agent_comes_back_with_its_runs_and_gets_none_twice() {
    let mut desk = Desk::online();
    desk.forget();
    desk.session.serve("docs".into(), desk.now);
    desk.session.serve("docs".into(), desk.now);
    assert_eq!(desk.ops(), ["serve docs []"]);
    desk.frame(work());
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token", &format!("serve docs [{}]", run_id())]);
    desk.frame(work());
    let works = desk.notices.iter().filter(|n| matches!(n, Notice::Work(_))).count();
    assert_eq!(works, 1);

    desk.session.release(&run_id());
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token", "serve docs []"]);
}

#[test]
fn a_cancelled_run_is_told_and_not_worked_on_any_more() {
    let mut desk = Desk::online();
    desk.session.serve("docs".into(), desk.now);
    desk.frame(work());
    desk.frame(ServerFrame::Cancelled(Cancelled { req: None, run: run_id(), seq: 3 }));
    assert!(desk.is_told(|n| matches!(n, Notice::RunCancelled { seq: 3, .. })));
    desk.forget();
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops()[1], "serve docs []");

    desk.session.unserve("docs", desk.now);
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::Left, .. }));
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token"]);
}
