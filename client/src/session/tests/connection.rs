//! Dials, heartbeats, backoff, tokens, the page.

use rethread_shared::frame::Goodbye;

use super::*;

#[test]
fn a_lost_connection_is_dialed_again_and_everything_said_again() {
    let mut desk = Desk::following(5);
    desk.pass(2_000);
    desk.closed(Some(1006));
    let Status::Waiting { until, attempt: 1, why: Lost::Closed(1006) } = desk.session.status()
    else {
        panic!("{:?}", desk.session.status());
    };
    assert!(until <= desk.now + 250);
    desk.come_back();
    assert_eq!(desk.ops(), ["hello token", "subscribe a after 5"]);
    assert_eq!(desk.wish, Some(TokenWish::Current));
}

#[test]
fn dials_that_fail_are_spaced_out_up_to_the_largest_step() {
    let mut desk = Desk::new();
    let mut dials = 0;
    let begun = desk.now;
    while desk.now < begun + 600_000 {
        if matches!(desk.session.status(), Status::Connecting { .. }) {
            dials += 1;
            desk.closed(None);
        }
        desk.pass(10);
    }
    assert!((40..120).contains(&dials), "{dials} dials in ten minutes");
}

#[test]
fn a_server_that_welcomes_and_drops_is_not_stormed() {
    let mut desk = Desk::new();
    let mut dials = 0;
    let begun = desk.now;
    while desk.now < begun + 600_000 {
        if matches!(desk.session.status(), Status::Connecting { .. }) {
            dials += 1;
            desk.open();
            desk.welcome();
            desk.closed(None);
        }
        desk.pass(10);
    }
    assert!(dials < 120, "{dials} dials in ten minutes");
}

#[test]
fn dialing_and_the_welcome_have_a_deadline() {
    let mut desk = Desk::new();
    desk.pass(10_000);
    assert!(desk.disconnected);
    assert!(
        desk.is_told(|n| {
            matches!(n, Notice::Status(Status::Waiting { why: Lost::TimedOut, .. }))
        })
    );
    while !matches!(desk.session.status(), Status::Connecting { .. }) {
        desk.pass(10);
    }
    desk.open();
    desk.forget();
    desk.pass(10_000);
    assert!(
        desk.is_told(|n| {
            matches!(n, Notice::Status(Status::Waiting { why: Lost::TimedOut, .. }))
        })
    );
}

#[test]
fn silence_is_asked_about_after_one_heartbeat_and_ends_it_after_two() {
    let mut desk = Desk::online();
    desk.forget();
    desk.pass(HEARTBEAT - 1);
    assert!(desk.ops().is_empty());
    desk.pass(1);
    assert_eq!(desk.ops(), ["ping"]);
    desk.pass(HEARTBEAT - 1);
    assert_eq!(desk.session.status(), Status::Online);
    desk.pass(1);
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::Silent, .. }));
    assert!(desk.disconnected);
}

#[test]
fn who_only_listens_shows_that_it_is_there() {
    let mut desk = Desk::online();
    desk.forget();
    let mut pings = 0;
    for _ in 0..100 {
        desk.pass(HEARTBEAT / 10);
        desk.frame(ServerFrame::Beat);
        pings += desk.ops().len();
    }
    assert_eq!(pings, 10, "one a heartbeat");
    assert_eq!(desk.session.status(), Status::Online);
}

#[test]
fn a_hidden_page_pings_with_what_arrives() {
    let mut desk = Desk::online();
    desk.forget();
    desk.session.handle_hidden(desk.now);
    // Its timers do not come at all.
    for _ in 0..4 {
        desk.now += HEARTBEAT;
        desk.frame(ServerFrame::Beat);
        assert_eq!(desk.ops(), ["ping"]);
        desk.frame(ServerFrame::Beat);
        assert!(desk.ops().is_empty(), "the answer is not answered");
    }
}

#[test]
fn a_page_in_view_again_finds_a_dead_connection_soon() {
    let mut desk = Desk::online();
    desk.forget();
    desk.pass(3_000);
    desk.session.handle_visible(desk.now);
    assert_eq!(desk.ops(), ["ping"]);
    desk.session.handle_visible(desk.now);
    assert!(desk.ops().is_empty());
    desk.pass(5_000);
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::Silent, .. }));

    let mut desk = Desk::online();
    desk.pass(3_000);
    desk.session.handle_online(desk.now);
    desk.frame(ServerFrame::Beat);
    desk.pass(6_000);
    assert_eq!(desk.session.status(), Status::Online, "an answer is life");
}

