//! Error codes and close codes: names, statuses, and what a client does about each.

use std::collections::BTreeSet;

use rethread_shared::{CloseCode, ErrorCode, WireError, code::CloseClass};

/// Name, HTTP status, whether the same request may succeed later. Frozen: clients decide by it.
const CODES: &[(&str, u16, bool)] = &[
    ("bad_frame", 400, false),
    ("unknown_op", 400, false),
    ("frame_too_large", 413, false),
    ("hello_required", 400, false),
    ("unauthorized", 401, false),
    ("token_expired", 401, false),
    ("token_revoked", 401, false),
    ("keys_unavailable", 503, true),
    ("forbidden", 403, false),
    ("thread_not_found", 404, false),
    ("run_not_found", 404, false),
    ("not_found", 404, false),
    ("bad_id", 422, false),
    ("bad_event", 422, false),
    ("event_too_large", 413, false),
    ("too_many_events", 413, false),
    ("run_unresolved", 422, false),
    ("run_conflict", 409, false),
    ("run_order", 409, false),
    ("run_ended", 409, false),
    ("thread_taken", 409, false),
    ("position_lost", 409, false),
    ("too_many_subscriptions", 429, false),
    ("too_many_in_flight", 429, true),
    ("slow_down", 429, true),
    ("log_unavailable", 503, true),
    ("orchestrator_unavailable", 503, true),
    ("shutting_down", 503, true),
    ("internal", 500, true),
];

#[test]
fn every_code_keeps_its_name_status_and_class() {
    let listed: Vec<_> =
        ErrorCode::ALL.iter().map(|c| (c.as_str(), c.status(), c.is_transient())).collect();
    for code in CODES {
        assert!(listed.contains(code), "{code:?} has changed: {listed:?}");
    }
    let names: BTreeSet<_> = listed.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), listed.len(), "no name twice");
    assert_eq!(listed.len(), CODES.len(), "a new code belongs into this table and PROTOCOL.md");
}

#[test]
fn codes_travel_as_their_names() {
    for code in ErrorCode::ALL {
        let json = serde_json::to_string(code).unwrap();
        assert_eq!(json, format!("\"{code}\""));
        assert_eq!(&serde_json::from_str::<ErrorCode>(&json).unwrap(), code);
        assert_eq!(&ErrorCode::from(code.as_str()), code);
    }
    let newer: ErrorCode = serde_json::from_str("\"too_sunny\"").unwrap();
    assert_eq!(newer, ErrorCode::Other("too_sunny".into()));
    assert_eq!((newer.status(), newer.is_transient()), (500, false));
    assert_eq!(serde_json::to_string(&newer).unwrap(), "\"too_sunny\"");
}

#[test]
fn the_range_of_a_close_code_says_what_to_do() {
    for number in 0..=u16::MAX {
        let expected = match number {
            4200..=4299 => CloseClass::NewToken,
            4500..=4999 => CloseClass::Terminal,
            _ => CloseClass::Transient,
        };
        assert_eq!(CloseClass::of(number), expected, "{number}");
    }
    for (code, number, reason, class) in [
        (CloseCode::GoingAway, 4000, "going_away", CloseClass::Transient),
        (CloseCode::SlowReader, 4001, "slow_reader", CloseClass::Transient),
        (CloseCode::Silent, 4002, "silent", CloseClass::Transient),
        (CloseCode::HelloTimeout, 4003, "hello_timeout", CloseClass::Transient),
        (CloseCode::KeysUnavailable, 4004, "keys_unavailable", CloseClass::Transient),
        (CloseCode::TokenExpired, 4200, "token_expired", CloseClass::NewToken),
        (CloseCode::TokenRevoked, 4201, "token_revoked", CloseClass::NewToken),
        (CloseCode::Unauthorized, 4500, "unauthorized", CloseClass::Terminal),
        (CloseCode::ProtocolError, 4501, "protocol_error", CloseClass::Terminal),
    ] {
        assert_eq!((code.number(), code.reason()), (number, reason));
        assert_eq!(CloseClass::of(number), class);
    }
}

#[test]
fn what_is_not_found_says_how_to_get_it() {
    let error = WireError::thread_not_found(&"thread_42".parse().unwrap());
    assert_eq!(error.code.status(), 404);
    for part in ["thread_42", "POST /v1/threads", "token"] {
        assert!(error.message.contains(part), "{error}");
    }
    let error = WireError::run_not_found(&"run_5d1f0c9a77e2".parse().unwrap());
    assert_eq!((error.code.status(), error.code.as_str()), (404, "run_not_found"));
    assert!(error.message.contains("run_5d1f0c9a77e2"), "{error}");
}
