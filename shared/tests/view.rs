//! The view: what each event does to it, and the laws of folding.

mod common;

use proptest::prelude::*;
use rethread_shared::{
    Event,
    view::{CallState, Ending, Part, Parts, Run, RunState, Touched, View, What},
};
use serde_json::{Value, json, value::RawValue};

type TextView = View<Box<RawValue>>;

const A: &str = "thread_x_run_1756919162904_0000000a";
const B: &str = "thread_x_run_1756919162905_0000000b";

/// Events in a thread: run, type and data of each; one a second.
fn log(events: impl IntoIterator<Item = (&'static str, &'static str, Value)>) -> Vec<Event> {
    let event = |(index, (run, kind, data)): (usize, (&str, &str, Value))| {
        let seq = index as u64 + 1;
        let id = format!("0199108a-e818-71a0-9c10-{seq:012x}");
        let at = 1_756_919_000_000 + 1_000 * seq;
        let event = json!({"seq":seq,"id":id,"run":run,"type":kind,"at":at,"data":data});
        serde_json::from_str(&event.to_string()).unwrap()
    };
    events.into_iter().enumerate().map(event).collect()
}

fn fold(events: &[Event]) -> TextView {
    let mut view = View::default();
    for event in events {
        view.take(event);
    }
    view
}

fn json_of(view: &TextView) -> Value {
    serde_json::to_value(view).unwrap()
}

fn only(view: &TextView) -> &Run<Box<RawValue>> {
    assert_eq!(view.runs.len(), 1);
    &view.runs[0]
}

#[test]
fn a_run_becomes_what_a_chat_shows() {
    let events = log([
        (A, "user_message", json!({"message_id":"u1","text":"What is a cursor?","by":"dev"})),
        (A, "agent_started", json!({"agent":"docs","message":"Reading."})),
        (A, "agent_thinking", json!({"text":"Let me "})),
        (A, "agent_thinking", json!({"text":"look."})),
        (A, "tool_executing", json!({"call_id":"c1","tool":"search","input":{"query":"cursor"}})),
        (A, "message_delta", json!({"message_id":"m1","text":"A cursor "})),
        (A, "tool_completed", json!({"call_id":"c1","output":["PROTOCOL.md"],"took_ms":12})),
        (A, "message_delta", json!({"message_id":"m1","text":"is a position."})),
        (A, "agent_completed", json!({"usage":{"tokens":9}})),
    ]);
    let view = fold(&events);
    let at = |index: usize| events[index].at;
    assert_eq!(
        json_of(&view),
        json!({"seq":9,"opening":"What is a cursor?","runs":[{
        "id":A,"state":"completed","agent":"docs","started_at":at(1),"ended_at":at(8),
        "parts":[
            {"seq":1,"kind":"said","message_id":"u1","text":"What is a cursor?","by":"dev"},
            {"seq":2,"kind":"note","text":"Reading."},
            {"seq":3,"kind":"thinking","text":"Let me look.","from":at(2),"until":at(3)},
            {"seq":5,"kind":"tool","call_id":"c1","tool":"search","state":"completed",
             "input":{"query":"cursor"},"output":["PROTOCOL.md"],"took_ms":12},
            {"seq":6,"kind":"answer","message_id":"m1","text":"A cursor is a position."},
        ]}]})
    );
    assert_eq!(view.run(A).map(|run| run.state), Some(RunState::Completed));
    assert!(view.active().is_none() && view.run(B).is_none());
}

#[test]
fn a_run_is_asked_then_running_until_it_ends() {
    let events = log([
        (A, "user_message", json!({"message_id":"u1","text":"hello"})),
        (A, "agent_started", json!({"agent":"docs"})),
        (A, "agent_cancelled", json!({"by":"dev","reason":"enough"})),
    ]);
    let states = (1..=3).map(|count| only(&fold(&events[..count])).state).collect::<Vec<_>>();
    assert_eq!(states, [RunState::Asked, RunState::Running, RunState::Cancelled]);
    let view = fold(&events);
    let ending = Ending::Cancelled { by: "dev".into(), reason: Some("enough".into()) };
    assert_eq!(only(&view).ending, Some(ending));
}

#[test]
fn an_end_takes_unfinished_tools_along() {
    let view = fold(&log([
        (A, "agent_started", json!({"agent":"docs"})),
        (A, "tool_executing", json!({"call_id":"c1","tool":"search"})),
        (A, "agent_failed", json!({"code":"agent_lost","message":"gone"})),
    ]));
    assert!(matches!(
        only(&view).parts[..],
        [Part { seq: 2, what: What::Tool { state: CallState::Abandoned, .. } }]
    ));
}

#[test]
fn runs_at_the_same_time_are_kept_apart() {
    let view = fold(&log([
        (A, "agent_started", json!({"agent":"a"})),
        (B, "agent_started", json!({"agent":"b"})),
        (A, "message_delta", json!({"message_id":"m","text":"from a"})),
        (B, "message_delta", json!({"message_id":"m","text":"from b"})),
        (A, "agent_completed", json!({})),
    ]));
    let shown = json_of(&view);
    assert_eq!(shown["runs"][0]["parts"][0]["text"], "from a");
    assert_eq!(shown["runs"][1]["parts"][0]["text"], "from b");
    assert_eq!(view.active().map(|run| &*run.id), Some(B));
}

