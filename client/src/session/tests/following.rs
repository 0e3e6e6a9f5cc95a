//! Order, duplicates, holes, resets, pauses.

use rethread_shared::frame::{Reset, ResetReason};

use super::*;

#[test]
fn a_thread_is_replayed_and_then_followed() {
    let mut desk = Desk::online();
    desk.session.subscribe(thread(), Start::Beginning, desk.now);
    assert_eq!(desk.ops(), ["hello token", "subscribe a start"]);

    desk.frame(subscribed(1, 3, 0));
    desk.frame(events(1, 1, 2));
    assert!(!desk.is_told(|n| matches!(n, Notice::CaughtUp { .. })));
    desk.frame(events(1, 3, 3));
    assert!(desk.is_told(|n| matches!(n, Notice::CaughtUp { replayed: 3, .. })));
    assert!(desk.is_told(|n| matches!(n, Notice::Events(d) if d.replayed && d.last == 3)));
    desk.frame(events(1, 4, 4));
    assert!(desk.is_told(|n| matches!(n, Notice::Events(d) if !d.replayed && d.first == 4)));
    assert_eq!(desk.delivered(), [1, 2, 3, 4]);
    assert_eq!(desk.session.position(&thread()), Some(Position { epoch: epoch(1), seq: 4 }));
}

#[test]
fn now_begins_at_the_end_and_a_position_behind_it() {
    let mut desk = Desk::online();
    desk.session.subscribe(thread(), Start::Now, desk.now);
    desk.frame(events(1, 6, 7));
    desk.frame(subscribed(1, 7, 7));
    assert!(desk.is_told(|n| matches!(n, Notice::CaughtUp { replayed: 0, .. })));
    desk.frame(events(1, 8, 8));
    assert_eq!(desk.delivered(), [8], "what came before the subscription stood is not its own");

    let mut desk = Desk::online();
    let position = Position { epoch: epoch(1), seq: 40 };
    desk.session.subscribe(thread(), Start::After(position), desk.now);
    assert_eq!(desk.session.position(&thread()), Some(position));
    assert_eq!(desk.ops()[1], "subscribe a after 40");
}

#[test]
fn what_the_application_has_is_cut_off() {
    let mut desk = Desk::following(5);
    desk.frame(events(1, 4, 7));
    desk.frame(events(1, 2, 6));
    desk.frame(events(1, 7, 8));
    assert_eq!(desk.delivered(), [6, 7, 8]);
    assert!(desk.ops().is_empty());
}

#[test]
fn a_hole_is_repaired_from_the_cursor() {
    let mut desk = Desk::following(5);
    desk.frame(events(1, 7, 8));
    assert_eq!(desk.ops(), ["subscribe a after 5"]);
    desk.frame(events(1, 9, 9));
    assert!(desk.delivered().is_empty());
    assert!(desk.ops().is_empty(), "one repair at a time");

    desk.frame(subscribed(1, 9, 5));
    desk.frame(events(1, 6, 9));
    assert_eq!(desk.delivered(), [6, 7, 8, 9]);
}

#[test]
fn repairs_that_bring_nothing_are_spaced_out() {
    let mut desk = Desk::following(5);
    let mut asked = 0;
    let begun = desk.now;
    while desk.now < begun + 60_000 {
        // A server that always skips an event.
        let fresh = desk.ops().iter().filter(|op| op.starts_with("subscribe")).count();
        asked += fresh;
        if fresh > 0 {
            desk.frame(subscribed(1, 9, 5));
        }
        desk.frame(events(1, 7, 8));
        desk.pass(10);
    }
    assert!((3..40).contains(&asked), "asked {asked} times in a minute");
    assert!(desk.delivered().is_empty());
}

#[test]
fn a_frame_that_does_not_hold_what_it_says_is_a_hole() {
    let mut desk = Desk::following(5);
    let frame = Events { thread: thread(), epoch: epoch(1), first: 6, last: 8, events: vec![6, 7] };
    desk.frame(ServerFrame::Events(frame));
    assert_eq!(desk.ops(), ["subscribe a after 5"]);
    assert!(desk.delivered().is_empty());
}

#[test]
fn a_reset_is_told_and_begins_anew() {
    let mut desk = Desk::following(5);
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops()[1], "subscribe a after 5");
    let reason = ResetReason::EpochChanged;
    desk.frame(ServerFrame::Reset(Reset { thread: thread(), epoch: epoch(2), reason }));
    assert!(desk.is_told(|n| matches!(n, Notice::Reset { reason: ResetReason::EpochChanged, .. })));
    assert_eq!(desk.session.position(&thread()), None);

    // The connection breaks before the answer: it is the start that is asked for now.
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops()[1], "subscribe a start");
    desk.frame(subscribed(2, 1, 0));
    desk.frame(events(2, 1, 1));
    assert_eq!(desk.delivered(), [1]);
    let resets = desk.notices.iter().filter(|n| matches!(n, Notice::Reset { .. })).count();
    assert_eq!(resets, 1, "told once");
}

