//! `search`: the passages that fit a query best, by BM25.

use std::collections::{HashMap, HashSet};

use bm25::{Document, SearchEngine, SearchEngineBuilder, Tokenizer};
use serde::{Deserialize, Serialize};

use super::{ToolError, cut};
use crate::{
    docs::Docs,
    limits::{PASSAGE_BYTES_MAX, QUERY_BYTES_MAX, SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX},
    terms::Terms,
};

/// Code repeats a word in every line; prose that says it once is the better answer.
pub(crate) const CODE_WEIGHT: f32 = 0.35;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    query: String,
    limit: Option<usize>,
}

/// What `search` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Best first.
    pub(crate) passages: Vec<Hit>,
}

/// One passage found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hit {
    pub(crate) file: String,
    pub(crate) heading: String,
    /// First line, from 1.
    pub(crate) from: usize,
    /// Last line.
    pub(crate) to: usize,
    /// How well it fits; comparable within one answer only.
    pub(crate) score: f64,
    pub(crate) text: String,
}

pub(super) fn run(index: &Index, search: Search) -> Result<Found, ToolError> {
    let limit = search.limit.unwrap_or(SEARCH_LIMIT_DEFAULT).clamp(1, SEARCH_LIMIT_MAX);
    if search.query.len() > QUERY_BYTES_MAX {
        return Err(ToolError(format!(
            "the query has {} bytes, at most {QUERY_BYTES_MAX} are allowed",
            search.query.len()
        )));
    }
    if index.terms().tokenize(&search.query).is_empty() {
        return Err(ToolError(
            "the query has no word to look for; use words that the documents may contain".into(),
        ));
    }
    Ok(Found { passages: index.search(&search.query, limit) })
}

/// The passages of a folder, ready to be searched.
pub(crate) struct Index {
    docs: Docs,
    terms: Terms,
    engine: SearchEngine<usize, u32, Terms>,
    /// In how many passages each term stands.
    frequencies: HashMap<String, usize>,
}

impl Index {
    pub(crate) fn new(docs: Docs) -> Self {
        let terms = Terms::new();
        let mut frequencies = HashMap::new();
        let mut documents = Vec::new();
        for (id, passage) in docs.passages.iter().enumerate() {
            let contents = format!("{}\n{}\n{}", passage.file, passage.heading, passage.text);
            let distinct: HashSet<_> = terms.tokenize(&contents).into_iter().collect();
            for term in distinct {
                *frequencies.entry(term).or_default() += 1;
            }
            documents.push(Document::new(id, contents));
        }
        let engine =
            SearchEngineBuilder::with_tokenizer_and_documents(Terms::new(), documents).build();
        Self { docs, terms, engine, frequencies }
    }

    pub(crate) fn docs(&self) -> &Docs {
        &self.docs
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// True for a term that stands in some passage.
    pub(crate) fn knows(&self, term: &str) -> bool {
        self.frequencies.contains_key(term)
    }

    /// How much it says that a text has this term: the rarer, the more. At least 0; largest for a
    /// term that stands nowhere.
    #[expect(clippy::cast_precision_loss, reason = "counts of passages are small")]
    pub(crate) fn weight(&self, term: &str) -> f32 {
        let all = self.docs.passages.len() as f32;
        let with = self.frequencies.get(term).copied().unwrap_or_default() as f32;
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }

    fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        let mut hits: Vec<_> = self
            .engine
            .search(query, None)
            .into_iter()
            .map(|found| {
                let passage = &self.docs.passages[found.document.id];
                let weight = if passage.prose { 1.0 } else { CODE_WEIGHT };
                (passage, found.score * weight)
            })
            .collect();
        hits.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        hits.into_iter()
            .take(limit)
            .map(|(passage, score)| Hit {
                file: passage.file.clone(),
                heading: passage.heading.clone(),
                from: passage.from,
                to: passage.to,
                score: (f64::from(score) * 100.0).round() / 100.0,
                text: cut(&passage.text, PASSAGE_BYTES_MAX).to_owned(),
            })
            .collect()
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("passages", &self.docs.passages.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> (tempfile::TempDir, Index) {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::from("# Cheese\n\nBrie is soft.\n\n# Bread\n\nRye bread is dark.\n");
        for n in 0..30 {
            text.push_str(&format!("\n# Filler {n}\n\nNothing to see, page {n}.\n"));
        }
        std::fs::write(folder.path().join("food.md"), text).unwrap();
        std::fs::write(folder.path().join("food.rs"), "fn rye() { bread(rye, bread) }\n").unwrap();
        let index = Index::new(Docs::open(folder.path()).unwrap());
        (folder, index)
    }

    fn found(index: &Index, query: &str, limit: Option<usize>) -> Result<Found, ToolError> {
        run(index, Search { query: query.into(), limit })
    }

    #[test]
    fn finds_the_passage_and_says_where_it_is() {
        let (_folder, index) = index();
        let hits = found(&index, "Is rye bread dark?", None).unwrap().passages;
        assert_eq!(
            (hits[0].file.as_str(), hits[0].heading.as_str(), hits[0].from, hits[0].to),
            ("food.md", "Bread", 5, 7)
        );
        assert_eq!(hits[1].file, "food.rs", "code comes after prose");
        assert!(hits[0].score > hits[1].score);
    }

    #[test]
    fn keeps_to_its_limits() {
        let (_folder, index) = index();
        assert_eq!(found(&index, "page", None).unwrap().passages.len(), SEARCH_LIMIT_DEFAULT);
        assert_eq!(found(&index, "page", Some(999)).unwrap().passages.len(), SEARCH_LIMIT_MAX);
        assert_eq!(found(&index, "page", Some(0)).unwrap().passages.len(), 1);
        assert!(found(&index, "xylophone", None).unwrap().passages.is_empty());
        let error = found(&index, &"a ".repeat(QUERY_BYTES_MAX), None).unwrap_err().to_string();
        assert!(error.contains("at most"), "{error}");
        let error = found(&index, "what is it?", None).unwrap_err().to_string();
        assert!(error.contains("no word to look for"), "{error}");
    }
}
