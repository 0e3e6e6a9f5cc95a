//! Which parts of which documents are read for an answer.

use super::{
    choose::{Asked, best, is_definition},
    sentences::{Sentence, Snippet, sentences, snippets},
};
use crate::{
    passage::Passage,
    tools::{Hit, Index, Read},
};

/// Regions that are read.
pub(super) const REGIONS_MAX: usize = 3;
/// A region is read when it fits at least this well, as a part of the best.
const REGION_SCORE_MIN: f64 = 0.5;
/// Passages with a definition that are added to what was found.
const DEFINITIONS_MAX: usize = 2;
/// Lines between two passages that are read in one go.
const GAP_LINES_MAX: usize = 4;

/// Lines of a file that are read in one go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) file: String,
    pub(super) heading: String,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Sorts passages again, by what they are together with the best sentence in each: a passage may
/// repeat a word and never explain it. Scores become parts of the most that is possible.
pub(super) fn rank(index: &Index, asked: &Asked, hits: &mut [Hit]) {
    let most = hits.iter().map(|hit| hit.score).fold(f64::MIN_POSITIVE, f64::max);
    let says: Vec<_> = hits
        .iter()
        .map(|hit| {
            let read = whole(&hit.file, hit.from, hit.to, &hit.text);
            f64::from(best(index, asked, &parts(index, &read, &hit.heading).0))
        })
        .collect();
    let most_said = says.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    for (hit, says) in hits.iter_mut().zip(says) {
        hit.score = (hit.score / most + says / most_said) / 2.0;
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Adds passages that say what the thing asked about is: a word that everybody uses is explained in
/// one place, which a search for it does not put first. Gives how many were added.
pub(super) fn add_definitions(index: &Index, asked: &Asked, hits: &mut Vec<Hit>) -> usize {
    let score = hits.first().map_or(1.0, |hit| hit.score);
    let before = hits.len();
    let defines = |passage: &&Passage| {
        let read = whole(&passage.file, passage.from, passage.to, &passage.text);
        let (sentences, _) = parts(index, &read, &passage.heading);
        sentences.iter().any(|sentence| is_definition(index, asked, &sentence.text))
    };
    let known: Vec<_> = hits.iter().map(|hit| (hit.file.clone(), hit.from)).collect();
    let prose = index.docs().passages.iter().filter(|passage| passage.prose);
    for passage in prose.filter(defines).take(DEFINITIONS_MAX) {
        if !known.contains(&(passage.file.clone(), passage.from)) {
            hits.push(Hit {
                file: passage.file.clone(),
                heading: passage.heading.clone(),
                from: passage.from,
                to: passage.to,
                score,
                text: passage.text.clone(),
            });
        }
    }
    hits.len() - before
}

fn whole(file: &str, from: usize, to: usize, text: &str) -> Read {
    let (file, text) = (file.to_owned(), text.to_owned());
    Read { file, from, to, lines: to, text, truncated: false }
}

/// The best passages, neighbours joined, best first.
pub(super) fn regions(hits: &[Hit]) -> Vec<Region> {
    let best = hits.first().map_or(0.0, |hit| hit.score);
    let mut regions: Vec<Region> = Vec::new();
    for hit in hits.iter().filter(|hit| hit.score >= best * REGION_SCORE_MIN) {
        let near = |region: &&mut Region| {
            region.file == hit.file
                && hit.from <= region.to + GAP_LINES_MAX
                && region.from <= hit.to + GAP_LINES_MAX
        };
        if let Some(region) = regions.iter_mut().find(near) {
            region.from = region.from.min(hit.from);
            region.to = region.to.max(hit.to);
        } else if regions.len() < REGIONS_MAX {
            let (file, heading) = (hit.file.clone(), hit.heading.clone());
            regions.push(Region { file, heading, from: hit.from, to: hit.to });
        }
    }
    regions
}

/// The sentences and the blocks of code of what was read, which begins where a passage does and
/// stands under `heading`.
pub(super) fn parts(index: &Index, read: &Read, heading: &str) -> (Vec<Sentence>, Vec<Snippet>) {
    let passages = &index.docs().passages;
    let passage = passages.iter().find(|p| p.file == read.file && p.from == read.from);
    let (prose, in_code) = passage.map_or((true, false), |p| (p.prose, p.in_code));
    let mut sentences = sentences(read, prose, in_code);
    let nearest = heading.rsplit(" > ").next().unwrap_or_default();
    for sentence in sentences.iter_mut().filter(|sentence| sentence.heading.is_empty()) {
        nearest.clone_into(&mut sentence.heading);
    }
    let snippets = if prose { snippets(read, in_code) } else { Vec::new() };
    (sentences, snippets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(file: &str, from: usize, to: usize, score: f64) -> Hit {
        let (heading, text) = (String::new(), String::new());
        Hit { file: file.into(), heading, from, to, score, text }
    }

    #[test]
    fn neighbours_are_read_in_one_go_and_weak_ones_not_at_all() {
        let hits = [
            hit("a", 10, 20, 1.0),
            hit("b", 1, 5, 0.9),
            hit("a", 23, 30, 0.8),
            hit("a", 1, 8, 0.7),
            hit("c", 1, 9, 0.4),
        ];
        let got: Vec<_> = regions(&hits).into_iter().map(|r| (r.file, r.from, r.to)).collect();
        assert_eq!(got, [("a".into(), 1, 30), ("b".into(), 1, 5)]);
        assert!(regions(&[]).is_empty());
    }
}
