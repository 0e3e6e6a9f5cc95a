use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;
use crate::{
    docs::Docs,
    voice::{
        Step,
        heard::{self, text, tools},
    },
};

async fn ask(offline: &Offline, text: &str, before: Vec<Turn>) -> (Vec<Step>, Answered) {
    let (voice, steps) = Voice::new(Duration::ZERO);
    let question = Question { text: text.into(), before };
    let speak = async move { offline.answer(&question, &voice).await };
    let (steps, answered) = tokio::join!(heard::all(steps), speak);
    (steps, answered.unwrap())
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn documents() -> Offline {
    Offline::new(Tools::new(Docs::open(&folder("tests/data")).unwrap()))
}

#[tokio::test]
async fn answers_with_the_sentences_that_say_it_and_their_places() {
    let offline = documents();
    for (question, says, place) in [
        ("How are duplicate events detected?", "stored once", "laws.md:"),
        ("What is a feed?", "the server's side of one subscription", "vocabulary.md:"),
        ("why are there no per-subscriber queues?", "holds a cursor, not a buffer", "idea.md:"),
        ("What happens when the heartbeat is missed?", "takes the connection for dead", "idea.md:"),
    ] {
        let (steps, answered) = ask(&offline, question, vec![]).await;
        let text = text(&steps);
        assert!(text.contains(says), "{question}: {text}");
        assert!(text.contains(place) && text.contains("**Sources**"), "{question}: {text}");
        assert_eq!(tools(&steps)[..2], ["search", "read_file"], "{question}");
        assert_places(&folder("tests/data"), &answered, &text);
    }
}

#[tokio::test]
async fn answers_from_this_projects_own_documents() {
    let root = folder("../..");
    let offline = Offline::new(Tools::new(Docs::open(&root).unwrap()));
    for (question, says) in [
        ("What is a thread?", "thread"),
        ("How do I publish with curl?", "curl"),
        ("What happens to a duplicate event?", "duplicate"),
    ] {
        let (steps, answered) = ask(&offline, question, vec![]).await;
        let text = text(&steps);
        assert!(text.to_lowercase().contains(says), "{question}: {text}");
        assert!(!answered.result["sources"].as_array().unwrap().is_empty(), "{question}");
        assert_places(&root, &answered, &text);
    }
}

/// Every place that is named holds what was quoted from it.
fn assert_places(folder: &Path, answered: &Answered, answer: &str) {
    for source in answered.result["sources"].as_array().unwrap() {
        let file = source["file"].as_str().unwrap();
        let line = source["line"].as_u64().unwrap() as usize;
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let line = text.lines().nth(line - 1).unwrap();
        let words: Vec<_> = line.split(['|', ' ', '-', '/']).filter(|w| w.len() > 3).collect();
        assert!(words.iter().any(|word| answer.contains(word)), "{file}: {line:?}: {answer}");
    }
}

#[tokio::test]
async fn calculates_and_goes_on_with_the_rest() {
    let offline = documents();
    let (steps, answered) = ask(&offline, "What is 17 * 23?", vec![]).await;
    assert_eq!(tools(&steps), ["calculate"]);
    assert_eq!(text(&steps), "`17 * 23` = **391**\n\n");
    assert_eq!(answered.result["calculated"], true);
    let (steps, _) = ask(&offline, "What is 6 * 7, and what is an epoch?", vec![]).await;
    assert_eq!(tools(&steps)[..2], ["calculate", "search"]);
    assert!(text(&steps).contains("**42**") && text(&steps).contains("incarnation"));
}

#[tokio::test]
async fn says_so_when_there_is_nothing() {
    let offline = documents();
    for question in ["What is the capital of France?", "zebra xylophone", "hello", "???"] {
        let (steps, answered) = ask(&offline, question, vec![]).await;
        let text = text(&steps);
        assert!(text.contains("These are the documents I have"), "{question}: {text}");
        assert!(text.contains("- `laws.md`"), "{question}: {text}");
        assert_eq!(answered.result["sources"], json!([]), "{question}");
    }
}

#[tokio::test]
async fn a_question_of_pronouns_goes_on_from_the_one_before() {
    let offline = documents();
    let before = vec![
        Turn::Person("What is an epoch?".into()),
        Turn::Agent("One incarnation of a log.".into()),
    ];
    let (steps, _) = ask(&offline, "And why is that?", before).await;
    assert!(text(&steps).contains("incarnation"), "{}", text(&steps));
}

#[tokio::test]
async fn a_dropped_answer_stops_at_once() {
    let offline = documents();
    let (voice, mut heard) = Voice::new(Duration::from_secs(3600));
    let question = Question { text: "What is a feed?".into(), before: vec![] };
    let answer = offline.answer(&question, &voice);
    tokio::select! {
        _ = answer => panic!("it pauses for an hour after its first words"),
        step = heard.recv() => assert!(matches!(step, Some(Step::Thinking(_)))),
    }
    drop(voice);
    while let Some(step) = heard.recv().await {
        assert!(matches!(step, Step::Thinking(_)), "nothing but what was said before: {step:?}");
    }
}
