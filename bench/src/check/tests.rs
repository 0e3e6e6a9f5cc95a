//! A server that does one thing wrong in 100,000 events is caught; one that does not passes.

use super::*;
use crate::events::{Random, Source};

const THREAD: &str = "thread_0123456789abcdef";
const EVENTS: u64 = 100_000;

/// An event as it is delivered: its place, and its publisher's number.
type Placed = (u64, u64);

fn frame(events: &[Placed], source: &mut Source) -> Vec<u8> {
    let (first, last) = (events[0].0, events[events.len() - 1].0);
    let mut text = format!(
        r#"{{"op":"events","thread":"{THREAD}","epoch":"0000000a","first":{first},"last":{last},"events":["#
    )
    .into_bytes();
    for (place, (seq, number)) in events.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        text.extend_from_slice(format!(r#"{{"seq":{seq},"#).as_bytes());
        let mut event = Vec::new();
        source.write_number(*number, 7, 1_756_919_162_904, &mut event);
        text.extend_from_slice(&event[1..]);
    }
    text.extend_from_slice(b"]}");
    text
}

/// Delivers events in frames of random sizes, as a subscriber sees them.
fn deliver(events: &[Placed], head: u64, random: &mut Random) -> Result<u64, Fault> {
    let mut source = Source::new(&format!("{THREAD}_run_1756919162904_9adf1f09"), 1);
    let mut follower = Follower::after(THREAD, 0);
    let (mut rest, mut seen) = (events, 0);
    while !rest.is_empty() {
        let size = (1 + random.below(64) as usize).min(rest.len());
        let mut dues = 0;
        seen += follower.take(&frame(&rest[..size], &mut source), |due| dues += due)?;
        assert_eq!(dues, 7 * size as u64, "each event's time is told");
        rest = &rest[size..];
    }
    follower.finish(head)?;
    Ok(seen)
}

/// What goes wrong, once, in the log itself (which then numbers what it has) or on the way.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Drop,
    Repeat,
    Swap,
}

fn events_with(wrong: Wrong, place: usize, in_log: bool) -> Vec<Placed> {
    let mut events: Vec<Placed> = (1..=EVENTS).map(|seq| (seq, seq)).collect();
    match wrong {
        Wrong::Drop => drop(events.remove(place)),
        Wrong::Repeat => events.insert(place, events[place]),
        Wrong::Swap => events.swap(place, place + 1),
    }
    if in_log {
        for (seq, event) in (1..).zip(&mut events) {
            event.0 = seq;
        }
    }
    events
}

#[test]
fn what_is_right_passes() {
    let mut random = Random::new(1);
    let events: Vec<Placed> = (1..=EVENTS).map(|seq| (seq, seq)).collect();
    assert_eq!(deliver(&events, EVENTS, &mut random), Ok(EVENTS));
}

#[test]
fn one_fault_in_100_000_events_is_caught() {
    for seed in [crate::events::unix_ms()] {
        let mut random = Random::new(seed);
        let anywhere = random.below(EVENTS - 2) as usize;
        for wrong in [Wrong::Drop, Wrong::Repeat, Wrong::Swap] {
            for place in [0, anywhere, EVENTS as usize - 2] {
                for in_log in [false, true] {
                    let events = events_with(wrong, place, in_log);
                    let seen = deliver(&events, EVENTS, &mut random);
                    assert!(
                        seen.is_err(),
                        "{wrong:?} at {place}, in the log: {in_log}, seed {seed}: not caught"
                    );
                }
            }
        }
    }
}

#[test]
fn a_lost_end_is_caught() {
    let events: Vec<Placed> = (1..EVENTS).map(|seq| (seq, seq)).collect();
    let fault = deliver(&events, EVENTS, &mut Random::new(1)).unwrap_err();
    assert!(matches!(fault, Fault::Unfinished { head: EVENTS, .. }), "{fault}");
}

#[test]
fn a_frame_that_lies_about_itself_is_caught() {
    let mut source = Source::new("run", 1);
    let honest = String::from_utf8(frame(&[(1, 1), (2, 2), (3, 3)], &mut source)).unwrap();
    for (from, to) in [(r#""last":3"#, r#""last":4"#), (r#""last":3"#, r#""last":2"#)] {
        let lie = honest.replace(from, to);
        let fault = Follower::after(THREAD, 0).take(lie.as_bytes(), |_| ()).unwrap_err();
        assert!(matches!(fault, Fault::OutOfOrder { .. }), "{fault}");
    }
    let fault = Follower::after("thread_0", 0).take(honest.as_bytes(), |_| ()).unwrap_err();
    assert!(matches!(fault, Fault::WrongThread { .. }), "{fault}");
}

#[test]
fn answers_are_checked() {
    let answer = br#"{"op":"published","req":7,"results":[{"id":"a","thread":"t","seq":4},{"id":"b","thread":"t","seq":5}]}"#;
    assert_eq!(published(answer), Some(7));
    assert_eq!(stored(answer, 4..=5, false), Ok(2));
    for (expected, again) in [(4..=6, false), (4..=4, false), (3..=4, false), (4..=5, true)] {
        assert!(stored(answer, expected, again).is_err());
    }
    let again = br#"{"results":[{"id":"a","thread":"t","seq":4,"duplicate":true}]}"#;
    assert_eq!(stored(again, 4..=4, true), Ok(1));
    assert!(stored(again, 4..=4, false).is_err());
}

#[test]
fn a_subscription_that_begins_elsewhere_is_caught() {
    let begun = |after| {
        let text = format!(
            r#"{{"op":"subscribed","thread":"{THREAD}","epoch":"0000000a","head":9,"after":{after}}}"#
        );
        let mut follower = Follower::after(THREAD, 7);
        follower.begin(text.as_bytes()).map(|()| follower.mark().map(str::to_owned))
    };
    assert_eq!(begun(7), Ok(Some("0000000a".into())));
    assert_eq!(begun(8), Err(Fault::Broken { last: 7, first: 9 }));
}

#[test]
fn a_server_that_numbers_nothing_is_held_to_the_publishers_count() {
    let mut source = Source::new("run", 1);
    let mut message = |number| {
        let mut text = b"42[\"event\",".to_vec();
        source.write_number(number, 7, 1_756_919_162_904, &mut text);
        text
    };
    let mut follower = Follower::after(THREAD, 1);
    assert_eq!(follower.take_marked(&message(2), |due| assert_eq!(due, 7)), Ok(1));
    assert_eq!(follower.take_marked(&[message(3), message(4)].concat(), |_| ()), Ok(2));
    for wrong in [4, 3, 6] {
        let fault = follower.take_marked(&message(wrong), |_| ());
        assert_eq!(fault, Err(Fault::Broken { last: 4, first: wrong }));
    }
    assert!(follower.take_marked(b"0{}", |_| ()).is_err());
}
