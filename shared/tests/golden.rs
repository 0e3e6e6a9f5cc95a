//! Every golden event and frame: read into its type, written again, the same text.

mod common;

use std::collections::BTreeSet;

use rethread_shared::{
    ErrorCode, Event, EventId, EventKind, NewEvent, Payload, WireError,
    event::Envelope,
    frame::{self, ClientFrame, Outcome, ServerFrame, Start},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

#[test]
fn events_come_back_byte_for_byte() {
    for (name, text) in common::events() {
        let event: Event =
            serde_json::from_str(text.get()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::to_string(&event).unwrap(), text.get(), "{name}");
        event.payload().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn every_known_kind_has_a_golden_event() {
    let mut missing: BTreeSet<_> = EventKind::KNOWN.iter().map(EventKind::as_str).collect();
    let events = common::events();
    for text in events.values() {
        let event: Event = serde_json::from_str(text.get()).unwrap();
        missing.remove(event.kind.as_str());
    }
    assert!(missing.is_empty(), "no golden event for {missing:?}");
    assert!(events.contains_key("unknown_type") && events.contains_key("unknown_members"));
}

#[test]
fn typed_payloads_write_the_data_they_were_read_from() {
    for (name, text) in common::events() {
        if name == "unknown_members" {
            continue; // The typed data leaves them out; the event's own text keeps them.
        }
        let event: Event = serde_json::from_str(text.get()).unwrap();
        let payload = event.payload().unwrap();
        assert_eq!(payload.kind(), event.kind, "{name}");
        assert_eq!(serde_json::to_string(&payload).unwrap(), event.data.get(), "{name}");
    }
}

#[test]
fn what_a_publisher_makes_is_what_a_server_stores() {
    for (name, text) in common::events() {
        if name == "unknown_members" {
            continue;
        }
        let event: Event = serde_json::from_str(text.get()).unwrap();
        let payload = event.payload().unwrap();
        let new = NewEvent { id: event.id, run: event.run.clone(), at: Some(event.at), payload };
        let json = new.to_json();
        let checked = Envelope::read(json.get()).unwrap().check().unwrap();
        assert_eq!(
            (checked.id, &checked.run, &checked.kind),
            (Some(event.id), &event.run, &event.kind)
        );
        let body = checked.body(event.id, 1);
        assert_eq!(body, without_seq(text.get()), "{name}");
    }
}

#[test]
fn a_stored_body_keeps_unknown_members_as_they_came() {
    let golden = &common::events()["unknown_members"];
    let sent = without_seq(golden.get());
    let checked = Envelope::read(&sent).unwrap().check().unwrap();
    let id = checked.id.unwrap();
    assert_eq!(checked.body(id, 1), sent);
}

/// A stored event's text without its `seq`: what a publisher sends.
fn without_seq(text: &str) -> String {
    let (_, rest) = text.split_once(',').unwrap();
    format!("{{{rest}")
}

#[test]
fn client_frames_come_back_byte_for_byte() {
    let mut seen = BTreeSet::new();
    for (name, text) in common::client_frames() {
        let text = text.get();
        let op = frame::op(text).unwrap().into_owned();
        let written = match op.as_str() {
            "hello" => write(ClientFrame::Hello(read(text))),
            "subscribe" => write(ClientFrame::Subscribe(read(text))),
            "unsubscribe" => write(ClientFrame::Unsubscribe(read(text))),
            "publish" => write(ClientFrame::Publish(read(text))),
            "send" => write(ClientFrame::Send(read(text))),
            "cancel" => write(ClientFrame::Cancel(read(text))),
            "serve" => write(ClientFrame::Serve(read(text))),
            "ping" => write(ClientFrame::Ping),
            other => panic!("{name}: unknown op {other}"),
        };
        if name == "subscribe" {
            // `after` may be left out; it is written as the default that it stands for.
            let thread = read::<frame::Subscribe>(text);
            assert_eq!(thread.after, Start::Beginning);
            assert_eq!(written, common::client_frames()["subscribe_start"].get());
        } else {
            assert_eq!(written, text, "{name}");
        }
        seen.insert(op);
    }
    assert_eq!(seen.len(), 8, "a golden frame for every op: {seen:?}");
}

#[test]
fn each_form_of_a_start_is_read() {
    let after = |name: &str| read::<frame::Subscribe>(common::client_frames()[name].get()).after;
    assert_eq!(after("subscribe_start"), Start::Beginning);
    assert_eq!(after("subscribe_now"), Start::Now);
    assert_eq!(after("subscribe_after"), Start::After("9f3a12bc:42".parse().unwrap()));
    for bad in [r#""end""#, "7", r#"{"epoch":"9f3a12bc"}"#, r#"{"epoch":"x","seq":1}"#, "[]", "-1"]
    {
        let text = format!(r#"{{"op":"subscribe","thread":"thread_x","after":{bad}}}"#);
        let error = serde_json::from_str::<frame::Subscribe>(&text).unwrap_err().to_string();
        assert!(error.contains("`after` must be"), "{bad}: {error}");
    }
}

#[test]
fn server_frames_come_back_byte_for_byte() {
    let mut seen = BTreeSet::new();
    for (name, text) in common::server_frames() {
        let text = text.get();
        let op = frame::op(text).unwrap().into_owned();
        let written = match op.as_str() {
            "welcome" => write_server(ServerFrame::Welcome(read(text))),
            "subscribed" => write_server(ServerFrame::Subscribed(read(text))),
            "events" => {
                let frame: frame::Events<Vec<Event>> = serde_json::from_str(text).unwrap();
                check_events(&frame, text);
                serde_json::to_string(&ServerFrame::Events(frame)).unwrap()
            }
            "published" => write_server(ServerFrame::Published(read(text))),
            "sent" => write_server(ServerFrame::Sent(read(text))),
            "cancelled" => write_server(ServerFrame::Cancelled(read(text))),
            "work" => write_server(ServerFrame::Work(read(text))),
            "reset" => write_server(ServerFrame::Reset(read(text))),
            "error" => write_server(ServerFrame::Error(read(text))),
            "beat" => write_server(ServerFrame::Beat),
            "token_expiring" => write_server(ServerFrame::TokenExpiring(read(text))),
            "goodbye" => write_server(ServerFrame::Goodbye(read(text))),
            other => panic!("{name}: unknown op {other}"),
        };
        assert_eq!(written, text, "{name}");
        seen.insert(op);
    }
    assert_eq!(seen.len(), 12, "a golden frame for every op: {seen:?}");
}

fn check_events(frame: &frame::Events<Vec<Event>>, text: &str) {
    let head: frame::EventsHead = read(text);
    assert_eq!((&head.thread, head.epoch), (&frame.thread, frame.epoch));
    assert_eq!((head.first, head.last), (frame.first, frame.last));
    let seqs: Vec<_> = frame.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (frame.first..=frame.last).collect::<Vec<_>>());
}

#[test]
fn outcomes_tell_stored_duplicate_and_refused_apart() {
    let results =
        |name: &str| read::<frame::Published>(common::server_frames()[name].get()).results;
    assert!(matches!(
        &results("published")[..],
        [
            Outcome::Stored { seq: 42, duplicate: false, .. },
            Outcome::Stored { seq: 43, duplicate: false, .. },
        ]
    ));
    assert!(matches!(
        &results("published_duplicate")[..],
        [Outcome::Stored { seq: 42, duplicate: true, .. }]
    ));
    let refused = results("published_refused");
    let [Outcome::Refused { id: Some(_), error }, Outcome::Refused { id: None, error: second }] =
        &refused[..]
    else {
        panic!("{refused:?}");
    };
    assert_eq!((&error.code, &second.code), (&ErrorCode::RunOrder, &ErrorCode::BadEvent));
}

#[test]
fn http_bodies_are_made_of_the_same_parts() {
    let golden = common::http();
    #[derive(Deserialize)]
    struct Results {
        results: Vec<Outcome>,
    }
    #[derive(Deserialize)]
    struct Page {
        first: u64,
        last: u64,
        events: Vec<Event>,
    }
    #[derive(Deserialize)]
    struct Failed {
        error: WireError,
    }
    assert_eq!(read::<Results>(golden["results"].get()).results.len(), 3);
    let page: Page = serde_json::from_str(golden["page"].get()).unwrap();
    assert_eq!(page.events.len() as u64, page.last - page.first + 1);
    assert_eq!(read::<Failed>(golden["error_body"].get()).error.code, ErrorCode::RunUnresolved);
}

#[test]
fn members_from_a_newer_peer_do_not_disturb() {
    let subscribed =
        r#"{"op":"subscribed","thread":"thread_x","epoch":"00000001","head":1,"after":0,"lag":3}"#;
    assert_eq!(read::<frame::Subscribed>(subscribed).head, 1);
    let reset = r#"{"op":"reset","thread":"thread_x","epoch":"00000001","reason":"moved"}"#;
    assert_eq!(read::<frame::Reset>(reset).reason, frame::ResetReason::Other);
    let error = r#"{"op":"error","code":"too_sunny","message":"m","shade":true}"#;
    let error = read::<frame::WireErrorFrame>(error).error;
    assert_eq!(error.code, ErrorCode::Other("too_sunny".into()));
    assert!(!error.code.is_transient());
}

#[test]
fn a_token_is_never_in_the_debug_text_of_a_frame() {
    let text = common::client_frames()["hello"].get().to_owned();
    let hello = read::<frame::Hello>(&text);
    let debug = format!("{:?}", ClientFrame::<Box<RawValue>>::Hello(hello.clone()));
    assert!(!debug.contains(&hello.token) && debug.contains("my-chat"), "{debug}");
}

#[test]
fn ids_in_events_are_checked_as_they_are_read() {
    let good = common::events()["custom"].get().to_owned();
    for (from, to) in [
        ("thread_13679e4dcc38403a_run", "thread_thread_13679e4dcc38403a_run"),
        ("\"run\":\"thread_", "\"run\":\"Thread_"),
        ("\"id\":\"0199", "\"id\":\"z199"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        serde_json::from_str::<Event>(&bad).expect_err(to);
    }
    let upper = good.replace("5e2f7b", "5E2F7B");
    let event: Event = serde_json::from_str(&upper).unwrap();
    assert_eq!(event.id, serde_json::from_str::<Event>(&good).unwrap().id);
    assert!(event.id.to_string().parse::<EventId>().is_ok());
    assert!(matches!(event.payload(), Ok(Payload::Custom(_))));
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn write(frame: ClientFrame<Box<RawValue>>) -> String {
    serde_json::to_string(&frame).unwrap()
}

fn write_server(frame: ServerFrame<Vec<Event>>) -> String {
    serde_json::to_string(&frame).unwrap()
}
