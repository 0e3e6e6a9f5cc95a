//! Answering without a language model: searches, reads, and quotes the sentences that say most about
//! the question, with their sources. What it thinks aloud is what it does.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Answered, Failure, Question, Turn, arithmetic,
    choose::{Chosen, choose, coverage, go_on},
    compose::{compose, quote_code},
    regions::{REGIONS_MAX, add_definitions, parts, rank, regions},
    sentences::{Sentence, Snippet},
};
use crate::{
    tools::{Found, Hit, Read, ToolError, Tools},
    voice::Voice,
};

/// Passages asked of `search`.
const PASSAGES: usize = 12;
/// Sentences that are quoted.
const SENTENCES_MAX: usize = 5;
/// The part of what the question's words weigh, and of their number, that one passage must cover to
/// be called relevant: more than one word of three.
const COVERAGE_MIN: f32 = 0.34;
/// The part of their number that is enough by itself: two words of three.
const COUNT_ENOUGH: f32 = 0.6;
/// Questions with one of these words are answered with a block of code as well, if there is one.
const CODE_WORDS: [&str; 8] =
    ["how", "example", "command", "code", "curl", "syntax", "look", "show"];
/// Bytes of a block of code that is quoted; a longer one is for reading in its place.
const CODE_BYTES_MAX: usize = 1_200;
/// Documents that are named when there is no answer.
const LISTED_MAX: usize = 12;

/// The extractive answerer.
#[derive(Debug)]
pub(crate) struct Offline {
    tools: Tools,
}

impl Offline {
    pub(crate) fn new(tools: Tools) -> Self {
        Self { tools }
    }

    pub(crate) fn about(&self) -> String {
        let docs = self.tools.index().docs();
        format!(
            "I quote from {} documents ({} passages); no language model is set up.",
            docs.files.len(),
            docs.passages.len()
        )
    }

    /// True for a question without words of its own, which goes on from the one before.
    pub(crate) fn needs_history(&self, question: &str) -> bool {
        arithmetic::find(question).is_none()
            && self.tools.index().terms().of_question(question).is_empty()
    }

    /// Answers from the documents.
    ///
    /// # Errors
    /// When a tool fails that a plain question cannot make fail.
    pub(crate) async fn answer(
        &self,
        question: &Question,
        voice: &Voice,
    ) -> Result<Answered, Failure> {
        let (calculated, text) = self.calculate(&question.text, voice).await?;
        let asked = self.asked(&text, question, calculated, voice).await;
        if asked.is_empty() {
            if !calculated {
                voice.think("The question has no word that I could look for.").await;
                let hint = "Ask me about something in the documents, or give me a calculation.";
                voice.write(&format!("{hint}\n\n{}", self.list())).await;
            }
            return Ok(answered(&[], calculated));
        }
        let mut words: Vec<_> = asked.iter().map(|(_, word)| word.as_str()).collect();
        words.dedup();
        voice.think(&format!("I look for: {}.", words.join(", "))).await;
        let input = json!({ "query": words.join(" "), "limit": PASSAGES });
        let mut found: Found = self.call("search", input, voice).await?;
        if asks_for_meaning(&text) {
            let added = add_definitions(self.tools.index(), &asked, &mut found.passages);
            if added > 0 {
                voice.think("It asks for a meaning; I add where the documents explain it.").await;
            }
        }
        rank(self.tools.index(), &asked, &mut found.passages);
        if !self.is_relevant(&asked, &found.passages, voice).await {
            let nothing = format!("I found nothing about *{}* in the documents.", words.join(" "));
            voice.write(&format!("{nothing}\n\n{}", self.list())).await;
            return Ok(answered(&[], calculated));
        }
        let (chosen, snippet) = self.read(&asked, &question.text, &found.passages, voice).await;
        if chosen.is_empty() && snippet.is_none() {
            voice.think("No sentence there says it in words; I show the passage itself.").await;
            voice.write(&quote_code(&found.passages[0])).await;
        } else {
            voice.write(&compose(&chosen, snippet.as_ref())).await;
        }
        Ok(answered(&chosen, calculated))
    }

    /// Does the arithmetic in the question, if there is any; gives the question without it.
    async fn calculate(&self, question: &str, voice: &Voice) -> Result<(bool, String), Failure> {
        let Some(found) = arithmetic::find(question) else {
            return Ok((false, question.to_owned()));
        };
        voice.think(&format!("There is something to calculate: {}.", found.expression)).await;
        let input = json!({ "expression": found.expression });
        let result: Value = self.call("calculate", input, voice).await?;
        let value = result["text"].as_str().unwrap_or_default();
        voice.write(&format!("`{}` = **{value}**\n\n", found.expression)).await;
        Ok((true, found.rest))
    }

    /// The terms that the question is about. One that has none of its own ("And why is that?")
    /// goes on from the question before it.
    async fn asked(
        &self,
        text: &str,
        question: &Question,
        calculated: bool,
        voice: &Voice,
    ) -> Vec<(String, String)> {
        let terms = self.tools.index().terms();
        let asked = terms.of_question(text);
        let before = question.before.iter().rev().find_map(|turn| match turn {
            Turn::Person(text) => Some(text),
            Turn::Agent(_) => None,
        });
        let (true, false, Some(before)) = (asked.is_empty(), calculated, before) else {
            return asked;
        };
        voice.think("This seems to go on from the question before; I look for that.").await;
        terms.of_question(before)
    }

