//! The choice of the sentences that answer a question.

use std::collections::HashSet;

use bm25::Tokenizer;

use super::sentences::Sentence;
use crate::{
    terms::is_weak,
    tools::{CODE_WEIGHT, Index},
};

/// Bytes of a label before a colon, such as "**`name`** `{members}`".
const LABEL_BYTES_MAX: usize = 60;
/// What a sentence keeps that has hardly any of the question's words, however rare.
const SINGLE: f32 = 0.4;
/// What a sentence with a number counts for where one is asked for.
const NUMBER: f32 = 1.5;
/// What a sentence counts for that says what the thing asked about is.
const DEFINITION: f32 = 1.6;
/// And what it counts for beyond that with the thing's name in bold.
const DEFINITION_BOLD: f32 = 1.3;
/// A first choice that is shorter goes on with the sentences that follow it.
const LEAD_BYTES_MIN: usize = 140;
/// Bytes of the first choice with those sentences.
const LEAD_BYTES_MAX: usize = 360;
/// A choice must be at least this good, as a part of the best one.
const WORTH_MIN: f32 = 0.3;
/// How much being new counts against being relevant (maximal marginal relevance).
const NOVELTY: f32 = 0.4;
/// Terms after which a sentence counts as long; a shorter one is not preferred for its brevity.
const TERMS_TYPICAL: f32 = 14.0;
/// What the headings above a sentence add, as a part of what its own words would.
const HEADING_PART: f32 = 0.35;

/// What a question is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Its terms, each beside the word that it came from.
    pub(super) terms: Vec<(String, String)>,
    /// It asks for a number: how many, how long.
    pub(super) wants_number: bool,
}

/// A sentence that was chosen.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) sentence: Sentence,
    pub(super) worth: f32,
}

/// Chooses up to `most` sentences for the terms of a question: by how much their words say, and
/// against repeating each other. Best first.
pub(super) fn choose(
    index: &Index,
    asked: &Asked,
    sentences: Vec<Sentence>,
    most: usize,
) -> Vec<Chosen> {
    let mut candidates: Vec<(Sentence, HashSet<String>, f32)> = sentences
        .into_iter()
        .filter_map(|sentence| {
            let (terms, above) = terms(index, &sentence);
            let worth = worth(index, asked, &sentence, &terms, &above);
            (worth > 0.0).then_some((sentence, terms, worth))
        })
        .collect();
    let best = candidates.iter().map(|(_, _, worth)| *worth).fold(0.0, f32::max);
    let mut chosen: Vec<(Chosen, HashSet<String>)> = Vec::new();
    while chosen.len() < most {
        let rank = |(_, terms, worth): &(Sentence, HashSet<String>, f32)| {
            let alike = chosen.iter().map(|(_, other)| overlap(terms, other)).fold(0.0, f32::max);
            (if alike > 0.8 { 0.0 } else { *worth / best - NOVELTY * alike }, *worth)
        };
        let Some((at, (rank, worth))) = candidates
            .iter()
            .map(rank)
            .enumerate()
            .max_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b))
        else {
            break;
        };
        if worth < best * WORTH_MIN || rank <= 0.0 {
            break;
        }
        let (sentence, terms, worth) = candidates.swap_remove(at);
        chosen.push((Chosen { sentence, worth }, terms));
    }
    chosen.into_iter().map(|(chosen, _)| chosen).collect()
}

/// What the best sentence for a question among these is worth.
pub(super) fn best(index: &Index, asked: &Asked, sentences: &[Sentence]) -> f32 {
    let worth = |sentence: &Sentence| {
        let (terms, above) = terms(index, sentence);
        worth(index, asked, sentence, &terms, &above)
    };
    sentences.iter().map(worth).fold(0.0, f32::max)
}

fn terms(index: &Index, sentence: &Sentence) -> (HashSet<String>, HashSet<String>) {
    let set = |text: &str| index.terms().tokenize(text).into_iter().collect();
    (set(&sentence.text), set(&sentence.heading))
}