#[test]
fn a_call_may_have_the_id_of_one_that_has_completed() {
    let view = fold(&log([
        (A, "agent_started", json!({"agent":"a"})),
        (A, "tool_executing", json!({"call_id":"c","tool":"search"})),
        (A, "tool_completed", json!({"call_id":"c","error":"no"})),
        (A, "tool_executing", json!({"call_id":"c","tool":"search"})),
        (A, "tool_completed", json!({"call_id":"c","output":1})),
    ]));
    let parts = json_of(&view)["runs"][0]["parts"].clone();
    assert_eq!((&parts[0]["state"], &parts[0]["error"]), (&json!("failed"), &json!("no")));
    assert_eq!((&parts[1]["state"], &parts[1]["output"]), (&json!("completed"), &json!(1)));
}

#[test]
fn what_the_view_has_no_form_for_is_shown_not_dropped() {
    let view = fold(&log([
        (A, "agent_started", json!({"agent":"docs"})),
        (A, "weather_changed", json!({"to":"rain"})),
        (A, "custom", json!({"name":"progress","value":null})),
    ]));
    assert_eq!(
        json_of(&view)["runs"][0]["parts"],
        json!([
            {"seq":2,"kind":"extra","name":"weather_changed","value":{"to":"rain"}},
            {"seq":3,"kind":"extra","name":"progress","value":null},
        ])
    );
}

#[test]
fn a_log_whose_beginning_is_gone_still_shows_what_there_is() {
    let view = fold(&log([
        (A, "tool_completed", json!({"call_id":"c","output":1})),
        (A, "message_delta", json!({"message_id":"m","text":"the rest"})),
    ]));
    assert_eq!(only(&view).state, RunState::Running);
    assert_eq!(json_of(&view)["runs"][0]["parts"][0]["text"], "the rest");
}

#[test]
fn the_golden_events_make_the_golden_view() {
    let mut events: Vec<Event> =
        common::events().values().map(|text| serde_json::from_str(text.get()).unwrap()).collect();
    events.sort_by_key(|event| event.seq);
    let golden = &common::view()["view"];
    assert_eq!(serde_json::to_string(&fold(&events)).unwrap(), golden.get());
    let view: TextView = serde_json::from_str(golden.get()).unwrap();
    assert_eq!(serde_json::to_string(&view).unwrap(), golden.get());
}

#[test]
fn a_part_that_lacks_a_member_is_refused_by_its_name() {
    let part = |text: &str| serde_json::from_str::<Part<Box<RawValue>>>(text);
    let error = part(r#"{"seq":1,"kind":"answer","text":"hi"}"#).unwrap_err().to_string();
    assert!(error.contains("message_id"), "{error}");
    assert!(part(r#"{"seq":1,"kind":"answer","message_id":"m","text":"hi"}"#).is_ok());
}

/// Any event at all, in any order: a view must hold with whatever a log holds.
fn event() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    let run = prop::sample::select(vec![A, B, "run_5d1f0c9a77e2"]);
    let id = prop::sample::select(vec!["1", "2"]);
    let text = prop::sample::select(vec!["", "a", "é\"\\\n", "longer text"]);
    (run, id, text, 0..13_usize).prop_map(|(run, id, text, kind)| {
        let (kind, data) = match kind {
            0 => ("user_message", json!({"message_id":id,"text":text})),
            1 => ("agent_started", json!({"agent":id,"message":text})),
            2 | 3 => ("agent_thinking", json!({"text":text})),
            4 => ("tool_executing", json!({"call_id":id,"tool":"t","input":{"text":text}})),
            5 => ("tool_completed", json!({"call_id":id,"output":[text]})),
            6 => ("tool_completed", json!({"call_id":id,"error":text,"took_ms":7})),
            7 => ("agent_completed", json!({})),
            8 => ("agent_failed", json!({"code":id,"message":text})),
            9 => ("agent_cancelled", json!({"by":id})),
            10 => ("custom", json!({"name":id,"value":text})),
            11 => ("newer_type", json!(text)),
            _ => ("message_delta", json!({"message_id":id,"text":text})),
        };
        (run, kind, data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_does_not_matter_how_events_are_cut(
        events in prop::collection::vec(event(), 0..80),
        cuts in prop::collection::vec(0..80_usize, 0..5),
    ) {
        let events = log(events);
        let whole = fold(&events);
        let mut view = TextView::default();
        for (index, event) in events.iter().enumerate() {
            if cuts.contains(&index) {
                // As a snapshot goes over the wire, or into a cache.
                view = serde_json::from_str(&serde_json::to_string(&view).unwrap()).unwrap();
            }
            view.take(event);
        }
        prop_assert_eq!(json_of(&view), json_of(&whole));
    }

    #[test]
    fn what_is_not_touched_has_not_changed(events in prop::collection::vec(event(), 1..60)) {
        let mut view = TextView::default();
        for event in log(events) {
            let before = json_of(&view);
            let Touched { run, parts } = view.take(&event);
            let after = json_of(&view);
            for (place, shown) in after["runs"].as_array().unwrap().iter().enumerate() {
                let earlier = &before["runs"][place];
                prop_assert!(place == run || shown == earlier, "run {place}: {earlier} → {shown}");
                for (at, part) in shown["parts"].as_array().unwrap().iter().enumerate() {
                    let is_touched = place == run && match parts {
                        Parts::None => false,
                        Parts::One(one) => at == one,
                        Parts::Any => true,
                    };
                    prop_assert!(is_touched || *part == earlier["parts"][at], "part {at}: {part}");
                }
            }
        }
    }
}
