//! The order of a run against a plainer account of the same rules, on random sequences.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rethread_shared::{ErrorCode, EventKind, RunId, limits::TOOLS_EXECUTING_MAX, order::RunState};

fn run() -> RunId {
    "thread_42_run_1_0a1b2c3d".parse().unwrap()
}

fn step() -> impl Strategy<Value = (EventKind, Option<&'static str>)> {
    let call = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        1 => Just((EventKind::UserMessage, None)),
        2 => Just((EventKind::AgentStarted, None)),
        3 => prop::sample::select(vec!["agent_thinking", "message_delta", "custom", "weather"])
            .prop_map(|kind| (EventKind::from(kind), None)),
        4 => call.clone().prop_map(|call| (EventKind::ToolExecuting, Some(call))),
        4 => call.prop_map(|call| (EventKind::ToolCompleted, Some(call))),
        1 => prop::sample::select(vec!["agent_completed", "agent_failed", "agent_cancelled"])
            .prop_map(|kind| (EventKind::from(kind), None)),
    ]
}

/// The rules once more, in words of the history alone: may `kind` follow `history`?
fn may_follow(history: &[(EventKind, Option<&str>)], kind: &EventKind, call: Option<&str>) -> bool {
    let count = |wanted: &EventKind, call: Option<&str>| {
        history.iter().filter(|(k, c)| k == wanted && *c == call).count()
    };
    let started = count(&EventKind::AgentStarted, None) > 0;
    let executing =
        |call| count(&EventKind::ToolExecuting, call) > count(&EventKind::ToolCompleted, call);
    if history.iter().any(|(k, _)| k.is_end()) {
        return false;
    }
    match kind {
        EventKind::UserMessage => true,
        EventKind::AgentStarted => !started,
        EventKind::AgentFailed | EventKind::AgentCancelled => !history.is_empty(),
        EventKind::ToolExecuting => started && !executing(call),
        EventKind::ToolCompleted => started && executing(call),
        _ => started,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_state_machine_keeps_to_the_rules(steps in prop::collection::vec(step(), 0..60)) {
        let (run, mut state, mut history) = (run(), RunState::New, Vec::new());
        for (kind, call) in steps {
            let (before, expected) = (state.clone(), may_follow(&history, &kind, call));
            match state.apply(&run, &kind, call) {
                Ok(()) => {
                    prop_assert!(expected, "{kind} {call:?} was accepted after {history:?}");
                    history.push((kind, call));
                }
                Err(error) => {
                    prop_assert!(!expected, "{kind} {call:?} was refused after {history:?}: {error}");
                    prop_assert_eq!(&before, &state, "a refusal changes nothing");
                    let ended = if before.is_ended() { ErrorCode::RunEnded } else { ErrorCode::RunOrder };
                    prop_assert_eq!(error.code, ended);
                    prop_assert_eq!(error.received.as_deref(), Some(kind.as_str()));
                    prop_assert!(error.expected.is_some());
                }
            }
        }
        let ends = history.iter().filter(|(kind, _)| kind.is_end()).count();
        prop_assert_eq!(ends, usize::from(state.is_ended()));
        if let RunState::Running { executing } = &state {
            let open: BTreeSet<Box<str>> = ["a", "b", "c"]
                .into_iter()
                .filter(|call| !may_follow(&history, &EventKind::ToolExecuting, Some(call)))
                .map(Into::into)
                .collect();
            prop_assert_eq!(executing, &open);
        }
    }
}

#[test]
fn tools_at_once_are_bounded_and_the_run_goes_on() {
    let (run, mut state) = (run(), RunState::New);
    state.apply(&run, &EventKind::AgentStarted, None).unwrap();
    for n in 0..TOOLS_EXECUTING_MAX {
        state.apply(&run, &EventKind::ToolExecuting, Some(&n.to_string())).unwrap();
    }
    let error = state.apply(&run, &EventKind::ToolExecuting, Some("more")).unwrap_err();
    assert!(error.code == ErrorCode::RunOrder && error.message.contains("64 tools"), "{error}");
    state.apply(&run, &EventKind::ToolCompleted, Some("0")).unwrap();
    state.apply(&run, &EventKind::ToolExecuting, Some("more")).unwrap();
    state.apply(&run, &EventKind::AgentCompleted, None).unwrap();
}

#[test]
fn only_what_changes_order_changes_the_state_of_a_running_run() {
    for kind in EventKind::KNOWN.into_iter().chain([EventKind::from("weather")]) {
        let mut state = RunState::New;
        state.apply(&run(), &EventKind::AgentStarted, None).unwrap();
        let before = state.clone();
        if state.apply(&run(), &kind, Some("a")).is_ok() && state != before {
            assert!(kind.changes_order(), "{kind}");
        }
    }
}

#[test]
fn states_have_names() {
    let mut state = RunState::New;
    let mut names = vec![state.name()];
    for kind in [EventKind::UserMessage, EventKind::AgentStarted, EventKind::AgentFailed] {
        state.apply(&run(), &kind, None).unwrap();
        names.push(state.name());
    }
    assert_eq!(names, ["new", "asked", "running", "ended"]);
}