    /// Whether what was found is about the question at all; says what was found.
    async fn is_relevant(&self, asked: &[(String, String)], hits: &[Hit], voice: &Voice) -> bool {
        let Some(best) = hits.first() else {
            voice.think("No passage has any of these words.").await;
            return false;
        };
        let index = self.tools.index();
        let (weighed, counted) = hits
            .iter()
            .take(REGIONS_MAX)
            .map(|hit| format!("{} {} {}", hit.file, hit.heading, hit.text))
            .map(|text| coverage(index, asked, &text))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .unwrap_or_default();
        let under = if best.heading.is_empty() {
            String::new()
        } else {
            format!(" under “{}”", best.heading)
        };
        voice
            .think(&format!(
                "{} passages have some of them, {}:{}–{}{under} looks best. By weight, {:.0} % of \
                 the question's words stand in one passage.",
                hits.len(),
                best.file,
                best.from,
                best.to,
                (weighed * 100.0).min(100.0)
            ))
            .await;
        let relevant =
            counted >= COVERAGE_MIN && (weighed >= COVERAGE_MIN || counted >= COUNT_ENOUGH);
        if !relevant {
            voice.think("That is too little to be about the question.").await;
        }
        relevant
    }

    /// Reads the best regions; chooses sentences there, and a block of code where one is asked for.
    async fn read(
        &self,
        asked: &[(String, String)],
        question: &str,
        hits: &[Hit],
        voice: &Voice,
    ) -> (Vec<Chosen>, Option<Snippet>) {
        let index = self.tools.index();
        let (mut all, mut code): (Vec<Sentence>, Vec<Snippet>) = (Vec::new(), Vec::new());
        for region in regions(hits) {
            let input = json!({ "path": region.file, "from": region.from, "to": region.to });
            match voice.tool(&self.tools, "read_file", input).await.and_then(typed::<Read>) {
                Ok(read) => {
                    let (sentences, snippets) = parts(index, &read, &region.heading);
                    all.extend(sentences);
                    code.extend(snippets);
                }
                // The file may have changed since it was indexed; the others still count.
                Err(error) => voice.think(&format!("I go on without it: {error}.")).await,
            }
        }
        let mut chosen = choose(index, asked, all.clone(), SENTENCES_MAX);
        if !chosen.is_empty() {
            voice
                .think(&format!(
                    "Of {} sentences there I take {}: those that say most about the question \
                     without repeating each other.",
                    all.len(),
                    chosen.len()
                ))
                .await;
        }
        go_on(&mut chosen, &all);
        let words: Vec<_> = question.split(|c: char| !c.is_alphanumeric()).collect();
        let wants_code = CODE_WORDS.iter().any(|w| words.iter().any(|q| q.eq_ignore_ascii_case(w)));
        let covers = |snippet: &Snippet| coverage(index, asked, &snippet.text);
        let fits =
            |snippet: &Snippet| covers(snippet).1 >= 0.5 && snippet.text.len() <= CODE_BYTES_MAX;
        let snippet = code
            .into_iter()
            .filter(|snippet| wants_code && fits(snippet))
            .rev()
            .max_by(|a, b| covers(a).0.total_cmp(&covers(b).0));
        if let Some(snippet) = &snippet {
            let place = format!("{}:{}", snippet.file, snippet.line);
            voice.think(&format!("The code at {place} shows how; I add it.")).await;
        }
        (chosen, snippet)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        tool: &str,
        input: Value,
        voice: &Voice,
    ) -> Result<T, Failure> {
        voice.tool(&self.tools, tool, input).await.and_then(typed).map_err(|error| Failure {
            code: "tool_failed",
            message: format!("The tool {tool} failed: {error}"),
        })
    }

    fn list(&self) -> String {
        let docs = self.tools.index().docs();
        let prose = |file: &&String| docs.passages.iter().any(|p| p.prose && p.file == **file);
        let (mut files, code): (Vec<_>, Vec<_>) = docs.files.iter().partition(prose);
        files.extend(code);
        let mut list = String::from("These are the documents I have:\n");
        for file in files.iter().take(LISTED_MAX) {
            list.push_str(&format!("- `{file}`\n"));
        }
        if files.len() > LISTED_MAX {
            list.push_str(&format!("- and {} more\n", files.len() - LISTED_MAX));
        }
        list
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ToolError> {
    serde_json::from_value(value).map_err(|error| ToolError::from(error.to_string()))
}

/// True for `What is a run?`, which a glossary answers.
fn asks_for_meaning(question: &str) -> bool {
    let question = question.trim().to_lowercase();
    let opens = ["what is", "what's", "what are", "define", "what does"];
    let words = question.split_whitespace().count();
    words <= 6
        && opens.iter().any(|open| question.starts_with(open))
        && (!question.starts_with("what does") || question.contains("mean"))
}

fn answered(chosen: &[Chosen], calculated: bool) -> Answered {
    let sources: Vec<_> = chosen
        .iter()
        .map(|chosen| {
            let worth = (chosen.worth * 100.0).round() / 100.0;
            json!({ "file": chosen.sentence.file, "line": chosen.sentence.line, "worth": worth })
        })
        .collect();
    let result = json!({ "mode": "offline", "calculated": calculated, "sources": sources });
    Answered { result, usage: None }
}

#[cfg(test)]
mod tests {
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
            (
                "What happens when the heartbeat is missed?",
                "takes the connection for dead",
                "idea.md:",
            ),
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
            assert!(
                matches!(step, Step::Thinking(_)),
                "nothing but what was said before: {step:?}"
            );
        }
    }
}