#[test]
fn a_hidden_page_whose_connection_goes_soon_after_it_came_needs_no_timer() {
    let mut desk = Desk::online();
    desk.session.handle_hidden(desk.now);
    desk.closed(Some(4000));
    desk.session.handle_hint(desk.now);
    assert!(matches!(desk.session.status(), Status::Connecting { .. }));
}

#[test]
fn a_nudge_ends_the_wait_but_never_storms() {
    let mut desk = Desk::new();
    while desk.session.next_timeout().is_some_and(|at| at < desk.now + 8_000)
        || !matches!(desk.session.status(), Status::Waiting { .. })
    {
        if matches!(desk.session.status(), Status::Connecting { .. }) {
            desk.closed(None);
        } else {
            desk.pass(50);
        }
    }
    desk.pass(2_000);
    desk.session.handle_visible(desk.now);
    assert!(matches!(desk.session.status(), Status::Connecting { .. }), "at once");
    let mut dials = 0;
    for _ in 0..1_000 {
        desk.session.handle_online(desk.now);
        desk.session.handle_visible(desk.now);
        if matches!(desk.session.status(), Status::Connecting { .. }) {
            dials += 1;
            desk.drain();
            desk.closed(None);
        }
        desk.pass(10);
    }
    assert!((5..=11).contains(&dials), "{dials} dials in ten seconds of nudges");
}

#[test]
fn without_a_network_it_is_tried_seldom_and_with_one_at_once() {
    let mut desk = Desk::online();
    desk.pass(2_000);
    desk.session.handle_offline(desk.now);
    desk.closed(None);
    let Status::Offline { until } = desk.session.status() else { panic!("offline") };
    assert!(until >= desk.now + 20_000);
    desk.pass(2_000);
    desk.session.handle_online(desk.now);
    desk.drain();
    assert!(matches!(desk.session.status(), Status::Connecting { .. }));
}

#[test]
fn a_dial_that_hangs_is_given_up_when_the_network_is_back() {
    for is_open in [false, true] {
        let mut desk = Desk::new();
        if is_open {
            desk.open();
        }
        let hung = desk.connection;
        desk.pass(500);
        desk.session.handle_online(desk.now);
        desk.drain();
        assert_eq!(desk.connection, hung, "one that was just begun is not");
        desk.pass(500);
        desk.session.handle_online(desk.now);
        desk.drain();
        assert_ne!(desk.connection, hung);
        assert!(matches!(desk.session.status(), Status::Connecting { .. }), "at once");
    }
    let mut desk = Desk::online();
    desk.pass(5_000);
    desk.session.handle_online(desk.now);
    assert_eq!(desk.session.status(), Status::Online, "one that stands is asked whether it lives");
}

#[test]
fn goodbye_says_when_to_come_back() {
    let mut desk = Desk::online();
    let reason = "shutdown".into();
    desk.frame(ServerFrame::Goodbye(Goodbye { reason, retry_after_ms: 4_000 }));
    assert_eq!(desk.session.status(), Status::Online, "what is on its way still comes");
    desk.closed(Some(4000));
    let Status::Waiting { until, why: Lost::Goodbye, .. } = desk.session.status() else {
        panic!("{:?}", desk.session.status());
    };
    assert!(until >= desk.now + 4_000);
    desk.pass(2_000);
    desk.session.handle_visible(desk.now);
    desk.pass(1_900);
    assert!(matches!(desk.session.status(), Status::Waiting { .. }), "not even a nudge");
    desk.pass(1_000);
    assert!(matches!(desk.session.status(), Status::Connecting { .. }));
}

#[test]
fn a_server_that_refuses_the_greeting_says_when_to_come_back() {
    let goodbye = Goodbye { reason: "slow_down".into(), retry_after_ms: 4_000 };
    let refusals =
        [ServerFrame::Goodbye(goodbye), error(None, None, ErrorCode::KeysUnavailable, Some(4_000))];
    for refusal in refusals {
        let mut desk = Desk::new();
        desk.open();
        desk.frame(refusal);
        desk.closed(Some(4004));
        desk.session.handle_visible(desk.now);
        desk.pass(3_999);
        assert!(matches!(desk.session.status(), Status::Waiting { .. }), "not even a nudge");
        desk.pass(300);
        assert!(matches!(desk.session.status(), Status::Connecting { .. }));
        // It counts once.
        desk.closed(None);
        desk.pass(500);
        assert!(matches!(desk.session.status(), Status::Connecting { .. }));
    }
}

