//! From text to terms: the words that search compares, stemmed, without the ones that say nothing.

use bm25::{DefaultTokenizer, Language, Tokenizer};

/// Words that a question is never about, beside the usual stop words.
const ASKING: [&str; 36] = [
    "please", "tell", "explain", "describe", "show", "give", "mean", "means", "meaning", "know",
    "want", "need", "hello", "hi", "thanks", "happens", "whose", "cannot", "may", "might", "must",
    "could", "would", "shall", "get", "many", "much", "let", "like", "way", "exactly", "actually",
    "per", "one", "fit", "us",
];

/// Splits text into terms. Identifiers such as `message_delta` or `RunState` count as themselves
/// and as their parts, so that a person need not know how a name is written.
pub(crate) struct Terms(DefaultTokenizer);

impl Terms {
    pub(crate) fn new() -> Self {
        Self(DefaultTokenizer::new(Language::English))
    }

    /// The terms of a question, each once, beside the word that it came from.
    pub(crate) fn of_question(&self, question: &str) -> Vec<(String, String)> {
        let mut terms: Vec<(String, String)> = Vec::new();
        for word in question.split(|c: char| !(c.is_alphanumeric() || "_.'-".contains(c))) {
            let word = word.trim_matches(['.', '\'', '-']);
            if is_weak(&word.to_lowercase()) {
                continue;
            }
            for term in self.tokenize(word) {
                if !is_weak(&term) && terms.iter().all(|(known, _)| *known != term) {
                    terms.push((term, word.to_owned()));
                }
            }
        }
        terms
    }
}

/// True for a term that says nothing about what a text is about.
pub(crate) fn is_weak(term: &str) -> bool {
    ASKING.contains(&term)
}

impl Tokenizer for Terms {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let mut terms = self.0.tokenize(text);
        let parts = parts_of_identifiers(text);
        if !parts.is_empty() {
            terms.extend(self.0.tokenize(&parts));
        }
        terms
    }
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terms")
    }
}

/// The parts of all compound identifiers in a text, separated by spaces.
fn parts_of_identifiers(text: &str) -> String {
    let mut parts = String::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')) {
        let before = parts.len();
        let mut last = ' ';
        let mut compound = false;
        for c in word.trim_matches(['.', '_']).chars() {
            let joint = c == '_' || c == '.';
            let hump = last.is_lowercase() && c.is_uppercase();
            compound |= joint || hump;
            if joint || hump {
                parts.push(' ');
            }
            if !joint {
                parts.push(c);
            }
            last = c;
        }
        if compound {
            parts.push(' ');
        } else {
            parts.truncate(before);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_count_as_themselves_and_as_their_parts() {
        let terms = Terms::new().tokenize("See message_delta and RunState in limits.rs.");
        for term in ["message_delta", "messag", "delta", "run", "state", "limit", "rs"] {
            assert!(terms.iter().any(|t| t == term), "{term} is missing in {terms:?}");
        }
    }

    #[test]
    fn a_question_keeps_what_it_is_about() {
        let terms = Terms::new().of_question("Please explain: how are duplicate events detected?");
        let words: Vec<_> = terms.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["duplicate", "events", "detected"]);
        assert!(Terms::new().of_question("What is it?").is_empty());
    }
}
