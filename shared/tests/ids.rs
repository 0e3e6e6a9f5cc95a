//! Every form of an id: read, told apart, refused with the form that was expected.

use proptest::prelude::*;
use rethread_shared::{
    Epoch, EventId, IdError, Position, RunId, ThreadId, WireError,
    id::{IdProblem, RunForm},
    limits::{ERROR_ECHO_CHARS, RUN_ID_BYTES_MAX, THREAD_KEY_BYTES_MAX},
};

const STANDARD: &str = "thread_13679e4dcc38403a_run_1756919162904_9adf1f09";

fn run(text: &str) -> Result<RunId, IdError> {
    text.parse()
}

fn thread(text: &str) -> Result<ThreadId, IdError> {
    text.parse()
}

/// What a run's id says: form and thread.
fn read(text: &str) -> (&'static str, Option<String>) {
    let id = run(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(id.to_string(), text, "an id is kept as it came");
    let form = match id.form() {
        RunForm::Standard { .. } => "standard",
        RunForm::EmbeddedLegacy { .. } => "embedded",
        RunForm::Opaque => "opaque",
        RunForm::Thread { .. } => "thread",
    };
    (form, id.embedded_thread().map(ToString::to_string))
}

#[test]
fn each_form_of_a_run_is_told_apart() {
    let hex32 = "0123456789abcdef0123456789abcdef";
    for (text, form, names) in [
        (STANDARD, "standard", Some("thread_13679e4dcc38403a")),
        ("thread_a_run_0_00000000", "standard", Some("thread_a")),
        ("thread_a_run_b_run_1_0a1b2c3d", "standard", Some("thread_a_run_b")),
        ("thread__run__run_1_0a1b2c3d", "standard", Some("thread__run_")),
        ("thread_run_run_1_0a1b2c3d", "standard", Some("thread_run")),
        ("thread_A.b~c-d_run_999999999999999_ffffffff", "standard", Some("thread_A.b~c-d")),
        ("run_thread_42_0a1b2c3d", "embedded", Some("thread_42")),
        ("run_42_0a1b2c3d", "embedded", Some("thread_42")),
        ("run_a_b_0a1b2c3d4e5f", "embedded", Some("thread_a_b")),
        (&format!("run_x_{hex32}"), "embedded", Some("thread_x")),
        ("run_0a1b2c3d_0a1b2c3d", "embedded", Some("thread_0a1b2c3d")),
        ("run_5d1f0c9a77e2", "opaque", None),
        ("7b2e4c66-9f31-4b7a-8f4e-2a3d5b6c7d8e", "opaque", None),
        ("7B2E4C66-9F31-4B7A-8F4E-2A3D5B6C7D8E", "opaque", None),
        ("thread_42", "thread", Some("thread_42")),
        // Near misses of the standard form name no other thread: they are threads of their own.
        ("thread_a_run_1_0A1B2C3D", "thread", Some("thread_a_run_1_0A1B2C3D")),
        ("thread_a_run_01_0a1b2c3d", "thread", Some("thread_a_run_01_0a1b2c3d")),
        ("thread_a_run_1_0a1b2c3", "thread", Some("thread_a_run_1_0a1b2c3")),
    ] {
        assert_eq!(read(text), (form, names.map(ToOwned::to_owned)), "{text}");
    }
}

#[test]
fn a_standard_id_says_when_it_was_made() {
    let id = run(STANDARD).unwrap();
    assert!(matches!(id.form(), RunForm::Standard { unix_ms: 1_756_919_162_904, .. }));
}

#[test]
fn each_broken_run_is_refused_with_its_reason() {
    let long = format!("thread_{}_run_1_0a1b2c3d", "k".repeat(THREAD_KEY_BYTES_MAX + 1));
    let very_long = "r".repeat(RUN_ID_BYTES_MAX + 1);
    for (text, says) in [
        ("", "the id is empty"),
        ("run_", "none of the known forms"),
        ("run_12", "none of the known forms"),
        ("run_5d1f0c9a77e", "none of the known forms"),
        ("run_5D1F0C9A77E2", "none of the known forms"),
        ("run__0a1b2c3d", "none of the known forms"),
        ("run_42_0a1b2c3", "none of the known forms"),
        ("run_42_0A1B2C3D", "none of the known forms"),
        ("run_thread__0a1b2c3d", "has no key"),
        ("run_thread_thread_42_0a1b2c3d", "prefix `thread_` twice"),
        ("run_thread_42_run_1_0a1b2c3d_0a1b2c3d", "a run's id where a thread's"),
        ("thread_", "has no key"),
        ("thread__run_1_0a1b2c3d", "has no key"),
        ("thread_run_1_0a1b2c3d", "none of the known forms"),
        ("thread_thread_42", "prefix `thread_` twice"),
        ("thread_thread_42_run_1_0a1b2c3d", "prefix `thread_` twice"),
        ("thread_42_run_1_0a1b2c3d_run_2_0a1b2c3d", "a run's id where a thread's"),
        ("Thread_42_run_1_0a1b2c3d", "none of the known forms"),
        ("42", "none of the known forms"),
        ("7b2e4c669f314b7a8f4e2a3d5b6c7d8e", "none of the known forms"),
        ("thread_4/2_run_1_0a1b2c3d", "character '/'"),
        ("thread_42_run_1_0a1b2c3d\n", "character '\\n'"),
        ("thread_4\x002", "character '\\0'"),
        (" thread_42", "character ' '"),
        ("thread_zürich_run_1_0a1b2c3d", "character 'ü' at byte 8"),
        ("thread_4２_run_1_0a1b2c3d", "at byte 8"),
        ("thread_%34_run_1_0a1b2c3d", "character '%'"),
        (&long, "at most 135 are allowed"),
        (&very_long, "bytes, at most"),
    ] {
        let error = run(text).expect_err(text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
        assert!(error.contains("thread_{key}_run_{unix_ms}"), "names the format: {error}");
    }
}

#[test]
fn each_broken_thread_is_refused_with_its_reason() {
    let longest = format!("thread_{}", "k".repeat(THREAD_KEY_BYTES_MAX));
    assert_eq!(thread(&longest).unwrap().key().len(), THREAD_KEY_BYTES_MAX);
    for (text, problem) in [
        ("", IdProblem::Empty),
        ("thread_", IdProblem::Empty),
        ("thread", IdProblem::BadForm),
        ("x", IdProblem::BadForm),
        ("THREAD_x", IdProblem::BadForm),
        ("run_42_0a1b2c3d", IdProblem::BadForm),
        ("thread_thread_x", IdProblem::DoubledPrefix),
        ("thread_thread_", IdProblem::DoubledPrefix),
        (STANDARD, IdProblem::LooksLikeRun),
        ("thread_run_1_0a1b2c3d", IdProblem::LooksLikeRun),
        ("thread_a/b", IdProblem::BadCharacter { character: '/', at: 8 }),
        ("thread_a\u{7}", IdProblem::BadCharacter { character: '\u{7}', at: 8 }),
        ("thread_\u{202e}a", IdProblem::BadCharacter { character: '\u{202e}', at: 7 }),
        (&format!("{longest}k"), IdProblem::TooLong { len: 136, max: 135 }),
    ] {
        let error = thread(text).expect_err(text);
        assert_eq!(error.problem, problem, "{text:?}");
        assert!(error.to_string().contains("`thread_{key}`"), "{error}");
    }
}

#[test]
fn a_prefix_is_never_doubled() {
    assert_eq!(ThreadId::from_key("42").unwrap().as_str(), "thread_42");
    assert_eq!(ThreadId::from_key("thread_42").unwrap().as_str(), "thread_42");
    assert_eq!(ThreadId::from_key("thread_42").unwrap().key(), "42");
    ThreadId::from_key("thread_thread_42").unwrap_err();
    ThreadId::from_key("").unwrap_err();
    ThreadId::from_key(&STANDARD["thread_".len()..]).unwrap_err();
}

#[test]
fn what_came_is_shown_short_and_harmless() {
    let error = thread(&format!("thread_\u{1b}[31m{}", "é".repeat(300))).unwrap_err();
    assert!(error.received.starts_with(r"thread_\u{1b}[31m\u{e9}"), "{}", error.received);
    assert!(error.received.ends_with('…'));
    let wire = WireError::from(error);
    assert_eq!(wire.code.as_str(), "bad_id");
    assert!(wire.expected.unwrap().contains("thread_{key}"));
    let json = WireError::new(wire.code, "m").with_received(r#"{"a":"b"}"#);
    assert_eq!(json.received.unwrap(), r#"{"a":"b"}"#, "JSON stays readable");
    let cut = WireError::new(json.code, "m").with_received(&"x".repeat(ERROR_ECHO_CHARS + 1));
    assert_eq!(cut.received.unwrap().chars().count(), ERROR_ECHO_CHARS + 1);
}

#[test]
fn a_migrated_run_is_always_the_same_one() {
    let legacy = run("run_5d1f0c9a77e2").unwrap();
    let home = thread("thread_42").unwrap();
    let first = legacy.migrate(&home, 1_756_919_162_904);
    assert_eq!(first, legacy.migrate(&home, 1_756_919_162_904));
    assert_eq!(first.embedded_thread(), Some(&home));
    assert_eq!(first.as_str(), "thread_42_run_1756919162904_33ceda53", "frozen: ids are stored");
    assert_ne!(first, run("run_5d1f0c9a77e3").unwrap().migrate(&home, 1_756_919_162_904));
}

#[test]
fn a_broken_clock_still_gives_an_id_that_parses() {
    let id = RunId::generate(&thread("thread_42").unwrap(), u64::MAX, [0xff; 4]);
    assert_eq!(run(id.as_str()).unwrap(), id);
}

#[test]
fn an_events_id_is_a_uuid_in_its_hyphenated_form() {
    let id = EventId::generate(1_756_919_162_904, [0xab; 10]);
    let text = id.to_string();
    assert!(text.starts_with("0199108a-e818-7bab-"), "{text}: version 7, time first");
    assert_eq!(text.parse::<EventId>().unwrap(), id);
    assert_eq!(EventId::from_bytes(id.to_bytes()), id);
    assert_eq!(text.to_uppercase().parse::<EventId>().unwrap(), id);
    for bad in [
        "",
        "x",
        &text[1..],
        &text.replace('-', ""),
        &format!("{{{text}}}"),
        &text.replace('a', "g"),
    ] {
        bad.parse::<EventId>().expect_err(bad);
    }
}

#[test]
fn positions_have_one_text_form() {
    let position: Position = "9f3a12bc:42".parse().unwrap();
    assert_eq!(position.to_string(), "9f3a12bc:42");
    for bad in [
        "",
        ":",
        "9f3a12bc",
        "9f3a12bc:",
        ":42",
        "9f3a12bc:-1",
        "9f3a12bc:+1",
        "9F3A12BC:1",
        "9f3a12b:1",
        "9f3a12bc:1:2",
        "9f3a12bc: 1",
        "9f3a12bc:99999999999999999999",
    ] {
        bad.parse::<Position>().expect_err(bad);
    }
    for bad in ["", "9f3a12b", "9f3a12bcd", "9F3A12BC", "0x9f3a12"] {
        bad.parse::<Epoch>().expect_err(bad);
    }
}

/// Keys as they may be, with the pieces that make ids look like one another far too often.
fn key() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[A-Za-z0-9_.~-]{1,8}",
        Just("_run_".to_owned()),
        Just("thread_".to_owned()),
        Just("run_".to_owned()),
        "[0-9]{1,16}",
        "[0-9a-f]{8}",
        "[0-9a-f]{12}",
        Just("_".to_owned()),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// Any text, near ids most of the time.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        key(),
        key().prop_map(|key| format!("thread_{key}")),
        key().prop_map(|key| format!("run_{key}")),
        (key(), any::<u64>(), any::<u32>())
            .prop_map(|(k, ms, x)| format!("thread_{k}_run_{ms}_{x:08x}")),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics_and_every_id_reads_back(text in text()) {
        if let Ok(id) = run(&text) {
            prop_assert_eq!(id.as_str(), &text);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<RunId>(&json).unwrap(), id);
        }
        if let Ok(id) = thread(&text) {
            prop_assert_eq!(id.to_string(), text.as_str());
            prop_assert_eq!(ThreadId::from_key(id.key()).unwrap(), id.clone());
            prop_assert!(!id.key().starts_with("thread_"));
        }
        if let Ok(position) = text.parse::<Position>() {
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }
        if let Ok(id) = text.parse::<EventId>() {
            prop_assert_eq!(id.to_string(), text.to_lowercase());
        }
    }

    #[test]
    fn no_text_is_both_a_thread_and_a_standard_run(text in text()) {
        if let Ok(id) = run(&text) {
            let standard = matches!(id.form(), RunForm::Standard { .. });
            let is_thread = thread(&text).is_ok();
            prop_assert!(!(standard && is_thread));
            prop_assert_eq!(matches!(id.form(), RunForm::Thread { .. }), is_thread);
        }
    }

    #[test]
    fn what_is_generated_parses_to_the_same_thread(key in key(), ms: u64, random: [u8; 4]) {
        let Ok(home) = ThreadId::from_key(&key) else { return Ok(()) };
        let made = RunId::generate(&home, ms, random);
        let read = run(made.as_str()).unwrap();
        prop_assert_eq!(read.form(), made.form());
        prop_assert_eq!(read.embedded_thread(), Some(&home));
    }

    #[test]
    fn an_embedded_legacy_run_names_its_thread_with_or_without_prefix(key in key(), hex in "[0-9a-f]{8,32}") {
        let Ok(home) = ThreadId::from_key(&key) else { return Ok(()) };
        for text in [format!("run_{home}_{hex}"), format!("run_{}_{hex}", home.key())] {
            let read = run(&text).unwrap();
            prop_assert_eq!(read.embedded_thread(), Some(&home));
        }
    }

    #[test]
    fn event_ids_sort_by_their_time(a in 0_u64..1 << 48, b in 0_u64..1 << 48, x: [u8; 10], y: [u8; 10]) {
        if a < b {
            prop_assert!(EventId::generate(a, x) < EventId::generate(b, y));
            prop_assert!(EventId::generate(a, x).to_string() < EventId::generate(b, y).to_string());
        }
    }

    #[test]
    fn positions_read_back(epoch: [u8; 4], seq: u64) {
        let position = Position { epoch: Epoch::generate(epoch), seq };
        prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        let json = serde_json::to_string(&position).unwrap();
        prop_assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
    }
}