#[test]
fn an_expired_token_asks_for_a_new_one_and_a_second_refusal_ends_it() {
    let mut desk = Desk::online();
    desk.closed(Some(4200));
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::TokenRefused, .. }));
    desk.come_back();
    assert_eq!(desk.wish, Some(TokenWish::New));

    desk.frame(error(None, None, ErrorCode::TokenExpired, None));
    assert!(desk.disconnected, "an error asks for a new one as well");
    while !matches!(desk.session.status(), Status::Connecting { .. }) {
        desk.pass(10);
    }
    assert_eq!(desk.wish, Some(TokenWish::New));
    desk.open();
    desk.frame(error(None, None, ErrorCode::Unauthorized, None));
    let Status::Closed(Closed::Unauthorized(Some(error))) = desk.session.status() else {
        panic!("{:?}", desk.session.status());
    };
    assert_eq!(error.code, ErrorCode::Unauthorized);
    assert_eq!(desk.session.next_timeout(), None);
}

#[test]
fn without_a_new_token_it_is_over() {
    let mut desk = Desk::new();
    desk.open();
    desk.frame(error(None, None, ErrorCode::Unauthorized, None));
    while desk.wish != Some(TokenWish::New) {
        desk.pass(10);
    }
    desk.session.handle_no_token(desk.connection.unwrap());
    let closed = desk.session.status();
    assert!(matches!(closed, Status::Closed(Closed::Unauthorized(Some(_)))), "{closed:?}");
}

#[test]
fn a_token_that_expires_on_the_connection_is_named_at_the_end() {
    let mut desk = Desk::online();
    desk.closed(Some(4200));
    while desk.wish != Some(TokenWish::New) {
        desk.pass(10);
    }
    desk.session.handle_no_token(desk.connection.unwrap());
    let Status::Closed(Closed::Unauthorized(Some(error))) = desk.session.status() else {
        panic!("{:?}", desk.session.status());
    };
    assert_eq!(error.code, ErrorCode::TokenExpired);
}

#[test]
fn a_terminal_close_is_the_end() {
    let mut desk = Desk::online();
    desk.session.publish(vec!["x"], desk.now).unwrap();
    desk.closed(Some(4501));
    assert_eq!(desk.session.status(), Status::Closed(Closed::ByServer(4501)));
    assert!(desk.is_told(|n| matches!(n, Notice::Failed { failure: Failure::Closed, .. })));
    desk.forget();
    desk.pass(600_000);
    desk.session.handle_online(desk.now);
    desk.session.subscribe(thread(), Start::Beginning, desk.now);
    desk.session.publish(vec!["y"], desk.now).unwrap();
    assert!(desk.ops().is_empty());
    assert!(desk.is_told(|n| matches!(n, Notice::Failed { failure: Failure::Closed, .. })));
}

#[test]
fn a_connection_that_was_given_up_is_not_listened_to() {
    let mut desk = Desk::following(5);
    let old = desk.connection.unwrap();
    desk.pass(2 * HEARTBEAT);
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::Silent, .. }));
    desk.forget();
    desk.session.handle_frame(old, events(1, 6, 6), desk.now);
    desk.session.handle_closed(old, Some(4500), desk.now);
    desk.session.handle_no_token(old);
    desk.session.handle_opened(old, "late".into(), desk.now);
    assert!(desk.ops().is_empty());
    assert!(desk.notices.is_empty());
    desk.come_back();
    desk.forget();
    desk.session.handle_frame(old, subscribed(1, 9, 5), desk.now);
    desk.session.handle_frame(old, events(1, 6, 6), desk.now);
    assert!(desk.delivered().is_empty());
    assert!(desk.ops().is_empty());
    desk.session.handle_closed(old, None, desk.now);
    assert_eq!(desk.session.status(), Status::Online);
}

#[test]
fn an_unknown_frame_is_life_and_a_broken_one_a_new_connection() {
    let mut desk = Desk::online();
    let connection = desk.connection.unwrap();
    for _ in 0..10 {
        desk.pass(HEARTBEAT);
        desk.session.handle_unknown_frame(connection, desk.now);
    }
    assert_eq!(desk.session.status(), Status::Online);
    desk.session.handle_broken_frame(connection, desk.now);
    desk.drain();
    assert!(desk.disconnected);
    assert!(matches!(desk.session.status(), Status::Waiting { why: Lost::Unreadable, .. }));
}
