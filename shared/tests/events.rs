//! A published event: read, checked, stored as it came, or refused with its reason.

use proptest::prelude::*;
use rethread_shared::{
    ErrorCode, EventId, EventKind, WireError,
    event::{Checked, Envelope},
    limits::{EVENT_BYTES_MAX, EXTRA_MEMBERS_MAX, JSON_DEPTH_MAX, NAME_BYTES_MAX},
};

const RUN: &str = "thread_42_run_1756919162904_9adf1f09";
const ID: &str = "0199108a-e818-71a0-9c10-5e2f7b10d43a";

fn check(text: &str) -> Result<Checked<'_>, WireError> {
    Envelope::read(text)?.check()
}

fn refused(text: &str) -> WireError {
    check(text).expect_err(text)
}

fn event(kind: &str, data: &str) -> String {
    format!(r#"{{"id":"{ID}","run":"{RUN}","type":"{kind}","at":7,"data":{data}}}"#)
}

fn id() -> EventId {
    ID.parse().unwrap()
}

#[test]
fn a_body_is_the_text_that_came() {
    for (kind, data) in [
        ("agent_thinking", r#"{ "text" : "a\u00e9\n" ,  "new":[1.0,1e2,-0] }"#),
        ("weather_changed", r#"[1.50,12345678901234567890123,"\ud83d\ude00",null]"#),
        ("weather_changed", "null"),
        ("custom", r#"{"name":"n","value":null}"#),
        ("custom", "{\"name\":\"n\",\r\n\t\"value\":{\"k\":1,\"k\":2}}"),
        ("tool_completed", r#"{"call_id":"c","output":null,"error":"e"}"#),
    ] {
        let text = event(kind, data);
        let checked = check(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(checked.body(id(), 1), text);
    }
}

#[test]
fn members_may_come_in_any_order_and_the_extra_ones_keep_theirs() {
    let text = format!(
        r#" {{ "z" : 1.0 , "data":{{"text":"t"}}, "a": {{"b" : [ ]}}, "type":"agent_thinking", "run":"{RUN}", "y\n":"é" }} "#
    );
    assert_eq!(
        check(&text).unwrap().body(id(), 5),
        format!(
            r#"{{"id":"{ID}","run":"{RUN}","type":"agent_thinking","at":5,"data":{{"text":"t"}},"z":1.0,"a":{{"b" : [ ]}},"y\n":"é"}}"#
        )
    );
}

#[test]
fn what_a_publisher_may_leave_out() {
    let text = format!(r#"{{"run":"{RUN}","type":"agent_completed"}}"#);
    let checked = check(&text).unwrap();
    assert_eq!((checked.id, checked.kind.clone()), (None, EventKind::AgentCompleted));
    assert!(checked.body(id(), 9).ends_with(r#""at":9,"data":{}}"#));
}

#[test]
fn a_name_written_with_escapes_is_the_same_name() {
    let text = format!(r#"{{"r\u0075n":"{RUN}","type":"agent\u005fcompleted","d\u0061ta":{{}}}}"#);
    let checked = check(&text).unwrap();
    assert_eq!(checked.kind, EventKind::AgentCompleted);
    assert!(!checked.body(id(), 1).contains("\\u"));
}

#[test]
fn calls_are_named() {
    let call = |kind, data| check(&event(kind, data)).unwrap().call_id;
    assert_eq!(call("tool_executing", r#"{"call_id":"a\n","tool":"t"}"#).as_deref(), Some("a\n"));
    assert_eq!(call("tool_completed", r#"{"call_id":"b"}"#).as_deref(), Some("b"));
    assert_eq!(call("agent_thinking", r#"{"text":"x","call_id":"c"}"#), None);
}

#[test]
fn each_bad_event_is_refused_with_its_reason() {
    let name = "n".repeat(NAME_BYTES_MAX + 1);
    let r#type = |kind: &str| event(kind, "{}");
    for (text, code, says) in [
        (String::new(), "bad_event", "EOF"),
        ("7".into(), "bad_event", "an event: an object with"),
        ("[]".into(), "bad_event", "an event: an object with"),
        ("null".into(), "bad_event", "an event: an object with"),
        ("{".into(), "bad_event", "EOF"),
        ("{}".into(), "bad_event", "missing field `run`"),
        (format!(r#"{{"run":"{RUN}"}}"#), "bad_event", "missing field `type`"),
        (event("custom", "{}") + "x", "bad_event", "trailing characters"),
        (event("custom", "{},\"data\":{}"), "bad_event", "duplicate field `data`"),
        (event("custom", "{},\"x\":1,\"x\":2"), "bad_event", "duplicate field `x`"),
        (r#"{"run":7,"type":"custom"}"#.into(), "bad_event", "expected a string"),
        (format!(r#"{{"run":"{RUN}","type":null}}"#), "bad_event", "expected a string"),
        (event("custom", "{},\"at\":8"), "bad_event", "duplicate field `at`"),
        (event("custom", "{}").replace(":7,", ":-7,"), "bad_event", "-7"),
        (event("custom", "{}").replace(":7,", ":7.5,"), "bad_event", "7.5"),
        (event("custom", "{}").replace(":7,", ":null,"), "bad_event", "null"),
        (event("custom", "{}").replace(ID, "x"), "bad_event", "a UUID"),
        (event("custom", "{}").replace(RUN, "run_x"), "bad_id", "none of the known forms"),
        (event("custom", "{}").replace(RUN, ""), "bad_id", "the id is empty"),
        (event("custom", "{},\"seq\":1"), "bad_event", "`seq` is given by the server"),
        (r#type(""), "bad_event", "`type` must be"),
        (r#type(&name), "bad_event", "`type` must be"),
        (r#type("a\\u0000b"), "bad_event", "`type` must be"),
        (event("agent_started", "{}"), "bad_event", "missing field `agent`"),
        (event("agent_started", "7"), "bad_event", "the data of `agent_started`"),
        (event("agent_started", "null"), "bad_event", "the data of `agent_started`"),
        (event("agent_started", r#"{"agent":""}"#), "bad_event", "1 to 256 bytes"),
        (event("agent_started", &format!(r#"{{"agent":"{name}"}}"#)), "bad_event", "1 to 256"),
        (event("agent_thinking", r#"{"text":7}"#), "bad_event", "expected a string"),
        (event("agent_thinking", r#"{"text":"\ud800"}"#), "bad_event", "hex escape"),
        (event("tool_executing", r#"{"call_id":"c"}"#), "bad_event", "missing field `tool`"),
        (event("tool_executing", r#"{"call_id":"c","tool":""}"#), "bad_event", "1 to 256"),
        (
            event("tool_completed", r#"{"call_id":"c","output":1,"error":"e"}"#),
            "bad_event",
            "both `output` and `error`",
        ),
        (
            event("tool_completed", r#"{"call_id":"c","took_ms":-1}"#),
            "bad_event",
            "the data of `tool_completed`",
        ),
        (event("message_delta", r#"{"text":"x"}"#), "bad_event", "missing field `message_id`"),
        (event("agent_failed", r#"{"code":"c"}"#), "bad_event", "missing field `message`"),
        (event("agent_cancelled", "{}"), "bad_event", "missing field `by`"),
        (
            event("user_message", &format!(r#"{{"message_id":"m","text":"t","agent":"{name}"}}"#)),
            "bad_event",
            "1 to 256",
        ),
        (
            event("user_message", r#"{"message_id":"m","text":"t","by":""}"#),
            "bad_event",
            "1 to 256",
        ),
        (event("custom", r#"{"name":"n"}"#), "bad_event", "missing field `value`"),
    ] {
        let error = refused(&text);
        assert_eq!(error.code.as_str(), code, "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_refusal_says_what_was_expected() {
    let error = refused(&event("message_delta", r#"{"text":"x"}"#));
    assert_eq!(error.expected.as_deref(), Some(r#"{"message_id":"…","text":"…"}"#));
    assert_eq!(error.received.as_deref(), Some(r#"{"text":"x"}"#));
    let error = refused("{}");
    assert!(error.expected.unwrap().contains("RUN_ID"));
}

#[test]
fn the_size_of_an_event_is_bounded() {
    let sized = |bytes: usize| {
        let empty = event("agent_thinking", r#"{"text":""}"#);
        event("agent_thinking", &format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes - empty.len())))
    };
    let most = sized(EVENT_BYTES_MAX);
    assert_eq!(most.len(), EVENT_BYTES_MAX);
    check(&most).unwrap();
    assert_eq!(refused(&sized(EVENT_BYTES_MAX + 1)).code, ErrorCode::EventTooLarge);
}

#[test]
fn the_depth_of_an_event_is_bounded() {
    // The envelope is a level, and so is the data's object.
    let nested = |levels: usize| {
        let inner = levels - 2;
        event(
            "custom",
            &format!(r#"{{"name":"n","value":{}{}}}"#, "[".repeat(inner), "]".repeat(inner)),
        )
    };
    check(&nested(JSON_DEPTH_MAX)).unwrap();
    let error = refused(&nested(JSON_DEPTH_MAX + 1));
    assert!(error.code == ErrorCode::BadEvent && error.message.contains("65 levels"), "{error}");
    refused(&nested(100_000));
    let extra = format!("{{}},\"x\":{}{}", "[".repeat(JSON_DEPTH_MAX), "]".repeat(JSON_DEPTH_MAX));
    assert!(refused(&event("progress", &extra)).message.contains("levels deep"));
}

#[test]
fn the_members_of_an_event_are_bounded() {
    let with = |count: usize| {
        let extra: String = (0..count).map(|n| format!(",\"x{n}\":{n}")).collect();
        event("progress", &format!("{{}}{extra}"))
    };
    assert_eq!(check(&with(EXTRA_MEMBERS_MAX)).unwrap().body(id(), 1), with(EXTRA_MEMBERS_MAX));
    let error = refused(&with(EXTRA_MEMBERS_MAX + 1));
    assert!(error.message.contains("more than 32 members"), "{error}");
}

/// Any JSON, written compactly.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{0,30}\\.[0-9]{1,9}(e-?[0-9]{1,2})?",
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    leaf.prop_recursive(6, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|v| format!("[ {}]", v.join(" , "))),
            prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| {
                        format!("{}: {value}", serde_json::to_string(&name).unwrap())
                    })
                    .collect();
                format!("{{{}}}", members.join(",\n"))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_data_of_an_unknown_type_passes_byte_for_byte(
        kind in "[a-z]{1,12}\\.[a-z\"\\\\]{0,4}", data in json(), extra in json(), name in "[x-z]{1,3}",
    ) {
        let kind = serde_json::to_string(&kind).unwrap();
        let text = format!(
            r#"{{"id":"{ID}","run":"{RUN}","type":{kind},"at":7,"data":{data},"{name}":{extra}}}"#
        );
        prop_assert_eq!(check(&text).unwrap().body(id(), 1), text);
    }

    #[test]
    fn no_text_panics(text in any::<String>(), cut in 0_usize..200, junk in any::<char>()) {
        let _ = check(&text);
        let good = event("tool_executing", r#"{"call_id":"c","tool":"t","input":{"é":[1]}}"#);
        let at = (0..=cut.min(good.len())).rev().find(|at| good.is_char_boundary(*at)).unwrap();
        let _ = check(&good[..at]);
        let _ = check(&format!("{}{junk}{}", &good[..at], &good[at..]));
    }
}