/// Lets the first choice go on with the sentences that follow it in its paragraph, for what a
/// sentence means often stands in the next one. Those are no choices of their own then.
pub(super) fn go_on(chosen: &mut Vec<Chosen>, all: &[Sentence]) {
    let Some(lead) = chosen.first_mut() else {
        return;
    };
    let Some(at) = all.iter().position(|sentence| *sentence == lead.sentence) else {
        return;
    };
    let mut text = lead.sentence.text.clone();
    let follows = |next: &&Sentence| {
        (&next.file, &next.heading, next.block) == (&all[at].file, &all[at].heading, all[at].block)
    };
    for next in all[at + 1..].iter().take_while(follows) {
        if text.len() >= LEAD_BYTES_MIN || text.len() + next.text.len() > LEAD_BYTES_MAX {
            break;
        }
        text.push(' ');
        text.push_str(&next.text);
        chosen.retain(|other| other.sentence != *next);
    }
    chosen[0].sentence.text = text;
}

/// How much of the question a sentence covers, rare words counting for more.
#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
fn worth(
    index: &Index,
    asked: &Asked,
    sentence: &Sentence,
    terms: &HashSet<String>,
    above: &HashSet<String>,
) -> f32 {
    let mut worth = 0.0;
    let mut own = 0;
    for (term, _) in &asked.terms {
        if terms.contains(term) {
            own += 1;
            worth += index.weight(term);
        }
        if above.contains(term) {
            worth += index.weight(term) * HEADING_PART;
        }
    }
    if own == 0 || terms.len() < 3 {
        return 0.0;
    }
    // One rare word is less than most of the words.
    worth *= SINGLE + (1.0 - SINGLE) * own as f32 / asked.terms.len() as f32;
    if asked.wants_number && sentence.text.contains(|c: char| c.is_ascii_digit()) {
        worth *= NUMBER;
    }
    // Like BM25, a long sentence must say more to count as much.
    let length = terms.len() as f32 / TERMS_TYPICAL;
    let worth = worth / (0.75 + 0.25 * length.max(0.6));
    let mut worth = if sentence.prose { worth } else { worth * CODE_WEIGHT };
    if is_definition(index, asked, &sentence.text) {
        worth *= DEFINITION;
        // Writers set a word in bold where they explain it.
        if sentence.text.split_whitespace().take(3).any(|word| word.starts_with("**")) {
            worth *= DEFINITION_BOLD;
        }
    }
    // What follows the colon is missing.
    if sentence.text.ends_with(':') { worth * 0.5 } else { worth }
}

/// True for a sentence that begins by saying what the thing asked about is: `A **run** is …`, `run: …`
/// or a row of a table with its name first.
pub(super) fn is_definition(index: &Index, asked: &Asked, text: &str) -> bool {
    let is_asked = |subject: &str| {
        let subject = index.terms().tokenize(subject);
        let known =
            |word: &String| is_weak(word) || asked.terms.iter().any(|(term, _)| term == word);
        !subject.is_empty() && subject.iter().all(known)
    };
    if let Some((label, _)) = text.split_once(": ")
        && label.len() <= LABEL_BYTES_MAX
        && label.split_whitespace().next().is_some_and(is_asked)
    {
        return true;
    }
    let words: Vec<_> = text
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '—').to_lowercase())
        .filter(|word| !matches!(word.as_str(), "a" | "an" | "the" | ""))
        .take(6)
        .collect();
    let verb = words.iter().position(|word| {
        matches!(word.as_str(), "is" | "are" | "means" | "names" | "says" | "holds" | "—")
    });
    let Some(verb @ 1..) = verb else {
        return false;
    };
    is_asked(&words[..verb].join(" "))
}

/// Jaccard's index of two sets of terms.
#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f32 {
    let common = a.intersection(b).count() as f32;
    common / (a.len() as f32 + b.len() as f32 - common).max(1.0)
}

/// The part of a question that a text covers, from 0 to 1: once by what its words weigh, once by
/// their number. A word that no document has counts for half, for it may only be the wrong word.
#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
pub(super) fn coverage(index: &Index, asked: &Asked, text: &str) -> (f32, f32) {
    let has: HashSet<_> = index.terms().tokenize(text).into_iter().collect();
    let (mut covered, mut all, mut count) = (0.0, 0.0, 0);
    for (term, _) in &asked.terms {
        let weight = index.weight(term);
        all += if index.knows(term) { weight } else { weight / 2.0 };
        if has.contains(term) {
            covered += weight;
            count += 1;
        }
    }
    if asked.terms.is_empty() {
        (0.0, 0.0)
    } else {
        (covered / all, count as f32 / asked.terms.len() as f32)
    }
}