#[test]
fn a_reader_that_retention_overtakes_goes_on_from_what_is_kept() {
    let mut desk = Desk::following(5);
    desk.frame(events(1, 6, 6));
    // In the middle of the subscription, unasked.
    let reason = ResetReason::Retention;
    desk.frame(ServerFrame::Reset(Reset { thread: thread(), epoch: epoch(1), reason }));
    assert!(desk.is_told(|n| matches!(n, Notice::Reset { reason: ResetReason::Retention, .. })));
    assert_eq!(desk.session.position(&thread()), None);
    desk.frame(subscribed(1, 17, 15));
    desk.frame(events(1, 16, 17));
    desk.frame(events(1, 18, 18));
    assert_eq!(desk.delivered(), [6, 16, 17, 18]);
    assert_eq!(desk.ops(), Vec::<String>::new(), "nothing had to be asked for");
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops()[1], "subscribe a after 18");
    let resets = desk.notices.iter().filter(|n| matches!(n, Notice::Reset { .. })).count();
    assert_eq!(resets, 1, "told once");
}

#[test]
fn another_epoch_without_a_reset_is_told_all_the_same() {
    let mut desk = Desk::following(5);
    desk.closed(None);
    desk.come_back();
    desk.forget();
    desk.frame(subscribed(2, 3, 0));
    assert!(desk.is_told(|n| matches!(n, Notice::Reset { .. })));
    assert_eq!(desk.ops(), ["subscribe a start"]);

    // Events of another epoch are a hole.
    let mut desk = Desk::following(5);
    desk.frame(events(2, 6, 6));
    assert_eq!(desk.ops(), ["subscribe a after 5"]);
    assert!(desk.delivered().is_empty());
}

#[test]
fn a_paused_thread_goes_on_from_its_cursor() {
    let mut desk = Desk::following(5);
    desk.session.pause(&thread(), desk.now);
    assert_eq!(desk.ops(), ["unsubscribe a"]);
    desk.frame(events(1, 6, 6));
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token"], "it rests across a reconnect");
    desk.session.resume(&thread(), desk.now);
    assert_eq!(desk.ops(), ["subscribe a after 5"]);
    desk.frame(subscribed(1, 6, 5));
    desk.frame(events(1, 6, 6));
    assert_eq!(desk.delivered(), [6]);
}

#[test]
fn a_thread_that_is_paused_while_it_is_asked_for_delivers_nothing() {
    let mut desk = Desk::following(5);
    desk.frame(events(1, 8, 8));
    desk.session.pause(&thread(), desk.now);
    desk.frame(events(1, 6, 6));
    assert_eq!(desk.ops(), ["subscribe a after 5"]);
    desk.frame(subscribed(1, 8, 5));
    assert_eq!(desk.ops(), ["unsubscribe a"]);
    desk.frame(events(1, 6, 8));
    assert!(desk.delivered().is_empty());
}

#[test]
fn leaving_and_returning_at_once_does_not_mix_the_answers() {
    let mut desk = Desk::online();
    desk.session.subscribe(thread(), Start::Beginning, desk.now);
    desk.session.unsubscribe(&thread(), desk.now);
    desk.session.subscribe(thread(), Start::Now, desk.now);
    assert_eq!(desk.ops(), ["hello token", "subscribe a start"]);
    desk.frame(subscribed(1, 9, 0));
    assert_eq!(desk.ops(), ["subscribe a now"]);
    desk.frame(events(1, 1, 9));
    assert!(desk.delivered().is_empty(), "these answer the earlier wish");
    desk.frame(subscribed(1, 9, 9));
    desk.frame(events(1, 10, 10));
    assert_eq!(desk.delivered(), [10]);

    desk.session.unsubscribe(&thread(), desk.now);
    assert_eq!(desk.ops(), ["unsubscribe a"]);
    desk.frame(events(1, 11, 11));
    assert!(desk.delivered().is_empty());
}

#[test]
fn a_refused_subscription_is_gone_and_one_put_off_is_asked_for_again() {
    let mut desk = Desk::online();
    desk.session.subscribe(thread(), Start::Beginning, desk.now);
    desk.forget();
    desk.frame(error(None, Some(thread()), ErrorCode::SlowDown, Some(3_000)));
    desk.pass(2_900);
    assert!(desk.ops().is_empty());
    desk.pass(200);
    assert_eq!(desk.ops(), ["subscribe a start"]);
    desk.frame(error(None, Some(thread()), ErrorCode::ThreadNotFound, None));
    assert!(desk.is_told(|n| matches!(n, Notice::Unsubscribed { .. })));
    desk.closed(None);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token"]);
}
