//! Answering without a language model: searches, reads, and quotes the sentences that say most about
//! the question, with their sources. What it thinks aloud is what it does.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Answered, Failure, Question, Turn, arithmetic,
    choose::{Asked, Chosen, choose, coverage, go_on},
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
/// Questions with one of these are answered with a block of code as well, if there is one.
const CODE_WORDS: [&str; 9] = [
    "how do i",
    "how to",
    "how can i",
    "example",
    "command",
    "curl",
    "syntax",
    "look like",
    "show me",
];
/// Bytes of a block of code that is quoted; a longer one is for reading in its place.
const CODE_BYTES_MAX: usize = 1_200;
/// Bytes of its lines.
const CODE_LINE_BYTES_MAX: usize = 200;
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
        if asked.terms.is_empty() {
            if !calculated {
                voice.think("The question has no word that I could look for.").await;
                let hint = "Ask me about something in the documents, or give me a calculation.";
                voice.write(&format!("{hint}\n\n{}", self.list())).await;
            }
            return Ok(answered(&[], calculated));
        }
        let mut words: Vec<_> = asked.terms.iter().map(|(_, word)| word.as_str()).collect();
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
    ) -> Asked {
        let asked = |text: &str| Asked {
            terms: self.tools.index().terms().of_question(text),
            wants_number: asks_for_number(text),
        };
        let own = asked(text);
        let before = question.before.iter().rev().find_map(|turn| match turn {
            Turn::Person(text) => Some(text),
            Turn::Agent(_) => None,
        });
        let (true, false, Some(before)) = (own.terms.is_empty(), calculated, before) else {
            return own;
        };
        voice.think("This seems to go on from the question before; I look for that.").await;
        asked(before)
    }

    /// Whether what was found is about the question at all; says what was found.
    async fn is_relevant(&self, asked: &Asked, hits: &[Hit], voice: &Voice) -> bool {
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
        asked: &Asked,
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
        let question = question.to_lowercase();
        let wants_code = CODE_WORDS.iter().any(|words| question.contains(words));
        let covers = |snippet: &Snippet| coverage(index, asked, &snippet.text);
        let fits = |snippet: &Snippet| {
            covers(snippet).1 >= 0.5
                && snippet.text.len() <= CODE_BYTES_MAX
                && snippet.text.lines().all(|line| line.len() <= CODE_LINE_BYTES_MAX)
        };
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

/// True for a question that a number answers.
fn asks_for_number(question: &str) -> bool {
    let question = question.to_lowercase();
    let words = [
        "how many",
        "how much",
        "how long",
        "how big",
        "how large",
        "how often",
        "how fast",
        "limit",
        "maximum",
        "minimum",
        "which port",
        "what port",
        "size of",
    ];
    words.iter().any(|words| question.contains(words))
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
mod tests;
